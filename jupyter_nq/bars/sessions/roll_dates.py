"""Rules of roll dates: when trading, and with it the volume, passes from one contract to the next.

Equity index contracts end on the third Friday of March, June, September and December, and the volume moves on in the
week before, around its Monday. Crude oil has a contract for every month: trading in it ends three business days before
the 25th of the month before, or before the last business day ahead of the 25th when that is none, and the volume moves
on in the week before that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from jupyter_nq.bars.sessions.calendar import year_of
from jupyter_nq.bars.sessions.holidays import no_business
from jupyter_nq.bars.specifications import CRUDE_OIL, QUARTERLY
from jupyter_nq.errors import ConfigError, nearest

MONTHS = (3, 6, 9, 12)
_EVERY_MONTH = tuple(range(1, 13))
_FRIDAY, _SATURDAY = 4, 5


@dataclass(frozen=True)
class _Rule:
    """One rule of roll dates."""

    months: tuple[int, ...]
    day: Callable[[int, int], date]
    """Year and month -> the date."""
    before: int
    after: int
    """Calendar days around it in which a series rolls, both inclusive."""


def roll_date(year: int, month: int) -> date:
    """Return the Monday before the third Friday of a month.

    >>> roll_date(2024, 12).isoformat()
    '2024-12-16'
    """
    first = date(year, month, 1)
    third_friday = first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)
    return third_friday - timedelta(days=4)


def oil_end(year: int, month: int) -> date:
    """Return the last day of trading of the crude oil contract that ends in a month.

    >>> oil_end(2024, 12).isoformat(), oil_end(2020, 4).isoformat()
    ('2024-12-19', '2020-04-21')
    """
    day = date(year, month, 25)
    while not _is_business(day):
        day -= timedelta(days=1)
    for _ in range(3):
        day -= timedelta(days=1)
        while not _is_business(day):
            day -= timedelta(days=1)
    return day


_RULES: Mapping[str, _Rule] = {
    QUARTERLY: _Rule(MONTHS, roll_date, before=4, after=4),
    CRUDE_OIL: _Rule(_EVERY_MONTH, oil_end, before=8, after=1),
}


def roll_dates(rule: str, first: np.datetime64, last: np.datetime64) -> list[date]:
    """Return the roll dates of a rule from one day to another, both inclusive."""
    known = _known(rule)
    years = range(year_of(first), year_of(last) + 1)
    every = [known.day(year, month) for year in years for month in known.months]
    return [day for day in every if first <= np.datetime64(day) <= last]


def window(rule: str) -> tuple[int, int]:
    """Return how many days before and after its roll date a series rolls.

    Raises
    ------
    ConfigError
        There is no such rule.
    """
    known = _known(rule)
    return known.before, known.after


def _known(rule: str) -> _Rule:
    if rule not in _RULES:
        raise ConfigError(f"{rule!r} is no rule of roll dates.{nearest(rule, _RULES)} They are {', '.join(_RULES)}.")
    return _RULES[rule]


def _is_business(day: date) -> bool:
    return day.weekday() < _SATURDAY and day not in no_business(day.year)
