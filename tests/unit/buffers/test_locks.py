"""Build once: one builder, waiters with progress, take-over after a crash, one error for all."""

from __future__ import annotations

import contextlib
import os
import threading

import msgpack
import numpy as np
import pytest

from jupyter_nq.buffers import Store, locks
from jupyter_nq.errors import InvalidName, NQError, StoreFull, UnreadableSource
from jupyter_nq.testing import wait_until
from tests.unit.buffers.child import Child


class _EnoughError(Exception):
    """Ends a wait that only wanted to hear how far the builder is."""


def _progress(store: Store) -> float | None:
    """Return what whoever waits for `k` is told first; None also when nobody builds."""
    told: list[float | None] = []

    def waiting(fraction: float | None) -> None:
        told.append(fraction)
        raise _EnoughError

    with contextlib.suppress(_EnoughError), store.lock("k", waiting=waiting):
        return None
    return told[0]


def test_the_builder_tells_how_far_it_is(store: Store) -> None:
    """The fraction is readable while the lock is held, and gone afterwards."""
    assert _progress(store) is None
    with store.lock("k") as lock:
        assert _progress(store) is None
        lock.write_progress(0.25)
        lock.write_progress(1)
        assert _progress(store) == 1.0
    assert _progress(store) is None
    assert os.listdir(store.path / "tmp") == []


def test_keys_are_checked(store: Store) -> None:
    """A key becomes a file name."""
    with pytest.raises(InvalidName):
        store.lock("../x")


def test_one_builds_and_the_others_wait(store: Store) -> None:
    """Eight threads that want the same thing build it once."""
    built: list[int] = []
    ready = threading.Barrier(8)

    def work() -> None:
        ready.wait()
        with store.lock("k"):
            if not built:
                built.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [1]
    assert os.listdir(store.path / "tmp") == []


def test_a_waiter_sees_progress_and_follows_a_killed_builder(store: Store) -> None:
    """The fraction of the other process is shown; after kill -9 the lock is the waiter's."""
    seen: list[float | None] = []
    with Child(store.path, "lock = store.lock('k'); lock.__enter__().write_progress(0.5); say('on'); input()") as child:
        assert child.line() == "on"

        def waiting(fraction: float | None) -> None:
            seen.append(fraction)
            if len(seen) == 2:
                child.kill()

        with store.lock("k", waiting=waiting) as lock:
            assert _progress(store) is None
            lock.write_progress(0.0)
    assert seen[:2] == [0.5, 0.5]


def test_a_waiter_may_give_up(store: Store) -> None:
    """What `waiting` raises ends the wait and leaves the builder alone."""

    def waiting(fraction: float | None) -> None:
        raise KeyboardInterrupt

    with store.lock("k") as lock:
        with pytest.raises(KeyboardInterrupt), store.lock("k", waiting=waiting):
            pass
        lock.write_progress(0.5)
        assert _progress(store) == 0.5


_FAILING = """
import threading
from jupyter_nq import errors
try:
    with store.lock("k") as lock:
        say("on"); input()
        raise {error}
except BaseException:
    pass
"""


def _outcome_of_waiting(store: Store, error: str) -> str:
    """Wait for a builder that fails with `error`; "built" when the lock then is the waiter's."""
    with Child(store.path, _FAILING.format(error=error)) as child:
        assert child.line() == "on"
        told = threading.Event()

        def waiting(fraction: float | None) -> None:
            if not told.is_set():
                told.set()
                child.tell()

        try:
            with store.lock("k", waiting=waiting):
                return "built"
        except NQError as exc:
            return f"{type(exc).__name__}: {exc}"


@pytest.mark.parametrize("kind", [UnreadableSource, StoreFull])
def test_a_failure_reaches_those_who_waited(store: Store, kind: type[NQError]) -> None:
    """An error of the source or the store is raised by the waiter too; who comes later builds anew."""
    error = f"errors.{kind.__name__}('line 7 is bad')"
    assert _outcome_of_waiting(store, error) == f"{kind.__name__}: line 7 is bad"
    with store.lock("k"):
        pass


@pytest.mark.parametrize(
    "error",
    [
        "ZeroDivisionError",
        "MemoryError",
        "KeyboardInterrupt",
        "errors.NQError('mine')",
        "errors.CoordinatorUnavailable('mine')",
        "errors.StoreError('too many open files')",
    ],
)
def test_a_builders_own_trouble_is_nobody_elses(store: Store, error: str) -> None:
    """A callback that raises, no memory, no coordinator: the waiter builds."""
    assert _outcome_of_waiting(store, error) == "built"


def test_writers_of_one_name_take_turns(store: Store) -> None:
    """The second writer waits for the first, and a failure of the first is none of its business."""
    code = (
        "try:\n    with store.writing('a'):\n        say('on'); input(); raise errors.StoreFull('no')\n"
        "except errors.StoreFull: pass\nsay('off'); input()"
    )
    with Child(store.path, "from jupyter_nq import errors\n" + code) as child:
        assert child.line() == "on"
        with store.writing("b"):
            child.tell()
        with store.writing("a"):
            assert child.line() == "off"
    assert os.listdir(store.path / "tmp") == []


def test_a_dead_builders_file_is_swept(store: Store) -> None:
    """A lock file that nobody holds is an orphan; one that is held is not."""
    with Child(store.path, "lock = store.lock('k'); lock.__enter__(); say('on'); input()") as child:
        assert child.line() == "on"
        assert store.sweep() == []
        child.kill()
        wait_until(lambda: store.sweep() == [store.path / "tmp" / "k.build"], message="the orphan")


def test_a_record_that_is_no_record_is_no_progress(store: Store) -> None:
    """Strange bytes in a lock file are neither progress nor an error, and an unknown error is not raised."""
    for content in (b"\xc1", b"\x01", b"\x81", msgpack.packb({"fraction": "x"}), msgpack.packb({"error": [1, 2]})):
        with store.lock("k"):
            (store.path / "tmp" / "k.build").write_bytes(content)
            assert _progress(store) is None


def test_a_forked_worker_keeps_no_lock(store: Store) -> None:
    """A worker that outlives its killed builder holds nothing: the waiter builds."""
    code = """
lock = store.lock("k")
lock.__enter__()
if os.fork() == 0:
    say("forked")
    sys.stdin.read()  # until the test lets the pipe go
    os._exit(0)
sys.stdin.read()
"""
    with Child(store.path, code) as child:
        assert child.line() == "forked"
        assert _progress(store) is None
        child.kill()
        with store.lock("k"):
            pass


def test_unwinding_in_a_forked_child_leaves_the_parents_lock(store: Store) -> None:
    """A child that leaves the builder's block with an error neither removes nor frees what is the parent's."""
    try:
        with store.lock("k") as lock:
            pid = os.fork()
            lock.write_progress(0.9 if pid == 0 else 0.5)
            if pid == 0:
                raise NQError("only mine")
            os.waitpid(pid, 0)
            assert _progress(store) == 0.5
            assert store.sweep() == []
    except NQError:
        os._exit(0)


@pytest.mark.parametrize("stage", ["own", "disown"])
def test_an_interrupt_leaves_no_lock_open(store: Store, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that comes just after the lock was taken, nor one while it is given back."""

    def interrupt(fd: int) -> None:
        raise KeyboardInterrupt

    def use(what: contextlib.AbstractContextManager[object]) -> None:
        with what:
            pass

    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(locks, stage, interrupt)
        for what in (store.lock("k"), store.writing("n")):
            with pytest.raises(KeyboardInterrupt):
                use(what)
        with pytest.raises(KeyboardInterrupt):
            store.write("a", np.ones(3))
    assert len(os.listdir("/proc/self/fd")) == before
    use(store.lock("k"))
    use(store.writing("n"))


def test_a_write_that_is_forked_keeps_its_file(store: Store) -> None:
    """A child forked in the middle of a write, and unwound there, takes nothing from it."""

    def fork_once(fraction: float) -> None:
        if fraction < 1:
            pid = os.fork()
            if pid == 0:
                raise _InChildError
            os.waitpid(pid, 0)

    try:
        info = store.write("a", np.ones(1 << 18), progress=fork_once)
    except _InChildError:
        os._exit(0)
    assert store.verify(info.id)


class _InChildError(BaseException):
    """Unwinds the child's copy of the write."""
