"""Bringing durable streams back: all forms and lanes, several at a time, and what is damaged or has no room."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.errors import ChecksumError, StoreFull, StreamBusy, UnknownKey
from jupyter_nq.streams import layout
from jupyter_nq.streams.durable.frames import Frame, FrameReader, FrameWriter
from jupyter_nq.streams.durable.home import part_path
from jupyter_nq.streams.durable.restoring import memory_bytes, messages, restore
from jupyter_nq.streams.publisher import Publisher
from tests.unit.streams.conftest import SCHEMA, sequences, ticks
from tests.unit.streams.durable.conftest import Machine


def test_it_is_the_same_stream(machine: Machine) -> None:
    """Options, schema, times, kinds and metadata of a log are as they were; it is open for publishing and exclusive."""
    stream = machine.make(exclusive=True, overflow="block", block_seconds=3.5)
    stream.publish(pa.table({"side": ["buy", None]}), {"model": "v7"})
    stream.publish({"max": 3})
    stream.publish(b"raw")
    stream.publish(pa.table({"side": ["sell"]}).to_pandas())
    stream.flush(10)
    before, static = stream.subscribe("earliest").get_messages(), stream._control.static
    again = machine.reboot()
    assert again._control.static == static
    assert again.schema == pa.schema([("side", pa.string())])
    after = again.subscribe("earliest").get_messages()
    assert [(m.timestamp_ns, m.metadata, str(m.data)) for m in after] == [
        (m.timestamp_ns, m.metadata, str(m.data)) for m in before
    ]
    assert again.publish(b"more") == 4
    with pytest.raises(StreamBusy):
        Publisher(again._control)
    assert machine.reboot().messages == 5


def test_every_lane_comes_back(machine: Machine) -> None:
    """Several publishers, one of which published nothing: each lane goes on behind its last message."""
    stream = machine.make(schema=SCHEMA)
    idle = [Publisher(stream._control) for _ in range(3)]
    for rows, publisher in ((1, idle[0]), (2, idle[2])):
        publisher.publish(ticks(rows))
    for publisher in idle:
        publisher.close()
    again = machine.reboot()
    assert [(m.lane, m.data.num_rows) for m in again.subscribe("earliest").get_messages()] == [(0, 1), (2, 2)]
    assert memory_bytes(machine.disk / "s", None) == 3 << 20
    assert messages(machine.disk / "s") == 2
    fresh = [Publisher(again._control) for _ in range(3)]
    assert [(one.lane, one.publish(ticks(3))) for one in fresh] == [(0, 1), (1, 0), (2, 1)]
    for publisher in fresh:
        publisher.close()


def test_many_reboots(machine: Machine) -> None:
    """Each time a little more, over many segments: what memory keeps is the newest of all, in order."""
    stream = machine.make(schema=SCHEMA, retention_bytes=256 << 10)
    for turn in range(12):
        for seed in range(turn):
            stream.publish(ticks(200, seed))
        stream = machine.reboot()
    found = stream.subscribe("earliest").get_messages(1000)
    assert stream.messages == 66
    assert sequences(found) == list(range(66 - len(found), 66))
    assert len(found) > 15


@pytest.mark.parametrize("form", ["tape", "log"])
def test_a_segment_without_messages_leaves_no_hole(machine: Machine, form: str) -> None:
    """A publisher died between beginning a segment and its first message: its number has no file, readers need it."""
    stream = machine.make(schema=SCHEMA, form=form)
    stream.publish(ticks(1))
    publisher = stream._writer()
    for _ in range(2):
        item = publisher._form.item(ticks(1), None)
        assert publisher._begin(item, 0)
        publisher._writer = None
    stream.publish(ticks(2))
    stream.flush(10)
    assert not part_path(machine.disk / "s", 0, 2, 0).exists()
    again = machine.reboot()
    assert [m.data.num_rows for m in again.subscribe("earliest").get_messages()] == [1, 2]
    again.publish(ticks(3))
    assert [m.data.num_rows for m in machine.reboot().subscribe("earliest").get_messages()] == [1, 2, 3]


def test_one_of_many_brings_it_back(machine: Machine) -> None:
    """Several threads that want it at the same time: one makes it, all have it."""
    stream = machine.make(schema=SCHEMA)
    stream.publish(ticks(5))
    machine.close()
    machine.lose_memory()
    found: list[str] = []

    def work() -> None:
        found.append(restore(machine.disk / "s", machine.memory, None).static.stream_id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in machine.memory.iterdir()] == ["s"]


def test_an_encrypted_stream_is_refused_without_its_key(machine: Machine) -> None:
    """No key: the id of the one that is needed, and nothing in memory; with it all is there."""
    pytest.importorskip("cryptography")
    machine.keys = KeyRing([bytes(32)])
    stream = machine.make()
    stream.publish({"secret": "alpha"})
    stream.flush(10)
    assert all(b"alpha" not in path.read_bytes() for path in (machine.disk / "s").iterdir() if path.is_file())
    machine.close()
    machine.lose_memory()
    with pytest.raises(UnknownKey, match=machine.keys.current_id):
        restore(machine.disk / "s", machine.memory, None)
    assert list(machine.memory.iterdir()) == []
    assert machine.reboot().subscribe("earliest").get_messages()[0].data == {"secret": "alpha"}


def test_a_gap_leaves_out_what_is_older(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """A file in the middle is gone: what is behind it comes back, and the log says what does not."""
    stream = machine.make(schema=SCHEMA)
    for seed in range(30):
        stream.publish(ticks(500, seed))
    stream.flush(10)
    third = stream._control.path / "0-3"
    first = int.from_bytes(third.read_bytes()[48:56], "little")
    part_path(machine.disk / "s", 0, 2, 0).unlink()
    again = machine.reboot()
    assert (again._control.lane(0).tail, again.messages) == (first, 30)
    assert f"lane 0 has a gap before message {first}; what is older is left out" in caplog.text


def test_a_segment_that_was_half_removed_is_left_out(machine: Machine) -> None:
    """Whoever removes the oldest dies between two of its parts; the newest without its beginning is damage."""
    stream = machine.make(schema=SCHEMA)
    publisher = stream._writer()
    for seed in range(30):
        stream.publish(ticks(500, seed))
    stream.flush(10)
    publisher.close()
    lane = stream._control.lane(0)
    assert lane.get(layout.HEAD_SEGMENT) > 2
    newest = lane.get(layout.HEAD_SEGMENT)
    for number in (1, newest):
        part_path(machine.disk / "s", 0, number, 0).rename(part_path(machine.disk / "s", 0, number, 1))
        _cut_first_frame(part_path(machine.disk / "s", 0, number, 1))
        if number == 1:
            tail = machine.reboot()._control.lane(0).tail
            assert tail == int.from_bytes((machine.memory / "s" / "0-2").read_bytes()[48:56], "little")
    machine.close()
    machine.lose_memory()
    with pytest.raises(ChecksumError, match=f"segment {newest} of lane 0 has no beginning"):
        restore(machine.disk / "s", machine.memory, None)


def _cut_first_frame(path: Path) -> None:
    """Write the messages of a file anew, but for the first ones."""
    reader = FrameReader(path)
    frames = list(reader.frames(None))
    path.unlink()
    file = FrameWriter(path, reader.head, None)
    header = frames[0].pieces[0]
    file.append(Frame(frames[0].first_seq + 1, frames[-1].end_seq, [header]))
    file.close()


@pytest.mark.parametrize("how", ["head", "moved", "start"])
def test_damage_is_an_error_and_changes_nothing(machine: Machine, how: str) -> None:
    """A head, a file under another's name, a file without its begin: the file is named, and memory stays empty."""
    stream = machine.make(schema=SCHEMA)
    for seed in range(8):
        stream.publish(ticks(500, seed))
    stream.flush(10)
    path = part_path(machine.disk / "s", 0, 1, 0)
    content = path.read_bytes()
    if how == "head":
        path.write_bytes(b"x" + content[1:])
    elif how == "moved":
        path.rename(part_path(machine.disk / "s", 1, 1, 0))
    else:
        (machine.disk / "s" / "control").write_bytes(content[:300])
    machine.close()
    machine.lose_memory()
    with pytest.raises(ChecksumError, match="is damaged"):
        restore(machine.disk / "s", machine.memory, None)
    assert list(machine.memory.iterdir()) == []


def test_without_room_in_memory_it_stays_on_the_disk(machine: Machine, nq_tmpfs: Callable[[str], Path]) -> None:
    """`StoreFull`, nothing is left of the attempt, and it comes back when there is room."""
    stream = machine.make(schema=SCHEMA)
    for seed in range(30):
        stream.publish(ticks(500, seed))
    stream.flush(10)
    wanted = stream.subscribe("earliest").read_table()
    machine.close()
    small = nq_tmpfs("200k")
    with pytest.raises(StoreFull):
        restore(machine.disk / "s", small, None)
    assert list(small.iterdir()) == []
    assert machine.reboot().subscribe("earliest").read_table() == wanted
