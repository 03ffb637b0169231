"""What is kept for good stays on the disk while it is replaced, and damage there harms nothing in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_nq.buffers import Catalogue
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.client.cold import spilling
from jupyter_nq.client.session import Session
from jupyter_nq.errors import ChecksumError, StoreError, StoreFull, UnknownDataset
from jupyter_nq.testing import wait_until
from tests.unit.client.small import MIB, array, small_session

pytestmark = pytest.mark.usefixtures("disk")


def _put(session: Session) -> None:
    session.put("kept", array(2))


def _draft(session: Session) -> None:
    with session.empty("kept", "f8", 2 * MIB // 8) as draft:
        draft.numpy()[:] = 2
        draft.publish()


def _grow(session: Session) -> None:
    session.append("kept", array(2))


@pytest.mark.parametrize("on_disk_alone", [False, True])
@pytest.mark.parametrize("replace", [_put, _draft, _grow])
def test_the_disk_has_the_old_version_until_it_has_the_new_one(
    nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch, replace: Callable[[Session], None], on_disk_alone: bool
) -> None:
    """When the machine stops while the new one is written, the next store finds the old one."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
        if on_disk_alone:
            assert session.spill("kept")

        def power_cut(*arguments: Any, **options: Any) -> Any:
            session.gc()
            raise StoreFull("the disk is full")

        monkeypatch.setattr(spilling, "freeze", power_cut)
        with pytest.raises(StoreFull, match="the disk is full"):
            replace(session)
        found = [(info.name, info.version) for info in session.spilling.copies().scan()]
    assert ("kept", 1) in found


def test_a_durable_version_makes_way_in_memory_for_the_next(nq_store_dir: Path, disk: Path) -> None:
    """Room for one of them is enough, and one copy is left."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1, mib=5), durable=True)
        assert session.put("kept", array(2, mib=5)).version == 2
        assert [(row.version, row.durable) for row in session.ls()] == [(2, True)]
        assert session.status().problem is None


def test_who_appends_to_what_is_being_kept_waits(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is written by one at a time until its copy is there, so that no row is left out of it."""
    locked = []

    def freezing(*arguments: Any, **options: Any) -> Any:
        locked.append((nq_store_dir / "tmp" / "kept.write").exists())
        return real(*arguments, **options)

    real = spilling.freeze
    monkeypatch.setattr(spilling, "freeze", freezing)
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
        _draft(session)
    assert locked == [True, True]


def test_the_copy_of_a_draft_has_its_digest(nq_store_dir: Path) -> None:
    """After a restart of the machine it can be compared with it."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
        _draft(session)
    shutil.rmtree(nq_store_dir)
    with small_session(nq_store_dir) as session:
        assert session.get("kept", as_="numpy", verify="always")[0] == 2


def _damage(disk: Path) -> None:
    for path in disk.glob("*/*.cold"):
        with path.open("r+b") as file:
            file.seek(20)
            file.write(b"XXXX")


def test_a_damaged_copy_is_written_anew_from_memory(nq_store_dir: Path, disk: Path) -> None:
    """Appending repairs it; leaving memory does; and it keeps nobody else from having room."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
        _damage(disk)
        session.append("kept", np.ones(3))
        assert [(info.name, info.version) for info in session.spilling.copies().scan()] == [("kept", 2)]
        _damage(disk)
        for i in range(4):
            session.put(f"other{i}", array(i))
        assert not session.store.exists(session.store.resolve("kept"))
        assert len(session.get("kept", as_="numpy", verify="always")) == len(array(1)) + 3


def test_what_is_damaged_on_the_disk_may_be_replaced(nq_store_dir: Path, disk: Path) -> None:
    """The new version is kept for good, as the one before may have been."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
        session.spill("kept")
        _damage(disk)
        assert session.put("kept", array(2)).version == 2
    shutil.rmtree(nq_store_dir)
    with small_session(nq_store_dir) as session:
        assert session.get("kept", as_="numpy")[0] == 2


def test_what_only_left_memory_does_not_outlive_its_store(nq_store_dir: Path) -> None:
    """Its copy may be older than the rows that were lost with the memory, so the next store has durable data alone."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
        session.put("left", array(2))
        assert len(session.spill()) == 2
    shutil.rmtree(nq_store_dir)
    with small_session(nq_store_dir) as session:
        assert [row.name for row in session.ls()] == ["kept"]
        assert [info.name for info in session.spilling.copies().scan()] == ["kept"]
        with pytest.raises(UnknownDataset, match="left"):
            session.get("left")


def test_a_link_that_was_taken_away_is_made_again(nq_store_dir: Path) -> None:
    """The store is the same, and so are the datasets of which only the copies are left."""
    with small_session(nq_store_dir) as session:
        session.put("left", array(2))
        session.spill()
    (nq_store_dir / COLD).unlink()
    with small_session(nq_store_dir) as session:
        assert session.get("left", as_="numpy")[0] == 2


@pytest.mark.parametrize("hosts_in_turn", [False, True])
@pytest.mark.parametrize("replace", [_put, _draft, _grow])
def test_after_the_disk_refused_once_the_next_version_is_durable_again(
    nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch, replace: Callable[[Session], None], hosts_in_turn: bool
) -> None:
    """What was meant to be kept is, as soon as there is room: nobody says `durable=True` twice."""
    session = small_session(nq_store_dir, pool_bytes=64 * MIB)
    session.put("kept", array(1), durable=True)
    with _refusing(monkeypatch), pytest.raises(StoreFull, match="the disk is full"):
        replace(session)
    if hosts_in_turn:
        session.close()
        session = small_session(nq_store_dir, pool_bytes=64 * MIB)
    replace(session)
    assert [(row.version, row.durable) for row in session.ls()] == [(3, True)]
    session.close()


def _refuse(*_: Any, **__: Any) -> None:
    raise StoreFull("the disk is full")


@contextmanager
def _refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the disk take nothing for a while."""
    with monkeypatch.context() as patched:
        patched.setattr(spilling, "freeze", _refuse)
        yield


def test_a_held_version_is_not_kept_for_good_when_the_next_is_not_to_be(nq_store_dir: Path) -> None:
    """Whoever looks at the old version, its copy goes with the put, and no restart brings it back."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
        held = session.get("kept", as_="numpy")
        session.put("kept", array(2), durable=False)
        assert session.spilling.copies().scan() == []
        assert held[0] == 1


def test_a_put_that_failed_has_not_taken_the_only_copy_along(
    nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on the disk alone is there until a version that is not to be durable has its name."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
        assert session.spill("kept")
        with monkeypatch.context() as patched:
            patched.setattr(Catalogue, "stamp", _refuse)
            with pytest.raises(StoreFull):
                session.put("kept", array(2), durable=False)
        assert session.get("kept", as_="numpy")[0] == 1


def test_a_removed_version_leaves_the_durable_one_before_that_somebody_holds(
    nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in memory as well, for its holder."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
        held = session.get("kept", as_="numpy")
        with _refusing(monkeypatch), pytest.raises(StoreFull):
            session.put("kept", array(2))
        os.unlink(session.store.path / "obj" / session.store.resolve("kept"))
        assert session.get("kept", as_="numpy")[0] == held[0] == 1
        assert [(row.version, row.durable) for row in session.ls()] == [(1, True)]


@pytest.mark.parametrize("replace", [_put, lambda session: session.append("kept", array(2, mib=1))])
def test_what_is_removed_from_memory_by_hand_is_what_the_disk_has(
    nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch, replace: Callable[[Session], Any]
) -> None:
    """It falls back to the durable version before, as after a restart, says so, and counts on from there."""
    with small_session(nq_store_dir, pool_bytes=64 * MIB, append_reserve=3.0) as session:
        session.put("kept", array(1), durable=True)
        with _refusing(monkeypatch), pytest.raises(StoreFull, match="the disk is full"):
            replace(session)
        wait_until(lambda: len(os.listdir(nq_store_dir / "obj")) == 1)
        assert [row.version for row in session.ls()] == [2], "the coordinator has heard of it"
        (nq_store_dir / "obj" / session.store.resolve("kept")).unlink()
        found = session.get("kept", as_="numpy")
        assert (len(found), found[0]) == (len(array(1)), 1)
        assert "version 2 is lost, the disk has 1" in str(session.status().problem)
        assert session.put("kept", array(3)).version == 2
        assert [(row.version, row.durable) for row in session.ls()] == [(2, True)]


@pytest.mark.parametrize("way_out", [_put, lambda session: session.drop("kept")])
def test_a_name_of_which_a_damaged_copy_is_left_is_not_taken_for_dropped(
    nq_store_dir: Path, disk: Path, way_out: Callable[[Session], Any]
) -> None:
    """The next host keeps it and says what is wrong; a put or a drop of it gets rid of the copy."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1))
        session.spill("kept")
    _damage(disk)
    with small_session(nq_store_dir) as session:
        assert [row.name for row in session.ls()] == ["kept"]
        with pytest.raises(ChecksumError, match="cold copy"):
            session.get("kept")
        wait_until(lambda: "(kept)" in str(session.status().problem))
        damaged = [found.path for found in session.spilling.copies().damaged()]
        way_out(session)
        wait_until(lambda: not any(path.exists() for path in damaged))


def test_durable_datasets_that_the_host_did_not_look_for_are_not_mixed_up_with_new_ones(
    nq_store_dir: Path, disk: Path
) -> None:
    """After a restart one without `spill_dir` is first; a put of the same name would lose to the old one later."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
    shutil.rmtree(nq_store_dir)
    with (
        small_session(nq_store_dir, spill_dir=str(disk / "elsewhere")),
        small_session(nq_store_dir) as session,
        pytest.raises(StoreError, match=r"durable datasets \(kept\).*Set the same spill_dir"),
    ):
        session.put("kept", array(2), durable=True)
    shutil.rmtree(nq_store_dir)
    with small_session(nq_store_dir) as session:
        assert session.get("kept", as_="numpy")[0] == 1


def test_who_is_refused_by_the_disk_is_told_that_the_rows_are_there(
    nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Appending again what was appended would have it twice."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
        monkeypatch.setattr(spilling, "freeze", _refuse)
        with pytest.raises(StoreFull, match=r"version 2 of 'kept'.*do not append them again.*the disk is full"):
            session.append("kept", np.ones(3))
        assert len(session.get("kept", as_="numpy")) == len(array(1)) + 3


def test_damaged_memory_is_replaced_by_the_copy_on_the_disk(nq_store_dir: Path) -> None:
    """The message says how, before it says that the dataset is to be dropped, and with it the copy."""
    with small_session(nq_store_dir) as session:
        session.put("kept", array(1), durable=True)
        path = nq_store_dir / "obj" / session.store.resolve("kept")
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            file.write(b"damage")
        with pytest.raises(ChecksumError, match=r"try nq\.spill\('kept'\) and get it again: the disk has a copy"):
            session.get("kept", verify="always")
        session.spill("kept")
        np.testing.assert_array_equal(session.get("kept", as_="numpy", verify="always"), array(1))
