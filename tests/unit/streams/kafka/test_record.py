"""The record beside a stream: whoever finds it knows what was published, whatever came in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_nq.errors import ChecksumError, StreamBusy
from jupyter_nq.streams import Stream, layout
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.kafka.position import Entry, Position
from jupyter_nq.streams.kafka.record import Begun, Kept, Record, settled
from jupyter_nq.streams.publisher import Publisher
from tests.unit.streams.conftest import SMALL, Make

_ORIGIN = ("a" * 32, 0)
_ENTRIES = [Entry(0, 10 + number, _ORIGIN, number) for number in range(4)]


def _begun(lane: int = 0, head: int = 0, started_ns: int = 7) -> Kept:
    return Kept(Position(), Begun(lane, head, os.getpid(), started_ns, _ENTRIES))


def _published(stream: Stream, count: int, started_ns: int, data: bytes = b"x") -> None:
    with Publisher(MappedControl(stream._control.path), started_ns) as publisher:
        for _ in range(count):
            publisher.publish(data)


def test_it_comes_back(tmp_path: Path) -> None:
    """Position, lane, and what was begun; none before the first."""
    record = Record(tmp_path, "kafka.t")
    assert record.read() is None
    position = Position()
    position.take(Entry(3, 8, _ORIGIN, 5))
    position.take(Entry(3, 9, _ORIGIN, 7))
    record.write(position, _begun().begun)
    found = record.read()
    assert found is not None
    assert (found.position.packed(), found.begun) == (position.packed(), _begun().begun)
    record.write(position)
    settled_then = record.read()
    assert settled_then is not None
    assert settled_then.begun is None
    record.close()
    record.close()


def test_one_bridge_of_a_name_at_a_time(tmp_path: Path) -> None:
    """A second one is refused until the first is closed; another name has another record."""
    first = Record(tmp_path, "kafka.t")
    with pytest.raises(StreamBusy, match=r"A bridge 'kafka\.t' from Kafka into the stream .* runs already"):
        Record(tmp_path, "kafka.t")
    Record(tmp_path, "kafka.u").close()
    first.close()
    Record(tmp_path, "kafka.t").close()


@pytest.mark.parametrize("content", [b"", b"short", b"\x00" * 40], ids=["empty", "short", "zeros"])
def test_damage_is_named(tmp_path: Path, content: bytes) -> None:
    """No position is guessed."""
    record = Record(tmp_path, "kafka.t")
    record.write(Position())
    (tmp_path / "kafka" / "kafka.t.in").write_bytes(content)
    with pytest.raises(ChecksumError, match=r"kafka\.t\.in is damaged: it differs from its digest"):
        record.read()
    record.close()


def test_nothing_begun_is_settled(make: Make) -> None:
    """The position is what it says."""
    position = Position()
    position.take(_ENTRIES[0])
    assert settled(Kept(position), make()._control) == (position, True)


@pytest.mark.parametrize("published", [0, 1, 4])
def test_the_lane_says_how_many_were_published(make: Make, published: int) -> None:
    """Up to where the bridge died, and no further."""
    stream = make()
    _published(stream, published, started_ns=7)
    position, certain = settled(_begun(), stream._control)
    assert certain
    assert position.offsets == ({0: 10 + published - 1} if published else {})


@pytest.mark.parametrize("published", [0, 1, 3])
def test_who_took_over_the_lane_is_told_apart(make: Make, published: int) -> None:
    """Messages of the next publisher are not the bridge's, also where they follow at once."""
    stream = make()
    _published(stream, published, started_ns=7)
    _published(stream, 9, started_ns=8)
    position, certain = settled(_begun(), stream._control)
    assert certain
    assert position.offsets == ({0: 10 + published - 1} if published else {})


def test_what_the_stream_has_let_go_of_is_not_certain(make: Make) -> None:
    """Then nothing counts as published: rather twice than never."""
    stream = make(**SMALL)
    _published(stream, 2, started_ns=7)
    _published(stream, 60, started_ns=8, data=bytes(20_000))
    assert stream._control.lane(0).tail > 0
    position, certain = settled(_begun(), stream._control)
    assert (certain, position.offsets) == (False, {})


def test_a_lane_that_is_still_the_bridges_needs_no_segments(make: Make) -> None:
    """However many of its messages have gone by now."""
    stream = make(**SMALL)
    _published(stream, 60, started_ns=7, data=bytes(20_000))
    assert stream._control.lane(0).tail > 0
    position, certain = settled(_begun(head=57), stream._control)
    assert (certain, position.offsets) == (True, {0: 12})


@pytest.mark.parametrize("published", [0, 2])
@pytest.mark.parametrize("before", [0, 1])
def test_a_bridge_that_went_on_in_a_segment(make: Make, before: int, published: int) -> None:
    """Whoever was there before or comes afterwards, with messages or without: only its own are counted."""
    stream = make()
    _published(stream, 3, started_ns=5)
    _published(stream, 0, started_ns=6)
    head = stream.messages
    for started_ns in range(before):
        _published(stream, 0, started_ns)
    _published(stream, published, started_ns=7)
    _published(stream, 0, started_ns=8)
    _published(stream, 2, started_ns=9)
    _published(stream, 2, started_ns=10)
    assert stream._control.lane(0).get(layout.HEAD_SEGMENT) == 1
    position, certain = settled(_begun(head=head), stream._control)
    assert certain
    assert position.offsets == ({0: 10 + published - 1} if published else {})
