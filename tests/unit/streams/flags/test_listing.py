"""Removing flags: never a setting that comes meanwhile."""

from __future__ import annotations

import fcntl

import pytest

from jupyter_nq.buffers.locks import open_lock_file, try_flock
from jupyter_nq.streams.flags import Flag, Places, listing
from jupyter_nq.streams.flags.durable import DISK_LOCK, read_copy, remove_copy
from jupyter_nq.streams.flags.listing import remove_flag
from tests.unit.streams.flags.conftest import me


def _cleared(places: Places) -> None:
    with Flag(places, "halt", me) as flag:
        flag.set("limit")
        flag.clear("over")


def test_nobody_writes_a_copy_while_it_is_removed(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one of a setting that came after the last look would go, and a restart of the machine would clear it."""
    _cleared(places)
    seen = []

    def removing(there: Places, name: str) -> None:
        with open(open_lock_file(there.disk / DISK_LOCK)) as lock:
            seen.append(try_flock(lock.fileno(), fcntl.LOCK_EX))
        remove_copy(there, name)

    monkeypatch.setattr(listing, "remove_copy", removing)
    assert remove_flag(places, "halt") is None
    assert seen == [False]
    assert read_copy(places, "halt") is None


def test_a_flag_is_set_durably_after_its_directory_was_removed(places: Places) -> None:
    """The directory goes with the last copy, and comes again with the next."""
    _cleared(places)
    assert remove_flag(places, "halt") is None
    assert not places.disk.exists()
    assert remove_flag(places, "halt") is None
    with Flag(places, "halt", me) as flag:
        assert flag.set("again").durable
    copy = read_copy(places, "halt")
    assert copy is not None
    assert copy.record.is_set
