"""`flush` and `stats` of a durable stream: what is acknowledged, refused, late or missed is said."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.errors import InvalidArgument, NotDurable
from jupyter_nq.streams import Options, Stream, make_stream
from jupyter_nq.streams.durable.flushing import flusher
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.streams.conftest import SCHEMA, Make, ticks
from tests.unit.streams.durable.conftest import Machine


def _lane(stream: Stream) -> dict[str, Any]:
    found: dict[str, Any] = stream.stats()["durability"][0]
    return found


def _fill(path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), open(path, "wb") as file:
        file.write(bytes(1 << 20))


def test_messages_are_on_the_disk_soon_without_flush(machine: Machine) -> None:
    """The thread of the publisher copies them by itself."""
    stream = machine.make(schema=SCHEMA)
    stream.publish_rows([(1, 2.0, 3), (4, 5.0, 6)])
    wait_until(lambda: _lane(stream)["durable"] == 2)
    assert _lane(stream) == {"lane": 0, "messages": 2, "durable": 2, "missed": 0, "refused": None}


def test_closing_copies_the_rest(machine: Machine) -> None:
    """Who closes a stream at once leaves nothing in memory alone."""
    stream = machine.make(schema=SCHEMA)
    stream.publish(ticks(3))
    assert machine.reboot().messages == 1


def test_flush_needs_a_durable_stream(make: Make) -> None:
    """Any other says so, and its figures have no durability."""
    stream = make()
    assert (stream.durable, stream.stats()["durability"]) == (False, None)
    with pytest.raises(InvalidArgument, match="made without durable=True"):
        stream.flush()


def test_a_stream_that_nobody_settled_says_so(nq_store_dir: Path) -> None:
    """It works in memory; flush says that there is no disk."""
    make_stream(nq_store_dir, "s", options=Options(durable=True))
    with Stream(nq_store_dir / "s") as stream:
        stream.publish(b"x")
        with pytest.raises(NotDurable, match=r"directory on the disk\. Open it with nq\.stream"):
            stream.flush(5)
        assert len(stream.get_messages()) == 1


def test_a_full_disk_is_told_and_publishing_goes_on(machine: Machine, nq_tmpfs: Callable[[str], Path]) -> None:
    """`flush` raises, `stats` says why; consumers get everything; with room again all of it is there."""
    machine.disk = nq_tmpfs("512k") / "disk"
    stream = machine.make(schema=SCHEMA)
    stream.publish(ticks(1))
    stream.flush(10)
    ballast = machine.disk.parent / "ballast"
    _fill(ballast)
    for seed in range(20):
        stream.publish(ticks(500, seed))
    for _ in range(2):
        with pytest.raises(NotDurable, match=r"'s' is not on the disk, and goes on in memory: .*No space left"):
            stream.flush(10)
    assert _lane(stream)["durable"] < 21
    assert "No space left" in _lane(stream)["refused"]
    assert len(stream.subscribe("earliest").get_messages(100)) == 21
    ballast.unlink()
    stream.flush(10)
    assert _lane(stream) == {"lane": 0, "messages": 21, "durable": 21, "missed": 0, "refused": None}
    machine.close()


def test_what_the_disk_never_got_is_said_once(machine: Machine, nq_tmpfs: Callable[[str], Path]) -> None:
    """More than memory keeps was published while the disk refused: `flush` counts it, and then goes on."""
    machine.disk = nq_tmpfs("512k") / "disk"
    stream = machine.make(schema=SCHEMA, retention_bytes=128 << 10, segment_bytes=64 << 10)
    ballast = machine.disk.parent / "ballast"
    _fill(ballast)
    stream.publish(ticks(1))
    with pytest.raises(NotDurable):
        stream.flush(10)
    for seed in range(40):
        stream.publish(ticks(500, seed))
    tail = stream._control.lane(0).tail
    assert tail > 0
    ballast.unlink()
    with pytest.raises(NotDurable, match=r"\d+ messages of the stream 's' left memory before the disk had") as told:
        stream.flush(10)
    missed = _lane(stream)["missed"]
    assert 0 < missed <= tail, "a group that was under way may have kept some that have left memory since"
    assert str(told.value).startswith(f"{missed} messages ")
    stream.flush(10)
    assert (_lane(stream)["missed"], _lane(stream)["durable"]) == (missed, 41)
    assert machine.open().stats()["durability"][0]["missed"] == missed
    machine.open().flush(10)
    machine.close()


def test_a_slow_disk_holds_back_what_would_leave_memory(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher that is faster than the disk waits at the end of its memory: nothing is missed."""
    stream = machine.make(schema=SCHEMA, retention_bytes=128 << 10, segment_bytes=64 << 10)
    sync, slow = os.fdatasync, threading.Event()

    def slowly(fd: int) -> None:
        slow.wait(0.01)  # what a disk takes
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", slowly)
    for seed in range(100):
        stream.publish(ticks(500, seed))
    stream.flush(30)
    assert stream._control.lane(0).tail > 50
    assert (_lane(stream)["missed"], _lane(stream)["durable"]) == (0, 100)


def test_flush_gives_up_in_time(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs: the error says how much is not there; later it is."""
    stream = machine.make(schema=SCHEMA)
    sync, hangs = os.fdatasync, threading.Event()

    def hang(fd: int) -> None:
        hangs.wait(30)
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", hang)
    stream.publish(ticks(1))
    with pytest.raises(NotDurable, match=r"1 message of the stream 's' are not on the disk after 0\.05 s"):
        stream.flush(0.05)
    hangs.set()
    stream.flush(10)


def test_flush_waits_for_the_publishers_of_other_processes(machine: Machine) -> None:
    """What another process published before is on the disk when it returns."""
    machine.make(schema=SCHEMA).close()

    def publish(say: Say) -> None:
        stream = machine.open()
        for _ in range(100):
            stream.publish(ticks(10))
        say("published")
        threading.Event().wait(60)

    with Forked(publish) as child:
        assert child.hear() == "published"
        stream = machine.open()
        stream.flush(10)
        assert _lane(stream)["durable"] == 100


def test_threads_share_a_group(machine: Machine) -> None:
    """Many who flush at the same time wait for few groups, and each has what it published."""
    stream = machine.make(schema=SCHEMA)
    stream.publish(ticks(1))
    stream.flush(10)
    before = flusher._done
    barrier = threading.Barrier(8)
    heads: list[tuple[int, int]] = []

    def work() -> None:
        barrier.wait()
        seq = stream.publish(ticks(1))
        assert seq is not None
        stream.flush(10)
        heads.append((seq, _lane(stream)["durable"]))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(durable > seq for seq, durable in heads)
    assert len(heads) == 8
    assert flusher._done - before <= 10


def test_a_forked_child_copies_nothing_of_its_parent(machine: Machine) -> None:
    """The lane stays the parent's; what the child publishes is its own, and on the disk too."""
    stream = machine.make(schema=SCHEMA)
    stream.publish(ticks(1))

    def work(say: Say) -> None:
        stream.publish(ticks(2))
        stream.flush(10)
        say([lane["durable"] for lane in stream.stats()["durability"]])

    with Forked(work) as child:
        assert child.hear()[1] == 1
        assert child.wait() == 0
    stream.publish(ticks(3))
    stream.flush(10)
    assert [lane["durable"] for lane in stream.stats()["durability"]] == [2, 1]
    assert [(m.lane, m.data.num_rows) for m in machine.reboot().subscribe("earliest").get_messages()] == [
        (0, 1),
        (1, 2),
        (0, 3),
    ]
