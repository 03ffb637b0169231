"""The thread that copies in groups: it runs while there is something to copy, and one that fails holds up no other."""

from __future__ import annotations

import threading
import time

from jupyter_nq.errors import NQError, StoreError
from jupyter_nq.streams.durable.flushing import Flusher
from jupyter_nq.testing import wait_until


class _Kept:
    """Counts how often it was copied."""

    def __init__(self, error: Exception | None = None) -> None:
        self.stream_id = "a"
        self.error = error
        self.flushed = self.closed = 0
        self.free = threading.Event()
        self.free.set()

    def flush(self) -> None:
        assert self.free.wait(10)
        self.flushed += 1
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1


def test_a_group_takes_everything_and_the_thread_ends_with_the_last() -> None:
    """Asked for, it comes at once; removed, a thing is copied a last time and closed."""
    flusher, kept = Flusher(), [_Kept(), _Kept()]
    entries = [flusher.add(one) for one in kept]
    assert flusher.group(None)
    assert all(one.flushed >= 1 for one in kept)
    assert flusher.of("a") == entries
    for entry in entries:
        flusher.remove(entry)
        flusher.remove(entry)
    assert [one.closed for one in kept] == [1, 1]
    wait_until(lambda: flusher._thread is None)
    assert flusher.group(time.monotonic())


def test_groups_come_by_themselves() -> None:
    """Nobody asks: a group begins every fifth of a second."""
    flusher, kept = Flusher(), _Kept()
    entry = flusher.add(kept)
    wait_until(lambda: kept.flushed >= 3)
    flusher.remove(entry)


def test_one_that_is_refused_holds_up_no_other() -> None:
    """Its error stays with it until it is copied; an error of the system is one of the store."""
    flusher, broken, sound = Flusher(), _Kept(OSError("gone")), _Kept()
    entries = [flusher.add(broken), flusher.add(sound)]
    assert flusher.group(None)
    assert isinstance(entries[0].error, StoreError)
    assert (sound.flushed > 0, entries[1].error) == (True, None)
    broken.error = NQError("still")
    assert flusher.group(None)
    assert str(entries[0].error) == "still"
    broken.error = None
    assert flusher.group(None)
    assert entries[0].error is None
    for entry in entries:
        flusher.remove(entry)


def test_a_group_that_does_not_end_is_not_waited_for() -> None:
    """The deadline holds; who asks while a group is under way waits for the next one."""
    flusher, kept = Flusher(), _Kept()
    kept.free.clear()
    entry = flusher.add(kept)
    assert not flusher.group(time.monotonic() + 0.01)
    flusher.hurry()
    done: list[int] = []
    asking = threading.Thread(target=lambda: (flusher.group(None), done.append(kept.flushed)))
    asking.start()
    wait_until(lambda: flusher._wanted > flusher._begun)
    kept.free.set()
    asking.join()
    assert done[0] >= 2
    flusher.remove(entry)


def test_one_that_is_closed_while_its_own_thread_copies_it_is_closed_once() -> None:
    """As when the garbage of a publisher is collected in the midst of a group."""
    flusher, kept = Flusher(), _Kept()
    entry = flusher.add(kept)
    inner = kept.flush

    def closing() -> None:
        entry.close()
        inner()

    kept.flush = closing  # type: ignore[method-assign]
    wait_until(lambda: kept.closed)
    assert flusher.group(None)
    assert kept.closed == 1
    flusher.remove(entry)
