"""The service: an event loop in a thread of its own around the desk, on the store's socket.

Whoever holds the store's lock runs one. All state (desk, connections, pending work) belongs to the loop's
thread; `start` and `stop` may be called from any other. What takes long, freeing memory and scanning the
store, runs in one worker thread. The socket is bound under another name and renamed, so that a path that
exists is one that answers, or a stale one of a dead host, which only the next holder of the lock replaces.

Old versions go when nobody holds them. An attempt that finds the lock of an object still taken is repeated,
soon at first and then every few seconds; with nothing to free there is no timer at all.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jupyter_nq.buffers import Catalogue, Damaged
from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.connection import Connection
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.identity import peer_credentials, program
from jupyter_nq.coordinator.operations import Operations, stored_object
from jupyter_nq.coordinator.protocol import Request
from jupyter_nq.errors import CoordinatorUnavailable, NQError, StoreFull

SOCKET_NAME = "ctl.sock"
_BIND_NAME = "ctl.bind"  # as long as the socket's name, because the path of a Unix socket is limited
_BACKLOG = 128
_NEWS_SECONDS = 0.01
_FIRST_RETRY_SECONDS = 0.05
_LONGEST_RETRY_SECONDS = 5.0
_STOP_SECONDS = 10.0

_log = logging.getLogger("jupyter_nq")


class Service:
    """The coordinator of a store, while this process hosts it.

    Parameters
    ----------
    store
        The opened store; the caller holds its coordinator lock.
    pool_bytes
        The configured quota; 0 leaves it to the store.
    settings
        The host's settings, told to every client in the greeting.
    role
        "server" for a Jupyter server, "client" for any other process, which yields to a server.
    release
        Called once, when no client is served any more: gives the lock back.
    """

    def __init__(
        self,
        store: Catalogue,
        *,
        pool_bytes: int = 0,
        settings: Mapping[str, Any] | None = None,
        role: str = "client",
        release: Callable[[], None] | None = None,
    ) -> None:
        self.store = store
        self.role = role
        self._pid = os.getpid()
        self._release = release
        self._desk = Desk(role)
        host = {"role": role, "program": program(self._pid), "python": sys.executable}
        self._operations = Operations(
            store, self._desk, self, pool_bytes=pool_bytes, settings=settings or {}, host=host
        )
        self._thread = threading.Thread(target=self._run, name="jupyter-nq-coordinator", daemon=True)
        self._started = threading.Event()
        self._stopped = threading.Event()
        # From here on, all of it belongs to the loop's thread.
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="jupyter-nq-store")
        self._connections: set[Connection] = set()
        self._collections = 0
        self._after_collections: list[tuple[Connection, Request]] = []
        self._retry: asyncio.TimerHandle | None = None
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._news: asyncio.TimerHandle | None = None
        self._told_revision = 0

    def __repr__(self) -> str:
        state = f"{len(self._connections)} connections" if self.running else "stopped"
        return f"<Service of {self.store.path} as {self.role}, {state}>"

    @property
    def running(self) -> bool:
        """Tell whether this process serves: started, not stopped, and not a forked child of the host."""
        return self._started.is_set() and not self._stopped.is_set() and os.getpid() == self._pid

    # -- from any thread ---------------------------------------------------------------------------
    def start(self) -> None:
        """Read the store, bind the socket and serve; returns when clients can connect."""
        self._rebuild()
        self._listener = _bind(self.store)
        self._thread.start()
        self._started.wait()
        if self._stopped.is_set():
            raise CoordinatorUnavailable(f"The coordinator of {self.store.path} did not start; the log says why.")
        atexit.register(self.stop)

    def stop(self) -> None:
        """Stop serving, give the lock back, close all connections; stopping twice is fine."""
        if not self.running:
            return
        with contextlib.suppress(RuntimeError):  # the loop closed in this moment
            self._loop.call_soon_threadsafe(self._stopping.set)
        if threading.current_thread() is not self._thread:
            self._stopped.wait(_STOP_SECONDS)

    # -- the loop's thread -------------------------------------------------------------------------
    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        own(selector.fileno())
        self._loop = asyncio.SelectorEventLoop(selector)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            disown(selector.fileno())
            self._loop.close()
            self._started.set()
            self._stopped.set()
            atexit.unregister(self.stop)

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        server = await self._loop.create_unix_server(lambda: Connection(self), sock=self._listener)
        self._started.set()
        self._tick()
        self._clean()
        self._in_background(self.store.damaged, self._name_damaged)
        try:
            await self._stopping.wait()
        finally:
            self._end(server)
            await self._part()

    def _end(self, server: asyncio.AbstractServer) -> None:
        """Stop listening and give the lock back, in this order: who gets the lock may bind at once."""
        disown(self._listener.fileno())
        server.close()
        self._worker.shutdown(wait=True)
        with contextlib.suppress(OSError):  # whatever became of the directory, the lock must be given back
            os.unlink(self.store.path / SOCKET_NAME)
        if self._release is not None:
            self._release()

    async def _part(self) -> None:
        """Close the connections; their ends tell the peers to look for the next host."""
        for timer in (self._retry, self._news):
            if timer is not None:
                timer.cancel()
        accepting = asyncio.all_tasks() - {asyncio.current_task()}
        if accepting:  # connections that came in the last moment, and would be left open without an owner
            await asyncio.wait(accepting, timeout=1.0)
        for connection in list(self._connections):
            connection.close()
        for _ in range(100):
            if not self._connections:
                break
            await asyncio.sleep(0.005)
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    # -- what connections tell (Owner) ---------------------------------------------------------------
    def opened(self, connection: Connection) -> bool:
        """Take in a connection; only the user's own processes may connect."""
        assert connection.socket is not None
        own(connection.socket.fileno())
        self._connections.add(connection)
        return peer_credentials(connection.socket)[1] == os.getuid()

    def closed(self, connection: Connection) -> None:
        """Forget a connection: its holds and reservations are over."""
        assert connection.socket is not None
        disown(connection.socket.fileno())
        self._connections.discard(connection)
        peer = self._desk.people.peers.get(connection.peer)
        if peer is not None:
            self._operations.apply(ev.PeerLeft(connection.peer))
            if peer.reservations:
                self._clean()
            self._settle()

    def asked(self, connection: Connection, request: Request) -> None:
        """Answer a request; what goes wrong in one never ends the service."""
        try:
            value = self._operations.perform(connection, request)
        except StoreFull as exc:
            if not self._wait_for_room(connection, request):
                connection.refuse(request, exc)
        except NQError as exc:
            connection.refuse(request, exc)
            if not connection.peer:
                connection.close()
        except Exception as exc:  # a defect here must not take the datasets of everybody away
            _log.exception("the operation %r failed", request.op)
            connection.refuse(request, NQError(f"The coordinator failed at {request.op!r}: {exc!r}"))
        else:
            connection.reply(request, value)
        self._settle()

    # -- freeing memory (Effects) --------------------------------------------------------------------
    def collect(self, id_: str) -> None:
        """Free an object in the worker thread."""
        self._collections += 1

        def collected(gone: bool | None) -> None:
            self._collections -= 1
            self._operations.apply(ev.Collected(id_, bool(gone)))
            if not self._collections:
                self._ask_again()

        if not self._in_background(lambda: self.store.collect(id_), collected):
            self._collections -= 1

    def _wait_for_room(self, connection: Connection, request: Request) -> bool:
        """Free what can be freed before a reservation is refused; True when it will be answered later."""
        self._operations.apply(ev.Tick(time.monotonic()))
        if self._collections:
            self._after_collections.append((connection, request))
        return bool(self._collections)

    def _ask_again(self) -> None:
        waiting, self._after_collections = self._after_collections, []
        for connection, request in waiting:
            if connection in self._connections:
                self._answer_at_last(connection, request)

    def _answer_at_last(self, connection: Connection, request: Request) -> None:
        try:
            connection.reply(request, self._operations.perform(connection, request))
        except NQError as exc:
            connection.refuse(request, exc)

    def _tick(self) -> None:
        self._retry = None
        self._retry_seconds = min(2 * self._retry_seconds, _LONGEST_RETRY_SECONDS)
        self._operations.apply(ev.Tick(time.monotonic()))
        self._settle()

    def _clean(self) -> None:
        """Look for what writers left behind that did not finish."""
        if not self._stopping.is_set():
            self._in_background(self._leftovers, self._found)

    def _leftovers(self) -> list[ev.StoredObject]:
        """Remove files of dead writers, and return the sealed objects that nobody published."""
        self.store.sweep()
        return [stored_object(info) for info in self.store.scan() if not info.version]

    def _found(self, objects: list[ev.StoredObject] | None) -> None:
        self._operations.apply(ev.Found(tuple(objects or ()), time.monotonic()))

    def _in_background(self, work: Callable[[], Any], done: Callable[[Any], None]) -> bool:
        """Run `work` in the worker thread and `done` with its result, None when it failed, on the loop."""
        try:
            future = self._worker.submit(work)
        except RuntimeError:  # the interpreter is ending, or the service is
            return False

        def finish() -> None:
            if future.exception() is not None:
                self._report(f"{self.store.path}: {future.exception()}")
            done(None if future.exception() is not None else future.result())
            self._settle()

        future.add_done_callback(lambda _: self._call(finish))
        return True

    def _call(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody needs the result
            self._loop.call_soon_threadsafe(function)

    def _report(self, text: str) -> None:
        _log.warning(text)
        self._operations.apply(ev.ProblemReported(None, text, time.time_ns()))

    # -- news (Effects) ------------------------------------------------------------------------------
    def ask_who(self) -> None:
        """Ask those who watch, servers among them, to send their kernels."""
        for connection in self._connections:
            if connection.watching:
                connection.send_event("who", {})

    def yield_host(self) -> None:
        """Stop after the answer has been written."""
        self._loop.call_soon(self._stopping.set)

    def _settle(self) -> None:
        """After every change: tell the watchers once, however much changed, and keep trying to free memory."""
        if self._stopping.is_set():
            return
        if self._news is None and self._desk.revision != self._told_revision:
            self._news = self._loop.call_later(_NEWS_SECONDS, self._tell)
        if self._retry is None and self._desk.catalogue.loose:
            self._retry = self._loop.call_later(self._retry_seconds, self._tick)

    def _tell(self) -> None:
        self._news = None
        self._told_revision = self._desk.revision
        for connection in self._connections:
            if connection.watching:
                connection.send_event("changed", {"revision": self._told_revision})

    # -- start ---------------------------------------------------------------------------------------
    def _rebuild(self) -> None:
        objects = tuple(stored_object(info) for info in self.store.scan())
        self._operations.apply(ev.Rebuilt(objects, self.store.names(), time.monotonic()))

    def _name_damaged(self, damaged: list[Damaged] | None) -> None:
        if damaged:
            self._report(f"{len(damaged)} damaged objects are in the store: {damaged[0].reason}")


def _bind(store: Catalogue) -> socket.socket:
    """Return a listening socket that lies under its name in the store; replaces one that a dead host left."""
    there, bound = store.path / SOCKET_NAME, store.path / _BIND_NAME
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(bound)
        listener.bind(os.fspath(bound))
        os.chmod(bound, 0o600)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        os.rename(bound, there)
    except OSError as exc:
        listener.close()
        raise CoordinatorUnavailable(f"The coordinator's socket cannot be made at {there}: {exc}.") from exc
    own(listener.fileno())
    return listener
