"""Bar lengths as users and vendors write them: `30min`, `30 min`, `30m`, `1h`, `5min_extended`, `1D`.

One length has one label, so that `60min` and `1h` name the same dataset. A suffix marks another
series of the same length (`extended`, `rth`) and is part of the label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jupyter_nq.errors import UnknownTimeframe

_MINUTES = {
    "m": 1, "min": 1, "mins": 1, "minute": 1, "minutes": 1,
    "h": 60, "hr": 60, "hour": 60, "hours": 60,
    "d": 1440, "day": 1440, "days": 1440, "daily": 1440,
}  # fmt: skip
_TEXT = re.compile(
    r"(?P<count>\d{1,5})\s*-?(?P<unit>[A-Za-z]+)(?:[\s_-]+(?P<suffix>[A-Za-z0-9]+(?:[\s_-]+[A-Za-z0-9]+)*))?"
)
_LONGEST_MINUTES = 1440  # a day: longer bars have no fixed length on an exchange's clock


@dataclass(frozen=True)
class Timeframe:
    """One bar length, and the series that has it."""

    label: str
    """The canonical name, which is also the last part of a dataset's name."""
    minutes: int
    """Length of a bar in minutes."""
    suffix: str = ""
    """Lower case; empty for the plain series."""


def parse_timeframe(text: str) -> Timeframe:
    """Return the timeframe that `text` means.

    Raises
    ------
    UnknownTimeframe
        The text is not a length between one minute and one day. `1M` is refused, because it means
        a month to some programs and a minute to others.

    >>> parse_timeframe("30 min").label, parse_timeframe("60min").label, parse_timeframe("5min_extended").suffix
    ('30min', '1h', 'extended')
    """
    match = _TEXT.fullmatch(text.strip())
    unit = match["unit"] if match else ""
    if match is None or unit == "M" or unit.lower() not in _MINUTES:
        raise UnknownTimeframe(f"{text!r} is not a timeframe. Write a length such as '5min', '30min', '1h' or '1D'.")
    minutes = int(match["count"]) * _MINUTES[unit.lower()]
    if not 1 <= minutes <= _LONGEST_MINUTES:
        raise UnknownTimeframe(f"{text!r} is {minutes} minutes; a bar lasts from 1 minute to 1 day.")
    return timeframe_of(minutes, suffix="_".join(re.split(r"[\s_-]+", (match["suffix"] or "").lower())))


def timeframe_of(minutes: int, suffix: str = "") -> Timeframe:
    """Return the timeframe of a length in minutes, under its canonical label."""
    if minutes % 1440 == 0:
        length = f"{minutes // 1440}D"
    elif minutes % 60 == 0:
        length = f"{minutes // 60}h"
    else:
        length = f"{minutes}min"
    return Timeframe(f"{length}_{suffix}" if suffix else length, minutes, suffix)
