"""Snapshots that outlive a coordinator: a small JSON file for each label, in `snapshots/` of the store.

A record appears whole, by a rename, and goes by an unlink: a host that dies over it leaves a snapshot or none. What it
was writing has a name that no label has, and goes when the next one starts. A record, or something else there, that
cannot be read is left where it is, and counts as a snapshot of all that it may have: of whatever is no younger than it.
Somebody who has been told so can release it.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from jupyter_nq.buffers import check_name
from jupyter_nq.coordinator.events import StoredObject
from jupyter_nq.coordinator.snapshot_events import Member, Snapshot
from jupyter_nq.coordinator.snapshots import from_row, row
from jupyter_nq.errors import InvalidName

SNAPSHOTS_NAME = "snapshots"
UNREADABLE = "nobody known"
_MOST_BYTES = 64 << 20  # 64 MiB: more than the names of a request fill
_SLACK_NS = 3600 * 10**9  # an hour: the clock may have been set back
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

    def read(self, there: Iterable[StoredObject] = ()) -> dict[str, Snapshot]:
        """Return the snapshots by label.

        Parameters
        ----------
        there
            The objects in memory, of which one whose record cannot be read has all that it may have.
        """
        objects, found = list(there), {}
        for entry in sorted(os.listdir(self._records)) if self._records.is_dir() else ():
            with contextlib.suppress(InvalidName, FileNotFoundError):  # not ours; released meanwhile
                label = check_name(entry)
                found[label] = _read(self._records / label, objects)
        return found


def _read(path: Path, objects: list[StoredObject]) -> Snapshot:
    try:
        return _parsed(path.name, _content(path))
    except FileNotFoundError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as exc:
        at_ns = path.lstat().st_mtime_ns
        may_have = [one for one in objects if one.version and one.created_ns <= at_ns + _SLACK_NS]
        trouble = (
            f"The record {path} of a snapshot cannot be read ({exc}). Until somebody releases the snapshot "
            f"{path.name!r}, all stays that it may have: {len(may_have):,} objects."
        )
        members = tuple(Member(one.name, one.id, one.version, one.rows) for one in may_have)
        return Snapshot(path.name, "", at_ns, UNREADABLE, members, trouble)


def _content(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        there = os.fstat(fd)
        if not stat.S_ISREG(there.st_mode) or there.st_size > _MOST_BYTES:
            raise ValueError(f"it is no file of at most {_MOST_BYTES:,} bytes")
        return file.read(_MOST_BYTES)


def _parsed(label: str, content: bytes) -> Snapshot:
    told = json.loads(content)
    if told["format"] != _VERSION:
        raise ValueError(f"it has format {told['format']!r}, this version of jupyter-nq knows {_VERSION}")
    found = from_row(told)
    if found.label != label:
        raise ValueError(f"it is that of {found.label!r}")
    return found
