"""What cannot be read counts as set, says why, and is cleared explicitly."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_nq.errors import ChecksumError, FlagChanged, Halted, StoreError
from jupyter_nq.streams.flags import Places
from jupyter_nq.streams.flags import record as clock
from jupyter_nq.streams.flags.making import open_page
from jupyter_nq.streams.flags.page import KEY, PAGE_BYTES, SEQ, SLOT_OFFSETS
from jupyter_nq.testing import wait_until
from tests.unit.streams.flags.conftest import Opened, reboot


def test_a_copy_that_is_damaged_while_the_flag_is_clear_is_mended_by_a_clear(opened: Opened, places: Places) -> None:
    """It would count as set after a restart of the machine, though somebody had cleared it once more."""
    flag = opened()
    flag.set("limit")
    flag.clear("over")
    copy = places.copy("halt")
    copy.write_bytes(copy.read_bytes()[:-2])
    flag.clear("over, surely")
    flag.close()
    reboot(places)
    again = opened()
    assert not again.is_set
    assert (again.state.why, again.state.generation) == ("over", 2)


def _overwrite(path: Path, offset: int, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, content, offset)
    os.close(fd)


def _replace(path: Path) -> None:
    draft = path.with_name(".other")
    shutil.copy(path, draft)
    os.rename(draft, path)


_DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "key": (lambda path: _overwrite(path, 8 * KEY, b"\1"), "somebody began to set it"),
    "zeros": (lambda path: _overwrite(path, 0, bytes(PAGE_BYTES)), "its record is damaged"),
    "magic": (lambda path: _overwrite(path, 0, b"x"), "its record is damaged"),
    "layout": (lambda path: _overwrite(path, 8, b"\2"), "its record is damaged"),
    "seq": (lambda path: _overwrite(path, 8 * SEQ, b"\xff" * 8), "its record is damaged"),
    "record": (lambda path: _overwrite(path, SLOT_OFFSETS[0] + 40, b"x"), "its record is damaged"),
    "cut": (lambda path: os.truncate(path, 100), "its file was cut to 100 bytes"),
    "empty": (lambda path: os.truncate(path, 0), "its file was cut to 0 bytes"),
    "removed": (lambda path: path.unlink(), "its file was removed"),
    "replaced": (_replace, "its file was removed"),
    "moved": (lambda path: os.rename(path, path.with_name("other")), "its file cannot be found"),
    "directory": (lambda path: shutil.rmtree(path.parent), "its file was removed"),
    "store": (lambda path: os.rename(path.parent, path.parent.with_name("gone")), "its file cannot be found"),
}


@pytest.mark.parametrize("damage", list(_DAMAGES))
def test_damage_counts_as_set_until_it_is_cleared(opened: Opened, places: Places, damage: str) -> None:
    """Who has it open reads it set, knows why, and clears what it has seen: then it works as before."""
    flag = opened()
    assert not any(flag.is_set for _ in range(100))
    inflict, why = _DAMAGES[damage]
    wait_until(lambda: clock.now_ns() >= flag._reader._fresh_until)  # cut sooner, it would end this process: FLAGS.md
    inflict(places.page("halt"))
    wait_until(lambda: flag.is_set, timeout=1.0)
    with pytest.raises(Halted, match=why):
        flag.check()
    flag.clear("looked after")
    assert not flag.is_set
    assert not opened().is_set
    flag.set("again")
    assert opened().state.why == "again"


def test_damage_that_was_not_seen_is_not_cleared(opened: Opened, places: Places) -> None:
    """The error shows it, and the next attempt clears."""
    flag = opened()
    places.page("halt").unlink()
    with pytest.raises(FlagChanged, match=r"its file was removed\. That was not seen before"):
        flag.clear("over")
    flag.clear("over")
    assert not flag.is_set


def test_who_clears_a_lost_flag_sees_what_is_there(opened: Opened, places: Places) -> None:
    """The file was made anew by somebody else, who has set it: that must be seen, too."""
    flag = opened()
    places.page("halt").unlink()
    wait_until(lambda: flag.is_set)
    assert flag.state.unreadable is not None
    opened().set("by another")
    with pytest.raises(FlagChanged, match="by another"):
        flag.clear("over")
    flag.clear("over")
    assert not flag.is_set


@pytest.mark.parametrize("damage", ["zeros", "record", "cut", "removed", "store"])
def test_a_damaged_flag_is_set_anew(opened: Opened, places: Places, damage: str) -> None:
    """To set it repairs it, for whoever opens it then."""
    flag = opened()
    flag.set("first")
    flag.clear("over")
    _DAMAGES[damage][0](places.page("halt"))
    flag.set("again")
    after = opened().state
    assert (after.is_set, after.why, after.generation) == (True, "again", 3)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\0" * PAGE_BYTES, b"\0" * 2 * PAGE_BYTES])
def test_a_file_that_is_no_page_is_opened_as_set(opened: Opened, places: Places, content: bytes) -> None:
    """The first notebook after the damage sees it as well, and may clear it."""
    places.memory.mkdir()
    places.page("halt").write_bytes(content)
    flag = opened()
    assert flag.is_set
    assert flag.state.unreadable is not None
    flag.clear("looked after")
    assert not flag.is_set


@pytest.mark.parametrize("kind", ["directory", "fifo", "link"])
def test_what_is_no_file_counts_as_set(opened: Opened, places: Places, kind: str) -> None:
    """A planted directory, pipe or link is not followed and keeps nobody waiting."""
    places.memory.mkdir()
    path = places.page("halt")
    plant = {"directory": path.mkdir, "fifo": lambda: os.mkfifo(path), "link": lambda: path.symlink_to("/dev/zero")}
    plant[kind]()
    flag = opened()
    assert flag.is_set
    with pytest.raises(Halted, match="counts as set"):
        flag.check()


@pytest.mark.parametrize("content", [b"", b"x", b"NQFLAG1 0\n[]", "cut"])
def test_a_damaged_copy_counts_as_set_when_it_is_needed(opened: Opened, places: Places, content: bytes | str) -> None:
    """Memory is the truth while it is there; after a restart nobody knows, and clearing writes a new copy."""
    flag = opened()
    flag.set("limit")
    flag.clear("over")
    path = places.copy("halt")
    path.write_bytes(path.read_bytes()[:-5] if isinstance(content, str) else content)
    with pytest.raises(ChecksumError, match="is damaged"):
        _ = flag.history
    assert not opened().is_set
    reboot(places)
    after = opened()
    assert "its copy on the disk cannot be read" in after.state.why
    after.clear("looked after")
    reboot(places)
    assert not opened().is_set


def _refuse(places: Places) -> None:
    """Make the directory of copies one in which nothing can be written, by root neither."""
    shutil.rmtree(places.disk, ignore_errors=True)
    places.disk.parent.mkdir(exist_ok=True)
    places.disk.write_text("in the way")


def test_a_disk_that_is_not_mounted_counts_as_set(opened: Opened, places: Places) -> None:
    """A link that leads nowhere is not a flag that was never set; what the disk had is there once it is mounted."""
    away = places.disk.parent.with_name("away")
    places.disk.parent.mkdir(parents=True)
    places.disk.parent.rename(away)
    places.disk.parent.symlink_to(away)
    opened().set("limit")
    away.rename(away.with_name("unmounted"))
    reboot(places)
    flag = opened()
    assert flag.is_set
    assert f"leads to {away}, which is not there" in flag.state.why
    away.with_name("unmounted").rename(away)
    assert flag.is_set
    assert "limit" in [state.why for state in opened().history]


def test_a_disk_that_refuses_keeps_nobody_from_setting_it(opened: Opened, places: Places) -> None:
    """Memory has it, with a warning, and clearing is refused; the next who opens it brings the disk up to it."""
    flag, other = opened(), opened()
    _refuse(places)
    with pytest.warns(UserWarning, match="is set, for all who read it, but a restart of the machine would end that"):
        state = flag.set("limit")
    assert (state.durable, other.is_set, other.state.durable) == (False, True, False)
    assert "in memory alone" in str(other.state)
    with pytest.raises(StoreError):
        flag.clear("over")
    assert flag.is_set
    assert other.is_set
    places.disk.unlink()
    assert opened().state.durable
    reboot(places)
    assert opened().state.why == "limit"


def test_without_a_store_the_disk_is_told(opened: Opened, places: Places) -> None:
    """Memory has no place for it: that is an error, and whoever opens the flag in a new store finds it set."""
    flag, other = opened(), opened()
    store = places.memory.parent
    shutil.rmtree(store)
    with pytest.raises(StoreError, match="has no page in memory, the disk has it set"):
        flag.set("limit")
    assert flag.is_set
    assert other.is_set
    store.mkdir()
    assert opened().state.why == "limit"


def test_a_file_that_was_removed_is_made_again_as_the_disk_has_it(opened: Opened, places: Places) -> None:
    """Whoever opens it then reads what was said last."""
    flag = opened()
    flag.set("limit")
    places.page("halt").unlink()
    assert opened().state.why == "limit"


def test_a_page_is_never_there_before_it_is_set(opened: Opened, places: Places) -> None:
    """It appears with what the disk has, and not a moment before."""
    opened().set("limit")
    reboot(places)
    page = open_page(places, "halt")
    assert (page.record().is_set, page.record().key) == (True, page.words[KEY])


def test_what_the_disk_has_set_is_set_in_memory(opened: Opened, places: Places) -> None:
    """Of another machine with the same home directory, at the next opening, and no clear passes over it."""
    here = opened()
    there = opened(where=Places(places.memory.with_name("there"), places.disk))
    there.set("on the other machine")
    assert not here.is_set
    assert opened().is_set
    assert here.is_set
    with pytest.raises(FlagChanged, match="on the other machine"):
        here.clear("over")
    here.clear("over")
    assert there.is_set  # its memory has it until somebody there clears it
    there.clear("over there, too")
