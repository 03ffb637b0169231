"""What a replay does and when."""

from __future__ import annotations

import math
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.client.live.script import script_of
from jupyter_nq.errors import InvalidArgument
from tests.unit.client.live.feeds import MINUTE_NS, SECOND_NS, history, minutes, ticks

_FEED = minutes(3_000)
_OPEN = 1_593_381_600 * SECOND_NS  # of Monday, 2020-06-29


@pytest.mark.parametrize("day", ["2020-06-29", date(2020, 6, 29), datetime(2020, 6, 29, 12)])
def test_each_row_comes_once_when_it_is_complete(day: str | date) -> None:
    """A bar at its close; the clock moves minute by minute, and a minute beyond the session."""
    script = script_of(_FEED, day, minutes=1, calendar=EQUITY, speed=math.inf)
    steps = list(script.steps())
    starts = np.asarray(script.rows["timestamp"].cast(pa.int64()))
    assert [step.first for step in steps[1:]] == [step.stop for step in steps[:-1]]
    assert (steps[0].instant_ns, steps[0].stop, steps[-1].stop) == (_OPEN, 0, script.rows.num_rows)
    for step in steps:
        assert (starts[step.first : step.stop] + MINUTE_NS <= step.instant_ns).all()
    assert len(steps) == 23 * 60 + 2
    assert script.end_ns == _OPEN + (23 * 60 + 1) * MINUTE_NS


def test_the_session_is_the_trade_date_s() -> None:
    """From its open on the evening before to its close; no row of another."""
    script = script_of(_FEED, "2020-06-30", minutes=1, calendar=EQUITY, speed=math.inf)
    day = history(_FEED, "1D")
    assert script.rows["timestamp"][0].value >= day["timestamp"][1].value
    assert script.rows.num_rows
    assert sum(script.rows["volume"].to_pylist()) == day["volume"][1].as_py()


def test_longer_bars_end_with_the_session() -> None:
    """The last four-hour bar of a session of 23 hours is complete at its close."""
    script = script_of(history(_FEED, "4h"), "2020-06-29", minutes=240, calendar=EQUITY, speed=1)
    assert script.due[-1] == script.close_ns == _OPEN + 23 * 60 * MINUTE_NS


@pytest.mark.parametrize(("speed", "step_ms"), [(1, 50), (60, 3_000), (1e6, 60_000), (math.inf, 60_000)])
def test_ticks_come_at_their_time_in_small_steps(speed: float, step_ms: int) -> None:
    """Twenty steps in a second, of a minute at most."""
    script = script_of(ticks(_FEED), "2020-06-29", minutes=0, calendar=EQUITY, speed=speed)
    assert script.step_ns == step_ms * 1_000_000
    assert script.due[0] == _OPEN


def test_ticks_out_of_order_keep_their_order() -> None:
    """They come as they were recorded, none before one that was recorded earlier."""
    feed = ticks(_FEED).slice(0, 8).take(pa.array([0, 4, 1, 2, 3, 5, 6, 7]))
    script = script_of(feed, "2020-06-29", minutes=0, calendar=EQUITY, speed=1)
    assert script.rows["timestamp"].to_pylist() == feed["timestamp"].to_pylist()
    assert (np.diff(script.due) >= 0).all()


@pytest.mark.parametrize(
    ("day", "says"),
    [
        ("2020-07-04", "no session on 2020-07-04. Those beside it are on 2020-07-03 and 2020-07-06"),
        ("2021-06-29", "none of the session 2021-06-29: they go from 2020-06-28"),
        ("June", "day='June' is no date"),
        (20200629, "day=20200629 is no date"),
    ],
)
def test_a_day_without_rows_is_refused(day: str, says: str) -> None:
    """With what there is."""
    with pytest.raises(InvalidArgument, match=says):
        script_of(_FEED, day, minutes=1, calendar=EQUITY, speed=1)


def test_rows_without_their_columns_are_refused() -> None:
    """They would be no stream that bars are built from."""
    with pytest.raises(InvalidArgument, match="no column 'volume'"):
        script_of(_FEED.drop_columns(["volume"]), "2020-06-29", minutes=1, calendar=EQUITY, speed=1)
