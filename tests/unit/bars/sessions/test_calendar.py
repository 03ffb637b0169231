"""Sessions against the calendar library, the real file and a slow reference."""

from __future__ import annotations

import warnings
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.instruments import CRYPTO, ENERGY_METALS, EQUITY, FX, GRAINS, LIVESTOCK, RATES
from jupyter_nq.bars.sessions.availability import availability
from jupyter_nq.bars.sessions.calendar import (
    CALENDARS,
    Sessions,
    pauses,
    sessions,
    trade_dates,
)
from jupyter_nq.bars.sessions.regular import is_regular, regular_hours
from jupyter_nq.errors import ConfigError

NEW_YORK = ZoneInfo("America/New_York")
GOOD_FRIDAYS = dict.fromkeys(
    ["2024-03-29", "2025-04-18", "2027-03-26", "2028-04-14", "2029-03-30", "2030-04-19"],
    "closed without an employment report; the library has an opening for every year from 2023",
)
BEFORE_HOLIDAYS = (
    "2010-01-15 2010-02-12 2010-05-28 2010-07-02 2010-09-03 2010-12-31 2011-01-14 2011-02-18 2011-05-27 "
    "2011-07-01 2011-09-02 2012-01-13 2012-02-17 2012-05-25 2012-08-31 2013-01-18 2013-02-15 2013-05-24 "
    "2013-08-30 2014-01-17 2014-02-14 2014-05-23 2014-08-29 2015-01-16 2015-02-13 2015-05-22"
)
LABOR_DAYS = (
    "2022-09-05 2023-09-04 2024-09-02 2025-09-01 2027-09-06 2028-09-04 2029-09-03 2030-09-02"  # published for 2026
)
EVES = (
    "2012-12-24 2013-12-24 2014-12-24 2015-12-24 2018-12-24 2019-12-24 2020-12-24 2024-12-24 2025-12-24 2029-12-24 "
    "2030-12-24"
)
JUNETEENTHS = "2022-06-20 2023-06-19 2024-06-19 2025-06-19 2026-06-19 2027-06-18 2028-06-19 2029-06-19 2030-06-19"
FARM = dict.fromkeys(JUNETEENTHS.split(), "Juneteenth, kept since 2022; the library has a whole session") | {
    "2025-01-09": "day of mourning, closed at 13:15; the library has a whole session"
}
DIFFERENT = {
    ("CME Globex Equity", EQUITY): GOOD_FRIDAYS
    | {
        "2012-10-29": "Hurricane Sandy, closed at 09:15; the library has a whole session",
        "2012-10-30": "the same",
        "2018-12-05": "day of mourning, closed at 09:30; the library has a whole session",
        "2025-01-09": "the same",
    },
    ("CMEGlobex_FX", FX): GOOD_FRIDAYS
    | dict.fromkeys(["2010-04-02", "2012-04-06", "2015-04-03"], "employment report, which the library has for rates"),
    ("CME Globex Interest Rate Products", RATES): GOOD_FRIDAYS
    | {
        "2012-10-29": "Hurricane Sandy, closed at 12:00; the library has a whole session",
        "2018-12-05": "day of mourning, closed; the library has a whole session",
        "2025-01-09": "day of mourning, closed at 13:15; the library has a whole session",
    }
    | dict.fromkeys(
        BEFORE_HOLIDAYS.split(),
        "a day before a holiday, which the library ends at 16:15 until 2015; no source names it",
    ),
    ("CMEGlobex_Crude", ENERGY_METALS): {"2010-12-31": "closed at 16:15 in the library; no source names it"}
    | dict.fromkeys(EVES.split(), "closed at 13:45, as was announced for 2013 and 2026; the library has it for 2026")
    | dict.fromkeys(LABOR_DAYS.split(), "13:00 in the library but for 2026, when it is 14:30 like other holidays"),
    ("CMEGlobex_Gold", ENERGY_METALS): {},
    ("CMEGlobex_Grains", GRAINS): FARM,
    ("CMEGlobex_Livestock", LIVESTOCK): FARM,
}
DIFFERENT["CMEGlobex_Gold", ENERGY_METALS] = DIFFERENT["CMEGlobex_Crude", ENERGY_METALS]
SINCE = {GRAINS: (2013, 4, 8), LIVESTOCK: (2016, 2, 29)}
"""First trade date of the hours of today, where the library knows no other."""


def ns(*clock: int) -> int:
    """Return the instant of a New York clock reading."""
    return int(datetime(*clock, tzinfo=NEW_YORK).timestamp()) * 1_000_000_000  # type: ignore[arg-type,misc]


def year(number: int) -> Sessions:
    """Return the equity sessions of a year."""
    return sessions(EQUITY, ns(number, 1, 1), ns(number, 12, 31))


def theirs(name: str) -> dict[str, tuple[int, int]]:
    """Return (open, close) of the calendar library, 2010 to 2030, by trade date."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas_market_calendars

        table = pandas_market_calendars.get_calendar(name).schedule("2010-01-05", "2030-12-30")
    return {
        str(day.date()): (row.market_open.value, row.market_close.value)
        for day, row in zip(table.index, table.itertuples(), strict=True)
    }


def usual_today(day: str, close: int) -> int:
    """Return the close, or 17:00 when it is the usual one of a former year, which the library does not know."""
    clock = datetime.fromtimestamp(close // 10**9, NEW_YORK)
    late = (clock.hour, clock.minute) in {(17, 15), (17, 30)}
    friday = day <= "2012-11-16" and clock.weekday() == 4 and (clock.hour, clock.minute) == (16, 15)
    return ns(clock.year, clock.month, clock.day, 17) if late or friday else close


@pytest.mark.parametrize(("library", "calendar"), list(DIFFERENT))
def test_sessions_are_those_of_the_calendar_library(library: str, calendar: str) -> None:
    """From 2010 to 2030 every open and close agrees, but for the days that are named with a reason."""
    first = SINCE.get(calendar, (2010, 1, 5))
    expected = {day: hours for day, hours in theirs(library).items() if day >= str(date(*first))}
    sess = sessions(calendar, ns(*first, 12), ns(2030, 12, 30, 12))
    days = [str(day) for day in sess.trade_date]
    closes = [usual_today(day, close) for day, close in zip(days, sess.closes.tolist(), strict=True)]
    ours = dict(zip(days, zip(sess.opens.tolist(), closes, strict=True), strict=True))
    different = {day for day in set(expected) | set(ours) if expected.get(day) != ours.get(day)}
    assert different == set(DIFFERENT[library, calendar])


@pytest.mark.parametrize("calendar", [GRAINS, LIVESTOCK])
def test_former_hours_hold_those_of_today(calendar: str) -> None:
    """Before the hours of today sessions are wider, on the days that the library has, and never closed early."""
    first = date(*SINCE[calendar])
    expected = {day: hours for day, hours in theirs("CMEGlobex_Grains").items() if day < str(first)}
    sess = sessions(calendar, ns(2010, 1, 5, 12), ns(first.year, first.month, first.day) - 2 * 86_400 * 10**9)
    assert [str(day) for day in sess.trade_date] == list(expected)
    assert ((sess.closes - sess.opens)[~sess.early] >= 21 * 3600 * 10**9).all()


def test_the_real_file_has_no_bar_outside_the_sessions(real_file: Path) -> None:
    """Each of its 56,083 bars lies in a session, and a whole session has 46."""
    table = load_bars(real_file).table
    starts = table["timestamp"].chunk(0).cast("int64").to_numpy()
    sess = sessions(EQUITY, int(starts[0]), int(starts[-1]))
    at = sess.index(starts)
    assert (at >= 0).all()
    usual = np.bincount(at)[~sess.early]
    assert np.bincount(usual).argmax() == 46


@settings(deadline=None, max_examples=200)
@given(st.integers(ns(2016, 1, 1), ns(2030, 1, 1)))
def test_index_is_that_of_a_slow_reference(instant: int) -> None:
    """The session that is found is the only one that contains the instant."""
    sess = sessions(EQUITY, instant - 10**15, instant + 10**15)
    inside = [i for i in range(len(sess)) if sess.opens[i] <= instant < sess.closes[i]]
    assert sess.index(np.array([instant])).tolist() == (inside or [-1])


def test_sessions_are_disjoint_and_increase() -> None:
    """One ends before the next begins."""
    sess = sessions(EQUITY, ns(2005, 1, 1), ns(2030, 1, 1))
    assert (sess.closes[:-1] <= sess.opens[1:]).all()
    assert (np.diff(sess.trade_date.astype(int)) > 0).all()
    assert (sess.opens < sess.closes).all()


@pytest.mark.parametrize(
    ("day", "close"),
    [
        (date(2024, 7, 3), (13, 15)),
        (date(2024, 7, 4), (13, 0)),
        (date(2024, 11, 28), (13, 0)),
        (date(2012, 11, 22), (11, 30)),
        (date(2023, 4, 7), (9, 15)),
        (date(2025, 1, 9), (9, 30)),
        (date(2024, 6, 12), (17, 0)),
        (date(2014, 6, 12), (17, 15)),
        (date(2012, 11, 19), (17, 15)),
        (date(2012, 11, 15), (17, 30)),
        (date(2018, 12, 5), (9, 30)),
    ],
)
def test_closes(day: date, close: tuple[int, int]) -> None:
    """Early closes, and the later close of former years."""
    sess = year(day.year)
    at = int(np.searchsorted(sess.trade_date, np.datetime64(day)))
    assert sess.trade_date[at] == np.datetime64(day)
    assert sess.closes[at] == ns(day.year, day.month, day.day, *close)
    before = day - timedelta(days=1)
    assert sess.opens[at] == ns(before.year, before.month, before.day, 18)
    assert bool(sess.early[at]) == (close < (17, 0))


def test_overrides() -> None:
    """A trade date can be closed, shortened, or added on a Saturday."""
    span = ns(2024, 6, 10), ns(2024, 6, 15, 20)
    own = {date(2024, 6, 12): None, date(2024, 6, 13): (18 * 60, 12 * 60), date(2024, 6, 15): (9 * 60, 12 * 60)}
    sess = sessions(EQUITY, *span, overrides=own)
    assert [str(day)[-2:] for day in sess.trade_date] == ["10", "11", "13", "14", "15"]
    assert sess.closes[2] == ns(2024, 6, 13, 12)
    assert (sess.opens[4], sess.closes[4]) == (ns(2024, 6, 15, 9), ns(2024, 6, 15, 12))
    assert len(sessions(EQUITY, *span)) == 5, "an override is for one call"


def test_trade_date_and_regular_hours() -> None:
    """The evening belongs to the next day; regular hours are 09:30 to 16:00 and end with an early close."""
    starts = np.array([ns(2024, 7, 2, 17, 30), ns(2024, 7, 2, 18), ns(2024, 7, 3, 9, 30), ns(2024, 7, 3, 13, 0)])
    assert [str(day) for day in trade_dates(starts, EQUITY)] == ["NaT", "2024-07-03", "2024-07-03", "2024-07-03"]
    assert is_regular(starts, EQUITY).tolist() == [False, False, True, True]
    first, last = regular_hours(year(2023))
    friday = int(np.searchsorted(year(2023).trade_date, np.datetime64("2023-04-07")))
    assert first[friday] == last[friday], "closed at 09:15, before they begin"
    assert (
        trade_dates(np.empty(0, np.int64), EQUITY).tolist() == is_regular(np.empty(0, np.int64), EQUITY).tolist() == []
    )


def test_pauses() -> None:
    """Until June 2021 there is one at 16:15, cut by an early close; grains have one in the morning, others none."""
    begins, ends = pauses(year(2021))
    minutes = (ends - begins) // (60 * 10**9)
    assert set(minutes[year(2021).trade_date <= np.datetime64("2021-06-25")].tolist()) == {0, 15}
    assert not minutes[year(2021).trade_date > np.datetime64("2021-06-25")].any()
    assert not minutes[year(2021).early].any()
    fx = sessions(FX, ns(2020, 1, 1), ns(2020, 2, 1))
    assert (np.diff(pauses(fx), axis=0) == 0).all()
    grains = sessions(GRAINS, ns(2024, 6, 10, 12), ns(2024, 6, 10, 12))
    assert [int(at[0]) for at in pauses(grains)] == [ns(2024, 6, 10, 8, 45), ns(2024, 6, 10, 9, 30)]


@settings(deadline=None, max_examples=200)
@given(
    st.integers(ns(2010, 1, 1), ns(2030, 1, 1)), st.sampled_from([1, 5, 30, 60, 240, 1440]), st.sampled_from(CALENDARS)
)
def test_availability_follows_the_start_within_the_length(start: int, minutes: int, calendar: str) -> None:
    """A bar is complete after it starts, and not later than its length says."""
    (at,) = availability(np.array([start]), minutes, calendar).tolist()
    assert start < at <= start + minutes * 60 * 10**9


def test_availability() -> None:
    """A bar is complete after its length, or at its session's close."""
    starts = np.array([ns(2024, 7, 2, 16, 30), ns(2024, 7, 2, 17, 30), ns(2024, 7, 3, 12)])
    ends = availability(starts, 180, EQUITY)
    assert ends.tolist() == [ns(2024, 7, 2, 17), ns(2024, 7, 2, 20, 30), ns(2024, 7, 3, 13, 15)]
    assert availability(starts, 180, None).tolist() == (starts + 180 * 60 * 10**9).tolist()
    assert availability(starts, 180, CRYPTO).tolist() == availability(starts, 180, None).tolist()
    with pytest.raises(ConfigError, match=r"'CME Globex Equty' are not known. Did you mean"):
        availability(starts, 180, "CME Globex Equty")
    assert availability(np.empty(0, np.int64), 5, EQUITY).tolist() == []
    saturday = np.array([ns(2024, 7, 6, 12)])
    assert availability(saturday, 5, EQUITY).tolist() == (saturday + 300 * 10**9).tolist()


def test_what_is_not_known() -> None:
    """An unknown calendar, a year out of reach and missing regular hours are said; so is a lack of holidays."""
    with pytest.raises(ConfigError, match=r"'CME Globex Crypto' are not known.*Known are"):
        sessions(CRYPTO, 0, 1)
    with pytest.raises(ConfigError, match="from 1970 to 2200"):
        sessions(EQUITY, -(10**18), 0)
    fx = sessions(FX, ns(2024, 1, 1), ns(2024, 2, 1))
    assert fx.holidays_known
    assert year(2024).holidays_known
    assert not sessions(GRAINS, ns(2024, 1, 1), ns(2024, 2, 1)).holidays_known
    assert set(CALENDARS) >= {EQUITY, FX}
