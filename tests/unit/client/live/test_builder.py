"""Bars from rows as they come: those of the file, bit for bit, and closed once."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.resample import resample
from jupyter_nq.bars.timeframe import parse_timeframe
from jupyter_nq.client.live.builder import BarBuilder, Forming
from jupyter_nq.client.live.rows import Intake
from jupyter_nq.errors import InvalidArgument
from tests.unit.client.live.feeds import MINUTE_NS, SECOND_NS, TIMEFRAMES, built, history, minutes, pieces, ticks

_FEED = minutes(2_000)
_TICKS = ticks(_FEED)
_OPEN = 1_593_381_600 * SECOND_NS  # 2020-06-28 22:00 UTC, the first session's open
_FOREVER = _OPEN + 30 * 1440 * MINUTE_NS


def _builder(timeframe: str, source_minutes: int = 1, close_after_ns: int = 0) -> BarBuilder:
    return BarBuilder(
        parse_timeframe(timeframe).minutes,
        source_minutes=source_minutes,
        calendar=EQUITY,
        close_after_ns=close_after_ns,
    )


def _tick(*rows: tuple[float, float]) -> pa.Table:
    """Return ticks by their seconds since the open and their price, each of volume 1."""
    stamps = [_OPEN + round(seconds * SECOND_NS) for seconds, _ in rows]
    return pa.table(
        {
            "timestamp": pa.array(stamps).cast(pa.timestamp("ns", "UTC")),
            "price": [price for _, price in rows],
            "volume": [1] * len(rows),
        }
    )


def _bars(table: pa.Table) -> list[tuple[float, ...]]:
    """Return minutes since the open, open, high, low, close and volume of each bar."""
    return [
        (
            (row["timestamp"].value - _OPEN) / MINUTE_NS,
            row["open"],
            row["high"],
            row["low"],
            row["close"],
            row["volume"],
        )
        for row in table.to_pylist()
    ]


# -- the bits of history ------------------------------------------------------------------------------
@pytest.mark.parametrize("timeframe", TIMEFRAMES)
@pytest.mark.parametrize("rows", [37, 10_000])
@pytest.mark.parametrize("source_minutes", [0, 1])
def test_bars_are_those_of_the_file(timeframe: str, rows: int, source_minutes: int) -> None:
    """Over a whole session and part of the next, at each length of bar and of message, from ticks and small bars."""
    feed = _FEED if source_minutes else _TICKS
    parts = pieces(feed, range(0, feed.num_rows, rows))
    found = built(parts, _builder(timeframe, source_minutes), Intake(source_minutes, EQUITY), _FOREVER)
    assert found.equals(history(_FEED, timeframe))


def test_one_row_at_a_time_makes_the_same_bars() -> None:
    """Each tick a message of its own, with and without a grace."""
    for wait_ns in (0, 90 * SECOND_NS):
        parts = pieces(_TICKS.slice(0, 400), range(400))
        found = built(parts, _builder("5min", 0, wait_ns), Intake(0, EQUITY), _FOREVER)
        assert found.equals(history(_FEED.slice(0, 100), "5min"))


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 4_000), max_size=40),
    timeframe=st.sampled_from(TIMEFRAMES),
    source_minutes=st.sampled_from([0, 1]),
    close_after=st.sampled_from([0, SECOND_NS, 200 * SECOND_NS]),
)
def test_no_way_to_cut_the_feed_into_messages_shows(
    cuts: list[int], timeframe: str, source_minutes: int, close_after: int
) -> None:
    """The same bars, whatever message a row came in."""
    feed = _FEED if source_minutes else _TICKS
    found = built(
        pieces(feed, cuts), _builder(timeframe, source_minutes, close_after), Intake(source_minutes, EQUITY), _FOREVER
    )
    assert found.equals(history(_FEED, timeframe))


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 4_000), max_size=20), seed=st.integers(0, 1 << 16))
def test_ticks_that_come_in_disorder_make_the_bars_of_the_sorted_file(cuts: list[int], seed: int) -> None:
    """As long as they come within the grace, the order and the messages of arrival do not show."""
    order = np.argsort(np.arange(4_000) + np.random.default_rng(seed).uniform(0, 6, 4_000), kind="stable")
    stamps = np.asarray(_TICKS["timestamp"].cast(pa.int64()))[:4_000]
    ties = np.flatnonzero(np.diff(stamps) == 0)  # of equal stamps the first to come is the first of the file, too
    place = np.argsort(order)
    swapped = [(at, at + 1) for at in ties if place[at] > place[at + 1]]
    for one, two in swapped:
        place[[one, two]] = place[[two, one]]
    feed = _TICKS.slice(0, 4_000).take(pa.array(np.argsort(place)))
    found = built(pieces(feed, cuts), _builder("5min", 0, 400 * SECOND_NS), Intake(0, EQUITY), _FOREVER)
    assert found.equals(history(_FEED.slice(0, 1_000), "5min"))


def test_a_session_that_ends_early_ends_its_bar() -> None:
    """On a holiday the exchange closes at 13:00 New York: the bar is closed then, by the clock."""
    starts = [datetime(2020, 7, 3, 16, minute, tzinfo=UTC) for minute in range(30, 60)]
    columns = {name: [100.0] * 30 for name in ("open", "high", "low", "close")}
    table = pa.table({"timestamp": pa.array(starts, pa.timestamp("ns", "UTC")), **columns, "volume": [1] * 30})
    builder = _builder("4h")
    builder.add(Intake(1, EQUITY).take(table.slice(0, 20)).rows)
    close_ns = int(datetime(2020, 7, 3, 17, tzinfo=UTC).timestamp()) * SECOND_NS
    assert builder.due_ns == close_ns
    assert builder.advance(close_ns - 1).num_rows == 0
    assert builder.advance(close_ns).equals(resample(table.slice(0, 20), "4h", minutes=1, calendar=EQUITY))


def test_an_earlier_tick_that_comes_later_gives_the_open() -> None:
    """In another message; of equal stamps the first to come is the open, and the last the close."""
    builder, intake = _builder("5min", 0, SECOND_NS), Intake(0, EQUITY)
    for rows in ([(20, 5.0), (30, 6.0)], [(10, 7.0), (29, 4.0)], [(10, 8.0), (30, 9.0)]):
        builder.add(intake.take(_tick(*rows)).rows)
    assert _bars(builder.advance(_FOREVER)) == [(0, 7.0, 9.0, 4.0, 9.0, 6)]


# -- closing ------------------------------------------------------------------------------------------
def test_the_clock_closes_a_bar_without_a_trade() -> None:
    """At its end and the grace, not before; where nothing was traded there is no bar."""
    builder, intake = _builder("5min", 0, 2 * SECOND_NS), Intake(0, EQUITY)
    builder.add(intake.take(_tick((10, 5.0), (70, 7.0))).rows)
    assert builder.due_ns == _OPEN + 302 * SECOND_NS
    assert builder.advance(_OPEN + 302 * SECOND_NS - 1).num_rows == 0
    assert _bars(builder.advance(_OPEN + 302 * SECOND_NS)) == [(0, 5.0, 7.0, 5.0, 7.0, 2)]
    assert builder.forming is None
    assert builder.advance(_OPEN + 1_000 * SECOND_NS).num_rows == 0


def test_the_forming_bar_is_seen_and_not_closed() -> None:
    """It has what has come so far, and its end."""
    builder, intake = _builder("5min", 0), Intake(0, EQUITY)
    assert builder.add(intake.take(_tick((10, 5.0), (70, 7.0))).rows).closed.num_rows == 0
    bar = builder.forming
    assert bar == Forming(
        _OPEN, _OPEN + 5 * MINUTE_NS, _OPEN + 10 * SECOND_NS, _OPEN + 70 * SECOND_NS, 5.0, 7.0, 5.0, 7.0, 2, 0
    )
    assert repr(builder) == "<BarBuilder 5min, 1 open>"


def test_a_small_bar_that_reaches_the_end_closes_without_grace() -> None:
    """Small bars come in order, so nothing more can come."""
    builder, intake = _builder("5min", 1, 60 * SECOND_NS), Intake(1, EQUITY)
    feed = minutes(20)
    assert builder.add(intake.take(feed.slice(0, 3)).rows).closed.num_rows == 0
    assert builder.add(intake.take(feed.slice(3, 1)).rows).closed.num_rows == 0, "minute 4 is one without a trade"
    assert builder.add(intake.take(feed.slice(4, 1)).rows).closed.num_rows == 1


# -- late rows ----------------------------------------------------------------------------------------
def test_a_late_tick_changes_no_closed_bar() -> None:
    """It is given back, whether its bar was closed by the clock or by a tick behind it, or was empty."""
    builder, intake = _builder("1min", 0), Intake(0, EQUITY)
    first = builder.add(intake.take(_tick((10, 5.0), (70, 6.0), (20, 9.0), (71, 7.0))).rows)
    assert first.late.tolist() == [False, False, True, False]
    assert _bars(first.closed) == [(0, 5.0, 5.0, 5.0, 5.0, 1)]
    assert _bars(builder.advance(_OPEN + 180 * SECOND_NS)) == [(1, 6.0, 7.0, 6.0, 7.0, 2)]
    after = builder.add(intake.take(_tick((100, 9.0), (130, 9.0), (190, 8.0))).rows)
    assert after.late.tolist() == [True, True, False]
    assert after.closed.num_rows == 0


def test_a_tick_is_late_for_the_bars_that_are_closed_and_no_other() -> None:
    """The longer bar is open, and takes it."""
    intake = Intake(0, EQUITY)
    short, long = _builder("1min", 0), _builder("5min", 0)
    rows = intake.take(_tick((10, 5.0), (70, 6.0), (20, 9.0))).rows
    assert short.add(rows).late.sum() == 1
    assert long.add(rows).late.sum() == 0
    assert long.forming is not None
    assert (long.forming.high, long.forming.volume, long.forming.close) == (9.0, 3, 6.0)


# -- joining ------------------------------------------------------------------------------------------
def test_rows_before_the_join_are_skipped_and_the_bar_goes_on() -> None:
    """What history holds is not counted again; one that comes after the join was passed is late."""
    builder, intake = _builder("5min", 0), Intake(0, EQUITY)
    bar = Forming(_OPEN, _OPEN + 5 * MINUTE_NS, _OPEN, _OPEN + 2 * MINUTE_NS - 1, 5.0, 8.0, 4.0, 6.0, 10, 2)
    builder.join(_OPEN + 2 * MINUTE_NS, bar)
    told = builder.add(intake.take(_tick((10, 9.0), (110, 9.0), (130, 7.0), (60, 9.0))).rows)
    assert (told.skipped, told.late.tolist()) == (2, [False, False, False, True])
    assert _bars(builder.advance(_FOREVER)) == [(0, 5.0, 8.0, 4.0, 7.0, 11)]


def test_rows_in_disorder_before_the_join_are_not_late() -> None:
    """They are read again by a new worker, and within the grace their order says nothing."""
    builder, intake = _builder("5min", 0, 10 * SECOND_NS), Intake(0, EQUITY)
    builder.join(_OPEN + 5 * MINUTE_NS)
    told = builder.add(intake.take(_tick((301, 9.0), (299, 9.0), (311, 8.0), (298, 7.0))).rows)
    assert (told.skipped, told.late.tolist()) == (1, [False, False, False, True])


def test_a_bar_that_lacks_its_first_rows_is_not_published() -> None:
    """It is counted instead."""
    builder, intake = _builder("5min", 0), Intake(0, EQUITY)
    builder.cut(_OPEN + 130 * SECOND_NS)
    builder.add(intake.take(_tick((130, 5.0))).rows)
    assert builder.forming is not None
    told = builder.add(intake.take(_tick((310, 6.0), (610, 7.0))).rows)
    assert _bars(told.closed) == [(5, 6.0, 6.0, 6.0, 6.0, 1)]
    assert builder.incomplete == 1


def test_lengths_that_do_not_fit_are_refused() -> None:
    """Bars of a length that is no multiple of the source's."""
    with pytest.raises(InvalidArgument, match="30-minute bars give no 5min bars"):
        _builder("5min", 30)
