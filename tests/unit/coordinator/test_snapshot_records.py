"""Records of snapshots: whole or not there, and never overlooked."""

from __future__ import annotations

import json
import os
import stat
from typing import Any

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.coordinator.snapshot_events import Member, Snapshot
from jupyter_nq.coordinator.snapshot_records import SnapshotRecords
from jupyter_nq.coordinator.snapshots import row
from tests.unit.coordinator.desks import stored

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


_WHOLE: dict[str, Any] = {"format": 1, **row(_TAKEN)}
_MEMBER = {"name": "a", "id": "1" * 32, "version": 3, "rows": 10}


@pytest.mark.parametrize(
    "told",
    [
        "",
        "{}",
        "[]",
        "[" * 100_000,
        '{"format": 2}',
        '{"format": 1, "label": "x"}',
        {**_WHOLE, "label": "y"},
        {**_WHOLE, "token": 5},
        {**_WHOLE, "members": [{**_MEMBER, "version": "3"}]},
        {**_WHOLE, "members": [{**_MEMBER, "rows": -1}]},
        {**_WHOLE, "members": [{**_MEMBER, "id": "../../x"}]},
        {**_WHOLE, "members": [{**_MEMBER, "name": "../x"}]},
        {**_WHOLE, "members": "x"},
    ],
)
def test_a_record_that_cannot_be_read(store: Store, told: Any) -> None:
    """It counts as a snapshot of all that it may have: of what is no younger, as far as clocks tell."""
    directory = store.path / "snapshots"
    directory.mkdir()
    (directory / "x").write_text(told if isinstance(told, str) else json.dumps(told))
    os.utime(directory / "x", ns=(500, 500))
    hour_ns = 3600 * 10**9
    older = stored("1", "a", first=3, created_ns=500 + hour_ns)
    younger, unsealed = stored("2", "a", first=4, created_ns=501 + hour_ns), stored("3")
    found = SnapshotRecords(store.path).read([older, younger, unsealed])
    assert found["x"].members == (Member("a", "1", 3, 10),)
    assert f"{directory}/x of a snapshot cannot be read (" in found["x"].trouble
    assert (directory / "x").exists()


def test_what_is_no_file_is_not_waited_for(store: Store) -> None:
    """A pipe, a directory, a link that leads nowhere, a file without permission: each is one that cannot be read."""
    directory = store.path / "snapshots"
    directory.mkdir()
    os.mkfifo(directory / "pipe")
    (directory / "directory").mkdir()
    (directory / "link").symlink_to("/nowhere")
    records = SnapshotRecords(store.path)
    records.record(_TAKEN)
    found = records.read()
    assert sorted(label for label, one in found.items() if one.trouble) == ["directory", "link", "pipe"]
    assert found["x"] == _TAKEN


def test_a_full_store_has_no_half_of_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written whole leaves nothing."""

    def refuse(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="No space left"):
        SnapshotRecords(store.path).record(_TAKEN)
    assert os.listdir(store.path / "snapshots") == []
