"""Bar lengths as users and vendors write them: `30min`, `30 min`, `5m`, `5T`, `300s`, `M5`, `1h`, `D`, `5min_extended`.

One length has one label, so that `60min` and `1h` name the same dataset. A suffix marks another
series of the same length (`extended`, `rth`) and is part of the label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jupyter_nq.errors import UnknownTimeframe

SECONDS = {
    **dict.fromkeys(["s", "sec", "secs", "second", "seconds"], 1),
    **dict.fromkeys(["m", "min", "mins", "minute", "minutes", "t"], 60),  # T is pandas' minute
    **dict.fromkeys(["h", "hr", "hrs", "hour", "hours"], 3_600),
    **dict.fromkeys(["d", "day", "days", "daily"], 86_400),
}
"""Unit, in lower case -> seconds."""
_LONGER = {
    **dict.fromkeys(["w", "wk", "week", "weeks", "weekly"], "weeks"),
    **dict.fromkeys(["mo", "mn", "mon", "month", "months", "monthly"], "months"),
}
_TEXT = re.compile(
    r"(?P<count>\d{1,5})\s*-?(?P<unit>[A-Za-z]+)(?:[\s_-]+(?P<suffix>[A-Za-z0-9]+(?:[\s_-]+[A-Za-z0-9]+)*))?"
)
METATRADER = re.compile(r"M(?:[1-6]|10|12|15|20|30)|H(?:[123468]|12)|D1")
"""Lengths as MetaTrader writes them: M5, H1, D1; only those that it has, because M24 is a month of 2024 elsewhere."""
_LONGEST_MINUTES = 1440  # a day: longer bars have no fixed length on an exchange's clock
_BETWEEN = "a bar lasts from 1 minute to 1 day"


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
    >>> parse_timeframe("300s").label, parse_timeframe("M5").label, parse_timeframe("D").label
    ('5min', '5min', '1D')
    """
    text = text.strip()
    match = _TEXT.fullmatch(_counted(text))
    unit = match["unit"] if match else text
    if unit.lower() in _LONGER:
        raise UnknownTimeframe(f"{text!r}: {_LONGER[unit.lower()]} are not supported; {_BETWEEN}.")
    if match is not None and unit == "M":
        raise UnknownTimeframe(
            f"{text!r} may mean minutes or months. Write {match['count']}min; months are not supported, {_BETWEEN}."
        )
    if match is None or unit.lower() not in SECONDS:
        raise UnknownTimeframe(f"{text!r} is not a timeframe. Write a length such as '5min', '30min', '1h' or '1D'.")
    minutes, odd = divmod(int(match["count"]) * SECONDS[unit.lower()], 60)
    if odd or not 1 <= minutes <= _LONGEST_MINUTES:
        length = f"{minutes * 60 + odd:,} seconds" if odd else f"{minutes:,} minutes"
        raise UnknownTimeframe(f"{text!r} is {length}; {_BETWEEN}, in whole minutes.")
    return timeframe_of(minutes, suffix="_".join(re.split(r"[\s_-]+", (match["suffix"] or "").lower())))


def _counted(text: str) -> str:
    """Return `M5`, `H1` and `D` with count and unit in the usual order."""
    if METATRADER.fullmatch(text):
        return text[1:] + {"M": "min", "H": "h", "D": "d"}[text[0]]
    if re.fullmatch(r"[MWmw][Nn]?1", text):  # MetaTrader's month and week; M1 is its minute, and taken above
        return f"1{text[:-1]}"
    return f"1{text}" if text == "D" or text.lower() in ("day", "daily") else text


def timeframe_of(minutes: int, suffix: str = "") -> Timeframe:
    """Return the timeframe of a length in minutes, under its canonical label."""
    if minutes % 1440 == 0:
        length = f"{minutes // 1440}D"
    elif minutes % 60 == 0:
        length = f"{minutes // 60}h"
    else:
        length = f"{minutes}min"
    return Timeframe(f"{length}_{suffix}" if suffix else length, minutes, suffix)
