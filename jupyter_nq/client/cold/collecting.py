"""Freeing at once what nobody needs, and saying what stays and why."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from jupyter_nq.buffers import Store
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.sizes import size

_WAIT_SECONDS = 2.0
_PAUSE_SECONDS = 0.005


@dataclass(frozen=True)
class Collected:
    """What was freed."""

    objects: int
    """Versions that were replaced or dropped, and are gone now."""
    bytes: int
    """By how much the store shrank meanwhile: their memory, spare segments, what the dead left."""
    held: tuple[tuple[str, int, int, tuple[int, ...]], ...] = ()
    """What stays, because somebody holds it: name, version, bytes, and the pids that do; no pid when nobody does any
    more, and it is kept a minute for its writer."""
    kept: tuple[tuple[str, int, int, str], ...] = ()
    """What stays, because a snapshot has it: name, version, bytes, and the label."""

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Return it in a line, and one for each that is held."""
        lines = [f"freed {size(self.bytes)} ({self.objects} old or dropped versions)"]
        for name, version, nbytes, pids in self.held:
            held = f"is held by pid {', '.join(map(str, pids))}" if pids else "waits a minute for its writer"
            lines.append(f"{name} v{version}, {size(nbytes)}, {held}")
        lines += [
            f"{name} v{version}, {size(nbytes)}, is in the snapshot {label}"
            for name, version, nbytes, label in self.kept
        ]
        return "\n".join(lines)


def collect(store: Store, channel: Channel) -> Collected:
    """Have everything freed that nobody needs, and wait for it."""
    before = store.used_bytes()
    loose: list[dict[str, Any]] = channel.request("gc")["loose"]
    kept = [row for row in loose if row.get("snapshots")]  # a host of an older version has none
    loose = [row for row in loose if row not in kept]
    deadline = time.monotonic() + _WAIT_SECONDS
    waiting = [row for row in loose if not row["pids"]]
    while waiting and time.monotonic() < deadline:
        threading.Event().wait(_PAUSE_SECONDS)
        waiting = [row for row in waiting if store.exists(row["id"])]
    gone = [row for row in loose if not store.exists(row["id"])]
    held = [row for row in loose if row not in gone]
    store.pool.trim(0)
    freed = max(0, before - store.used_bytes())
    listed = tuple((row["name"], row["version"], row["bytes"], row["snapshots"][0]) for row in kept)
    return Collected(len(gone), freed, tuple(_held(store, row) for row in held), listed)


def _held(store: Store, row: dict[str, Any]) -> tuple[str, int, int, tuple[int, ...]]:
    """Return who holds an object: the processes that said so, else those in the system's list of locks."""
    return row["name"], row["version"], row["bytes"], tuple(row["pids"] or store.holders(row["id"]))
