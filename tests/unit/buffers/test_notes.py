"""Notes beside objects: replaced whole, gone with their object, and never more than a hint."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.errors import UnknownDataset, UnsupportedData
from tests.unit.buffers.child import Child


@pytest.fixture
def object_id(store: Store) -> str:
    """A published object."""
    info = store.write("a", np.ones(10))
    store.stamp(info.id, 1)
    store.link("a", info.id)
    return info.id


def test_a_note_is_replaced(store: Store, object_id: str) -> None:
    """Every reader sees the newest; it is private, and the object stays as it was."""
    assert store.annotation(object_id) is None
    store.annotate(object_id, b"first")
    with store.open("a") as handle:
        assert handle.note() == b"first"
        store.annotate(object_id, b"second" * 1000)
        assert handle.note() == store.annotation(object_id) == b"second" * 1000
    path = store.path / "notes" / object_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert store.sweep() == []
    assert store.verify(object_id)


@pytest.mark.parametrize("damage", [b"", b"NQ", b"NQNOTE01" + b"0" * 16 + b"first", b"\0" * 40])
def test_a_damaged_note_is_none(store: Store, object_id: str, damage: bytes) -> None:
    """Cut, zeroed, or another digest: as if there were no note."""
    store.annotate(object_id, b"first")
    (store.path / "notes" / object_id).write_bytes(damage)
    assert store.annotation(object_id) is None
    store.annotate(object_id, b"again")
    assert store.annotation(object_id) == b"again"


def test_a_note_that_is_no_file_is_none(store: Store, object_id: str, tmp_path: Path) -> None:
    """A link is not followed, and a directory is not read."""
    (tmp_path / "other").write_bytes(b"x")
    (store.path / "notes").mkdir()
    (store.path / "notes" / object_id).symlink_to(tmp_path / "other")
    assert store.annotation(object_id) is None
    (store.path / "notes" / object_id).unlink()
    (store.path / "notes" / object_id).mkdir()
    assert store.annotation(object_id) is None


def test_a_note_goes_with_its_object(store: Store, object_id: str) -> None:
    """Collecting the object removes it; a note of an object that went some other way is swept."""
    store.annotate(object_id, b"x")
    store.unlink("a")
    assert store.collect(object_id)
    assert list((store.path / "notes").iterdir()) == []
    (store.path / "notes" / ("1" * 32)).write_bytes(b"x")
    assert store.sweep() == [store.path / "notes" / ("1" * 32)]
    with pytest.raises(UnknownDataset, match="dropped"):
        store.annotate(object_id, b"x")


def test_a_note_has_a_limit(store: Store, object_id: str) -> None:
    """More than 1 MiB is refused and nothing is left of it."""
    store.annotate(object_id, b"first")
    with pytest.raises(UnsupportedData, match="too long"):
        store.annotate(object_id, bytes((1 << 20) + 1))
    assert store.annotation(object_id) == b"first"
    assert list((store.path / "tmp").iterdir()) == []


def test_a_killed_writer_leaves_the_note_before(store: Store, object_id: str) -> None:
    """Until the rename the old note counts; the draft is an orphan."""
    store.annotate(object_id, b"first")
    code = f"""
from jupyter_nq.buffers import notes
notes.os.rename = lambda *a: die()
store.annotate("{object_id}", b"second")
"""
    with Child(store.path, code) as child:
        assert child.wait() == -9
    assert store.annotation(object_id) == b"first"
    (orphan,) = store.sweep()
    assert orphan.suffix == ".note"
