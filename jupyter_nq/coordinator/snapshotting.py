"""The operations about snapshots: taking one, letting it go, telling which there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_nq.buffers import Catalogue, check_name
from jupyter_nq.coordinator import arguments
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.snapshot_events import (
    ForgetSnapshot,
    RecordSnapshot,
    ReleaseSnapshot,
    SnapshotAction,
    SnapshotEvent,
    TakeSnapshot,
)
from jupyter_nq.coordinator.snapshot_records import SnapshotRecords
from jupyter_nq.coordinator.snapshots import row
from jupyter_nq.errors import InvalidArgument, InvalidName, ProtocolError

LONGEST_TOKEN = 64
"""Characters of what tells one question for a snapshot from another."""


class Snapshotting:
    """What a coordinator does about snapshots.

    Parameters
    ----------
    store, desk
        What it is about.
    apply
        Moves the desk and does what follows.
    look_again
        Takes in the rows of a name that were appended by a process that died unheard.
    """

    def __init__(
        self,
        store: Catalogue,
        desk: Desk,
        apply: Callable[[SnapshotEvent], Any],
        look_again: Callable[[str], None],
    ) -> None:
        self._records = SnapshotRecords(store.path)
        self._desk = desk
        self._apply = apply
        self._look_again = look_again

    def __repr__(self) -> str:
        return f"<Snapshotting of {self._desk.snapshots!r}>"

    def take(self, peer: int, args: Mapping[str, Any]) -> Any:
        """Keep the newest versions of some names, or of all; answers with those that must be brought back before."""
        names = tuple(map(check_name, arguments.texts(args, "names")))
        label = arguments.optional_text(args, "label")
        if label is not None:
            check_label(label)
        for name in names or tuple(self._desk.versions):
            self._look_again(name)
        return self._apply(TakeSnapshot(peer, names, label, _token(args), time.time_ns()))

    def release(self, peer: int, args: Mapping[str, Any]) -> Any:
        """Let a snapshot go."""
        label = check_label(arguments.text(args, "label"))
        return self._apply(ReleaseSnapshot(peer, label, arguments.text(args, "token")))

    def rows(self) -> list[dict[str, Any]]:
        """Return all snapshots by label, with the bytes that only snapshots still keep in memory."""
        return [{**row(one), "bytes": self._replaced_bytes(one.label)} for _, one in sorted(self._taken.items())]

    def act(self, action: SnapshotAction) -> None:
        """Carry out what the desk asks for."""
        match action:
            case RecordSnapshot(snapshot):
                self._records.record(snapshot)
            case ForgetSnapshot(label):
                self._records.forget(label)

    @property
    def _taken(self) -> Mapping[str, Any]:
        return self._desk.snapshots.taken

    def _replaced_bytes(self, label: str) -> int:
        versions = self._desk.versions
        ids = {member.id for member in self._taken[label].members}
        return sum(versions.objects[id_].bytes for id_ in ids & versions.loose)


def _token(args: Mapping[str, Any]) -> str:
    token = arguments.text(args, "token")
    if not 0 < len(token) <= LONGEST_TOKEN:
        raise ProtocolError(f"The argument 'token' must have 1 to {LONGEST_TOKEN} characters.")
    return token


def check_label(label: str) -> str:
    """Return a label, or raise `InvalidArgument`: it is made of what names of datasets are made of."""
    try:
        return check_name(label)
    except InvalidName as exc:
        raise InvalidArgument(f"label: {exc}") from None
