"""`clean` and flags: one that is set is never removed, whoever is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.client.flags import places_of, who_am_i
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings, load_settings
from jupyter_nq.streams.flags import Flag, Places

from .conftest import Run


@pytest.fixture
def places(store: Store) -> Iterator[Places]:
    """Give the directories of the store's flags."""
    return places_of(store.path, load_settings(store_dir=str(store.path)))


def _left(places: Places, name: str, *, is_set: bool) -> None:
    with Flag(places, name, who_am_i) as flag:
        flag.set("limit")
        if not is_set:
            flag.clear("over")


@pytest.mark.parametrize("hosted", [False, True])
def test_only_what_is_clear_and_unused_goes(run: Run, store: Store, places: Places, hosted: bool) -> None:
    """A flag that is set stays, in memory and on the disk, and so does one that somebody has open."""
    _left(places, "clear", is_set=False)
    _left(places, "halt", is_set=True)
    with ExitStack() as stack:
        if hosted:
            stack.enter_context(Session(settings=Settings(store_dir=str(store.path))))
        used = stack.enter_context(Flag(places, "used", who_am_i))
        code, said, _ = run("clean", "--store", store.path)
        assert (code, places.names()) == (1, ["clear", "halt", "used"])
        code, said, _ = run("clean", "--yes", "--store", store.path)
        assert code == 1
        assert "not held  the flag clear, which is clear" in said
        assert "refused   the flag halt: " in said
        assert f"(pid {os.getpid()})" in next(line for line in said.splitlines() if "the flag used: in use by" in line)
        assert not used.is_set
        assert places.names() == ["halt", "used"]


def test_what_only_the_disk_has_set_stays(run: Run, store: Store, places: Places) -> None:
    """After a restart nobody has opened it yet, and it is to be found by whoever does."""
    _left(places, "halt", is_set=True)
    places.page("halt").unlink()
    assert "the flag halt: the disk has it set" in run("clean", "--yes", "--store", store.path)[1]
    with Flag(places, "halt", who_am_i) as flag:
        assert flag.is_set


def test_what_cannot_be_read_stays(run: Run, store: Store, places: Places) -> None:
    """It counts as set."""
    _left(places, "halt", is_set=False)
    places.page("halt").write_bytes(b"x")
    assert "the flag halt: it cannot be read, and counts as set" in run("clean", "--yes", "--store", store.path)[1]
    assert places.page("halt").read_bytes() == b"x"


def test_a_store_with_clear_flags_goes_whole(run: Run, store: Store, places: Places) -> None:
    """Its directory, and that of the copies."""
    _left(places, "halt", is_set=False)
    places.beside("halt", "part", "0").touch()
    assert run("clean", "--yes", "--store", store.path)[0] == 0
    assert not store.path.exists()
    assert not places.disk.exists()


def test_who_has_it_mapped_all_the_same_finds_it_set(run: Run, store: Store, places: Places) -> None:
    """A reader that is no watcher, as a forked child is, does not trade on."""
    with Flag(places, "halt", who_am_i) as flag:
        assert not flag.is_set
        flag._attendance.close()
        assert "the flag halt, which is clear" in run("clean", "--yes", "--store", store.path)[1]
        assert flag.is_set


def test_listing_makes_nothing(run: Run, store: Store, places: Places, tmp_path: Path) -> None:
    """A store without flags has none afterwards."""
    run("clean", "--store", store.path)
    assert places.names() == []
    assert not places.memory.exists()
