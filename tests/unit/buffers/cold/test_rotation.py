"""Rotation of master keys: the head changes, the data do not, and the old key is needed no more."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.buffers import ColdCopies, KeyRing, ObjectInfo, Store, freeze, rewrap, thaw
from jupyter_nq.buffers.cold import rotation
from jupyter_nq.buffers.cold.copies import read_head
from jupyter_nq.buffers.cold.layout import Head
from jupyter_nq.errors import ChecksumError, UnknownDataset, UnknownKey
from tests.unit.buffers.cold.objects import MASTER_KEY, cold_file, versions

OLD, NEW = KeyRing([MASTER_KEY]), KeyRing([bytes(32), MASTER_KEY])


@pytest.fixture
def info(store: Store, cold: ColdCopies) -> ObjectInfo:
    """Give an object with a copy that is encrypted with the old key."""
    info = versions(store)
    freeze(store, info.id, cold, keys=OLD, durable=True)
    return info


def _data(path: Path) -> bytes:
    with path.open("rb") as file:
        return path.read_bytes()[read_head(file.fileno(), path).chunks_offset :]


def test_the_new_key_opens_it_alone(other: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """The record says the new id; the bytes behind the head are as they were."""
    path = cold_file(cold.path, info.id)
    before, data = cold.info(info.id), _data(path)
    found = rewrap(cold, info.id, NEW)
    assert found == cold.info(info.id)
    assert (found.key_id, before.key_id) == (NEW.current_id, OLD.current_id)
    assert (found.nbytes, found.durable, found.versions) == (before.nbytes, True, before.versions)
    assert _data(path) == data
    with pytest.raises(UnknownKey, match=NEW.current_id):
        thaw(other, info.id, cold, keys=OLD)
    assert thaw(other, info.id, cold, keys=KeyRing([bytes(32)])) == info
    assert list(cold.tmp.iterdir()) == []


def test_nothing_to_do(store: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """A file that has the current key, and a plain one, are left alone."""
    path = cold_file(cold.path, info.id)
    inode = path.stat().st_ino
    rewrap(cold, info.id, OLD)
    assert path.stat().st_ino == inode
    freeze(store, info.id, cold)
    assert rewrap(cold, info.id, NEW).key_id is None


def test_what_cannot_be_rewrapped_stays(cold: ColdCopies, info: ObjectInfo) -> None:
    """Without the old key, or with a damaged head."""
    path = cold_file(cold.path, info.id)
    before = path.read_bytes()
    with pytest.raises(UnknownKey, match=OLD.current_id):
        rewrap(cold, info.id, KeyRing([bytes(32)]))
    assert path.read_bytes() == before
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), bytes([before[120] ^ 1]), 120)
    with pytest.raises(ChecksumError, match="its head is damaged"):
        rewrap(cold, info.id, NEW)


def test_a_copy_that_was_written_meanwhile_is_not_replaced(
    store: Store, cold: ColdCopies, info: ObjectInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were appended and copied after the head was read are in what gets the new key."""
    rows = store.open_id(info.id).arrow()
    read, looks = rotation.read_head, []

    def read_then_append(fd: int, path: Path) -> Head:
        head = read(fd, path)
        if not looks:
            store.append(info.id, rows.slice(0, 2))
            freeze(store, info.id, cold, keys=OLD, durable=True)
        looks.append(head.summary.rows)
        return head

    monkeypatch.setattr(rotation, "read_head", read_then_append)
    assert rewrap(cold, info.id, NEW).rows == info.rows + 2
    assert looks == [info.rows, info.rows + 2]
    assert cold.info(info.id).key_id == NEW.current_id
    assert list(cold.tmp.glob("*.part")) == []


def test_a_copy_that_was_removed_meanwhile_stays_away(
    cold: ColdCopies, info: ObjectInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset that is dropped while its key is changed does not come back."""
    copy = rotation._copy

    def copy_then_drop(*arguments: Any) -> None:
        copy(*arguments)
        cold.remove(info.id)

    monkeypatch.setattr(rotation, "_copy", copy_then_drop)
    with pytest.raises(UnknownDataset):
        rewrap(cold, info.id, NEW)
    assert not cold.exists(info.id)
