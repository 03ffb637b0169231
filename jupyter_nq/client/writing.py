"""Writing shared objects: have room promised, fill an object, have it named.

Who writes a name is its only writer meanwhile. The coordinator is asked before bytes are allocated (quota) and when an
object gets its name and version; the bytes themselves go straight into shared memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from jupyter_nq.buffers import Handle, ObjectInfo, Store
from jupyter_nq.buffers.drafts import Unsealed
from jupyter_nq.buffers.plan import plan_content
from jupyter_nq.buffers.values.intake import Content
from jupyter_nq.client.bars.loading import Progress
from jupyter_nq.client.bars.request import read_from, source_of
from jupyter_nq.client.cold.room import Promise, Room
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.records import Stored
from jupyter_nq.client.sparing import Sparing
from jupyter_nq.errors import CapacityFull, UnsupportedData


class Writer:
    """What a session writes with.

    Parameters
    ----------
    store, channel
        The session's.
    room
        Promises room.
    hold
        Announces an object that is held here.
    reserve_share
        Share of a new object's rows for which it has room beside them.
    """

    def __init__(
        self, store: Store, channel: Channel, room: Room, hold: Callable[[Handle], Handle], *, reserve_share: float
    ) -> None:
        self.sparing = Sparing(store, channel)
        self._store = store
        self._channel = channel
        self._room = room
        self._hold = hold
        self._reserve_share = reserve_share

    def __repr__(self) -> str:
        return f"<Writer in {self._store.path}>"

    def publish(
        self,
        name: str,
        data: Any,
        meta: Mapping[str, Any] | None,
        progress: Progress | None,
        *,
        fleeting: bool = False,
    ) -> Handle:
        """Share data as the next version of a name; returns it, held. A durable copy of a version before a fleeting
        one is removed; else it stays until a newer one is durable.
        """
        plan = self._store.plan(data, meta=meta).reserving(self._reserve_share)
        with self._store.writing(name), self._room.promised(name, plan.nbytes) as promise:
            info = self._store.write(name, plan, progress=progress, spare_bytes=promise.spare_bytes)
            named = self._named(info, promise, fleeting=fleeting)
        self.sparing.wrote(name, plan)
        return named

    def begin(self, name: str, content: Content) -> Unsealed:
        """Make room for data that are written in place."""
        plan = plan_content(content, 0, None).reserving(self._reserve_share)
        with self._room.promised(name, plan.nbytes) as promise:
            unsealed = self._store.begin(name, plan, spare_bytes=promise.spare_bytes)
        # No promise any more: its file has all of its memory.
        self._channel.note("release", ticket=promise.ticket, tidy=True)
        return unsealed

    def name(self, unsealed: Unsealed) -> Stored:
        """Seal what was written in place and have it named; nothing is left of it when that fails."""
        name, nbytes = unsealed.static.name, unsealed.nbytes
        with self._store.writing(name):
            unsealed.seal()
            try:
                version = self._channel.request("publish", id=unsealed.id)["version"]
            except BaseException:
                self._channel.note("discard", id=unsealed.id)
                raise
        held = unsealed.id, version
        self._channel.hold(*held)
        unsealed.on_release(partial(self._channel.release, *held))
        return Stored(name, version, unsealed.rows, nbytes)

    def add(self, name: str, current: str, rows: Any, note: bytes | None = None) -> Stored:
        """Append to the newest object of a name, whose only writer this process is."""
        try:
            with self._room.promised(name, self._store.plan(rows).nbytes) as promise:
                if note is not None:
                    self._store.annotate(current, note)
                if promise.spare_bytes is not None:
                    self._store.pool.trim(promise.spare_bytes)
                info = self._store.append(current, rows)
                # Committed: from here on it is a fact, which the coordinator is told and would find itself.
                self._channel.note("appended", id=info.id, ticket=promise.ticket)
                return Stored(name, info.version, info.rows, info.nbytes)
        except CapacityFull:
            return self._grow(name, current, rows, note)

    def _grow(self, name: str, current: str, rows: Any, note: bytes | None) -> Stored:
        """Append to a copy of the object with twice its capacity."""
        room = self._store.info(current).nbytes + self._store.plan(rows).nbytes
        with self._room.promised(name, room) as promise:
            larger = self._store.grow(current, rows, spare_bytes=promise.spare_bytes)
            if note is not None:
                self._store.annotate(larger.id, note)
            grown = self._named(larger, promise)
        with grown:
            return Stored(name, grown.version, grown.rows, grown.info.nbytes)

    def _named(self, info: ObjectInfo, promise: Promise, *, fleeting: bool = False) -> Handle:
        """Have a sealed object named, or free it; returns its version, whoever overtakes it meanwhile."""
        with self._store.open_id(info.id):
            try:
                asked: dict[str, Any] = {"id": info.id, "ticket": promise.ticket, "fleeting": fleeting}
                version = self._channel.request("publish", **asked)["version"]
            except BaseException:
                self._channel.note("discard", id=info.id)
                raise
            return self._hold(self._store.open_id(info.id, version=version))


def refuse_parsed(name: str, meta: Mapping[str, Any], remedy: str) -> None:
    """Keep a dataset that was parsed from a file, as its metadata tell, equal to that file."""
    path = read_from(source_of(meta))
    if path is not None:
        raise UnsupportedData(f"{name} holds what {path} holds. {remedy}, or put the data under another name.")
