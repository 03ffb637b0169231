"""What this process holds, and what the coordinator has been told of it.

Changes may come from a finalizer, in any thread and in the middle of anything, so `change` takes no lock:
it appends to a deque. Counting them up is for the owner of the channel's lock.
"""

from __future__ import annotations

from collections import deque

from jupyter_nq.coordinator import Wire

_MOST_AT_ONCE = 5000  # well below the protocol's limit of a frame

Key = tuple[str, int]


class Ledger:
    """Counts of held (object id, version)."""

    def __init__(self) -> None:
        self._changes: deque[tuple[Key, int]] = deque()
        self._counts: dict[Key, int] = {}
        self._told: set[Key] = set()

    def __repr__(self) -> str:
        return f"<Ledger {len(self._counts)} held, {len(self._told)} told, {len(self._changes)} changes>"

    @property
    def pending(self) -> bool:
        """Tell whether there are changes that nobody has looked at."""
        return bool(self._changes)

    def change(self, key: Key, step: int) -> None:
        """Count a hold (+1) or a release (-1); from any thread."""
        self._changes.append((key, step))

    def forget_told(self) -> None:
        """Another coordinator is to be told everything."""
        self._told = set()

    def announce(self, wire: Wire) -> None:
        """Tell what is held now and the coordinator does not know; quick when nothing changed."""
        if not self._changes and len(self._told) == len(self._counts):
            return
        touched = set(self._counts) if len(self._told) < len(self._counts) else set()
        while self._changes:
            key, step = self._changes.popleft()
            self._counts[key] = self._counts.get(key, 0) + step
            touched.add(key)
        add = [key for key in touched if self._counts[key] > 0 and key not in self._told]
        drop = [key for key in touched if self._counts[key] <= 0 and key in self._told]
        for key in touched:
            if self._counts[key] <= 0:
                del self._counts[key]
        self._tell(wire, add, drop)

    def _tell(self, wire: Wire, add: list[Key], drop: list[Key]) -> None:
        for start in range(0, max(len(add), len(drop)), _MOST_AT_ONCE):
            part = slice(start, start + _MOST_AT_ONCE)
            wire.tell("hold", {"add": add[part], "drop": drop[part]})
        self._told.update(add)
        self._told.difference_update(drop)
