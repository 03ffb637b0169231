"""Rules of roll dates, against published last days of trading."""

from __future__ import annotations

import doctest
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.bars.instruments import ENERGY_METALS
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sessions import roll_dates as module
from jupyter_nq.bars.sessions.calendar import sessions
from jupyter_nq.bars.sessions.roll_dates import oil_end, roll_date, roll_dates
from jupyter_nq.bars.sessions.rolls import roll_evidence
from jupyter_nq.bars.specifications import CRUDE_OIL, QUARTERLY, ROLL_RULES
from jupyter_nq.errors import ConfigError
from tests.unit.bars.sessions.test_calendar import ns


@pytest.mark.parametrize(
    "end",
    [
        date(2020, 4, 21),  # the day after the price fell below zero
        date(2024, 1, 22),
        date(2024, 6, 20),
        date(2024, 11, 20),
        date(2024, 12, 19),
        date(2025, 1, 21),
    ],
)
def test_oil_ends_three_business_days_before_the_25th(end: date) -> None:
    """Holidays and a 25th on a weekend move it back."""
    assert oil_end(end.year, end.month) == end


def test_dates_of_a_span() -> None:
    """Both ends are in it; a rule that is none is refused."""
    first, last = np.datetime64("2024-03-11"), np.datetime64("2024-12-16")
    assert roll_dates(QUARTERLY, first, last) == [roll_date(2024, month) for month in (3, 6, 9, 12)]
    assert len(roll_dates(CRUDE_OIL, first, last)) == 9
    assert set(ROLL_RULES) == set(module._RULES)
    with pytest.raises(ConfigError, match=r"no rule of roll dates. Did you mean 'crude oil'"):
        roll_dates("crude", first, last)


def test_a_roll_of_oil_is_seen() -> None:
    """A continuous series that passes on five days before trading ends jumps there, and the evidence names it."""
    sess = sessions(ENERGY_METALS, ns(2024, 1, 2, 12), ns(2024, 6, 28, 12))
    jumps = sess.trade_date >= np.datetime64("2024-05-16")
    noise = np.random.default_rng(3).uniform(-0.1, 0.1, len(sess)).cumsum()
    price = 75 + noise + 6.0 * jumps
    columns = [sess.opens, *[price] * 4, np.full(len(sess), 1000), np.zeros(len(sess))]
    arrays = [pa.array(values).cast(each.type) for values, each in zip(columns, BAR_SCHEMA, strict=True)]
    found = roll_evidence(pa.Table.from_arrays(arrays, schema=BAR_SCHEMA), ENERGY_METALS, CRUDE_OIL)
    assert len(found) == 6
    (seen,) = [roll for roll in found if roll.seen]
    assert (seen.roll_date, str(seen.trade_date)) == (date(2024, 5, 21), "2024-05-16")


def test_examples() -> None:
    """Those of the documentation run."""
    assert doctest.testmod(module).failed == 0
