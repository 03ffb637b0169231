"""From the text behind a magic to its arguments.

IPython hands a magic one string in which `$x` and `{x}` are already replaced. Four things make
that string differ from a shell's command line:

* quotes arrive as typed, so they are taken off here;
* `as VAR` may stand anywhere between the other arguments;
* a `#` that begins a word begins a comment, and a `;` at the end is habit;
* `{path}` may have put a path with spaces there without quotes, see `source_and_timeframe`.
"""

from __future__ import annotations

import argparse
import keyword
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError

from jupyter_nq.errors import UnknownTimeframe, nearest

_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+""")
_QUOTED = re.compile(r"""\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'""")
_FILE_ENDINGS = (".csv", ".txt", ".tsv", ".dat")


@dataclass(frozen=True)
class Line:
    """The words of one magic line."""

    words: tuple[str, ...]
    """Without quotes, without `as VAR`."""
    variable: str | None
    """VAR of `as VAR`, a valid variable name; None when the line has none."""


def parse(magic: Callable[..., Any], line: str, *, assigns: bool = False) -> argparse.Namespace:
    """Parse the line of a magic that carries `magic_arguments`.

    Parameters
    ----------
    magic
        The magic's method; its `parser` knows the arguments.
    line
        The text behind the magic's name.
    assigns
        Whether the magic understands `as VAR`; the result then has `variable`.

    Raises
    ------
    UsageError
        One sentence about the first thing that is wrong.
    """
    parser: argparse.ArgumentParser = magic.parser  # type: ignore[attr-defined]
    parser.allow_abbrev = False
    split = split_line(line) if assigns else Line(tuple(unquote(w) for w in raw_words(line)), None)
    found, unknown = parser.parse_known_intermixed_args(list(split.words))
    if unknown:
        raise UsageError(_unknown_argument(parser, unknown[0]))
    found.variable = split.variable
    return found


def split_line(line: str) -> Line:
    """Split a magic's line into words and the variable of `as VAR`.

    >>> split_line('NQ as bars "30 min"')
    Line(words=('NQ', '30 min'), variable='bars')
    """
    words = raw_words(line)
    places = [i for i, word in enumerate(words) if word == "as"]
    if not places:
        return Line(tuple(map(unquote, words)), None)
    if len(places) > 1:
        raise UsageError("`as` is given twice; one line assigns one variable.")
    at = places[0]
    if at + 1 == len(words):
        raise UsageError("`as` needs the name of a variable behind it, for example `as bars`.")
    variable = check_variable(words[at + 1])
    return Line(tuple(map(unquote, words[:at] + words[at + 2 :])), variable)


def raw_words(line: str) -> list[str]:
    """Split at white space outside quotes; quotes stay, the comment and a last `;` go."""
    text = line.rstrip().removesuffix(";")
    words: list[str] = []
    at = 0
    while match := _WORD.search(text, at):
        if text[at : match.start()].strip():
            break
        if match[0].startswith("#"):
            return words
        words.append(match[0])
        at = match.end()
    if text[at:].strip():
        raise UsageError(f"A quotation mark is not closed: {text[at:].strip()}")
    return words


def unquote(word: str) -> str:
    r"""Take quotes and backslashes off a word, as a shell does.

    >>> unquote('"a b"'), unquote(r"a\ b"), unquote("--tz='Asia/Jerusalem'")
    ('a b', 'a b', '--tz=Asia/Jerusalem')
    """
    return _QUOTED.sub(lambda m: m[1] or (re.sub(r"\\(.)", r"\1", m[2]) if m[2] is not None else m[3]), word)


def check_variable(name: str) -> str:
    """Return `name` if a variable may have it."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"{name!r} is not a name that a variable can have; write for example `as bars`.")
    return name


def source_and_timeframe(words: Sequence[str]) -> tuple[str | None, str | None]:
    """Tell the file or symbol from the timeframe among the bare words of `%nq_load`.

    A path may hold spaces without quotes: the longest run of words that is a file, or that ends like
    one, is the path. Otherwise the first word is the symbol, unless all words are one timeframe, which
    then means the default symbol.

    >>> source_and_timeframe(["NQ", "30", "min"])
    ('NQ', '30 min')
    >>> source_and_timeframe(["30", "min"])
    ('30 min', None)
    >>> source_and_timeframe(["bars/NQ", "-", "30", "min", "-", "ETH.csv", "30min"])
    ('bars/NQ - 30 min - ETH.csv', '30min')
    """
    if not words:
        return None, None
    for end in range(len(words), 0, -1):
        path = " ".join(words[:end])
        if path.lower().endswith(_FILE_ENDINGS) or (end > 1 and Path(path).expanduser().is_file()):
            return str(Path(path).expanduser()), " ".join(words[end:]) or None
    if os.sep in words[0]:
        return str(Path(words[0]).expanduser()), " ".join(words[1:]) or None
    if _is_timeframe(" ".join(words)):
        return " ".join(words), None
    return words[0], " ".join(words[1:]) or None


def column_list(text: str) -> list[str]:
    """Parse the value of `--columns`: names with commas between them."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(
            f"{text!r} has an empty column name; write the names with commas and no spaces: open,close"
        )
    return names


def moment(text: str) -> str:
    """Check the value of `--start` or `--end`: a date, or a date and time, UTC unless it says otherwise."""
    from jupyter_nq.client.selection import span_ns
    from jupyter_nq.errors import InvalidArgument

    try:
        span_ns(text)
    except InvalidArgument:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date; write 2024-01-31, 2024-01 or 2024-01-31T14:30 (UTC)"
        ) from None
    return text


def version(text: str) -> int:
    """Parse the value of `--version`."""
    number = text.removeprefix("v")
    if not number.isascii() or not number.isdigit() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a version; versions are 1, 2, 3 ...")
    return int(number)


def _is_timeframe(text: str) -> bool:
    from jupyter_nq.bars.timeframe import parse_timeframe

    try:
        parse_timeframe(text)
    except UnknownTimeframe:
        return False
    return True


def _unknown_argument(parser: argparse.ArgumentParser, word: str) -> str:
    if not word.startswith("-"):
        return f"There is one argument too many: {word!r}. See %{parser.prog}?"
    known = [name for action in parser._actions for name in action.option_strings]
    option = word.partition("=")[0]
    listed = f" The options are: {', '.join(known)}." if known else ""
    return f"%{parser.prog} has no option {option!r}.{nearest(option, known)}{listed}"
