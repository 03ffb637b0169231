"""Snapshots as the desk knows them: which versions stay although a newer one has their name, or none.

What a snapshot has stays in memory, as what is pinned does: it neither goes when it is replaced or dropped, nor leaves
for the disk. So a dataset that is on the disk alone is brought back first, by who asks for the snapshot, and then asked
for again: all versions are taken in one step of the desk, and nothing has been taken before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_nq.buffers.names import check_name, is_object_id
from jupyter_nq.coordinator.events import DAMAGED, Reply, StoredObject
from jupyter_nq.coordinator.snapshot_events import Member, ReleaseSnapshot, Snapshot, TakeSnapshot
from jupyter_nq.coordinator.versions import Versions
from jupyter_nq.errors import StoreError

MOST_SNAPSHOTS = 1000


class Snapshots:
    """The snapshots of a store. Only the desk changes them."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self.taken: dict[str, Snapshot] = {}
        self._labels: dict[str, list[str]] = {}  # object id -> the snapshots that have a version of it

    def __repr__(self) -> str:
        return f"<Snapshots {', '.join(self.taken) or 'none'}>"

    def keeps(self, id_: str) -> bool:
        """Tell whether a snapshot has a version of an object."""
        return id_ in self._labels

    def labels_of(self, id_: str) -> list[str]:
        """Return the snapshots that have a version of an object."""
        return self._labels.get(id_, [])

    def restore(self, taken: Mapping[str, Snapshot]) -> None:
        """Let these be the snapshots, and no others."""
        self.taken = dict(taken)
        self._labels = {}
        for label, snapshot in self.taken.items():
            for member in snapshot.members:
                self._labels.setdefault(member.id, []).append(label)

    def repeated(self, event: TakeSnapshot) -> Snapshot | None:
        """Return the snapshot that this very question got before; its answer may have been lost."""
        return next((snapshot for snapshot in self.taken.values() if snapshot.token == event.token), None)

    def chosen(self, event: TakeSnapshot) -> list[StoredObject]:
        """Return the newest objects that an event means.

        Raises
        ------
        UnknownDataset
        StoreError
            There is nothing to take, one is damaged, its label is that of another snapshot, or there are too many.
        """
        if len(self.taken) >= MOST_SNAPSHOTS:
            raise StoreError(f"There are {len(self.taken):,} snapshots already. Release some first: nq.snapshots().")
        if event.label in self.taken:
            there = self.taken[event.label]
            raise StoreError(
                f"There is a snapshot {event.label!r} already, by {there.who}. Release it first, or give another label."
            )
        chosen = [self._versions.newest(name) for name in dict.fromkeys(event.names or self._versions)]
        if not chosen:
            raise StoreError("There is nothing to take a snapshot of: the store is empty.")
        damaged = [stored.name for stored in chosen if stored.kind == DAMAGED]
        if damaged:
            raise StoreError(f"Damaged is {', '.join(damaged)}. Drop it, or name the datasets of the snapshot.")
        return chosen

    def take(self, event: TakeSnapshot, chosen: list[StoredObject], who: str) -> Snapshot:
        """Keep these objects in the versions that they have now."""
        members = tuple(Member(stored.name, stored.id, stored.version, stored.rows) for stored in chosen)
        label = event.label or self._free_label()
        taken = Snapshot(label, event.token, event.at_ns, who, members)
        self.restore({**self.taken, label: taken})
        return taken

    def release(self, event: ReleaseSnapshot) -> Snapshot | None:
        """Let a snapshot go; None when that was done before."""
        there = self.taken.get(event.label)
        if there is None or there.token != event.token:
            return None
        self.restore({label: other for label, other in self.taken.items() if label != event.label})
        return there

    def _free_label(self) -> str:
        number = 1
        while f"snapshot-{number}" in self.taken:
            number += 1
        return f"snapshot-{number}"


def row(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as plain values, for the wire and for its record."""
    members = [{"name": m.name, "id": m.id, "version": m.version, "rows": m.rows} for m in snapshot.members]
    who = {"label": snapshot.label, "token": snapshot.token, "at_ns": snapshot.at_ns, "who": snapshot.who}
    return {**who, "members": members}


def from_row(told: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot that `row` made plain; raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    members = tuple(
        Member(check_name(m["name"]), _id(m["id"]), _whole(m["version"]), _whole(m["rows"])) for m in told["members"]
    )
    return Snapshot(check_name(told["label"]), _text(told["token"]), _whole(told["at_ns"]), _text(told["who"]), members)


def _id(value: Any) -> str:
    if not is_object_id(_text(value)):
        raise ValueError(f"{value!r} is no id of an object")
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r} is no count")
    return value


def answer(snapshot: Snapshot) -> Reply:
    """Return the answer to who asked for a snapshot."""
    return Reply(row(snapshot))
