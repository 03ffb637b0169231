"""The service: an event loop in a thread of its own around the desk, on the store's socket.

Whoever holds the store's lock runs one. All state (desk, connections, pending work) belongs to the loop's
thread; `start` and `stop` may be called from any other. What takes long runs elsewhere, see `freeing`.
Whatever goes wrong at the start arrives in `start`, and however the service ends, the socket is closed and
the lock given back once.
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
from concurrent.futures import Future
from typing import Any

from jupyter_nq.buffers import Catalogue
from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.connection import Connection
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.files import survey
from jupyter_nq.coordinator.freeing import Freeing
from jupyter_nq.coordinator.identity import peer_credentials, program
from jupyter_nq.coordinator.listening import SOCKET_NAME, listen
from jupyter_nq.coordinator.memory import MemoryRules
from jupyter_nq.coordinator.operations import LASTING, Operations
from jupyter_nq.coordinator.protocol import Request
from jupyter_nq.errors import CoordinatorUnavailable, NQError, StoreFull

_NEWS_SECONDS = 0.01
_START_SECONDS = 30.0
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
    rules
        How memory is shared out beside that; None for those that have no limits.
    settings
        The host's settings, told to every client in the greeting.
    role
        "server" for a Jupyter server, "client" for any other process, which yields to a server.
    release
        Called once, when no client is served any more or the start failed: gives the lock back.
    hold_disk
        Called before a copy on the disk counts; raises when another machine uses that directory.
    """

    def __init__(
        self,
        store: Catalogue,
        *,
        pool_bytes: int = 0,
        rules: MemoryRules | None = None,
        settings: Mapping[str, Any] | None = None,
        role: str = "client",
        release: Callable[[], None] | None = None,
        hold_disk: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.role = role
        self._pid = os.getpid()
        self._release = release
        self._desk = Desk(role)
        host = {"role": role, "program": program(self._pid), "python": sys.executable}
        self._operations = Operations(
            store,
            self._desk,
            self,
            pool_bytes=pool_bytes,
            rules=rules or MemoryRules(),
            settings=settings or {},
            host=host,
            hold_disk=hold_disk,
        )
        self._thread = threading.Thread(target=self._run, name="jupyter-nq-coordinator", daemon=True)
        self._ready: Future[None] = Future()  # done when clients can connect, or with what prevented it
        self._stopped = threading.Event()
        # From here on, all of it belongs to the loop's thread, before that runs to the one that starts it.
        self._listener: socket.socket | None = None
        self._selector: selectors.EpollSelector | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._given_back = False
        self._freeing = Freeing(store, self._desk, self, self._operations.memory.spare_bytes)
        self._connections: set[Connection] = set()
        self._news: asyncio.TimerHandle | None = None
        self._told_revision = 0

    def __repr__(self) -> str:
        state = f"{len(self._connections)} connections" if self.running else "stopped"
        return f"<Service of {self.store.path} as {self.role}, {state}>"

    @property
    def running(self) -> bool:
        """Tell whether this process serves: started, not stopped, and not a forked child of the host."""
        return self._ready.done() and not self._stopped.is_set() and os.getpid() == self._pid

    # -- from any thread ---------------------------------------------------------------------------
    def start(self) -> None:
        """Read the store, bind the socket and serve; returns when clients can connect.

        Raises
        ------
        CoordinatorUnavailable, StoreError
            The service could not start; the lock has been given back.
        """
        try:
            self._read_store()
            self._operations.streaming.start()
            self._listener = listen(self.store.path)
            self._selector = selectors.EpollSelector()
            own(self._selector.fileno())
            self._loop = asyncio.SelectorEventLoop(self._selector)
            self._thread.start()
            self._ready.result(_START_SECONDS)
        except BaseException as exc:
            self._abandon()
            if isinstance(exc, NQError) or not isinstance(exc, OSError):
                raise
            raise CoordinatorUnavailable(f"The coordinator of {self.store.path} cannot start: {exc}.") from exc
        atexit.register(self.stop)

    def stop(self) -> None:
        """Stop serving, give the lock back, close all connections; stopping twice is fine."""
        if not self.running:
            return
        self.call(self._stopping.set)
        if threading.current_thread() is not self._thread:
            self._stopped.wait(_STOP_SECONDS)

    def _abandon(self) -> None:
        """End what was started."""
        if self._thread.ident is None:
            self._end()
            self._close_loop()
        else:
            self.call(self._stopping.set)
            self._stopped.wait(_STOP_SECONDS)

    # -- the loop's thread -------------------------------------------------------------------------
    def _run(self) -> None:
        assert self._loop is not None
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as exc:
            if self._ready.done():
                _log.exception("the coordinator of %s failed", self.store.path)
            else:
                self._ready.set_exception(exc)
        finally:
            self._end()
            self._close_loop()
            self._stopped.set()
            atexit.unregister(self.stop)

    def _read_store(self) -> None:
        """Take in what is in the store, and say what of it cannot be read."""
        found = survey(self.store)
        self._operations.apply(found)
        for snapshot in found.snapshots.values():
            if snapshot.trouble:
                _log.warning("%s", snapshot.trouble)
                self._operations.apply(ev.ProblemReported(None, snapshot.trouble, time.time_ns()))

    def _close_loop(self) -> None:
        if self._selector is not None and self._selector.get_map() is not None:
            disown(self._selector.fileno())
            if self._loop is not None:
                self._loop.close()
            self._selector.close()

    async def _serve(self) -> None:
        assert self._loop is not None
        server = await self._loop.create_unix_server(lambda: Connection(self), sock=self._listener)
        try:
            self._freeing.start()
            self._ready.set_result(None)
            await self._stopping.wait()
        finally:
            self._end(server)
            await self._part()

    def _end(self, server: asyncio.AbstractServer | None = None) -> None:
        """Stop listening and give the lock back, once and in this order: who gets the lock may bind at once."""
        if self._given_back:
            return
        self._given_back = True
        if self._listener is not None:
            disown(self._listener.fileno())
            if server is not None:
                server.close()
            self._listener.close()
        self._freeing.close()
        if self._listener is not None:
            with contextlib.suppress(OSError):  # whatever became of the directory, the lock must be given back
                os.unlink(self.store.path / SOCKET_NAME)
        if self._release is not None:
            self._release()

    async def _part(self) -> None:
        """Close the connections; their ends tell the peers to look for the next host."""
        if self._news is not None:
            self._news.cancel()
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
            self._operations.notebooks.left(connection.peer)
            self._operations.apply(ev.PeerLeft(connection.peer))
            if peer.reservations:
                self.clean()
            self._settle()

    def asked(self, connection: Connection, request: Request) -> None:
        """Answer a request; what goes wrong in one never ends the service."""
        if self._given_back:  # another process may be the host by now, and is asked when this connection ends
            return
        self._answer(connection, request, lambda full: self._wait_for_room(connection, request, full))
        self._settle()

    def _answer(self, connection: Connection, request: Request, later: Callable[[StoreFull], bool]) -> bool:
        """Answer a request, unless the store is full and `later` takes that; returns whether it is done with."""
        if request.op in LASTING and request.number is not None and connection.left:
            return True  # who asked has given up and said so: it must not come to pass any more
        try:
            value = self._operations.perform(connection, request)
        except StoreFull as exc:
            if later(exc):
                return False
            connection.refuse(request, exc)
        except NQError as exc:
            if request.number is None:
                _log.info("the note %r was refused: %s", request.op, exc)
            connection.refuse(request, exc)
            if not connection.peer:
                connection.close()
        except Exception as exc:  # a defect here must not take the datasets of everybody away
            _log.exception("the operation %r failed", request.op)
            connection.refuse(request, NQError(f"The coordinator failed at {request.op!r}: {exc!r}"))
        else:
            connection.reply(request, value)
        return True

    def _wait_for_room(self, connection: Connection, request: Request, refusal: StoreFull) -> bool:
        """Answer later, when what nobody needs was freed; False when nothing is being freed."""

        def again(last: bool) -> bool:
            return connection not in self._connections or self._answer(connection, request, lambda _: not last)

        def give_up() -> None:
            connection.refuse(request, StoreFull(f"{refusal} Memory is being freed: try again in a moment."))

        return self._freeing.wait_for_room(again, give_up)

    # -- what freeing needs (Loop) ---------------------------------------------------------------------
    def apply(self, event: ev.Event) -> Any:
        """Move the desk and do what follows."""
        return self._operations.apply(event)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function on the loop, from any thread, and tell everybody what it changed."""
        assert self._loop is not None

        def on_the_loop() -> None:
            if not self._given_back:  # else the store is another host's
                function()
                self._settle()

        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody needs the result
            self._loop.call_soon_threadsafe(on_the_loop)

    def later(self, seconds: float, function: Callable[[], None]) -> asyncio.TimerHandle:
        """Call a function on the loop after a time."""
        assert self._loop is not None

        def on_the_loop() -> None:
            function()
            self._settle()

        return self._loop.call_later(seconds, on_the_loop)

    # -- Effects -------------------------------------------------------------------------------------
    def collect(self, id_: str, *, keep_copy: bool = False) -> None:
        """Free an object in the background."""
        self._freeing.collect(id_, keep_copy=keep_copy)

    def keep_spares(self) -> None:
        """Free spare memory when nobody has written for a while."""
        self._freeing.keep_spares()

    def clean(self) -> None:
        """Look for what writers left, in the background."""
        self._freeing.clean()

    def tell(self, peer: int, event: str, data: Mapping[str, Any]) -> None:
        """Send an event to a peer; one that has just left needs none."""
        for connection in self._connections:
            if connection.peer == peer:
                connection.deliver(event, data)

    def ask_who(self) -> None:
        """Ask those who watch, servers among them, to send their kernels."""
        for connection in self._connections:
            if connection.watching:
                connection.send_event("who", {})

    def yield_host(self) -> None:
        """Stop after the answer has been written."""
        self.call(self._stopping.set)

    def _settle(self) -> None:
        """After every change: tell the watchers once, however much changed, and keep trying to free memory."""
        if self._stopping.is_set() or self._loop is None:
            return
        if self._news is None and self._desk.revision != self._told_revision:
            self._news = self._loop.call_later(_NEWS_SECONDS, self._tell)
        self._freeing.settle()

    def _tell(self) -> None:
        self._news = None
        self._told_revision = self._desk.revision
        for connection in self._connections:
            if connection.watching:
                connection.send_event("changed", {"revision": self._told_revision})
