"""Epochs: a stream gets another schema, what was there keeps its own, and nobody mixes the two."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

from jupyter_nq.errors import InvalidArgument, SchemaMismatch, UnsupportedData
from jupyter_nq.streams import Stream, epochs, layout
from jupyter_nq.streams.directory import drop_stream
from jupyter_nq.streams.publisher import Publisher
from jupyter_nq.streams.schema import remove_drafts
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, ticks

_OLD = pa.schema([("price", pa.float64()), ("size", pa.int32())])
_NEW = pa.schema([("price", pa.float32()), ("size", pa.int32()), ("side", pa.int8())])
FORMS = pytest.mark.parametrize("form", ["tape", "log"])


def _old(rows: int = 2) -> pa.RecordBatch:
    return pa.record_batch([[1.5] * rows, pa.array([7] * rows, pa.int32())], schema=_OLD)


def _new(rows: int = 3) -> pa.RecordBatch:
    columns = [pa.array([2.5] * rows, pa.float32()), pa.array([8] * rows, pa.int32()), pa.array([1] * rows, pa.int8())]
    return pa.record_batch(columns, schema=_NEW)


@FORMS
def test_consumers_get_the_old_schema_and_then_the_new(make: Make, form: str) -> None:
    """One that reads on, and one that begins afterwards; sequences go on, and each message says its epoch."""
    stream = make(schema=_OLD, form=form)
    reader = stream.subscribe("earliest")
    stream.publish(_old())
    assert [m.epoch for m in reader.get_messages()] == [0]
    stream.publish(_old(4))
    assert (stream.evolve(_NEW), stream.epoch, stream.schema) == (1, 1, _NEW)
    stream.publish(_new())
    for consumer, first in ((reader, 1), (stream.subscribe("earliest"), 0)):
        found = consumer.get_messages()
        assert [m.sequence_number for m in found] == list(range(first, 3))
        assert [m.epoch for m in found] == [0, 0, 1][first:]
        assert [m.data.schema for m in found] == [_OLD, _OLD, _NEW][first:]
    assert found[2].data == _new()


@FORMS
def test_a_table_has_one_schema(make: Make, form: str) -> None:
    """Two publishers, one of which has evolved before the other is read: old ones first, then new ones."""
    stream = make(schema=_OLD, form=form)
    other = Publisher(stream._control)
    stream.publish(_old(1))
    other.publish(_old(2))
    stream.evolve(_NEW)
    stream.publish(_new(3))
    reader = stream.subscribe("earliest")
    tables = [reader.read_table(), reader.read_table()]
    other.publish(_new(4))
    tables += [reader.read_table(), reader.read_table()]
    shapes = [(table.num_rows, table.schema) if table is not None else None for table in tables]
    assert shapes == [(3, _OLD), (3, _NEW), (4, _NEW), None]
    other.close()


@FORMS
def test_the_old_schema_is_refused_with_both_side_by_side(make: Make, form: str) -> None:
    """By every publisher, at once; the message names each column that differs, and nothing was published."""
    stream, elsewhere = make(schema=_OLD, form=form), make(schema=_OLD, form=form)
    for one in (stream, elsewhere):
        one.publish(_old())
    stream.evolve(_NEW)
    for one in (stream, elsewhere):
        with pytest.raises(SchemaMismatch) as refused:
            one.publish(_old())
        assert str(refused.value).endswith(
            " Column by column: price is float there and double here; side is int8 there and missing here."
        )
        one.publish(_new())
    assert stream.messages == 4


def test_rows_without_names_are_refused_by_handles_of_before(make: Make) -> None:
    """They would fit by their number; a handle that is opened afterwards, or that evolved it, takes them."""
    renamed = pa.schema([("size", pa.float64()), ("price", pa.int32())])
    stream, before = make(schema=_OLD), make(schema=_OLD)
    assert before.publish_rows([(1.0, 2)]) == 1
    stream.evolve(renamed)
    for publish in (lambda: before.publish_rows([(1.0, 2)]), lambda: before.publish((1.0, 2))):
        with pytest.raises(SchemaMismatch, match=r"evolved to epoch 1, and this handle is of epoch 0"):
            publish()
    before.publish({"size": 1.0, "price": 2})
    assert stream.publish_rows([(1.0, 2)]) == 1
    assert make().publish_rows([(3.0, 4)]) == 1
    assert [m.data for m in stream.subscribe("earliest").get_messages()][1:] == [
        {"size": 1.0, "price": 2},
        {"size": 1.0, "price": 2},
        {"size": 3.0, "price": 4},
    ]


def test_a_publisher_that_is_shared_enters_the_epoch_in_the_midst(make: Make, nq_store_dir: Path) -> None:
    """The lane of a process has handles of both epochs: each row is written with the schema of its own."""
    make(schema=_OLD)
    control = make()._control
    publisher = Publisher(control)
    older = Stream(nq_store_dir / "s", publisher=lambda _: publisher)
    older.publish_rows([(1.0, 2)])
    epochs.evolve(control, _NEW)
    newer = Stream(nq_store_dir / "s", publisher=lambda _: publisher)
    assert newer.publish_rows([(1.0, 2, 3)]) == 1
    with pytest.raises(SchemaMismatch):
        older.publish_rows([(1.0, 2)])
    assert [len(m.data) for m in newer.subscribe("earliest").get_messages()] == [2, 3]
    publisher.close()


def test_evolving_to_the_same_schema_changes_nothing(make: Make) -> None:
    """The epoch stays; several who evolve a stream alike make one epoch of it."""
    stream, other = make(schema=_OLD), make(schema=_OLD)
    assert stream.evolve(_OLD) == 0
    assert (stream.evolve(_NEW), other.evolve(_NEW)) == (1, 1)
    assert (other.evolve(_OLD), stream.epoch) == (2, 2)


def test_a_log_that_had_no_batch_evolves(make: Make) -> None:
    """Messages of any kind go on; batches have the schema from then on."""
    stream = make()
    stream.publish({"a": 1})
    stream.evolve(_NEW)
    stream.publish({"a": 2})
    with pytest.raises(SchemaMismatch):
        stream.publish(_old())
    stream.publish(_new())
    assert [m.epoch for m in stream.subscribe("earliest").get_messages()] == [0, 1, 1]


def test_what_is_no_schema_is_refused(make: Make) -> None:
    """Without columns, or of a tape without a fixed width; a stream that was dropped does not evolve."""
    stream = make(schema=_OLD)
    for wrong in (pa.schema([]), {"price": "float64"}):
        with pytest.raises(InvalidArgument, match=r"a pyarrow\.schema with columns"):
            stream.evolve(wrong)
    with pytest.raises(UnsupportedData, match="no fixed width"):
        stream.evolve(pa.schema([("side", pa.string())]))
    assert stream.epoch == 0
    drop_stream(stream._control.path.parent, "s")
    with pytest.raises(KeyError, match="was dropped"):
        stream.evolve(_NEW)


@FORMS
def test_old_epochs_are_read_over_many_segments(make: Make, form: str) -> None:
    """Evolving again and again while memory wraps: every message has the schema of its epoch."""
    stream = make(schema=SCHEMA, form=form, **SMALL)
    other = pa.schema([("n", pa.int64())])
    for turn in range(12):
        stream.evolve(SCHEMA if turn % 2 else other)
        for _ in range(5):
            stream.publish(ticks(300) if turn % 2 else pa.record_batch([list(range(300))], schema=other))
    found = stream.subscribe("earliest").get_messages(1000)
    assert len(found) > 10
    assert all(m.data.schema == (SCHEMA if m.epoch % 2 == 0 else other) for m in found)
    assert [m.epoch for m in found] == sorted(m.epoch for m in found)


def test_a_draft_that_somebody_removes_is_written_once_more(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher that begins meanwhile takes it for one of who died."""
    stream, rename, removed = make(schema=_OLD), os.rename, []

    def renamed(draft: Path, name: Path) -> None:
        if not removed:
            remove_drafts(stream._control.path)
            removed.append(draft)
        rename(draft, name)

    monkeypatch.setattr(os, "rename", renamed)
    assert (stream.evolve(_NEW), stream.schema) == (1, _NEW)
    assert [path.exists() for path in removed] == [False]
    assert (stream._control.path / "schema.1").stat().st_mode & 0o777 == 0o600


@FORMS
def test_who_begins_in_another_epoch_does_not_go_on_in_the_segment(make: Make, form: str) -> None:
    """The next publisher of the lane begins another; one of the same epoch goes on."""
    stream = make(schema=_OLD, form=form)
    for schema, batch, wanted in ((_OLD, _old(), 1), (_OLD, _old(), 1), (_NEW, _new(), 2), (_NEW, _new(), 2)):
        stream.evolve(schema)
        with Publisher(stream._control) as publisher:
            publisher.publish(batch)
        assert stream._control.lane(0).get(layout.HEAD_SEGMENT) == wanted
    assert [m.epoch for m in stream.subscribe("earliest").get_messages()] == [0, 0, 1, 1]
