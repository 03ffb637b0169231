"""Which bars a line of `%nq_load` means: path, symbol and timeframe among its bare words.

A path may hold spaces without quotes, because `{path}` puts it there so. A timeframe may hold spaces too
(`30 min`), and everything behind one could be the name of a series (`5min_extended`). So a word that is
left over must not become part of the timeframe: only the usual series may be written with a space.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from IPython.core.error import UsageError

from jupyter_nq.bars.names import COMPRESSED, SUFFIXES, root_of
from jupyter_nq.errors import UnknownInstrument, UnknownTimeframe
from nq_magics.arguments import INTO, quoted, surplus

FILE_ENDINGS = (".zip", *(kind + packed for kind in SUFFIXES for packed in ("", *COMPRESSED)))
_SERIES = frozenset({"extended", "ext", "eth", "rth", "regular"})


@dataclass(frozen=True)
class Wanted:
    """What the words say; None is what they leave open."""

    source: str | None = None
    """A path, or a symbol."""
    symbol: str | None = None
    """Only behind a path."""
    timeframe: str | None = None

    def example(self, magic: str) -> str:
        """Return the line of a magic that says the symbol of a file whose name does not tell it."""
        words = [f"%{magic}", quoted(self.source) if self.source else "", self.timeframe or "", "--symbol NQ"]
        return " ".join(filter(None, words))


def wanted_bars(words: Sequence[str], symbol: str | None = None) -> Wanted:
    """Tell path, symbol and timeframe among the bare words of `%nq_load`; `symbol` is that of `--symbol`.

    The longest run of words that is a file, or that ends like one, is the path. Otherwise the first word
    is the symbol, unless the words begin with a timeframe, which then means the default symbol.

    Raises
    ------
    UsageError
        A word is left over, or there are two timeframes or two symbols.

    >>> wanted_bars(["NQ", "30", "min"])
    Wanted(source='NQ', symbol=None, timeframe='30 min')
    >>> wanted_bars(["30", "min"])
    Wanted(source=None, symbol=None, timeframe='30 min')
    >>> wanted_bars(["my", "week.csv", "NQ", "30min"])
    Wanted(source='my week.csv', symbol='NQ', timeframe='30min')
    """
    into = next((i for i, word in enumerate(words) if word.lower() in INTO), None)
    if into:
        raise UsageError(surplus(words[into:], assigns=True))
    source, rest = _source(words)
    behind = None
    if source is not None and rest and is_path(source) and not _timeframe_words(rest):
        behind, rest = _symbol(rest), rest[1:]
    named = behind or (source if source is not None and not is_path(source) else None)
    if symbol is not None and named is not None and root_of(symbol).upper() != root_of(named).upper():
        raise UsageError(f"Two symbols are given, {named!r} and --symbol {symbol}; leave one of them out.")
    return Wanted(source, behind or symbol, _timeframe(rest))


def symbols_in(wanted: Wanted) -> list[str]:
    """Return the symbols of a source such as `NQ,ES,CL`, none when it is one symbol or a path.

    Raises
    ------
    UsageError
        One of them is empty or there twice.

    >>> symbols_in(Wanted("NQ,ES", None, "5min"))
    ['NQ', 'ES']
    """
    if wanted.source is None or is_path(wanted.source) or "," not in wanted.source:
        return []
    symbols = wanted.source.split(",")
    if not all(symbols) or len({symbol.upper() for symbol in symbols}) < len(symbols):
        raise UsageError(f"{wanted.source!r} names a symbol twice or none; write them once, with commas: NQ,ES,CL.")
    return symbols


def matching(word: str, names: Sequence[str]) -> list[str]:
    """Return the names of datasets that a pattern means, or the word itself when it is none.

    Raises
    ------
    UsageError
        Nothing matches the pattern.

    >>> matching("NQ.5min-*", ["NQ.5min", "NQ.5min-a", "NQ.5min-b"]), matching("signals", [])
    (['NQ.5min-a', 'NQ.5min-b'], ['signals'])
    """
    if not set("*?[") & set(word):
        return [word]
    found = fnmatch.filter(names, word)
    if not found:
        raise UsageError(f"No dataset matches {word!r}. There are: {', '.join(names) or 'none'}.")
    return found


def is_path(source: str) -> bool:
    """Does it look like a path, with a slash or a suffix, and not like a symbol?"""
    return root_of(source) == source and (os.sep in source or "." in source)


def timeframe_behind(words: Sequence[str]) -> tuple[Sequence[str], str | None]:
    """Return names without the timeframe that stands behind them, and that.

    >>> timeframe_behind(["NQZ24.csv", "NQH25.csv", "5", "min"])
    (['NQZ24.csv', 'NQH25.csv'], '5 min')
    """
    for count in (2, 1):
        if len(words) > count and _timeframe_words(words[-count:]) == count:
            return words[:-count], " ".join(words[-count:])
    return words, None


def _source(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Return the path or symbol that the words begin with, and the words behind it."""
    for end in range(len(words), 0, -1):
        path = " ".join(words[:end])
        if path.lower().endswith(FILE_ENDINGS):
            return os.path.expanduser(path), words[end:]
        if end > 1 and Path(path).expanduser().is_file():
            return str(Path(path).expanduser().absolute()), words[end:]
    if words and is_path(words[0]):
        return os.path.expanduser(words[0]), words[1:]
    if not words or _timeframe_words(words):
        return None, words
    return words[0], words[1:]


def _symbol(words: Sequence[str]) -> str:
    """Return the symbol that stands behind a path."""
    from jupyter_nq.bars.timeframe import parse_timeframe
    from jupyter_nq.client.bars.request import root_symbol

    if len(words) > 1 and _timeframe_words(words[1:]):
        return words[0]  # the session says so when there is no such symbol
    with suppress(UnknownInstrument):
        return root_symbol(words[0])
    if words[0][0].isdigit():
        parse_timeframe(words[0])  # says why it is none
    raise UsageError(f"{words[0]!r} behind the path is neither a symbol nor a timeframe; `as VAR` assigns a variable.")


def _timeframe(words: Sequence[str]) -> str | None:
    count = _timeframe_words(words)
    if not count:  # the session says what is wrong with it
        return " ".join(words) or None
    while count < len(words) and words[count].lower() in _SERIES:
        count += 1
    timeframe, spare = " ".join(words[:count]), words[count:]
    if not spare:
        return timeframe
    if _timeframe_words(spare):
        raise UsageError(f"Two timeframes are given, {timeframe!r} and {' '.join(spare)!r}; one load reads one.")
    raise UsageError(surplus(spare, assigns=True))


def _timeframe_words(words: Sequence[str]) -> int:
    """Return how many words the timeframe has that they begin with; 0 when there is none."""
    return next((n for n in (1, 2) if n <= len(words) and _is_timeframe(" ".join(words[:n]))), 0)


def _is_timeframe(text: str) -> bool:
    from jupyter_nq.bars.timeframe import parse_timeframe

    try:
        parse_timeframe(text)
    except UnknownTimeframe:
        return False
    return True
