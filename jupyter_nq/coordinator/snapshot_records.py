"""Snapshots that outlive a coordinator: a small JSON file for each label, in `snapshots/` of the store.

A record appears whole, by a rename, and goes by an unlink: a host that dies over it leaves a snapshot or none. What it
was writing has a name that no label has, and goes when the next one starts. A record, or something else there, that
cannot be read is left where it is, and the coordinator does not start over it in silence: what it keeps is not known.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from jupyter_nq.buffers import check_name
from jupyter_nq.coordinator.snapshot_events import Snapshot
from jupyter_nq.coordinator.snapshots import from_row, row
from jupyter_nq.errors import InvalidName, StoreError

SNAPSHOTS_NAME = "snapshots"
_DRAFT = ".draft"  # no label begins with a dot; one coordinator writes at a time
_VERSION = 1


class SnapshotRecords:
    """The records of snapshots in one store; it keeps no state of its own."""

    def __init__(self, store_path: Path) -> None:
        self._records = store_path / SNAPSHOTS_NAME

    def __repr__(self) -> str:
        return f"<SnapshotRecords in {self._records}>"

    def record(self, snapshot: Snapshot) -> None:
        """Remember a snapshot."""
        self._records.mkdir(mode=0o700, exist_ok=True)
        text = json.dumps({"format": _VERSION, **row(snapshot)}).encode()
        draft = self._records / _DRAFT
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(text)
            os.rename(draft, self._records / check_name(snapshot.label))
        except OSError:  # a full store
            draft.unlink(missing_ok=True)
            raise

    def forget(self, label: str) -> None:
        """Remove the record of a snapshot."""
        (self._records / check_name(label)).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what a dead host was writing."""
        (self._records / _DRAFT).unlink(missing_ok=True)

    def read(self) -> dict[str, Snapshot]:
        """Return the snapshots by label.

        Raises
        ------
        StoreError
            A record cannot be understood.
        """
        found = {}
        for entry in sorted(os.listdir(self._records)) if self._records.is_dir() else ():
            with contextlib.suppress(InvalidName):  # not ours
                label = check_name(entry)
                found[label] = _parsed(self._records / label)
        return found


def _parsed(path: Path) -> Snapshot:
    try:
        told = json.loads(path.read_bytes())
        if told["format"] != _VERSION:
            raise ValueError(f"it has format {told['format']!r}, this version of jupyter-nq knows {_VERSION}")
        return from_row(told)
    except (ValueError, TypeError, KeyError, OSError) as exc:
        raise StoreError(f"The record {path} of a snapshot cannot be read ({exc}). Remove it to lose it.") from exc
