"""From the text behind a magic to its arguments.

IPython hands a magic one string in which `$x` and `{x}` are already replaced. Four things make
that string differ from a shell's command line:

* quotes arrive as typed, so they are taken off here;
* `as VAR` may stand anywhere between the other arguments;
* a `#` that begins a word begins a comment, and a `;` at the end is habit;
* `{path}` may have put a path with spaces there without quotes, see `nq_magics.wanted`.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import keyword
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from IPython.core.error import UsageError

from jupyter_nq.errors import nearest

FORMS = ("pandas", "arrow", "numpy", "torch", "polars")
INTO = frozenset({"into", "to", "in", "=", "->", "=>", ">"})
"""Words that are tried where `as` belongs."""
COLUMNS = ("timestamp", "open", "high", "low", "close", "volume", "flags")
"""The columns of bars."""
STARTS = ("latest", "earliest")
"""Where the consumer of a stream starts, beside sequences and times."""

_EDGES = {
    "start": ("begin", "beginning", "open", "opening", "left", "first", "starts"),
    "end": ("close", "closing", "right", "last", "finish", "stop", "ends"),
}

_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+""")
_QUOTED = re.compile(r"""\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'""")

_ESCAPED = re.compile(r'(["\\])')


class HelpAsked(Exception):
    """A line asks for its magic's help, which is the text of this exception."""


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
    HelpAsked
        The line asks for the magic's help.
    """
    raw = raw_words(line)
    if not {"-h", "--help"}.isdisjoint(raw):
        raise HelpAsked(inspect.getdoc(magic) or "")
    parser: argparse.ArgumentParser = magic.parser  # type: ignore[attr-defined]
    parser.allow_abbrev = False
    split = split_line(line) if assigns else Line(tuple(map(unquote, raw)), None)
    _check_columns(split.words)
    found, unknown = parser.parse_known_intermixed_args(list(_joined_features(split.words)))
    if unknown:
        raise UsageError(_unknown_argument(parser, unknown, split.words, assigns=assigns))
    found.variable, found.typed = split.variable, split.words
    return found


def split_line(line: str) -> Line:
    """Split a magic's line into words and the variable of `as VAR`.

    >>> split_line('NQ as bars "30 min"')
    Line(words=('NQ', '30 min'), variable='bars')
    """
    words = raw_words(line)
    joined = next((word for word in words if word.lower().startswith("as=")), None)
    if joined is not None:
        raise UsageError(f"Write `as {joined[3:] or 'bars'}`, with a space, instead of `{joined}`.")
    places = [i for i, word in enumerate(words) if word == "as"]
    places = places or [i for i, word in enumerate(words) if word == "AS"]
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


def quoted(word: str) -> str:
    """Return a word as it is typed in a magic's line.

    >>> quoted("week.csv"), quoted("my week.csv")
    ('week.csv', '"my week.csv"')
    """
    if _WORD.fullmatch(word) and unquote(word) == word and not word.startswith("#"):
        return word
    return '"' + _ESCAPED.sub(r"\\\1", word) + '"'


def check_variable(name: str) -> str:
    """Return `name` if a variable may have it."""
    if not _is_variable(name):
        raise UsageError(f"{name!r} is not a name that a variable can have; write for example `as bars`.")
    return name


def variable_to_share(words: Sequence[str], *, usage: str, call: str) -> str:
    """Return the variable that a line shares, from the words behind the name, which may be anything.

    Parameters
    ----------
    words
        As they were typed.
    usage
        The line as it should be: `%nq_put NAME VAR`.
    call
        What the Python call begins with that takes an expression instead: `nq.put('signals', `.
    """
    text = " ".join(words)
    if _is_variable(text):
        return text
    if not _is_expression(text):
        raise UsageError(f"{surplus(words[1:] or words, assigns=False)} Write {usage}.")
    raise UsageError(f"{text!r} is not a variable: assign it to one first, or write {call}{text}).")


def column_list(text: str) -> list[str]:
    """Parse the value of `--columns`: names with commas between them."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(
            f"{text!r} has an empty column name; write the names with commas and no spaces: open,close"
        )
    return names


def feature_list(text: str) -> list[str]:
    """Parse the value of `--features`: calls with commas between them, which may have commas inside.

    >>> feature_list("sma(20),macd(12,26,9)"), feature_list("[sma(20), rsi(14)]")
    (['sma(20)', 'macd(12,26,9)'], ['sma(20)', 'rsi(14)'])
    """
    inner = text.strip()
    inner = inner[1:-1] if inner.startswith("[") and inner.endswith("]") else inner
    names = [name.strip().strip("'\"") for name in re.split(r",(?![^()]*\))", inner)]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name; write for example sma(20),rsi(14)")
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


def start_of(text: str) -> str | int | datetime:
    """Parse where the consumer of a stream starts.

    >>> start_of("latest"), start_of("-100"), start_of("2024-06-12T14:30")
    ('latest', -100, datetime.datetime(2024, 6, 12, 14, 30, tzinfo=datetime.timezone.utc))
    """
    from jupyter_nq.client.selection import span_ns
    from jupyter_nq.errors import InvalidArgument

    if text in STARTS:
        return text
    if text.isascii() and text.removeprefix("-").isdigit():
        return int(text)
    try:
        first_ns = span_ns(text)[0]
    except InvalidArgument:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no start; write latest, earliest, a sequence, -100 for the newest 100, or a time such as "
            "2024-01-31T14:30 (UTC)"
        ) from None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=first_ns // 1000)


def version(text: str) -> int:
    """Parse the value of `--version`."""
    number = text.removeprefix("v")
    if not number.isascii() or not number.isdigit() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a version; versions are 1, 2, 3 ...")
    return int(number)


def rule_action(text: str) -> tuple[str, str]:
    """Parse the value of `--action`."""
    rule, equals, action = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not RULE=ACTION; write for example duplicate=drop")
    return rule.strip(), action.strip()


def whole_number(text: str) -> int:
    """Parse a number of minutes or rows."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number; write for example 240")
    return int(text)


def edge(text: str) -> str:
    """Parse the value of `--edge`."""
    if text in ("start", "end"):
        return text
    meant = next((edge for edge, words in _EDGES.items() if text.lower() in words), None)
    hint = f" Did you mean {meant!r}?" if meant else ""
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither start nor end of a bar.{hint} Write --edge start or --edge end"
    )


def form(text: str) -> str:
    """Parse the value of `--as`."""
    if text not in FORMS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a form; the forms are {', '.join(FORMS)}. "
            "A variable is assigned with `as` and no dashes, for example `as bars`"
        )
    return text


def surplus(words: Sequence[str], *, assigns: bool) -> str:
    """Return the sentence about words that nothing takes."""
    word = words[0]
    if assigns and word.lower() in INTO:
        return f"A variable is assigned with `as`: write `as {words[1] if len(words) > 1 else 'bars'}`."
    hint = f" To assign write `as {word}`." if assigns and _is_variable(word) else ""
    return f"There is one argument too many: {word!r}.{hint}"


def _is_variable(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def _columns_at(words: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return the value of `--columns` and the bare words behind it."""
    for at, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option != "--columns":
            continue
        rest = [value, *words[at + 1 :]] if equals else list(words[at + 1 :])
        bare = next((i for i, behind in enumerate(rest) if behind.startswith("-")), len(rest))
        return (rest[0], rest[1:bare]) if bare else None
    return None


def _check_columns(words: Sequence[str]) -> None:
    """Refuse column names with spaces between them, which would be taken for symbols and timeframes."""
    found = _columns_at(words)
    if found is None:
        return
    names, taken = found[0], 0
    for word in found[1]:
        if not (names.endswith(",") or word.startswith(",") or word in COLUMNS):
            break
        names, taken = f"{names.rstrip(',')},{word.lstrip(',')}", taken + 1
    if taken:
        raise UsageError(_columns_together(names))


def _joined_features(words: Sequence[str]) -> Sequence[str]:
    """Return the words with the value of `--features` as one, when it goes on behind a space.

    It does while a bracket is open, or the comma between two names stands beside the space.

    >>> _joined_features(["NQ", "--features", "sma(20),", "macd(12,", "26)", "30min"])
    ['NQ', '--features', 'sma(20), macd(12, 26)', '30min']
    """
    joined: list[str] = []
    is_value = False
    for word in words:
        if is_value and _goes_on(joined[-1], word):
            joined[-1] = f"{joined[-1]} {word}"
            continue
        is_value = word.startswith("--features=") or joined[-1:] == ["--features"]
        joined.append(word)
    return joined


def _goes_on(value: str, word: str) -> bool:
    if word.startswith("--"):
        return False
    opened = sum(map(value.count, "([")) > sum(map(value.count, ")]"))
    return opened or value.endswith(",") or word.startswith(",")


def _columns_together(names: str) -> str:
    return f"Columns are one list without spaces: write --columns {names.strip(',')}"


def _unknown_argument(
    parser: argparse.ArgumentParser, unknown: Sequence[str], words: Sequence[str], *, assigns: bool
) -> str:
    word = unknown[0]
    if not word.startswith("-"):
        columns = _columns_at(words)
        if columns is not None and word in columns[1]:
            return _columns_together(",".join([columns[0], *columns[1]]))
        return f"{surplus(unknown, assigns=assigns)} See %{parser.prog}?"
    known = [name for action in parser._actions for name in action.option_strings]
    option = word.partition("=")[0]
    listed = f" The options are: {', '.join(known)}." if known else f" It has none: write %{parser.usage}."
    return f"%{parser.prog} has no option {option!r}.{nearest(option, known)}{listed}"
