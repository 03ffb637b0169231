"""What each operation of the control socket does: check the arguments, move the desk, act on the store.

Everything here runs on the service's loop and is short: a header is read or one of its words written, a
symbolic link replaced. What takes long (freeing memory) goes through `Effects`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jupyter_nq
from jupyter_nq.buffers import Catalogue, check_name
from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.coordinator import arguments, views
from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.connection import Connection
from jupyter_nq.coordinator.deliveries import Post
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.drops import Drops
from jupyter_nq.coordinator.files import cold_copies, lasting_copy, measure, remove_copy, stored_object
from jupyter_nq.coordinator.identity import ancestors, clean_program, peer_credentials, program, started_ns
from jupyter_nq.coordinator.memory import Memory, MemoryRules
from jupyter_nq.coordinator.notebooks import Notebooks
from jupyter_nq.coordinator.pins import Pins
from jupyter_nq.coordinator.protocol import LAYOUT, PROTOCOL, ROLES, Request, upgrade_sentence
from jupyter_nq.coordinator.snapshot_events import ForgetSnapshot, RecordSnapshot, SnapshotAction, SnapshotEvent
from jupyter_nq.coordinator.snapshotting import Snapshotting
from jupyter_nq.coordinator.streaming import Streaming
from jupyter_nq.errors import (
    ChecksumError,
    NQError,
    ProtocolError,
    StoreError,
    UnknownDataset,
    VersionMismatch,
    nearest,
)

_LIMIT_SECONDS = 1.0
_SPARE = ""  # what a reservation for memory without a dataset is for; no dataset has such a name

_LASTING = "reserve publish drop handover copied pin stream lane drop_stream snapshot release_snapshot"
LASTING = frozenset(_LASTING.split())
"""Operations that must not come to pass for somebody who has given up waiting for them."""


class Effects(Post, Protocol):
    """What the service does beside answering."""

    def collect(self, id_: str, *, keep_copy: bool = False) -> None:
        """Free an object in the background, and its copy on the disk unless that is to be kept."""

    def keep_spares(self) -> None:
        """Free the memory that waits for the next write when nobody has written for a while."""

    def clean(self) -> None:
        """Look, in the background, for what writers left."""

    def ask_who(self) -> None:
        """Ask the servers for their kernels."""

    def yield_host(self) -> None:
        """Stop hosting soon."""


class Operations:
    """The operations over one store and one desk."""

    def __init__(
        self,
        store: Catalogue,
        desk: Desk,
        effects: Effects,
        *,
        pool_bytes: int,
        rules: MemoryRules,
        settings: Mapping[str, Any],
        host: Mapping[str, Any],
        hold_disk: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._drops, self._pins = Drops(store.path), Pins(store.path)
        self._desk = desk
        self._effects = effects
        self._pool_bytes = pool_bytes
        self.memory = Memory(store, desk, rules, self.apply, self._limit, hold_disk)
        self.streaming = Streaming(store, hold_disk)
        self.notebooks = Notebooks(desk.people, self.apply, effects)
        self.snapshotting = Snapshotting(store, desk, self.apply, self._look_again)
        self._settings = dict(settings)
        self._host = dict(host)
        self._since_ns = time.time_ns()
        self._peers = 0
        self._limit_bytes = 0
        self._limit_until = 0.0

    def perform(self, connection: Connection, request: Request) -> Any:
        """Do what a request says and return its answer; refuses with an `NQError`."""
        operation = _OPERATIONS.get(request.op)
        if operation is None:
            raise ProtocolError(f"There is no operation {request.op!r}.{nearest(request.op, _OPERATIONS)}")
        if not connection.peer and request.op != "hello":
            raise ProtocolError("Say hello first.")
        try:
            return operation(self, connection, request.args)
        except OSError as exc:
            raise self._refused(exc) from exc

    def apply(self, event: ev.Event | SnapshotEvent) -> Any:
        """Move the desk and do what follows; when the store refuses, it is as if nothing had happened."""
        answer = None
        for action in self._desk.handle(event):
            if isinstance(action, ev.Reply):
                answer = action.value
                continue
            try:
                self._act(action)
            except (OSError, NQError) as exc:
                self._desk.handle(ev.Failed())
                raise self._refused(exc) from exc
        return answer

    def _refused(self, error: Exception) -> NQError:
        return error if isinstance(error, NQError) else StoreError(f"{self._store.path}: {error}")

    def _act(self, action: ev.Action | SnapshotAction) -> None:
        match action:
            case ev.Stamp(id_, version):
                self._store.stamp(id_, version)
            case ev.Link(name, id_):
                self._store.link(name, id_)
            case ev.Unlink(name):
                self._store.unlink(name)
            case ev.RecordDrop(name, version):
                self._drops.record(name, version)
            case ev.ForgetDrop(name, version):
                self._drops.forget(name, version)
            case ev.Collect(id_, keep_copy):
                self._effects.collect(id_, keep_copy=keep_copy)
            case ev.RemoveCopy(id_):
                remove_copy(self._store, id_)
            case ev.RecordPin(name, pinned):
                self._pins.record(name, pinned)
            case RecordSnapshot() | ForgetSnapshot():
                self.snapshotting.act(action)
            case ev.AskWho():
                self._effects.ask_who()
            case ev.Yield():
                self._effects.yield_host()

    # -- greeting ----------------------------------------------------------------------------------
    def _hello(self, connection: Connection, args: Mapping[str, Any]) -> dict[str, Any]:
        if connection.peer:
            raise ProtocolError("Hello was said before.")
        mine = self._greeting()
        if (args.get("protocol"), args.get("layout")) != (PROTOCOL, LAYOUT):
            raise VersionMismatch(upgrade_sentence(args, mine))
        role = arguments.text(args, "role")
        if role not in ROLES:
            raise ProtocolError(f"There is no role {role!r}. The roles are: {', '.join(ROLES)}.")
        assert connection.socket is not None
        pid, _, _ = peer_credentials(connection.socket)
        name = clean_program(arguments.text(args, "program")) or program(pid)
        self._peers += 1
        connection.peer, connection.role = self._peers, role
        self.apply(ev.PeerArrived(connection.peer, pid, ancestors(pid), name, role, started_ns(pid)))
        return {**mine, "peer": connection.peer}

    def _greeting(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "layout": LAYOUT,
            "package": jupyter_nq.__version__,
            "python": self._host["python"],
            "epoch": self._store.epoch,
            "store": str(self._store.path),
            "host": self._shown_host(),
            "pool_bytes": self._limit(),
            "settings": self._settings,
        }

    def _shown_host(self) -> dict[str, Any]:
        return {"pid": os.getpid(), "role": self._host["role"], "program": self._host["program"]}

    def _watch(self, connection: Connection, _args: Mapping[str, Any]) -> dict[str, Any]:
        connection.watching = True
        return {"revision": self._desk.revision}

    def _handover(self, connection: Connection, _args: Mapping[str, Any]) -> Any:
        return self.apply(ev.HandoverAsked(connection.peer))

    # -- datasets ----------------------------------------------------------------------------------
    def _reserve(self, connection: Connection, args: Mapping[str, Any]) -> Any:
        name, wanted = check_name(arguments.text(args, "name")), arguments.number(args, "bytes")
        return self._promise(connection, name, wanted, args)

    def _lane(self, connection: Connection, args: Mapping[str, Any]) -> Any:
        """Promise room for what one publisher of a stream keeps in memory."""
        name = check_name(arguments.text(args, "name"))
        what = f"{STREAMS}/{name}"
        wanted = self.streaming.retention_bytes(name, self._desk.people.promises(what))
        return self._promise(connection, what, wanted, args)

    def _promise(self, connection: Connection, name: str, wanted: int, args: Mapping[str, Any]) -> Any:
        files, limit = self._measured(), self._limit()
        if self._desk.used_bytes(files) + wanted > limit // 2:  # near the limit, look at it anew
            limit = self._store.pool_limit(self._pool_bytes)
        configured = limit == self._pool_bytes
        own, policy, back = self.memory.rules.own_bytes, self.memory.policy(args), args.get("back") is True
        reserve = ev.Reserve(connection.peer, name, wanted, limit, files, time.time_ns(), configured, own, policy, back)
        return {"spare": max(0, limit - self._desk.used_bytes(files) - wanted), **self.apply(reserve)}

    def _measured(self) -> ev.Measured:
        return measure(self._store, self._desk.versions.objects, self.streaming.promised_bytes())

    def _release(self, connection: Connection, args: Mapping[str, Any]) -> None:
        self.apply(ev.Release(connection.peer, arguments.number(args, "ticket")))
        if args.get("tidy") is not True:  # what it was for has failed, and may have left something
            self._effects.clean()

    def _prefault(self, connection: Connection, args: Mapping[str, Any]) -> Any:
        """Promise room for a spare segment: within their share, and where the write that it is for has room too."""
        wanted, files = arguments.number(args, "bytes"), self._measured()
        limit = self._store.pool_limit(self._pool_bytes)
        taken = self._desk.used_bytes(files) + self._store.pool.nbytes()
        if not self.memory.may_prefault(wanted) or taken + 2 * wanted > limit:
            return None
        self._effects.keep_spares()
        return self.apply(ev.Reserve(connection.peer, _SPARE, wanted, limit, files, time.time_ns(), False, 0, None))

    def _publish(self, connection: Connection, args: Mapping[str, Any]) -> Any:
        stored = self._read(arguments.text(args, "id"))
        self._look_again(stored.name)
        ticket, fleeting = arguments.optional_number(args, "ticket"), args.get("fleeting") is True
        answer = self.apply(ev.Publish(connection.peer, stored, ticket, fleeting))
        if fleeting:  # who dies, or is refused, between the two has lost no version
            self.apply(ev.Unkeep(stored.id))
        return answer

    def _appended(self, connection: Connection, args: Mapping[str, Any]) -> Any:
        stored = self._read(arguments.text(args, "id"))
        return self.apply(ev.Grown(stored, connection.peer, arguments.optional_number(args, "ticket")))

    def _discard(self, connection: Connection, args: Mapping[str, Any]) -> None:
        self.apply(ev.Discard(connection.peer, self._read(arguments.text(args, "id"))))

    def _find(self, _connection: Connection, args: Mapping[str, Any]) -> dict[str, Any]:
        name, version = check_name(arguments.text(args, "name")), arguments.optional_number(args, "version")
        self._look_again(name)
        found = views.found(self._desk, name, version)
        if found["rows"] is None:
            rows = {v: n for v, n, _ in self._versions_of(found["id"])}
            if found["version"] not in rows:
                raise UnknownDataset(f"Version {version} of {name!r} has left the header's list. Take a newer one.")
            found["rows"] = rows[found["version"]]
        return found

    def _versions_of(self, id_: str) -> tuple[tuple[int, int, int], ...]:
        cold = cold_copies(self._store) if self._desk.eviction.is_on_disk(id_) else None
        return self._store.info(id_).versions if cold is None else cold.info(id_).versions

    def _gc(self, connection: Connection, _args: Mapping[str, Any]) -> dict[str, Any]:
        """Free what nobody needs, in the background; tells what no name leads to, which goes unless it is held."""
        self._effects.clean()
        loose = self.memory.loose()
        self.apply(ev.Tick(time.monotonic()))
        return {"loose": loose}

    def _drop(self, connection: Connection, args: Mapping[str, Any]) -> Any:
        name, id_ = check_name(arguments.text(args, "name")), arguments.optional_text(args, "id")
        return self.apply(ev.Drop(connection.peer, name, id_))

    def _hold(self, connection: Connection, args: Mapping[str, Any]) -> None:
        self.apply(ev.Hold(connection.peer, arguments.pairs(args, "add"), arguments.pairs(args, "drop")))

    def _read(self, id_: str) -> ev.StoredObject:
        return stored_object(self._store.info(id_))

    def _look_again(self, name: str) -> None:
        """Read the newest header of a name: rows may have been appended by a process that died unheard."""
        id_ = self._desk.versions.links.get(name)
        if id_ is None or (self._desk.eviction.is_on_disk(id_) and not self._store.exists(id_)):
            return
        try:
            if self._store.committed_rows(id_) != self._desk.versions.objects[id_].rows:  # each version has more
                self.apply(ev.Grown(self._read(id_)))
        except UnknownDataset:
            self._fall_back(name, id_)
        except ChecksumError as exc:  # whoever opens it is told; a new version may still replace it
            self.apply(ev.ProblemReported(None, str(exc), time.time_ns()))

    def _fall_back(self, name: str, id_: str) -> None:
        """Take in that somebody removed the memory of a dataset; what the disk has of it for good is left."""
        left = lasting_copy(self._store, self._desk.eviction.falls_back_to(name))
        had = self._desk.versions.objects[id_].version
        self.apply(ev.Vanished(id_, left))
        if left is not None and left[1].version < had:
            text = f"The memory of {name!r} was removed by hand: version {had} is lost, the disk has {left[1].version}."
            self.apply(ev.ProblemReported(None, text, time.time_ns()))

    # -- the desk ----------------------------------------------------------------------------------
    def _kernels(self, connection: Connection, args: Mapping[str, Any]) -> None:
        if connection.role != "server":
            raise ProtocolError("Only a server says which kernel runs which notebook.")
        self.apply(ev.KernelsReported(connection.peer, arguments.server(args), arguments.kernels(args)))

    def _problem(self, connection: Connection, args: Mapping[str, Any]) -> None:
        self.apply(ev.ProblemReported(connection.peer, arguments.text(args, "text"), time.time_ns()))

    def _ls(self, _connection: Connection, _args: Mapping[str, Any]) -> list[dict[str, Any]]:
        return views.datasets_with_meta(self._desk)

    def _notebooks(self, _connection: Connection, _args: Mapping[str, Any]) -> list[dict[str, Any]]:
        return views.notebooks(self._desk)

    def _status(self, _connection: Connection, _args: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **{key: value for key, value in self._greeting().items() if key not in ("settings", "pool_bytes")},
            "pool": self._pool(),
            "since_ns": self._since_ns,
            **views.totals(self._desk),
        }

    def _pool(self) -> dict[str, int]:
        used, limit = self._desk.used_bytes(self._measured()), self._limit()
        return {"limit": limit, "used": used, "free": max(0, limit - used), "spare": self._store.pool.nbytes()}

    def _limit(self) -> int:
        """Return the pool's limit as it was at most a second ago: it looks at every file, and panels ask often."""
        now = time.monotonic()
        if now >= self._limit_until:
            self._limit_until = now + _LIMIT_SECONDS
            self._limit_bytes = self._store.pool_limit(self._pool_bytes)
        return self._limit_bytes

    def _whole_desk(self, connection: Connection, args: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "status": self._status(connection, args),
            "datasets": views.datasets(self._desk),
            "notebooks": views.notebooks(self._desk),
        }


_OPERATIONS: dict[str, Callable[[Operations, Connection, Mapping[str, Any]], Any]] = {
    "hello": Operations._hello,
    "watch": Operations._watch,
    "handover": Operations._handover,
    "reserve": Operations._reserve,
    "release": Operations._release,
    "prefault": Operations._prefault,
    "publish": Operations._publish,
    "appended": Operations._appended,
    "discard": Operations._discard,
    "find": Operations._find,
    "drop": Operations._drop,
    "copied": lambda self, connection, args: self.memory.copied(connection.peer, args),
    "pin": lambda self, connection, args: self.memory.pin(connection.peer, args),
    "evictable": lambda self, connection, args: self.memory.evictable(),
    "stream": lambda self, connection, args: self.streaming.make(args, self._limit()),
    "lane": Operations._lane,
    "drop_stream": lambda self, connection, args: self.streaming.drop(args),
    "register": lambda self, connection, args: self.notebooks.register(connection.peer, args),
    "unregister": lambda self, connection, args: self.notebooks.unregister(connection.peer, args),
    "receive": lambda self, connection, args: self.notebooks.receive(connection.peer, args),
    "sync": lambda self, connection, args: self.notebooks.sync(connection.peer, args),
    "synced": lambda self, connection, args: self.notebooks.synced(connection.peer, args),
    "snapshot": lambda self, connection, args: self.snapshotting.take(connection.peer, args),
    "snapshots": lambda self, connection, args: self.snapshotting.rows(),
    "release_snapshot": lambda self, connection, args: self.snapshotting.release(connection.peer, args),
    "gc": Operations._gc,
    "hold": Operations._hold,
    "kernels": Operations._kernels,
    "problem": Operations._problem,
    "ls": Operations._ls,
    "notebooks": Operations._notebooks,
    "status": Operations._status,
    "desk": Operations._whole_desk,
}
