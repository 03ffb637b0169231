"""Who has seen how a flag is: every process that has it open, and nobody who is gone."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import psutil
import pytest

from jupyter_nq.streams.flags import Flag, Places
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.streams.flags.conftest import Opened, me


def _watching(places: Places) -> Callable[[Say], None]:
    def work(say: Say) -> None:
        with Flag(places, "halt", me) as flag:
            say("open")
            say([flag.wait(60.0), flag.state.why])
            signal.pause()

    return work


def test_living_watchers_acknowledge_in_milliseconds(opened: Opened, places: Places) -> None:
    """Each by its pid, with the time from the setting; the one that was killed is not waited for."""
    flag = opened()
    with ExitStack() as stack:
        children = [stack.enter_context(Forked(_watching(places))) for _ in range(4)]
        assert [child.hear() for child in children] == ["open"] * 4
        children.pop().kill()
        flag.set("limit")
        start = time.monotonic()
        heard = flag.acknowledged(10.0)
        assert time.monotonic() - start < 5.0
        assert {one.who.pid for one in heard} == {os.getpid(), *(child.pid for child in children)}
        seconds = sorted(one.seconds for one in heard if one.seconds is not None)
        assert len(seconds) == 4
        print(f"\nacknowledged by four after {', '.join(f'{1000 * one:.2f}' for one in seconds)} ms")
        assert [child.hear() for child in children] == [[True, "limit"]] * 3


def test_a_stopped_watcher_is_named(opened: Opened, places: Places) -> None:
    """It lives, and has not seen it: that is told after the time that one waits."""
    flag = opened()
    with Forked(_watching(places)) as child:
        assert child.hear() == "open"
        os.kill(child.pid, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
        flag.set("limit")
        heard = {one.who.pid: one.seconds for one in flag.acknowledged(0.2)}
        os.kill(child.pid, signal.SIGCONT)
        assert heard[child.pid] is None
        assert heard[os.getpid()] is not None
        assert all(one.seconds is not None for one in flag.acknowledged(10.0))


def test_many_processes_set_and_see_it(opened: Opened, places: Places) -> None:
    """Each of eight sets it ten times at once: no change is lost, and each generation is one setting."""
    flag = opened()

    def sets(say: Say) -> None:
        with Flag(places, "halt", me) as own:
            for number in range(10):
                state = own.set(f"{os.getpid()} {number}")
                say([state.generation, own.is_set])

    with ExitStack() as stack:
        children = [stack.enter_context(Forked(sets)) for _ in range(8)]
        said = [one for child in children for one in child.rest()]
    assert sorted(generation for generation, _ in said) == list(range(1, 81))
    assert all(is_set for _, is_set in said)
    assert (flag.state.generation, len(flag.history)) == (80, 32)


def test_one_of_many_clears(opened: Opened, places: Places) -> None:
    """Of eight that have seen one setting, each clears it, or finds it clear: nobody is refused, one change is made."""
    flag = opened()
    flag.set("limit")

    def clears(say: Say) -> None:
        with Flag(places, "halt", me) as own:
            say(own.clear("over").generation)

    with ExitStack() as stack:
        children = [stack.enter_context(Forked(clears)) for _ in range(8)]
        assert [child.rest() for child in children] == [[2]] * 8
    assert not flag.is_set


def test_a_forked_child_reads_and_does_not_acknowledge(opened: Opened, places: Places) -> None:
    """It sees what is set after the fork, opens the flag itself when it wants to be heard, and may set it."""
    flag = opened()
    assert not flag.is_set

    def reads(say: Say) -> None:
        say(flag.is_set)
        wait_until(lambda: flag.is_set)
        say(flag.state.why)
        flag.set("by the child")

    with Forked(reads) as child:
        assert child.hear() is False
        assert [one.who.pid for one in flag.acknowledged(0.2)] == [os.getpid()]
        flag.set("limit")
        assert child.hear() == "limit"
        child.wait()
    assert flag.state.why == "by the child"


def test_a_stopped_process_delays_the_reason_and_not_the_setting(opened: Opened, places: Places) -> None:
    """Somebody holds the lock for good: it is set at once, with a warning that names who holds it."""
    flag, other = opened(), opened()
    with open(places.page("halt")) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.warns(UserWarning, match=rf"is locked by pid {os.getpid()} for more than 2 s"):
            state = flag.set("limit")
        assert (state.durable, state.is_set, other.is_set) == (False, True, True)
        assert "somebody began to set it" in other.state.why
    flag.set("again")
    assert other.state.why == "again"


def test_a_file_that_somebody_removed_is_made_again(opened: Opened, places: Places) -> None:
    """A watcher is known again within a moment, and its file goes when it is closed."""
    flag = opened()
    (path,) = places.all_beside("halt", "watcher")
    path.unlink()
    wait_until(lambda: places.all_beside("halt", "watcher"))
    flag.set("limit")
    assert [one.who for one in flag.acknowledged(5.0) if one.seconds is not None] == [me()]
    flag.close()
    assert places.all_beside("halt", "watcher") == []
