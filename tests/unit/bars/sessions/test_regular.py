"""Regular hours by session and by day."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from jupyter_nq.bars import hours as module
from jupyter_nq.bars.hours import RegularHours
from jupyter_nq.bars.instruments import CRYPTO, ENERGY_METALS, EQUITY, FX, LIVESTOCK
from jupyter_nq.bars.sessions.calendar import sessions
from jupyter_nq.bars.sessions.regular import daily_hours, is_regular, known_hours, regular_hours
from jupyter_nq.bars.specifications import PUBLISHED
from jupyter_nq.errors import ConfigError, UnknownZone
from tests.unit.bars.sessions.test_calendar import ns

OIL = "09:00-14:30 America/New_York"


def test_a_text_is_read_and_written() -> None:
    """What the table of instruments writes, and nothing else."""
    assert RegularHours.parse(OIL) == RegularHours(540, 870, "America/New_York")
    assert str(RegularHours.parse(OIL)) == OIL
    with pytest.raises(UnknownZone, match="Did you mean 'Europe/Berlin'"):
        RegularHours.parse("09:00-17:30 Europe/Berln")


def test_all_instruments_have_hours_in_their_sessions() -> None:
    """On an ordinary day the hours of each lie wholly in its session."""
    for known in PUBLISHED.values():
        if known.regular_hours:
            hours = RegularHours.parse(known.regular_hours)
            sess = sessions(str(known.calendar), ns(2024, 6, 12, 12), ns(2024, 6, 12, 12))
            first, stop = regular_hours(sess, known.regular_hours)
            assert (stop - first).tolist() == [(hours.stop - hours.first) * 60 * 10**9], known.symbol


def test_hours_end_with_a_session_that_closes_early() -> None:
    """Oil on Independence Day: from 09:00 to the close at 14:30; gold on the morrow of Thanksgiving as ever."""
    sess = sessions(ENERGY_METALS, ns(2024, 11, 29, 12), ns(2024, 11, 29, 12))
    _, stop = regular_hours(sess, OIL)
    assert stop.tolist() == [ns(2024, 11, 29, 13, 45)]
    _, stop = regular_hours(sess, PUBLISHED["GC"].regular_hours)
    assert stop.tolist() == [ns(2024, 11, 29, 13, 30)]


def test_a_clock_of_another_country() -> None:
    """In the weeks between two changes of clocks the hours of Berlin move in New York."""
    berlin = "09:00-17:30 Europe/Berlin"
    starts = np.array([ns(2024, 3, 8, 3), ns(2024, 3, 11, 3), ns(2024, 3, 11, 4), ns(2024, 3, 11, 12, 29)])
    for calendar in (EQUITY, None, CRYPTO):
        assert is_regular(starts, calendar, berlin).tolist() == [True, False, True, True]


def test_without_sessions_every_weekday_has_them() -> None:
    """A weekend has none, and an empty column is no special case."""
    starts = np.array([ns(2024, 6, 14, 9), ns(2024, 6, 15, 9), ns(2024, 6, 16, 9), ns(2024, 6, 17, 14, 30)])
    assert is_regular(starts, None, OIL).tolist() == [True, False, False, False]
    empty = np.empty(0, np.int64)
    assert [len(part) for part in daily_hours(empty, RegularHours.parse(OIL))] == [0, 0]
    assert is_regular(empty, None, OIL).tolist() == []


def test_what_is_not_known_is_refused() -> None:
    """Only the equity index has one and the same hours; an empty text, and a calendar that is none."""
    assert known_hours(EQUITY).opening == "09:30"
    for calendar, hours in ((FX, None), (None, None), (EQUITY, ""), (LIVESTOCK, "")):
        with pytest.raises(ConfigError, match="the regular hours are not known"):
            known_hours(calendar, hours)
    with pytest.raises(ConfigError, match=r"no calendar 'CME Globex Equty'. Did you mean"):
        known_hours("CME Globex Equty", OIL)


def test_examples() -> None:
    """Those of the documentation run."""
    assert doctest.testmod(module).failed == 0
