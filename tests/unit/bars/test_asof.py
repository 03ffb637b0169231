"""Joins that know only what was known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.asof import Timed, aligned, asof
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.resample import resample, starts_of
from jupyter_nq.bars.sessions.availability import availability
from jupyter_nq.errors import InvalidArgument
from tests.unit.bars.test_resample import MINUTE, bars_at, ns, year_of_bars

SHORT = year_of_bars(10, keep=0.7)
LONG = resample(SHORT, "3h", minutes=10, calendar=EQUITY)


def timed(table: pa.Table, minutes: int) -> Timed:
    """Return bars of the equity calendar."""
    return Timed(table, minutes, EQUITY)


def test_each_row_is_the_last_complete_one() -> None:
    """As found by a loop: the last long bar whose availability is not after the short bar's close."""
    joined = asof(timed(SHORT, 10), timed(LONG, 180))
    moments = availability(starts_of(SHORT), 10, EQUITY)
    known = availability(starts_of(LONG), 180, EQUITY)
    for row, moment in enumerate(moments.tolist()):
        complete = [i for i, at in enumerate(known.tolist()) if at <= moment]
        expected = LONG["close"][complete[-1]].as_py() if complete else None
        assert joined["close_right"][row].as_py() == expected
        age = joined["age_right"].cast(pa.int64())[row].as_py()
        assert age == (moment - known[complete[-1]] if complete else None)
    assert joined.column_names[:7] == SHORT.column_names
    assert "flags_right" not in joined.column_names
    assert joined["close"].chunk(0).buffers()[1].address == SHORT["close"].chunk(0).buffers()[1].address, "not copied"


def test_a_bar_ends_with_its_session() -> None:
    """The three-hour bar of 15:00 is complete at 17:00, and so is there for the bar that closes then."""
    starts = np.array([ns(2024, 11, 4, 16, 30)])
    right = bars_at(np.array([ns(2024, 11, 4, 15)]))
    assert asof(timed(bars_at(starts), 30), timed(right, 180))["close_right"].null_count == 0
    assert asof(Timed(bars_at(starts), 30), Timed(right, 180))["close_right"].null_count == 1, "without a calendar"


def test_moment_and_tolerance() -> None:
    """At its open a bar knows less; what is too old is not joined."""
    left, right = bars_at(np.array([0, 30, 60]) * MINUTE), bars_at(np.array([0]) * MINUTE)
    close = asof(Timed(left, 30), Timed(right, 30), suffix="_x")
    assert close["volume_x"].null_count == 0
    assert asof(Timed(left, 30), Timed(right, 30), at="open")["volume_right"].is_null().to_pylist() == [
        True,
        False,
        False,
    ]
    fresh = asof(Timed(left, 30), Timed(right, 30), tolerance_minutes=30)
    assert fresh["volume_right"].is_null().to_pylist() == [False, False, True]
    assert fresh["age_right"].is_null().to_pylist() == [False, False, True]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, SHORT.num_rows - 1), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_future_changes_no_joined_row(row: int, of_long: bool, seed: int) -> None:
    """Whatever the bars that are not complete yet become, the rows before them keep every bit."""
    moment = availability(starts_of(SHORT), 10, EQUITY)[row]
    changed = {}
    for name, table, minutes, change in (("short", SHORT, 10, not of_long), ("long", LONG, 180, of_long)):
        later = availability(starts_of(table), minutes, EQUITY) > moment
        other = bars_at(starts_of(table), seed)
        rows = np.where(later & change, np.arange(len(later)) + len(later), np.arange(len(later)))
        changed[name] = pa.concat_tables([table, other]).combine_chunks().take(pa.array(rows))
    before = asof(timed(SHORT, 10), timed(LONG, 180)).slice(0, row + 1)
    after = asof(timed(changed["short"], 10), timed(changed["long"], 180)).slice(0, row + 1)
    assert after.equals(before)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, SHORT.num_rows - 1), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_bars_that_come_later_or_never_change_no_joined_row(row: int, share: float, seed: int) -> None:
    """Not only what later bars hold, but also whether they are there is nothing that a row knows."""
    moment = availability(starts_of(SHORT), 10, EQUITY)[row]
    kept = (availability(starts_of(LONG), 180, EQUITY) <= moment) | (
        np.random.default_rng(seed).random(LONG.num_rows) < share
    )
    before = asof(timed(SHORT, 10), timed(LONG, 180)).slice(0, row + 1)
    after = asof(timed(SHORT.slice(0, row + 1), 10), timed(LONG.filter(pa.array(kept)), 180))
    assert after.equals(before)


def test_a_bar_that_is_complete_after_the_next_one() -> None:
    """A bar outside the sessions is not shortened by a close; the last one is joined that is complete."""
    right = bars_at(np.array([ns(2024, 7, 5, 17, 30), ns(2024, 7, 8, 10)]))  # complete on the 10th and on the 8th
    left = bars_at(np.array([ns(2024, 7, 8, 16), ns(2024, 7, 9, 10), ns(2024, 7, 11, 10)]))
    found = asof(timed(left, 30), timed(right, 7200))["timestamp_right"].cast(pa.int64()).to_pylist()
    assert found == [None, starts_of(right)[1], starts_of(right)[1]]


def test_aligned_timeframes_have_the_rows_of_the_shortest() -> None:
    """Each longer frame shows the bar known at that row, with its own stamp, null before the first."""
    frames = aligned({"10min": timed(SHORT, 10), "3h": timed(LONG, 180)})
    assert frames["10min"] is SHORT
    assert frames["3h"].num_rows == SHORT.num_rows
    joined = asof(timed(SHORT, 10), timed(LONG, 180))
    assert frames["3h"]["close"].combine_chunks().equals(joined["close_right"].combine_chunks())
    assert frames["3h"]["timestamp"].null_count == joined["timestamp_right"].null_count > 0
    assert aligned({}) == {}


def test_nothing_to_join() -> None:
    """Without right bars every joined value is null."""
    joined = asof(timed(SHORT, 10), timed(LONG.slice(0, 0), 180))
    assert joined["close_right"].null_count == SHORT.num_rows


def test_refusals() -> None:
    """Unknown moments, names that are taken, stamps that do not increase."""
    with pytest.raises(InvalidArgument, match="'start' is neither"):
        asof(timed(SHORT, 10), timed(LONG, 180), at="start")
    with pytest.raises(InvalidArgument, match="'timestamp' is there already"):
        asof(timed(SHORT, 10), timed(LONG, 180), suffix="")
    with pytest.raises(InvalidArgument, match="do not strictly increase in 1 row, first in row 1"):
        asof(timed(SHORT.take(pa.array([1, 0])), 10), timed(LONG, 180))


def test_the_counter_example(real_file: Path) -> None:
    """On the real file the join on start stamps finds 60 % winners by looking ahead; the honest one finds none."""
    table = load_bars(real_file).table
    three = resample(table, "3h", minutes=30, calendar=EQUITY)
    change = table["close"].to_numpy() - table["open"].to_numpy()

    def traded(opens: np.ndarray, closes: np.ndarray) -> tuple[float, float]:
        earned = np.sign(closes - opens) * change
        return float(np.nansum(earned)), float((earned > 0).sum() / (np.nan_to_num(earned) != 0).sum())

    rows = np.searchsorted(starts_of(three), starts_of(table), side="right") - 1
    ahead = traded(three["open"].to_numpy()[rows], three["close"].to_numpy()[rows])
    joined = asof(timed(table, 30), timed(three, 180), at="open")
    honest = traded(joined["open_right"].to_numpy(), joined["close_right"].to_numpy())
    print(f"\nstart stamps: {ahead[0]:+,.0f} points, {ahead[1]:.1%} winners")
    print(f"availability: {honest[0]:+,.0f} points, {honest[1]:.1%} winners")
    assert ahead[1] > 0.58
    assert ahead[0] > 400_000
    assert honest[1] < 0.52
    assert abs(honest[0]) < 50_000
