"""Copying a lane: groups, parts, what is cut off and what is removed, and a disk that refuses."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.errors import StoreError, StoreFull, StreamBusy, UnknownKey
from jupyter_nq.streams import Stream, layout
from jupyter_nq.streams.durable.home import home_of, parts
from jupyter_nq.streams.durable.lane import LaneWriter
from jupyter_nq.streams.forms import form_of
from tests.unit.streams.conftest import SCHEMA, ticks
from tests.unit.streams.durable.conftest import Machine


def _quiet(stream: Stream) -> Stream:
    """Publish without a thread that copies."""
    publisher = stream._writer()
    assert publisher._kept is not None
    publisher._kept.close()
    return stream


def _writer(machine: Machine, stream: Stream) -> LaneWriter:
    control = stream._control
    home = home_of(control)
    assert home is not None
    return LaneWriter(control, form_of(control), control.lane(0), home, machine.keys, 0.0)


def _files(machine: Machine) -> list[str]:
    return [part.path.name for part in parts(machine.disk / "s", 0)]


def _fill(stream: Stream, segments: int) -> None:
    """Publish until so many segments were begun since."""
    lane = stream._control.lane(0)
    goal = lane.get(layout.HEAD_SEGMENT) + segments
    while lane.get(layout.HEAD_SEGMENT) < goal:
        stream.publish(ticks(500))


def test_a_torn_tail_is_cut_off_by_the_next_writer_alone(machine: Machine) -> None:
    """Reading leaves it; who becomes the writer cuts it, and goes on in another part."""
    stream = _quiet(machine.make(schema=SCHEMA))
    stream.publish(ticks(3))
    writer = _writer(machine, stream)
    writer.flush()
    writer.close()
    path = machine.disk / "s" / "0-1.0"
    whole = path.read_bytes()
    path.write_bytes(whole + b"torn" * 20)
    assert machine.reboot().messages == 1
    assert path.read_bytes() == whole + b"torn" * 20
    writer = _writer(machine, machine.open())
    writer.close()
    assert path.read_bytes() == whole


def test_going_on_with_a_segment_begins_another_part(machine: Machine) -> None:
    """Nothing is written behind what another writer wrote; together they are the segment."""
    stream = _quiet(machine.make(schema=SCHEMA))
    for rows in (1, 2, 3):
        stream.publish(ticks(rows))
        writer = _writer(machine, stream)
        writer.flush()
        writer.flush()
        writer.close()
        writer.close()
    assert _files(machine) == ["0-1.0", "0-1.1", "0-1.2"]
    assert [m.data.num_rows for m in machine.reboot().subscribe("earliest").get_messages()] == [1, 2, 3]


def test_one_writer_of_a_lane_at_a_time(machine: Machine) -> None:
    """A second one is refused, with the file that the first one holds."""
    stream = _quiet(machine.make(schema=SCHEMA))
    stream.publish(ticks(1))
    writer = _writer(machine, stream)
    with pytest.raises(StreamBusy, match=r"0\.lock"):
        _writer(machine, stream)
    writer.close()
    _writer(machine, stream).close()


def test_files_go_with_their_segments(machine: Machine) -> None:
    """The disk keeps what memory keeps, in whole files; after a restart both have the same messages."""
    stream = machine.make(schema=SCHEMA, retention_bytes=256 << 10)
    _fill(stream, 9)
    stream.flush(10)
    lane = stream._control.lane(0)
    assert lane.tail > 0
    numbers = [part.number for part in parts(machine.disk / "s", 0)]
    assert numbers == list(range(lane.get(layout.TAIL_SEGMENT), lane.get(layout.HEAD_SEGMENT) + 1))
    before = (lane.tail, lane.head, stream.subscribe("earliest").read_table())
    again = machine.reboot()
    lane = again._control.lane(0)
    assert (lane.tail, lane.head) == before[:2]
    assert again.subscribe("earliest").read_batches()[0].num_rows > 0
    table = before[2]
    assert table is not None
    read = again.subscribe("earliest")
    assert read.read_table() == table


def test_what_left_memory_before_the_disk_had_it_is_counted(machine: Machine) -> None:
    """Nobody copied meanwhile: the count is exact, what follows is there, and what is before the gap is left out."""
    stream = _quiet(machine.make(schema=SCHEMA, retention_bytes=256 << 10, block_seconds=0))
    stream.publish(ticks(1))
    writer = _writer(machine, stream)
    writer.flush()
    writer.close()  # it would still have the segment mapped that goes
    _fill(stream, 8)
    writer = _writer(machine, stream)
    writer.flush()
    lane = stream._control.lane(0)
    assert (lane.get(layout.MISSED), lane.get(layout.DURABLE)) == (lane.tail - 1, lane.head)
    tail, head = lane.tail, lane.head
    writer.close()
    again = machine.reboot()
    lane = again._control.lane(0)
    assert (lane.tail, lane.head) == (tail, head)


def test_a_full_disk_refuses_and_takes_the_rest_when_it_has_room(
    machine: Machine, nq_tmpfs: Callable[[str], Path]
) -> None:
    """The group raises and nothing of it counts; with room again the same messages are written, and none twice."""
    machine.disk = nq_tmpfs("512k") / "disk"
    stream = _quiet(machine.make(schema=SCHEMA))
    stream.publish(ticks(10))
    writer = _writer(machine, stream)
    writer.flush()
    ballast = machine.disk.parent / "ballast"
    with pytest.raises(OSError, match="No space left"), open(ballast, "wb") as file:
        file.write(bytes(1 << 20))
    for seed in range(20):
        stream.publish(ticks(500, seed))
    with pytest.raises(StoreFull, match="No space left"):
        writer.flush()
    assert stream._control.lane(0).get(layout.DURABLE) == 1
    ballast.unlink()
    writer.flush()
    assert stream._control.lane(0).get(layout.DURABLE) == 21
    writer.close()
    wanted = stream.subscribe("earliest").read_table()
    assert machine.reboot().subscribe("earliest").read_table() == wanted


@pytest.mark.parametrize("call", ["fdatasync", "write"])
def test_a_disk_that_fails_once_is_not_trusted(machine: Machine, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """What was written before a failed call may be there or not: it is written anew, elsewhere."""
    stream = _quiet(machine.make(schema=SCHEMA))
    stream.publish(ticks(3))
    writer = _writer(machine, stream)
    writer.flush()
    stream.publish(ticks(4))

    def fail(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        with pytest.raises(StoreError, match="The disk failed"):
            writer.flush()
    assert stream._control.lane(0).get(layout.DURABLE) == 1
    writer.flush()
    writer.close()
    assert _files(machine) == ["0-1.0", "0-1.1"]
    assert [m.data.num_rows for m in machine.reboot().subscribe("earliest").get_messages()] == [3, 4]


def test_memory_that_is_older_than_the_disk_is_refused(machine: Machine) -> None:
    """Another memory of the same stream has fewer messages: writing on would tear the disk."""
    stream = _quiet(machine.make(schema=SCHEMA))
    stream.publish(ticks(1))
    older = (machine.memory / "s" / "control").read_bytes()
    stream.publish(ticks(1))
    writer = _writer(machine, stream)
    writer.flush()
    writer.close()
    (machine.memory / "s" / "control").write_bytes(older)
    with pytest.raises(StoreError, match="has 2 messages of lane 0, memory 1"):
        _writer(machine, machine.open())


def test_nothing_plain_is_written_beside_what_is_encrypted(machine: Machine) -> None:
    """Without the key a lane of an encrypted stream is not copied."""
    pytest.importorskip("cryptography")
    from jupyter_nq.buffers.cold.keys import KeyRing

    machine.keys = KeyRing([bytes(32)])
    stream = _quiet(machine.make(schema=SCHEMA))
    stream.publish(ticks(1))
    machine.keys = None
    with pytest.raises(UnknownKey, match="nothing is written there unencrypted"):
        _writer(machine, stream)
    assert _files(machine) == []


def test_a_last_file_without_a_head_is_removed_by_the_next_writer(machine: Machine) -> None:
    """Its maker died over it: short, or zeros; another file that is damaged is an error and stays."""
    stream = _quiet(machine.make(schema=SCHEMA))
    stream.publish(ticks(1))
    for content in (b"", b"NQDU", bytes(500)):
        (machine.disk / "s" / "0-1.0").write_bytes(content)
        writer = _writer(machine, stream)
        assert _files(machine) == []
        writer.close()
    (machine.disk / "s" / "0-1.0").write_bytes(b"x" * 500)
    with pytest.raises(ValueError, match=r"0-1\.0 is damaged"):
        _writer(machine, stream)
    assert _files(machine) == ["0-1.0"]
