"""The days on which CME's equity index futures do not trade on Globex, or stop early, by rule and exception.

The rules give 2010 to 2030 as pandas_market_calendars' "CME Globex Equity" does, which the tests check day by
day, with one correction: on Good Friday the market opens until 09:15 only when the employment report comes out
that day, the first Friday of a month, and stays closed otherwise (2025-04-18 was closed, as real data show).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import lru_cache
from types import MappingProxyType

CLOSED = -1
"""No session on this trade date."""

_SHORTENED = 13 * 60
_SHORTENED_UNTIL_2014_02 = 11 * 60 + 30
_HALF_DAY = 13 * 60 + 15
_REPORT_FRIDAY = 9 * 60 + 15
_SHORTENED_SINCE = date(2014, 3, 1)
_JUNETEENTH_SINCE = 2022
_MONDAY, _THURSDAY, _FRIDAY, _SATURDAY, _SUNDAY = 0, 3, 4, 5, 6

EXCEPTIONS: Mapping[date, int] = MappingProxyType({date(2025, 1, 9): 9 * 60 + 30})
"""Closes that no rule gives: 2025-01-09, the day of mourning for President Carter."""


@lru_cache(maxsize=512)
def equity_holidays(year: int) -> Mapping[date, int]:
    """Return the trade dates of a year that are not ordinary: minutes after midnight, New York, or `CLOSED`.

    >>> equity_holidays(2024)[date(2024, 7, 4)] // 60
    13
    """
    found = {day: _SHORTENED if day >= _SHORTENED_SINCE else _SHORTENED_UNTIL_2014_02 for day in _shortened(year)}
    found |= dict.fromkeys(_half_days(year), _HALF_DAY)
    found |= dict.fromkeys(_closed(year), CLOSED)
    good_friday = easter(year) - timedelta(days=2)
    found[good_friday] = _REPORT_FRIDAY if good_friday.day <= 7 else CLOSED
    return MappingProxyType(found | {day: at for day, at in EXCEPTIONS.items() if day.year == year})


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


def _half_days(year: int) -> Iterator[date]:
    yield _nth(year, 11, _THURSDAY, 4) + timedelta(days=1)
    for eve in (date(year, 7, 3), date(year, 12, 24)):
        if eve.weekday() < _FRIDAY and (eve.month == 12 or year >= 2012):
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
