"""The mutex between threads and real processes: one holder, never a dead one, and who is none any more is told."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import jupyter_nq as nq
from jupyter_nq.client.api import opened
from jupyter_nq.client.mutex.mutex import MUTEXES, Lease, Mutex, held_by
from jupyter_nq.client.notebooks.registering import register
from jupyter_nq.client.session import Session
from jupyter_nq.errors import ChecksumError, InvalidArgument, InvalidName, LeaseLost, MutexTimeout
from jupyter_nq.testing import Child, wait_until
from jupyter_nq.testing.forked import Forked
from tests.unit.client.mutex.conftest import Clock

_HOLDS = """
from jupyter_nq.client.mutex.mutex import Mutex
lease = Mutex(sys.argv[1], "orders", lease_seconds=float(sys.argv[2])).acquire()
say(lease.token)
input()
try:
    lease.check()
    say("holds")
except Exception as exc:
    say(type(exc).__name__)
"""


def _holder(store: Path, lease_seconds: float) -> Child:
    child = Child(_HOLDS, str(store), str(lease_seconds))
    assert child.line() == "1"
    return child


class _Waiter:
    """A thread that takes a mutex, and how long that took."""

    def __init__(self, mutex: Mutex) -> None:
        self._mutex = mutex
        self.lease: Lease | None = None
        self.seconds = 0.0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        wait_until(lambda: _watches() > 0, message="the thread to wait")

    def _run(self) -> None:
        self.lease = self._mutex.acquire(60)

    def after(self, begin: float) -> float:
        """Return when it had the mutex, in seconds after a moment."""
        self.thread.join(30)
        assert self.lease is not None
        return time.monotonic() - begin


def _watches() -> int:
    """Return how many descriptors of this process watch files."""
    found = 0
    for fd in Path("/proc/self/fd").iterdir():
        try:
            found += os.readlink(fd) == "anon_inode:inotify"
        except FileNotFoundError:
            continue
    return found


def test_one_holder_at_a_time(nq_store_dir: Path) -> None:
    """The next is told who has it, and gets it once that lets go, with a greater token."""
    first, second = Mutex(nq_store_dir, "orders", timeout=0), Mutex(nq_store_dir, "orders")
    with first as lease, Forked(lambda say: _refused(second, say)) as other:
        assert lease.token == 1
        told = other.hear()
        assert told.startswith("The mutex 'orders' could not be had within 0.05 s: ")
        assert f"(pid {os.getpid()}), since 20" in told
        assert re.search(
            r"within 0\.05 s: it is held by .+ \(pid \d+\), since .+; its lease ends in [\d.]+ s\. Wait", told
        )
        assert repr(first).startswith("<Mutex orders, held by ")
    assert repr(first) == "<Mutex orders, free>"
    with second as lease:
        assert lease.token == 2
    assert sorted(path.name for path in (nq_store_dir / MUTEXES / "orders").iterdir()) == ["record"]


def _refused(mutex: Mutex, say: Any) -> None:
    try:
        mutex.acquire(0.05)
    except MutexTimeout as exc:
        say(str(exc))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself: who is not woken sleeps for a minute."""
    monkeypatch.setattr("jupyter_nq.client.mutex.waiting._LONGEST_SECONDS", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_waiter_is_woken_when_the_holder_lets_go(nq_store_dir: Path) -> None:
    """Also by another thread of its own process."""
    lease = Mutex(nq_store_dir, "orders", 600).acquire()
    waiter = _Waiter(Mutex(nq_store_dir, "orders"))
    begin = time.monotonic()
    lease.release()
    assert waiter.after(begin) < 30, "woken, not at the next look"
    assert waiter.lease is not None
    waiter.lease.release()


@pytest.mark.usefixtures("patient")
def test_a_dead_holder_is_noticed_at_once(nq_store_dir: Path) -> None:
    """It has let go when it is killed, however long its lease is."""
    with _holder(nq_store_dir, 600) as child:
        waiter = _Waiter(Mutex(nq_store_dir, "orders"))
        begin = time.monotonic()
        child.kill()
        assert waiter.after(begin) < 30, "woken, not at the next look"
    assert waiter.lease is not None
    assert waiter.lease.token == 2
    waiter.lease.release()


def test_a_lease_that_was_not_renewed_is_taken(nq_store_dir: Path) -> None:
    """While its holder is stopped; when that goes on it is told, and its end takes nothing from the next."""
    with _holder(nq_store_dir, 0.2) as child:
        os.kill(child.pid, signal.SIGSTOP)
        lease = Mutex(nq_store_dir, "orders", 600).acquire(30)
        assert lease.token == 2
        os.kill(child.pid, signal.SIGCONT)
        child.tell()
        assert child.line() == "LeaseLost"
        child.wait()
    lease.check()
    lease.release()


def test_a_lease_is_renewed(nq_store_dir: Path, clock: Clock) -> None:
    """It begins anew; one that has ended comes back if nobody took it, and is lost if somebody did."""
    first, second = Mutex(nq_store_dir, "orders", 10), Mutex(nq_store_dir, "orders", 10)
    lease = first.acquire()
    clock.go(9)
    lease.renew()
    clock.go(9)
    lease.check()
    clock.go(2)
    with pytest.raises(LeaseLost, match="has ended: anybody may take it now"):
        lease.check()
    lease.renew(100)
    clock.go(99)
    lease.check()
    clock.go(2)
    taken = second.acquire(0)
    for act in (lease.check, lease.renew, lease.release):
        with pytest.raises(
            LeaseLost, match=r"was lost: its lease ended, and with token 2, greater than 1, it went to "
        ):
            act()
    taken.check()
    taken.release()


def test_leaving_with_a_lost_lease_is_an_error(nq_store_dir: Path, clock: Clock) -> None:
    """Unless another error is under way; one that ended and that nobody took was alone all the time."""
    first, second = Mutex(nq_store_dir, "orders", 10), Mutex(nq_store_dir, "orders", 10)

    def lose(error: type[Exception] | None = None) -> None:
        with first:
            clock.go(11)
            second.acquire(0).release()
            if error is not None:
                raise error

    with first:
        clock.go(11)
    with pytest.raises(LeaseLost):
        lose()
    with pytest.raises(KeyError):
        lose(KeyError)


def test_the_wall_clock_is_nothing_to_it(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sets it an hour on, or back: the lease is as long as it was."""
    lease = Mutex(nq_store_dir, "orders", 600).acquire()
    real = time.time_ns
    for hours in (-1, 1):
        monkeypatch.setattr(time, "time_ns", lambda hours=hours: real() + hours * 3_600_000_000_000)
        lease.check()
        with Forked(lambda say: _refused(Mutex(nq_store_dir, "orders"), say)) as other:
            assert "could not be had" in other.hear()
    lease.release()


def test_processes_take_turns(nq_store_dir: Path) -> None:
    """Four that read, add one and write lose no count, and each turn has a greater token."""
    counter = nq_store_dir / "counter"
    Mutex(nq_store_dir, "orders")  # makes the store
    counter.write_text("0")

    def work(say: Any) -> None:
        mutex, tokens = Mutex(nq_store_dir, "orders"), []
        for _ in range(50):
            with mutex as lease:
                counter.write_text(str(int(counter.read_text()) + 1))
                tokens.append(lease.token)
        say(tokens)

    children = [Forked(work) for _ in range(4)]
    tokens = [child.hear() for child in children]
    for child in children:
        assert child.wait() == 0
        child.kill()
    assert counter.read_text() == "200"
    assert all(found == sorted(found) for found in tokens)
    assert sorted(token for found in tokens for token in found) == list(range(1, 201))


def test_threads_share_one_object(nq_store_dir: Path) -> None:
    """Each has a lease of its own."""
    mutex, inside, most = Mutex(nq_store_dir, "orders"), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with mutex:
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (inside, most) == (0, 1)
    assert mutex.acquire().token == 81


def test_a_thread_does_not_wait_for_itself(nq_store_dir: Path) -> None:
    """It would never end."""
    mutex = Mutex(nq_store_dir, "orders")
    with mutex, pytest.raises(InvalidArgument, match="it would wait for itself"):
        mutex.acquire()


def test_a_lease_that_is_forgotten_has_let_go(nq_store_dir: Path) -> None:
    """As one that an interrupt took from whoever was about to get it."""
    lease = Mutex(nq_store_dir, "orders", 600).acquire()
    assert held_by(nq_store_dir)["orders"] is not None
    del lease
    assert held_by(nq_store_dir) == {"orders": None}
    assert Mutex(nq_store_dir, "orders").acquire(0).token == 2


def test_an_interrupt_ends_the_wait(nq_store_dir: Path) -> None:
    """At once, and nothing is left open."""
    with _holder(nq_store_dir, 600):
        main = threading.main_thread().ident
        assert main is not None

        def interrupt() -> None:
            wait_until(lambda: _watches() > 0)
            signal.pthread_kill(main, signal.SIGINT)

        helper = threading.Thread(target=interrupt)
        helper.start()
        with pytest.raises(KeyboardInterrupt):
            Mutex(nq_store_dir, "orders").acquire()
        helper.join()
        assert _watches() == 0


def test_a_forked_child_has_no_lease(nq_store_dir: Path) -> None:
    """It cannot check, renew or let go of its parent's, and outlives its parent without having it."""
    lease = Mutex(nq_store_dir, "orders", 600).acquire()

    def work(say: Any) -> None:
        for act in (lease.check, lease.renew):
            try:
                act()
            except LeaseLost as exc:
                say(str(exc))
        lease.release()

    with Forked(work) as child:
        assert [child.hear(), child.hear()] == [
            "This process let go of the mutex 'orders', or is a fork of its holder."
        ] * 2
        assert child.wait() == 0
    lease.check()
    lease.release()
    lease.release()
    with pytest.raises(LeaseLost):
        lease.check()


def test_it_needs_no_coordinator(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No session is opened for it; with one, it is that session's store, and the holder has its registered name."""
    nq.disconnect()
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    with nq.mutex("orders", lease_seconds=600):
        assert opened() is None
        assert list(held_by(nq_store_dir)) == ["orders"]
    register(nq.connect(), "execution_engine")
    with nq.mutex("orders"):
        holder = held_by(nq_store_dir)["orders"]
        assert holder is not None
        assert holder.who == "execution_engine"
    assert held_by(nq_store_dir) == {"orders": None}
    nq.disconnect()


def test_the_coordinator_s_death_is_nothing_to_it(nq_store_dir: Path) -> None:
    """A holder keeps it, and a waiter waits."""
    code = "from jupyter_nq.client.session import Session\ns = Session(sys.argv[1])\nsay(s.channel.is_host)\ninput()"
    with Child(code, str(nq_store_dir)) as host:
        assert host.line() == "True"
        with Session(nq_store_dir), Mutex(nq_store_dir, "orders", 600) as lease:
            host.kill()
            lease.check()
            with pytest.raises(MutexTimeout):
                _from_another_thread(Mutex(nq_store_dir, "orders"), 0.05)


def _from_another_thread(mutex: Mutex, timeout: float) -> None:
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            mutex.acquire(timeout)
        except MutexTimeout as exc:
            outcome.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    raise outcome[0]


@pytest.mark.parametrize("content", [b"x", b"x" * 512, b"\0" * 512])
def test_a_damaged_record_is_refused(nq_store_dir: Path, content: bytes) -> None:
    """Its token is not known; the message says what to remove, and that helps."""
    Mutex(nq_store_dir, "orders").acquire().release()
    record = nq_store_dir / MUTEXES / "orders" / "record"
    record.write_bytes(content)
    with pytest.raises(ChecksumError, match=r"is damaged, so nobody can have the mutex\..*remove .*orders"):
        Mutex(nq_store_dir, "orders").acquire()
    record.unlink()
    record.parent.rmdir()
    assert Mutex(nq_store_dir, "orders").acquire().token == 1


def test_a_mutex_is_removed_when_nobody_has_it(nq_store_dir: Path) -> None:
    """A holder's stays."""
    mutex = Mutex(nq_store_dir, "orders")
    with mutex:
        assert not mutex.remove()
    assert mutex.remove()
    assert held_by(nq_store_dir) == {}


def test_one_whose_lease_has_ended_is_not_removed_under_its_holder(nq_store_dir: Path, clock: Clock) -> None:
    """It may renew it; were it removed, the next would have its token."""
    mutex = Mutex(nq_store_dir, "orders", lease_seconds=1)
    lease = mutex.acquire()
    clock.go(2)
    assert not mutex.remove()
    lease.renew()
    lease.check()
    lease.release()
    assert mutex.remove()


def test_a_holder_whose_mutex_was_removed_by_hand_is_none(nq_store_dir: Path) -> None:
    """The tokens began anew, and the next holder has the same one: only that has it."""
    mutex = Mutex(nq_store_dir, "orders", timeout=0)
    lost = mutex.acquire()
    shutil.rmtree(nq_store_dir / MUTEXES / "orders")
    with Mutex(nq_store_dir, "orders", timeout=0) as lease:
        assert lease.token == lost.token
        for act in (lost.check, lost.renew, lost.release):
            with pytest.raises(LeaseLost, match="was removed by hand"):
                act()
        lease.check()


@pytest.mark.parametrize("by", [os.unlink, lambda path: os.truncate(path, 0)])
def test_a_record_that_was_removed_by_hand_makes_nobody_a_second_holder(nq_store_dir: Path, by: Any) -> None:
    """Who holds it keeps it, writes the record again, and the next one has a greater token."""
    mutex, other = Mutex(nq_store_dir, "orders"), Mutex(nq_store_dir, "orders", timeout=0)
    mutex.acquire().release()
    lease = mutex.acquire()
    by(nq_store_dir / MUTEXES / "orders" / "record")
    with pytest.raises(MutexTimeout, match="somebody whose record was removed"):
        other.acquire()
    lease.check()
    lease.renew()
    lease.release()
    with other as next_one:
        assert next_one.token == 3


def test_files_are_private(nq_store_dir: Path) -> None:
    """Whatever the umask."""
    had = os.umask(0)
    try:
        with Mutex(nq_store_dir, "orders"):
            parts = [nq_store_dir / MUTEXES, *(nq_store_dir / MUTEXES).rglob("*")]
            modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in parts}
    finally:
        os.umask(had)
    assert modes == {MUTEXES: 0o700, "orders": 0o700, "record": 0o600, "held-1": 0o600}


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"name": "a/b"}, InvalidName, "a/b"),
        ({"lease_seconds": 0}, InvalidArgument, "lease_seconds=0 is no time"),
        ({"lease_seconds": float("nan")}, InvalidArgument, "lease_seconds=nan"),
        ({"lease_seconds": "10"}, InvalidArgument, "lease_seconds='10'"),
        ({"timeout": -1}, InvalidArgument, "timeout=-1 is no number of seconds"),
        ({"timeout": float("inf")}, InvalidArgument, "None waits as long as it takes"),
    ],
)
def test_what_makes_no_mutex_is_refused(
    nq_store_dir: Path, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    """Before anything is made."""
    with pytest.raises(error, match=says):
        Mutex(nq_store_dir, **{"name": "orders", **options})
    assert not (nq_store_dir / MUTEXES).exists()
