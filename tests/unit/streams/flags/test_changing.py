"""Changes that meet, and changes whose process died in the middle."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_nq.errors import FlagChanged, StoreError
from jupyter_nq.streams.flags import Places, changing, durable
from jupyter_nq.streams.flags.changing import Changes
from jupyter_nq.streams.flags.durable import read_copy
from jupyter_nq.streams.flags.page import KEY, Page
from jupyter_nq.streams.flags.record import UNFINISHED, Record, fresh_key
from tests.unit.streams.flags.conftest import Opened, me, reboot


def test_a_setting_that_was_cleared_before_its_reason_is_a_setting(
    opened: Opened, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody sees the key without a reason and clears it, before who sets it has the lock: that one still sets it."""
    flag, other = opened(), opened()
    locked = changing.locked

    @contextmanager
    def after_a_clear(page: Page) -> Iterator[None]:
        monkeypatch.setattr(changing, "locked", locked)
        assert other.state.why == UNFINISHED
        other.clear("who was that")
        assert not flag.is_set
        with locked(page):
            yield

    monkeypatch.setattr(changing, "locked", after_a_clear)
    flag.set("limit")
    assert other.is_set
    assert (other.state.why, other.state.generation) == ("limit", 2)


def test_a_key_that_comes_while_somebody_clears_stays(
    opened: Opened, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clear has looked, and writes what it has seen as cleared: the new key is another."""
    flag, other = opened(), opened()
    flag.set("limit")
    write = changing.write_copy

    def and_then_a_key(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        Page(places.page("halt")).words[KEY] = fresh_key()

    monkeypatch.setattr(changing, "write_copy", and_then_a_key)
    flag.clear("over")
    assert other.is_set
    assert flag.state.why == UNFINISHED


def test_a_setting_that_waits_for_another_one_is_not_cleared_with_that(
    opened: Opened, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is stopped, or killed, before it says why has set the flag, whoever sets and clears it meanwhile."""
    flag, reader = opened(), opened()
    stopped = fresh_key()
    copy_or_none = Changes._copy_or_none

    def and_then_a_key(changes: Changes) -> object:
        monkeypatch.setattr(Changes, "_copy_or_none", copy_or_none)
        Page(places.page("halt")).words[KEY] = stopped
        return copy_or_none(changes)

    monkeypatch.setattr(Changes, "_copy_or_none", and_then_a_key)
    flag.set("limit")
    with pytest.raises(FlagChanged, match="has not said why"):
        flag.clear("over")
    assert reader.is_set
    assert Page(places.page("halt")).words[KEY] == stopped
    assert opened().state.why == UNFINISHED
    assert read_copy(places, "halt").record.is_set  # type: ignore[union-attr]
    reader.look()
    reader.clear("seen now")
    assert not flag.is_set


def test_a_key_after_a_clear_that_was_not_read_is_seen(opened: Opened, places: Places) -> None:
    """A reader that has missed a set, a clear and the begin of another set reads set."""
    flag, other = opened(), opened()
    assert not other.is_set
    flag.set("limit")
    flag.clear("over")
    Page(places.page("halt")).words[KEY] = fresh_key()
    assert other.is_set


@pytest.mark.parametrize("has_reason", [True, False])
def test_a_set_that_died_before_the_disk_is_durable_once_somebody_opens_it(
    opened: Opened, places: Places, monkeypatch: pytest.MonkeyPatch, has_reason: bool
) -> None:
    """With its reason, or with the word that there is none."""
    flag = opened()
    page = Page(places.page("halt"))
    with monkeypatch.context() as patch:
        if has_reason:
            patch.setattr(Changes, "_keep", lambda self, page, record: "it died")
            Changes(places, "halt", me).set(page, "limit")
        else:
            page.words[KEY] = fresh_key()
    assert read_copy(places, "halt") is None
    assert flag.is_set
    opened()
    reboot(places)
    after = opened()
    assert (after.is_set, after.state.why) == (True, "limit" if has_reason else UNFINISHED)


def test_a_clear_that_died_before_memory_is_undone_once_somebody_opens_it(
    opened: Opened, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory has it set, so it is set; the disk is told so again."""
    flag = opened()
    flag.set("limit")
    page = Page(places.page("halt"))

    def dies(self: Page, record: Record) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Page, "write", dies)
        with pytest.raises(KeyboardInterrupt):
            flag.clear("over")
    copy = read_copy(places, "halt")
    assert copy is not None
    assert not copy.record.is_set
    assert page.record().is_set
    assert opened().is_set
    reboot(places)
    assert opened().state.why == "limit"


def test_a_clear_whose_last_sync_fails_leaves_the_disk_set(
    opened: Opened, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clear is refused, so a restart of the machine must not find it done."""
    flag = opened()
    flag.set("limit")

    def fails(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync_directory", fails)
        with pytest.raises(StoreError, match="Input/output"):
            flag.clear("over")
    assert flag.is_set
    copy = read_copy(places, "halt")
    assert copy is not None
    assert (copy.record.is_set, copy.record.why, len(copy.history)) == (True, "limit", 1)


def test_a_clear_of_an_older_setting_is_refused_under_the_lock(opened: Opened, places: Places) -> None:
    """Whatever a caller believes to have seen, and with a word of who came since."""
    flag = opened()
    flag.set("first")
    page = Page(places.page("halt"))
    seen = page.words[KEY]
    flag.set("second")
    with pytest.raises(FlagChanged, match="second"):
        Changes(places, "halt", me).clear(page, seen, "over")
    assert flag.is_set
