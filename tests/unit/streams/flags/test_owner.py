"""A dead man's switch: the owner beats, releases, hangs or dies."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable

import pytest

from jupyter_nq.errors import FlagBusy, Halted, InvalidArgument
from jupyter_nq.streams.flags import Flag, Places
from jupyter_nq.streams.flags import owner as owning
from jupyter_nq.streams.flags import record as clock
from jupyter_nq.streams.flags.background import background
from jupyter_nq.streams.flags.page import DEADLINE_NS, Page
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.streams.flags.conftest import Opened, me, reboot

_SECONDS = 0.6


def _owning(places: Places, seconds: float = _SECONDS, beat: str = "thread") -> Callable[[Say], None]:
    """Return the work of a child that owns the flag until it is killed."""

    def work(say: Say) -> None:
        flag = Flag(places, "halt", me)
        flag.own(seconds, beat)
        say("owns")
        signal.pause()

    return work


def test_an_owner_that_beats_keeps_it_clear(opened: Opened) -> None:
    """For several times its seconds, and after its release for good."""
    flag, other = opened(), opened()
    flag.own(0.2)
    start = time.monotonic()
    wait_until(lambda: other.is_set or time.monotonic() > start + 0.8)
    assert not other.is_set
    owner = other.state.owner
    assert owner is not None
    assert (owner.who, owner.seconds) == (me(), 0.2)
    flag.release()
    wait_until(lambda: other.is_set or time.monotonic() > start + 1.6)
    assert not other.is_set
    assert other.state.owner is None


def test_a_killed_owner_sets_it_within_its_seconds(opened: Opened, places: Places) -> None:
    """A reader that does nothing but read finds that, latches it, and says who died."""
    with Forked(_owning(places, 5.0)) as child:
        assert child.hear() == "owns"
        flag = opened()
        assert not flag.is_set
        os.kill(child.pid, signal.SIGKILL)
        start = time.monotonic()
        child.wait()
        wait_until(lambda: flag.is_set, timeout=5.0)
    print(f"\na killed owner of 5 s is noticed after {time.monotonic() - start:.3f} s")
    assert f"its owner test (pid {child.pid}) ended without a release" in flag.state.why
    assert flag.state.owner is None
    wait_until(lambda: flag.state.durable)
    flag.clear("looked after")
    assert not flag.is_set


def test_a_stopped_owner_sets_it_at_its_deadline(opened: Opened, places: Places) -> None:
    """It lives, and its lock is held: its heartbeat alone tells, and going on takes nothing back."""
    with Forked(_owning(places)) as child:
        assert child.hear() == "owns"
        flag = opened()
        os.kill(child.pid, signal.SIGSTOP)
        start = time.monotonic()
        wait_until(lambda: flag.is_set, timeout=_SECONDS + 5.0)
        assert time.monotonic() - start > _SECONDS / 5
        os.kill(child.pid, signal.SIGCONT)
        assert f"gave no sign of life for {_SECONDS:g} s" in flag.state.why
        assert flag.is_set


@pytest.mark.parametrize("ending", ["return", "close"])
def test_an_end_without_release_sets_it(opened: Opened, places: Places, ending: str) -> None:
    """The normal end of a process counts, and closing the flag."""

    def work(say: Say) -> None:
        flag = Flag(places, "halt", me)
        flag.own(30.0)
        if ending == "close":
            flag.close()
            say("closed")
            signal.pause()

    with Forked(work) as child:
        child.hear()
        flag = opened()
        wait_until(lambda: flag.is_set, timeout=5.0)
        assert "ended without a release" in flag.state.why


def test_a_child_of_a_killed_owner_keeps_nothing_alive(opened: Opened, places: Places) -> None:
    """It has no part in the owner's lock, and does not beat."""

    def work(say: Say) -> None:
        flag = Flag(places, "halt", me)
        flag.own(30.0)
        child = os.fork()
        if child == 0:
            signal.pause()
        say(child)
        signal.pause()

    with Forked(work) as owner:
        grandchild = owner.hear()
        try:
            flag = opened()
            assert not flag.is_set
            os.kill(owner.pid, signal.SIGKILL)
            wait_until(lambda: flag.is_set, timeout=5.0)
        finally:
            os.kill(grandchild, signal.SIGKILL)


def test_a_manual_beat_keeps_it_clear_and_a_late_one_halts(opened: Opened) -> None:
    """The thread does not beat for it; who comes too late is told so, and cannot take it back."""
    flag, other = opened(), opened()
    flag.own(0.3, "manual")
    start = time.monotonic()
    while time.monotonic() < start + 0.6:
        flag.beat()
    assert not other.is_set
    wait_until(lambda: clock.now_ns() > flag._reader._words[DEADLINE_NS])
    with pytest.raises(Halted):
        flag.beat()
    assert other.is_set
    with pytest.raises(Halted):
        flag.release()


def test_a_glance_just_before_the_deadline_is_not_trusted_after_it(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for the few microseconds for which one is good otherwise."""
    flag, other = opened(), opened()
    for one in (flag, other):
        background.remove(one)
    flag.own(0.2, "manual")
    background.remove(flag)
    deadline_ns = Page(flag._places.page("halt")).words[DEADLINE_NS]
    at = [deadline_ns - 60_000_000]
    monkeypatch.setattr(clock, "now_ns", lambda: at[0])
    monkeypatch.setattr(owning, "now_ns", lambda: at[0])
    assert not other.state.is_set
    at[0] = deadline_ns - 1_000
    assert not other.is_set
    at[0] = deadline_ns + 1
    assert other.is_set


@pytest.mark.parametrize("by_reader", [True, False])
def test_a_deadline_is_kept_to_the_moment(opened: Opened, by_reader: bool) -> None:
    """A reader finds that it has passed without any look of a thread, and a beat of the owner does not move it then."""
    flag, other = opened(), opened()
    for one in (flag, other):
        background.remove(one)
    flag.own(0.2, "manual")
    background.remove(flag)
    assert not other.is_set
    words = Page(flag._places.page("halt")).words
    while clock.now_ns() <= words[DEADLINE_NS]:
        _ = by_reader and other.is_set
    if by_reader:
        assert other.is_set
    else:
        with pytest.raises(Halted, match="was late with its own heartbeat"):
            flag.beat()
    assert flag.is_set


def test_only_an_owner_beats(opened: Opened) -> None:
    """Whoever is none is told how to be one."""
    flag = opened()
    with pytest.raises(FlagBusy, match=r"nq\.flag\('halt', deadman=5\)"):
        flag.beat()
    with pytest.raises(FlagBusy):
        flag.release()


def test_there_is_one_owner(opened: Opened, places: Places) -> None:
    """A second process is refused by the pid of the first; the first may change its seconds."""
    with Forked(_owning(places, 30.0)) as child:
        assert child.hear() == "owns"
        with pytest.raises(FlagBusy, match=f"pid {child.pid} already"):
            opened().own(5.0)
    flag = opened("other")
    flag.own(5.0)
    flag.own(5.0)
    flag.own(7.0)
    assert flag.state.owner is not None
    assert flag.state.owner.seconds == 7.0
    assert not flag.is_set
    flag.release()


def test_the_next_owner_finds_that_the_last_one_died(opened: Opened, places: Places) -> None:
    """Its death is latched before the next one beats."""
    with Forked(_owning(places, 30.0)) as child:
        assert child.hear() == "owns"
    flag = opened()
    flag.own(30.0)
    assert flag.is_set
    assert "ended without a release" in flag.state.why
    assert flag.state.owner is not None
    flag.clear("looked after")
    assert not flag.is_set
    flag.release()


def test_setting_and_clearing_keep_the_owner(opened: Opened, places: Places) -> None:
    """Who halts and goes on is still watched."""
    with Forked(_owning(places, 30.0)) as child:
        assert child.hear() == "owns"
        flag = opened()
        flag.set("a moment")
        flag.clear("over")
        assert not flag.is_set
        assert flag.state.owner is not None
        child.kill()
        wait_until(lambda: flag.is_set)


def test_a_machine_that_dies_with_its_owner_comes_back_halted(opened: Opened, places: Places) -> None:
    """The disk knows that somebody was to beat, and that it released it."""
    flag = opened()
    flag.own(30.0)
    reboot(places)
    after = opened()
    assert "had not released it when memory was lost" in after.state.why
    after.clear("looked after")
    after.own(30.0)
    after.release()
    reboot(places)
    assert not opened().is_set


def test_a_damaged_deadline_counts_as_missed(opened: Opened, places: Places) -> None:
    """One that no beat could have put there."""
    flag, other = opened(), opened()
    flag.own(5.0, "manual")
    Page(places.page("halt")).words[DEADLINE_NS] = 1 << 63
    wait_until(lambda: other.is_set)
    assert "is damaged" in other.state.why


@pytest.mark.parametrize("seconds", [0, 0.1, -1, float("nan"), float("inf"), True, "5", None])
def test_odd_seconds_are_refused(opened: Opened, seconds: object) -> None:
    """Nothing else than a number of seconds, and nobody is the owner then."""
    with pytest.raises(InvalidArgument, match="deadman="):
        opened().own(seconds)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"beat='threads' is none of thread, manual\. Did you mean 'thread'"):
        opened().own(5.0, "threads")
    assert opened().state.owner is None


def test_whoever_looks_does_not_keep_the_owner_from_its_lock(opened: Opened, places: Places) -> None:
    """The lock that a look takes for an instant is waited for."""
    flag = opened()
    path = places.beside("halt", "owner")
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)
    with pytest.raises(FlagBusy):
        flag.own(5.0)
    os.close(fd)
    flag.own(5.0)
    flag.release()
