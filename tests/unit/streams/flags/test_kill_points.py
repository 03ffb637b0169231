"""Setting and clearing killed at each of their system calls: it is as before or set, and never clear after a set."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from jupyter_nq.streams.flags import Places, State
from jupyter_nq.streams.flags.changing import Changes
from jupyter_nq.streams.flags.listing import flag_state
from jupyter_nq.streams.flags.reading import Reader, read_state
from jupyter_nq.testing import syscalls
from tests.unit.streams.flags.conftest import me, reboot

pytestmark = pytest.mark.usefixtures("light_children")


@pytest.fixture
def together(nq_store_dir: Path) -> Places:
    """Give both directories below one, whose system calls are followed."""
    if not syscalls.available():
        pytest.skip("strace is not here, or may not attach")
    return Places(nq_store_dir / "flags", nq_store_dir / "disk")


def _set(places: Places, why: str) -> None:
    """Do what `Flag.set` does, in one thread."""
    changes = Changes(places, "halt", me)
    assert changes.set(changes.open(), why).trouble is None


def _clear(places: Places, why: str) -> None:
    changes = Changes(places, "halt", me)
    key = read_state(Reader(places, "halt", changes))[1]
    changes.clear(changes.open(), key, why)


def _now_and_after_a_restart(places: Places) -> tuple[State, State]:
    now = flag_state(places, "halt", me)
    reboot(places)
    return now, flag_state(places, "halt", me)


def test_a_set_killed_at_its_system_calls(together: Places) -> None:
    """Before it returned the flag is clear or set, in memory and on the disk; a whole set is both."""
    start = time.monotonic()
    _set(together, "before")
    _clear(together, "over")
    found = syscalls.points(lambda: _set(together, "x"), together.memory.parent)
    seen = set()
    for number, point in enumerate(found):
        _set(together, "before")
        _clear(together, "over")
        assert syscalls.killed_at(lambda number=number: _set(together, f"killed {number}"), point), point  # type: ignore[misc]
        now, after = _now_and_after_a_restart(together)
        assert (now.unreadable, after.unreadable) == (None, None), point
        assert after.is_set == now.is_set, point  # to look at it has brought the disk up to it
        assert now.why in (
            "over",
            f"killed {number}",
            "somebody began to set it, and has not said why, or died before that",
        )
        seen.add(now.is_set)
    _set(together, "whole")
    reboot(together)
    assert flag_state(together, "halt", me).why == "whole"
    print(f"\n{len(found)} system calls of a set in {time.monotonic() - start:.1f} s")
    assert seen == {True, False}


def test_a_set_that_returned_is_set_whatever_is_killed_then(together: Places) -> None:
    """Another process that dies over a second set, at any call, takes nothing of the first along."""
    _set(together, "first")
    found = syscalls.points(lambda: _set(together, "x"), together.memory.parent)
    for point in found[::2]:
        assert syscalls.killed_at(lambda: _set(together, "second"), point), point
        now, after = _now_and_after_a_restart(together)
        assert now.is_set, point
        assert after.is_set, point


def test_a_clear_killed_at_its_system_calls(together: Places) -> None:
    """It is set until the last of them but for the bell; a restart of the machine finds what memory had said."""
    _set(together, "first")
    found = syscalls.points(lambda: _clear(together, "x"), together.memory.parent)
    seen = set()
    for point in found:
        _set(together, "limit")
        assert syscalls.killed_at(lambda: _clear(together, "over"), point), point
        now, after = _now_and_after_a_restart(together)
        assert after.is_set == now.is_set, point
        seen.add(now.is_set)
    assert True in seen


def test_a_first_opening_killed_at_its_system_calls(together: Places) -> None:
    """A page made from what the disk has set is there whole, or not at all."""
    _set(together, "limit")
    changes = Changes(together, "halt", me)

    def opens() -> None:
        changes.open()

    reboot(together)
    found = syscalls.points(opens, together.memory.parent)
    for point in found:
        reboot(together)
        assert syscalls.killed_at(opens, point), point
        state = flag_state(together, "halt", me)
        assert (state.is_set, state.why, state.unreadable) == (True, "limit", None), point
    assert {path.name for path in together.memory.iterdir()} == {"halt"}
