"""What ends a magic early, as IPython shows it: errors and interrupts in one line, help as text.

An error of this package becomes a `UsageError`, of which IPython prints the message and no traceback. A
message is written for the Python call; here its `tz='UTC'` becomes `--tz UTC`, so that what it tells the
user to do can be typed as it stands. Candidates keep their lines, side by side.

An interrupt becomes a `UsageError` too: the cell counts as failed, so that "Run All" stops there, and
the frames of this package, which tell its user nothing, are not printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from IPython.core.error import UsageError

from jupyter_nq.client.listing import plain
from jupyter_nq.errors import NQError

_EXAMPLE = "%nq_load PATH 30min --symbol NQ"
_OPTIONS = {
    "day_first=True": "--day-first",
    "day_first=False": "--month-first",
    "day_first=": "--day-first or --month-first",
    "data_dir=": "--data-dir",
    "symbol=": "--symbol",
    "profile=": "--profile",
    "contract=": "--contract",
    "edge=": "--edge",
    "tz=": "--tz",
}
_PHRASES = {
    "edge='start' (or 'end')": "--edge start (or --edge end)",
    "timeframe=, e.g. '30min'": "the timeframe, e.g. 30min",
    "timeframe=": "timeframe",  # it has no option, it is a word of its own
    "or set data_dir": "or give --data-dir",
    "leave require out": "leave --require out",
}
_ANSWER = re.compile(r"profile=\{'(\w+)': (?:\{'(\w+)': ([^{}]*)\}|([^{}]*))\}")
_BOTH = re.compile(r"symbol='NQ', timeframe='30min'")
_PHRASE = re.compile("|".join(map(re.escape, _PHRASES)))
_KEYWORD = re.compile(rf"\b({'|'.join(_OPTIONS)})('[^'\"\\]*'|['\"]|  +)?")


class HelpAsked(Exception):
    """A line asks for its magic's help, which is the text of this exception."""


@contextmanager
def usage_errors(example: str = _EXAMPLE) -> Iterator[None]:
    """Turn an error of this package into a `UsageError`, and print the help that a line asks for.

    Parameters
    ----------
    example
        The line that says both symbol and timeframe of a file, for the message that asks for them.
    """
    try:
        yield
    except HelpAsked as asked:
        print(asked)
    except NQError as exc:
        raise UsageError("\n".join(plain(as_typed(line, example)) for line in str(exc).splitlines())) from exc


@contextmanager
def interruptible(outcome: str = "nothing was shared") -> Iterator[None]:
    """Turn an interrupt of work that removes what it began into a `UsageError` that says the outcome."""
    try:
        yield
    except KeyboardInterrupt:
        raise UsageError(f"interrupted: {outcome}") from None


def as_typed(line: str, example: str = _EXAMPLE) -> str:
    """Return a line of a message with options instead of keyword arguments; columns stay aligned.

    >>> as_typed("Pass tz='UTC' or edge=.")
    'Pass --tz UTC or --edge.'
    """
    line = _BOTH.sub(lambda _: f"`{example}`", line)
    line = _ANSWER.sub(_answer, line)
    line = _PHRASE.sub(lambda match: _PHRASES[match[0]], line)
    return _KEYWORD.sub(_option, line)


def _answer(match: re.Match[str]) -> str:
    """Return one answer of a profile as `--profile` takes it: `--profile columns.volume=7`."""
    field, role, inner, value = match.groups()
    name = f"{field}.{role}" if role else field
    return f"--profile {name}={(inner or value or '').strip(chr(39))}"


def _option(match: re.Match[str]) -> str:
    option, behind = _OPTIONS[match[1]], match[2] or ""
    if behind.startswith(" "):  # a column's heading
        return (option + behind).ljust(len(match[0]))
    value = behind[1:-1]
    if value and not re.search(r"[\s#]", value):
        return f"{option} {value}"
    return f"{option} {behind}" if behind else option
