"""A lane of a durable stream whose publisher was killed, and that the next one goes on with.

Each message is on the disk once, whoever of the two had it there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pyarrow as pa
import pytest

from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.streams import Stream, layout
from jupyter_nq.streams.publisher import Publisher
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.streams.durable.conftest import Machine

_SCHEMA = pa.schema([("n", pa.int64())])
_WIDER = pa.schema([("n", pa.int64()), ("side", pa.int8())])

pytestmark = pytest.mark.usefixtures("light_children")


def _batch(seq: int, schema: pa.Schema = _SCHEMA) -> pa.RecordBatch:
    return pa.record_batch([[seq] * (1 + seq % 3)] * len(schema), schema=schema)


def _published(machine: Machine, say: Say, flushed: int) -> None:
    """Publish seven messages, the first few flushed, and wait to be killed."""
    stream = machine.open()
    for seq in range(7):
        assert stream.publish(_batch(seq)) == seq
        if seq + 1 == flushed:
            stream.flush()
    say("published")
    threading.Event().wait()


def _killed(machine: Machine, flushed: int) -> None:
    with Forked(lambda say: _published(machine, say, flushed)) as child:
        assert child.hear() == "published"
        child.kill()


@pytest.fixture(params=["plain", "encrypted"])
def sealed(request: pytest.FixtureRequest, machine: Machine) -> Machine:
    """Give a machine whose disk is plain, and one that encrypts."""
    if request.param == "encrypted":
        pytest.importorskip("cryptography")
        machine.keys = KeyRing([bytes(range(32))])
    return machine


def _segments(stream: Stream) -> tuple[int, int]:
    lane = stream._control.lane(0)
    return lane.get(layout.TAIL_SEGMENT), lane.get(layout.HEAD_SEGMENT)


def _check(stream: Stream, schema_of: Callable[[int], pa.Schema], count: int) -> None:
    found = stream.subscribe("earliest").get_messages(1000)
    assert [message.sequence_number for message in found] == list(range(count))
    assert all(message.data.equals(_batch(seq, schema_of(seq))) for seq, message in enumerate(found))


@pytest.mark.parametrize("form", ["tape", "log"])
@pytest.mark.parametrize("flushed", [0, 3, 7])
def test_who_goes_on_in_the_segment_of_the_dead(sealed: Machine, form: str, flushed: int) -> None:
    """Its own messages and those before come back, each once; and again, when the next goes on in what came back."""
    stream = sealed.make(schema=_SCHEMA, form=form)
    _killed(sealed, flushed)
    assert [stream.publish(_batch(seq)) for seq in range(7, 12)] == list(range(7, 12))
    assert _segments(stream) == (1, 1)
    stream.flush()
    again = sealed.reboot()
    _check(again, lambda _: _SCHEMA, 12)
    assert [again.publish(_batch(seq)) for seq in range(12, 15)] == [12, 13, 14]
    assert _segments(again) == (1, 1)
    again.flush()
    assert again.stats()["durability"][0]["missed"] == 0
    _check(sealed.reboot(), lambda _: _SCHEMA, 15)


@pytest.mark.parametrize("form", ["tape", "log"])
@pytest.mark.parametrize("flushed", [0, 3, 7])
def test_an_epoch_that_began_between_the_two(sealed: Machine, form: str, flushed: int) -> None:
    """The next publisher begins a segment of the new schema; after a reboot both are there, each with its own."""
    stream = sealed.make(schema=_SCHEMA, form=form)
    _killed(sealed, flushed)
    stream.evolve(_WIDER)
    assert [stream.publish(_batch(seq, _WIDER)) for seq in range(7, 12)] == list(range(7, 12))
    assert _segments(stream) == (1, 2)
    stream.flush()
    again = sealed.reboot()
    assert (again.epoch, again.schema) == (1, _WIDER)
    _check(again, lambda seq: _SCHEMA if seq < 7 else _WIDER, 12)
    assert again.publish(_batch(12, _WIDER)) == 12
    assert _segments(again) == (1, 2)
    again.flush()
    _check(sealed.reboot(), lambda seq: _SCHEMA if seq < 7 else _WIDER, 13)


@pytest.mark.parametrize("form", ["tape", "log"])
def test_an_epoch_that_began_and_was_not_published_to(machine: Machine, form: str) -> None:
    """What came back is of the first schema alone, and is not written on with the second."""
    stream = machine.make(schema=_SCHEMA, form=form)
    _killed(machine, 7)
    stream.evolve(_WIDER)
    again = machine.reboot()
    assert again.epoch == 1
    assert again.publish(_batch(7, _WIDER)) == 7
    assert _segments(again) == (1, 2)
    _check(again, lambda seq: _SCHEMA if seq < 7 else _WIDER, 8)


def test_many_who_publish_one_message_each(machine: Machine) -> None:
    """A segment takes so many publishers; the next begins another, and nothing is lost or there twice."""
    stream = machine.make(schema=_SCHEMA, form="tape")
    for seq in range(155):
        with Publisher(stream._control, started_ns=seq) as publisher:
            assert publisher.publish(_batch(seq)) == seq
    assert _segments(stream) == (1, 2)
    assert stream._control.lane(0).get(layout.OWNER_PID) == os.getpid()
    stream.flush()
    _check(machine.reboot(), lambda _: _SCHEMA, 155)
