"""An error of this package as a `UsageError`: IPython prints its message and no traceback.

A message is written for the Python call; here its `tz='UTC'` becomes `--tz 'UTC'`, so that what it
tells the user to do can be typed as it stands. Candidates keep their lines, side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from IPython.core.error import UsageError

from jupyter_nq.errors import NQError
from nq_magics.formats import plain

_OPTIONS = {
    "day_first=True": "--day-first",
    "day_first=False": "--month-first",
    "day_first=": "--day-first or --month-first",
    "data_dir=": "--data-dir",
    "symbol=": "--symbol",
    "edge=": "--edge",
    "tz=": "--tz",
}
_KEYWORD = re.compile(rf"\b({'|'.join(_OPTIONS)})(['\"]|  +)?")


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn an error of this package into a `UsageError`."""
    try:
        yield
    except NQError as exc:
        raise UsageError("\n".join(plain(as_typed(line)) for line in str(exc).splitlines())) from exc


def as_typed(line: str) -> str:
    """Return a line of a message with options instead of keyword arguments; columns stay aligned.

    >>> as_typed("Pass tz='UTC' or edge=.")
    "Pass --tz 'UTC' or --edge."
    """
    return _KEYWORD.sub(_option, line)


def _option(match: re.Match[str]) -> str:
    option, behind = _OPTIONS[match[1]], match[2] or ""
    if behind.startswith(" "):  # a column's heading
        return (option + behind).ljust(len(match[0]))
    return f"{option} {behind}" if behind else option
