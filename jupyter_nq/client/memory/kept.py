"""What one pool has stored: its bytes, its order, and which goes first when room is needed.

A policy is a sort key. `Kept` is plain state; the pool's lock guards it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from jupyter_nq.errors import InvalidArgument, nearest


@dataclass(frozen=True)
class Item:
    """One dataset as this pool stored it."""

    name: str
    id: str
    """Of its object: a dataset that somebody else puts under the name has another."""
    bytes: int
    """Of shared memory; it counts against the pool while it is not spilled."""
    stored: int
    """Counts up with each `add`."""
    used: int
    """Counts up with each `add` and each use."""
    uses: int
    """How often this pool retrieved it."""
    spilled: bool = False
    """Whether it is on the disk alone, as the store told last."""


_ORDERS: Mapping[str, Any] = {
    "lru": lambda item: item.used,
    "lfu": lambda item: (item.uses, item.used),
    "fifo": lambda item: item.stored,
}
POLICIES = tuple(_ORDERS)
"""Least recently used first, least often used first, first stored first."""


def checked_policy(policy: Any) -> str:
    """Return `policy` when it is one of `POLICIES`; else raise `InvalidArgument`.

    >>> checked_policy("lru")
    'lru'
    """
    if policy not in POLICIES:
        hint = nearest(policy, POLICIES) if isinstance(policy, str) else ""
        raise InvalidArgument(f"eviction_policy={policy!r} is none of {', '.join(POLICIES)}.{hint}")
    return str(policy)


class Kept:
    """The items of one pool by name."""

    def __init__(self, policy: str) -> None:
        self.policy = checked_policy(policy)
        self._items: dict[str, Item] = {}
        self._turns = count()

    def add(self, name: str, id_: str, nbytes: int) -> None:
        """Take a dataset that was stored just now, in the place of an older one of the name."""
        turn = next(self._turns)
        self._items[name] = Item(name, id_, nbytes, stored=turn, used=turn, uses=0)

    def use(self, name: str) -> None:
        """Remember that a dataset was asked for; one that this pool did not store is no item."""
        item = self._items.get(name)
        if item is not None:
            self._items[name] = replace(item, used=next(self._turns), uses=item.uses + 1, spilled=False)

    def spilled(self, name: str) -> None:
        """Remember that a dataset lies on disk now; one that this pool did not store is no item."""
        item = self._items.get(name)
        if item is not None:
            self._items[name] = replace(item, spilled=True)

    def remove(self, name: str) -> None:
        """Forget a dataset; one that is no item is no error."""
        self._items.pop(name, None)

    def keep_only(self, ids: Mapping[str, str], on_disk: Collection[str] = ()) -> None:
        """Forget what is gone from the store or was replaced there.

        Parameters
        ----------
        ids
            Those of the store's newest objects, by name.
        on_disk
            Names of those that are on the disk alone.
        """
        same = {name: item for name, item in self._items.items() if ids.get(name) == item.id}
        self._items = {name: replace(item, spilled=name in on_disk) for name, item in same.items()}

    def items(self) -> list[Item]:
        """Return all items, the first to go first."""
        return sorted(self._items.values(), key=_ORDERS[self.policy])

    def bytes(self, without: str = "") -> int:
        """Return the shared memory of all items but one."""
        return sum(item.bytes for item in self._items.values() if not item.spilled and item.name != without)
