"""Records of snapshots: whole or not there, and never overlooked."""

from __future__ import annotations

import os
import stat

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.coordinator.snapshot_events import Member, Snapshot
from jupyter_nq.coordinator.snapshot_records import SnapshotRecords
from jupyter_nq.errors import StoreError

_TAKEN = Snapshot("x", "t", 5, "somebody", (Member("a", "1" * 32, 3, 10),))


def test_a_snapshot_is_recorded_and_forgotten(store: Store) -> None:
    """A file that only its owner reads; forgetting twice is fine."""
    records = SnapshotRecords(store.path)
    assert records.read() == {}
    records.sweep()
    records.record(_TAKEN)
    assert records.read() == {"x": _TAKEN}
    assert stat.S_IMODE((store.path / "snapshots" / "x").stat().st_mode) == 0o600
    records.forget("x")
    records.forget("x")
    assert records.read() == {}
    assert "SnapshotRecords" in repr(records)


def test_what_a_dead_host_was_writing_goes(store: Store) -> None:
    """It is no snapshot, and the next one may be written in its place."""
    records = SnapshotRecords(store.path)
    records.record(_TAKEN)
    (store.path / "snapshots" / ".draft").write_text("{")
    assert list(records.read()) == ["x"]
    records.sweep()
    assert os.listdir(store.path / "snapshots") == ["x"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "label": "x"}'])
def test_a_record_that_cannot_be_read(store: Store, text: str) -> None:
    """What it keeps is not known: it is an error, which names the file."""
    (store.path / "snapshots").mkdir()
    (store.path / "snapshots" / "x").write_text(text)
    with pytest.raises(StoreError, match="snapshots/x of a snapshot cannot be read"):
        SnapshotRecords(store.path).read()


def test_a_full_store_has_no_half_of_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written whole leaves nothing."""

    def refuse(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="No space left"):
        SnapshotRecords(store.path).record(_TAKEN)
    assert os.listdir(store.path / "snapshots") == []
