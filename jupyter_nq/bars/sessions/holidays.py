"""The days on which CME's futures do not trade on Globex, or stop early, by rule and exception.

The rules give 2010 to 2030 as pandas_market_calendars does, which the tests check day by day and name what
differs. The largest correction: on Good Friday a market opens only when the employment report comes out that
day, the first Friday of a month, and stays closed otherwise (2025-04-18 was closed, as real data show).

A close that is too early would call real bars impossible: where sources differ, the later one is here. Grains and
livestock do not trade on the holidays on which others close early; the half days of grains are not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from types import MappingProxyType

from jupyter_nq.bars.instruments import ENERGY_METALS, EQUITY, FX, GRAINS, LIVESTOCK, RATES

CLOSED = -1
"""No session on this trade date."""

_JUNETEENTH_SINCE = 2022
_JULY_3_SINCE = 2012
_MONDAY, _THURSDAY, _FRIDAY, _SATURDAY, _SUNDAY = 0, 3, 4, 5, 6


@dataclass(frozen=True)
class _Family:
    """How one family of products keeps the holidays; closes are minutes after midnight, New York."""

    shortened: tuple[tuple[date, int | None], ...]
    """From each date on, the close on a Monday holiday, Juneteenth, 4 July and Thanksgiving; None is as usual,
    `CLOSED` is no session."""
    half_day: int | None
    """The close on the Friday after Thanksgiving and on Christmas Eve."""
    july_3: bool
    """Whether 3 July is such a half day."""
    report_friday: int
    """The close on a Good Friday with the employment report."""
    exceptions: Mapping[date, int]
    """Closes that no rule gives."""

    def shortened_to(self, day: date) -> int | None:
        """Return the close on a shortened day."""
        return [close for since, close in self.shortened if since <= day][-1]


_FAMILIES = MappingProxyType(
    {
        EQUITY: _Family(
            ((date.min, 11 * 60 + 30), (date(2014, 3, 1), 13 * 60)),
            13 * 60 + 15,
            july_3=True,
            report_friday=9 * 60 + 15,
            exceptions={
                date(2012, 10, 29): 9 * 60 + 15,  # Hurricane Sandy
                date(2012, 10, 30): 9 * 60 + 15,
                date(2018, 12, 5): 9 * 60 + 30,  # day of mourning for President Bush
                date(2025, 1, 9): 9 * 60 + 30,  # day of mourning for President Carter
            },
        ),
        FX: _Family(
            ((date.min, 13 * 60), (date(2022, 1, 1), None)),
            13 * 60 + 15,
            july_3=False,
            report_friday=11 * 60 + 15,
            exceptions={},
        ),
        RATES: _Family(
            ((date.min, 13 * 60),),
            13 * 60 + 15,
            july_3=False,
            report_friday=11 * 60 + 15,
            exceptions={
                date(2012, 10, 29): 12 * 60,
                date(2018, 12, 5): CLOSED,
                date(2025, 1, 9): 13 * 60 + 15,
            },
        ),
        ENERGY_METALS: _Family(
            ((date.min, 13 * 60), (date(2022, 1, 1), 14 * 60 + 30)),
            13 * 60 + 45,
            july_3=False,
            report_friday=CLOSED,
            exceptions={  # as published for 2026: a holiday on a Friday closes earlier
                date(2026, 6, 19): 13 * 60,
                date(2026, 7, 3): 13 * 60,
                date(2026, 11, 27): 14 * 60 + 45,
            },
        ),
        GRAINS: _Family(
            ((date.min, CLOSED),),
            None,
            july_3=False,
            report_friday=CLOSED,
            exceptions={date(2025, 1, 9): 13 * 60 + 15},  # day of mourning for President Carter
        ),
        LIVESTOCK: _Family(
            ((date.min, CLOSED),),
            13 * 60 + 5,
            july_3=False,
            report_friday=CLOSED,
            exceptions={date(2025, 1, 9): 13 * 60 + 15},
        ),
    }
)
EARLY_CLOSES_KNOWN = frozenset({EQUITY, FX, RATES, ENERGY_METALS, LIVESTOCK})
"""The calendars whose early closes are known, not only their closed days."""


@lru_cache(maxsize=512)
def holidays(calendar: str, year: int) -> Mapping[date, int]:
    """Return the trade dates of a year that are not ordinary: minutes after midnight, New York, or `CLOSED`.

    >>> holidays("CME Globex Equity", 2024)[date(2024, 7, 4)] // 60
    13
    """
    family = _FAMILIES[calendar]
    found: dict[date, int | None] = {day: family.shortened_to(day) for day in _shortened(year)}
    found |= dict.fromkeys(_half_days(year, family.july_3), family.half_day)
    found |= dict.fromkeys(_closed(year), CLOSED)
    good_friday = easter(year) - timedelta(days=2)
    found[good_friday] = family.report_friday if good_friday.day <= 7 else CLOSED
    found |= {day: at for day, at in family.exceptions.items() if day.year == year}
    return MappingProxyType({day: at for day, at in found.items() if at is not None})


@lru_cache(maxsize=512)
def no_business(year: int) -> frozenset[date]:
    """Return the weekdays of a year on which US banks and exchanges do no business: nothing settles or expires."""
    return frozenset([*_closed(year), *_shortened(year), easter(year) - timedelta(days=2)])


def _closed(year: int) -> Iterator[date]:
    new_year, christmas = date(year, 1, 1), date(year, 12, 25)
    if new_year.weekday() != _SATURDAY:  # a Saturday's is not made up for
        yield _off_sunday(new_year)
    yield _off_sunday(christmas) if christmas.weekday() != _SATURDAY else date(year, 12, 24)


def _shortened(year: int) -> Iterator[date]:
    yield _nth(year, 1, _MONDAY, 3)  # Martin Luther King
    yield _nth(year, 2, _MONDAY, 3)  # Presidents
    yield _last(year, 5, _MONDAY)  # Memorial
    if year >= _JUNETEENTH_SINCE:
        yield _observed(date(year, 6, 19))
    yield _observed(date(year, 7, 4))
    yield _nth(year, 9, _MONDAY, 1)  # Labor
    yield _nth(year, 11, _THURSDAY, 4)  # Thanksgiving


def _half_days(year: int, july_3: bool) -> Iterator[date]:
    yield _nth(year, 11, _THURSDAY, 4) + timedelta(days=1)
    for eve in (date(year, 7, 3), date(year, 12, 24)):
        if eve.weekday() < _FRIDAY and (eve.month == 12 or (july_3 and year >= _JULY_3_SINCE)):
            yield eve


def _off_sunday(day: date) -> date:
    return day + timedelta(days=1) if day.weekday() == _SUNDAY else day


def _observed(day: date) -> date:
    return day - timedelta(days=1) if day.weekday() == _SATURDAY else _off_sunday(day)


def _nth(year: int, month: int, weekday: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))


def _last(year: int, month: int, weekday: int) -> date:
    last = date(year, month + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def easter(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar (Meeus, Jones and Butcher).

    >>> easter(2025).isoformat()
    '2025-04-20'
    """
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (b - (b + 8) // 25 + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    moon = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * moon) // 451
    month, day = divmod(h + moon - 7 * m + 114, 31)
    return date(year, month, day + 1)
