"""Rows of a source: ticks or bars by their columns, and what is set aside."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.schema import PRICES
from jupyter_nq.client.live.rows import AHEAD, DISORDERED, OUTSIDE, Intake, is_ticks
from jupyter_nq.errors import InvalidArgument
from tests.unit.client.live.feeds import MINUTE_NS, SECOND_NS, minutes, pieces, ticks

_FEED = minutes(60)


def test_the_columns_tell_ticks_from_bars() -> None:
    """Other columns may be there; a stream with neither is refused with what it has."""
    assert is_ticks(ticks(_FEED).schema, "t")
    assert not is_ticks(_FEED.append_column("more", pa.nulls(len(_FEED))).schema, "b")
    with pytest.raises(InvalidArgument, match="the stream 'x' has the columns timestamp and open: neither ticks"):
        is_ticks(_FEED.select(["timestamp", "open"]).schema, "x")
    plain = pa.schema([("timestamp", pa.timestamp("ns")), ("price", pa.float64()), ("volume", pa.int64())])
    with pytest.raises(InvalidArgument, match="no time with a zone"):
        is_ticks(plain, "x")


def test_a_bar_reaches_its_end_and_a_tick_its_time() -> None:
    """Each row knows what those before it have reached, across batches."""
    starts = _FEED["timestamp"].cast(pa.int64()).to_pylist()
    intake = Intake(1, EQUITY)
    first = intake.take(_FEED.slice(0, 2)).rows
    second = intake.take(_FEED.slice(2, 2)).rows
    assert first.reached[1] == starts[0] + MINUTE_NS
    assert second.reached.tolist() == [starts[1] + MINUTE_NS, starts[2] + MINUTE_NS]
    assert intake.known_ns == second.known_ns == starts[3] + MINUTE_NS
    last = Intake(0, EQUITY).take(ticks(_FEED).slice(0, 3)).rows
    assert last.known_ns == starts[0] + MINUTE_NS // 3


def test_a_row_outside_the_sessions_is_set_aside() -> None:
    """With its values and the reason; the others are taken."""
    early = _FEED.slice(0, 1).set_column(
        0, _FEED.schema.field(0), pa.array([1_593_381_600_000_000_000 - MINUTE_NS], _FEED.schema.field(0).type)
    )
    taken = Intake(1, EQUITY).take(pa.concat_tables([early, _FEED.slice(0, 2)]))
    ((reason, rows),) = taken.aside
    assert (reason, len(rows), len(taken.rows)) == (OUTSIDE, 1, 2)
    assert rows.table["close"].equals(early["close"])


def test_small_bars_that_come_twice_are_set_aside() -> None:
    """The first of a time counts, also across batches."""
    intake = Intake(1, EQUITY)
    intake.take(_FEED.slice(0, 3))
    taken = intake.take(_FEED.slice(1, 4))
    ((reason, rows),) = taken.aside
    assert (reason, len(rows), len(taken.rows)) == (DISORDERED, 2, 2)


@pytest.mark.parametrize("cuts", [[], [2], [1, 2, 3, 4]])
def test_a_row_of_the_future_is_set_aside(cuts: list[int]) -> None:
    """However the rows are cut into messages; the next ones are taken as if it had not come."""
    feed = ticks(_FEED.slice(0, 2)).slice(0, 6)
    stamps = np.asarray(feed["timestamp"].cast(pa.int64())).copy()
    clock_ns = int(stamps[2]) + SECOND_NS
    stamps[2] += 3_600 * SECOND_NS
    wrong = feed.set_column(0, feed.schema.field(0), pa.array(stamps, feed.schema.field(0).type))
    intake = Intake(0, EQUITY)
    taken = [intake.take(piece, clock_ns) for piece in pieces(wrong, cuts)]
    assert [(reason, len(rows)) for one in taken for reason, rows in one.aside] == [(AHEAD, 1)]
    assert sum(len(one.rows) for one in taken) == 5
    assert intake.known_ns == stamps[-1]


@pytest.mark.parametrize("length", [0, 1, 30])
@pytest.mark.parametrize("cuts", [[], [1, 7]])
def test_rows_that_follow_each_other_are_taken_whatever_the_clock_says(length: int, cuts: list[int]) -> None:
    """A clock that is an hour behind, in an open market: each row begins within a minute of what was reached."""
    start = _FEED["timestamp"][0].value
    rows = 12
    stamps = start + np.arange(rows) * (length * MINUTE_NS or 20 * SECOND_NS)
    table = pa.table({"timestamp": pa.array(stamps).cast(_FEED.schema.field(0).type)})
    for name in (*PRICES, "price"):
        table = table.append_column(name, pa.array(np.full(rows, 100.0)))
    table = table.append_column("volume", pa.array(np.ones(rows, np.int64)))
    intake = Intake(length, EQUITY)
    intake.take(table.slice(0, 1))
    for piece in pieces(table.slice(1), cuts):
        assert intake.take(piece, start - 3_600 * SECOND_NS).aside == ()


def test_an_empty_batch_changes_nothing() -> None:
    """Nor does it make a bar."""
    intake = Intake(0, EQUITY)
    taken = intake.take(ticks(_FEED).slice(0, 0))
    assert (len(taken.rows), taken.aside) == (0, ())
    assert repr(intake) == "<Intake of ticks>"
