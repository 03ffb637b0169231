"""The newest message, for somebody who is no consumer."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pytest

from jupyter_nq.streams import Stream
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.directory import drop_stream
from jupyter_nq.streams.newest import Newest, newest
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, ticks


def _newest(stream: Stream, rows: int = 1) -> Newest:
    found = newest(stream._control, rows)
    assert found is not None
    return found


def test_nothing_published_is_nothing(make: Make) -> None:
    """A stream without messages has no newest one."""
    assert newest(make()._control, 1) is None


def test_last_rows_of_a_tape_come_from_several_messages(make: Make) -> None:
    """Rows that were published one by one are joined, oldest first, also over the edge of a segment."""
    stream = make("s", SCHEMA, **SMALL)
    rows = ticks(5000).to_pylist()
    stream.publish_rows([tuple(row.values()) for row in rows])
    found = _newest(stream, rows=4000)
    assert found.table is not None
    assert found.table.column("price").to_pylist() == [row["price"] for row in rows[-4000:]]
    assert (found.sequence_number, found.lane) == (4999, 0)


@pytest.mark.parametrize("form", ["tape", "log"])
def test_last_rows_of_a_batch(make: Make, form: str) -> None:
    """Of a batch only its end is shown."""
    stream = make("s", SCHEMA, form)
    stream.publish(ticks(10))
    stream.publish(ticks(100, seed=1))
    table = _newest(stream, rows=3).table
    assert table is not None
    assert table.to_batches() == pa.Table.from_batches([ticks(100, seed=1)]).slice(97).to_batches()


def test_message_of_a_log_is_shown_alone(make: Make) -> None:
    """A log has messages of different kinds: rows of an older one are not joined."""
    stream = make()
    stream.publish(ticks(2))
    table = _newest(stream, rows=5).table
    assert table is not None
    assert len(table) == 2
    stream.publish({"halt": True})
    assert (_newest(stream).table, _newest(stream).value) == (None, {"halt": True})
    stream.publish(b"\x00")
    assert _newest(stream).value == b"\x00"


def test_newest_of_all_publishers(make: Make) -> None:
    """Of several lanes the message that was published last counts."""
    first, second = make(), make()
    first.publish("a")
    second.publish("b")
    assert _newest(first).value == "b"
    first.publish("c")
    assert (_newest(first).value, _newest(first).sequence_number, _newest(first).lane) == ("c", 1, 0)


def test_looking_is_no_reading(make: Make) -> None:
    """No consumer appears, and none moves."""
    stream = make()
    with stream.subscribe("earliest") as consumer:
        stream.publish("a")
        _newest(stream)
        assert len(stream.consumers()) == 1
        assert [message.data for message in consumer.get_messages()] == ["a"]


def test_empty_batch_and_dropped_stream(make: Make, nq_store_dir: Path) -> None:
    """A batch without rows has none to show; a stream that was dropped has nothing."""
    stream = make("s", SCHEMA)
    stream.publish(ticks(0))
    table = _newest(stream).table
    assert table is not None
    assert len(table) == 0
    control = MappedControl(nq_store_dir / "s")
    drop_stream(nq_store_dir, "s")
    assert newest(control, 1) is None


@pytest.mark.parametrize("form", ["tape", "log"])
def test_rows_of_one_schema(make: Make, form: str) -> None:
    """What was published before the stream evolved is not joined with what came since; until then it is the newest."""
    stream = make("s", SCHEMA, form)
    stream.publish(ticks(3))
    stream.evolve(other := pa.schema([("price", pa.float32())]))
    before = _newest(stream, rows=9).table
    assert before is not None
    assert (len(before), before.schema) == (3, SCHEMA)
    stream.publish({"price": pa.array([1.5, 2.5], pa.float32())})
    found = _newest(stream, rows=9).table
    assert found is not None
    assert (found.schema, found.column("price").to_pylist()) == (other, [1.5, 2.5])


def test_what_is_too_old_is_not_the_newest(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stream that keeps messages for a time nothing is shown beyond, though memory still has it."""
    now = 1_700_000_000_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    stream = make("s", SCHEMA, retention_seconds=10.0)
    stream.publish(ticks(2))
    monkeypatch.setattr(time, "time_ns", lambda: now + 9_000_000_000)
    stream.publish(ticks(1))
    monkeypatch.setattr(time, "time_ns", lambda: now + 11_000_000_000)
    found = _newest(stream, rows=9).table
    assert found is not None
    assert len(found) == 1
    monkeypatch.setattr(time, "time_ns", lambda: now + 20_000_000_000)
    assert newest(stream._control, 9) is None
