"""`SharedMemoryPool`: the specification's store of named data, over the store that every notebook shares.

What one notebook stores, every other retrieves, without a copy. The pool keeps no data, but the list of what it stored:
its own limit counts that alone, and `clear` removes that alone.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from jupyter_nq.buffers import check_name
from jupyter_nq.client.bars.request import source_of
from jupyter_nq.client.memory.forking import renew_in_child
from jupyter_nq.client.memory.kept import Item, Kept
from jupyter_nq.errors import ConfigError, StoreError, StoreFull, UnknownDataset
from jupyter_nq.sizes import size, together

if TYPE_CHECKING:
    from jupyter_nq.client.records import Stored
    from jupyter_nq.client.session import Session

GIGABYTE = 1 << 30
POOL_GB = 4.0
"""Gigabytes of 2**30 bytes that a pool stores unless it is told otherwise."""

_MOST_NAMED = 5


class SharedMemoryPool:
    """Named data in shared memory, with a limit of its own.

    Parameters
    ----------
    max_size_gb
        Gigabytes of 2**30 bytes that this pool may store. It can only lower what the store allows, which is
        `pool_bytes` of the settings, for all notebooks together.
    eviction_policy
        "lru", "lfu" or "fifo": what goes to disk first when `store(..., force=True)` needs room in this pool.
    session
        Session to work through; None takes the process's own.

    Raises
    ------
    ConfigError, InvalidArgument
        The size is no number above 0; there is no such policy.

    Examples
    --------
    >>> pool = SharedMemoryPool(max_size_gb=0.5)
    >>> pool.store("limits", {"contracts": 3}).version
    1
    >>> pool.retrieve("limits"), pool.exists("limits"), pool.get_stats()["objects"]
    ({'contracts': 3}, True, 1)
    >>> pool.clear()
    1
    """

    def __init__(
        self, max_size_gb: float = POOL_GB, eviction_policy: str = "lru", *, session: Session | None = None
    ) -> None:
        from jupyter_nq.client.api import connect

        self.limit_bytes = _limit(max_size_gb)
        self._session = session or connect()
        # _kept and _counts are the mutable state; _lock guards them, and is not held while the session works. _storing
        # is held during a whole `store`, so that two threads cannot fill the same room.
        self._kept = Kept(eviction_policy)
        self._counts = dict.fromkeys(("stores", "hits", "misses", "evictions"), 0)
        self._lock, self._storing = threading.Lock(), threading.Lock()
        renew_in_child(self)

    def __repr__(self) -> str:
        with self._lock:
            used = self._kept.bytes()
        return f"<SharedMemoryPool {size(used)} of {size(self.limit_bytes)} in {self._session.store.path}>"

    def store(self, key: str, data: Any, force: bool = False) -> Stored:
        """Share data under a name, as a new version if the name exists; every notebook can retrieve it.

        Parameters
        ----------
        key
            A dataset name: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
        data
            What `jupyter_nq.put` takes: frames, tables, arrays, tensors, bytes, what JSON can hold.
        force
            When this pool's limit is reached, write to disk what nobody holds or has pinned, by the policy of this
            pool; it comes back when it is asked for. A full store makes room that way by itself.

        Returns
        -------
        Stored
            Name, version, rows and bytes; it is true, so that `if pool.store(...)` means what it says.

        Raises
        ------
        InvalidName, UnsupportedData
        StoreFull
            There is no room, in this pool or in the store, and none was made; the message says what takes it.
        """
        check_name(key)
        wanted = self._session.store.plan(data).nbytes
        with self._storing:
            self._make_room(key, wanted, force)
            stored = self._session.put(key, data)
            self._remember(stored)
        return stored

    def retrieve(self, key: str) -> Any:
        """Return data by its name, as a read-only view without a copy; None when no notebook has stored it.

        Frames and series come back as they were stored, arrays and tensors as arrays, tables as frames, bytes as a
        `memoryview`, JSON values made anew; a dataset of bars as its frame. `jupyter_nq.get` has more forms.
        """
        check_name(key)
        try:
            handle = self._session.open(key)
        except UnknownDataset:
            with self._lock:
                self._counts["misses"] += 1
            return None
        with self._lock:
            self._counts["hits"] += 1
            self._kept.use(key)
        with handle:
            if source_of(handle.info.meta):  # bars or features: shown as a load shows them
                return self._session.view(handle)
            data = handle.view()
            array = handle.info.kind == "array" and isinstance(data, (pd.Series, pd.DataFrame))
            return handle.numpy() if array else data

    def exists(self, key: str) -> bool:
        """Tell whether any notebook has shared data under this name."""
        check_name(key)
        try:
            self._session.channel.request("find", name=key, version=None)
        except UnknownDataset:
            return False
        return True

    def remove(self, key: str) -> bool:
        """Remove a name and all its versions, whoever stored it; who holds a view keeps it. False when it is not there.

        A dataset of bars is loaded again by the next `load`.
        """
        check_name(key)
        with self._lock:
            self._kept.remove(key)
        try:
            self._session.drop(key)
        except UnknownDataset:
            return False
        return True

    def clear(self) -> int:
        """Remove what this pool stored, as far as nobody has replaced it since; returns how many names went."""
        removed = 0
        for item in self._present():
            try:
                # With the object, so that what somebody else puts meanwhile stays.
                self._session.channel.request("drop", name=item.name, id=item.id)
                removed += 1
            except (StoreError, UnknownDataset):  # replaced or dropped just now
                continue
            finally:
                with self._lock:
                    self._kept.remove(item.name)
        return removed

    def get_stats(self) -> dict[str, Any]:
        """Return figures of this pool, and of the store that it shares with all others.

        Keys: `objects` and `bytes` of what this pool stored and nobody has replaced or dropped, `spilled_objects` of
        them on disk, `limit_bytes`, `used_fraction` of the limit, `eviction_policy`; `stores`, `hits`, `misses`,
        `hit_rate` (0 to 1; None before the first retrieval) and `evictions` since this pool was made;
        `store_used_bytes`, `store_limit_bytes`, `store_spare_bytes` (freed, and kept for the next write) and
        `store_objects` of everybody together.
        """
        items, status = self._present(), self._session.status()
        with self._lock:
            counts, used = dict(self._counts), self._kept.bytes()
        asked = counts["hits"] + counts["misses"]
        return {
            "objects": len(items),
            "spilled_objects": sum(item.spilled for item in items),
            "bytes": used,
            "limit_bytes": self.limit_bytes,
            "used_fraction": used / self.limit_bytes,
            "eviction_policy": self._kept.policy,
            **counts,
            "hit_rate": counts["hits"] / asked if asked else None,
            "store_used_bytes": status.pool_used_bytes,
            "store_limit_bytes": status.pool_limit_bytes,
            "store_spare_bytes": status.pool_spare_bytes,
            "store_objects": status.datasets,
        }

    def after_fork(self) -> None:
        """In a child: forget locks that other threads of the parent may have held."""
        self._lock, self._storing = threading.Lock(), threading.Lock()

    def _present(self) -> list[Item]:
        """Return what this pool stored and is still there, the first to go first."""
        rows = self._session.channel.request("ls")
        ids, on_disk = {row["name"]: row["id"] for row in rows}, {row["name"] for row in rows if not row["bytes"]}
        with self._lock:
            self._kept.keep_only(ids, on_disk)
            return self._kept.items()

    def _make_room(self, key: str, wanted: int, force: bool) -> None:
        """Keep this pool's limit: refuse what is too much, or write to disk what goes first."""
        if self._over(key, wanted) <= 0:
            return
        items = [item for item in self._present() if item.name != key and not item.spilled]
        if force and wanted <= self.limit_bytes:
            for item in items:
                if self._over(key, wanted) <= 0:
                    return
                self._evicted(self._session.spill(item.name))
        if self._over(key, wanted) > 0:
            raise StoreFull(self._refusal(key, wanted, items, force))

    def _remember(self, stored: Stored) -> None:
        """Count what was stored as this pool's, unless somebody has replaced or dropped it already."""
        try:
            found = self._session.channel.request("find", name=stored.name, version=stored.version)
        except UnknownDataset:
            found = None
        with self._lock:
            self._counts["stores"] += 1
            if found is None:
                self._kept.remove(stored.name)
            else:
                self._kept.add(stored.name, found["id"], stored.bytes)

    def _over(self, key: str, wanted: int) -> int:
        """Return by how many bytes storing would exceed the limit; what has the name now is replaced."""
        with self._lock:
            return self._kept.bytes(without=key) + wanted - self.limit_bytes

    def _evicted(self, spilled: Sequence[Stored]) -> None:
        """Count what was written to disk just now, whoever stored it."""
        with self._lock:
            self._counts["evictions"] += len(spilled)
            for stored in spilled:
                self._kept.spilled(stored.name)

    def _refusal(self, key: str, wanted: int, items: list[Item], force: bool) -> str:
        biggest = sorted(items, key=lambda item: -item.bytes)[:_MOST_NAMED]
        named = f" by {together([f'{item.name} ({size(item.bytes)})' for item in biggest])}" if biggest else ""
        used = sum(item.bytes for item in items)
        if wanted > self.limit_bytes:
            remedy = "Make a pool with a larger size"
        elif force:
            remedy = "Somebody holds or has pinned what is left: delete those frames, or make a pool with a larger size"
        else:
            remedy = "Remove what is not needed, pass force=True to write it to disk, or make a pool with a larger size"
        return (
            f"{key!r} needs {size(wanted)}, but this pool may store {size(self.limit_bytes)} and {size(used)} are "
            f"taken{named}. {remedy}."
        )


def _limit(max_size_gb: Any) -> int:
    if isinstance(max_size_gb, bool) or not isinstance(max_size_gb, (int, float)) or not 0 < max_size_gb < 1 << 20:
        raise ConfigError(f"A pool of {max_size_gb!r} GB is no pool. Pass a number above 0, such as 4.0.")
    return round(max_size_gb * GIGABYTE)
