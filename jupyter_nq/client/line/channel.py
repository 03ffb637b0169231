"""A process's line to the coordinator: requests from the calling thread, and a keeper that mends the line.

Requests go over one blocking socket, so that a round trip costs no thread switch. When the host is gone, the
keeper connects to the next one, or becomes it, so that an idle script is known again within a second; a
request that meets the broken line first does the same and is sent once more. Every operation allows that: a
coordinator does nothing for who has hung up, publishing is remembered by the object, and a drop that names
the object it is about never touches what was put there since.

Notes are for the present line only. They wait for nobody, so that they can be sent while an error unwinds.

Holds are announced in batches and again after every reconnection. `hold` and `release` may be called from
a finalizer, so they take no lock: they write into the ledger and ring the keeper's bell.

A forked child has its own line, made at its first request.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jupyter_nq.buffers import Catalogue
from jupyter_nq.client.line.bell import Bell
from jupyter_nq.client.line.hosting import as_store_error, become_host, nobody, silent
from jupyter_nq.client.line.keeper import FIRST_PAUSE_SECONDS, Keeper
from jupyter_nq.client.line.ledger import Ledger
from jupyter_nq.client.line.notes import Notes
from jupyter_nq.config import Settings
from jupyter_nq.coordinator import Wire, dial
from jupyter_nq.coordinator.listening import SOCKET_NAME
from jupyter_nq.errors import CoordinatorUnavailable, NQError

if TYPE_CHECKING:
    from jupyter_nq.coordinator.service import Service

_LONGEST_PAUSE_SECONDS = 0.25
_SERVER_FIRST_SECONDS = (0.15, 0.3)  # after a loss, servers may try the lock this much earlier than others

_log = logging.getLogger("jupyter_nq")
_channels: weakref.WeakSet[Channel] = weakref.WeakSet()


class Channel:
    """The line of one process to the coordinator of a store.

    Parameters
    ----------
    store
        The opened store, or its directory, which is made when it is not there.
    settings
        Settings of this process; `connect_seconds` bounds every wait.
    role
        "client", "cli", or "server" for a Jupyter server, which takes the coordinator over from others.
    require
        "server" accepts only a coordinator that a Jupyter server hosts; None any.
    may_host
        Whether this process may host the coordinator when nobody does.
    on_connect
        Called with the channel after each connection, before any other request; it may use the channel.

    Raises
    ------
    CoordinatorUnavailable, VersionMismatch, StoreError
    """

    def __init__(
        self,
        store: Catalogue | str | os.PathLike[str],
        settings: Settings,
        *,
        role: str = "client",
        require: str | None = None,
        may_host: bool = True,
        on_connect: Callable[[Channel], None] | None = None,
    ) -> None:
        self.store_path = (store if isinstance(store, Catalogue) else Catalogue(store)).path
        self.peer_info: dict[str, Any] = {}
        self.notice: str | None = None
        self._settings = settings
        self._role = role
        self._require = require
        self._may_host = may_host and require != "server"
        self._on_connect = on_connect
        self._closing = threading.Event()
        # The lock guards the line: _wire, _service, _host_after, and counting in the ledger. Its owner may be
        # in a callback that uses the channel.
        self._lock = threading.RLock()
        self._wire: Wire | None = None
        self._service: Service | None = None
        self._host_after = 0.0  # monotonic second from which this process may try to host
        self._ledger = Ledger()
        self._notes = Notes()
        with as_store_error(self.store_path):
            self._bell = Bell()
        self._keeper: Keeper | None = None
        try:
            with self._lock, as_store_error(self.store_path):
                self._reach(time.monotonic() + settings.connect_seconds)
        except BaseException:
            self.close()
            raise
        _channels.add(self)

    def __repr__(self) -> str:
        if self._closing.is_set():
            state = "closed"
        else:
            state = "hosting" if self.is_host else "connected" if self._wire else "lost"
        return f"<Channel to {self.store_path} as {self._role}, {state}>"

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def is_host(self) -> bool:
        """Tell whether this channel's own service is the coordinator."""
        return self._service is not None and self._service.running

    # -- talking -----------------------------------------------------------------------------------
    def request(self, op: str, /, **args: Any) -> Any:
        """Send a request and wait for the answer, over a new line if the old one broke.

        Raises
        ------
        CoordinatorUnavailable
            Nobody answered for `connect_seconds`.
        NQError
            The coordinator refused; the class is the one it raised.
        """
        return self._talk(lambda wire: wire.call(op, args))

    def note(self, op: str, /, **args: Any) -> None:
        """Send a note over the present line, if there is one: nothing tells whether it arrived.

        It neither waits for a coordinator nor looks for one, and raises nothing but `ProtocolError` for
        arguments that cannot be sent. What must arrive is said again in `on_connect`.
        """
        self._notes.add(op, args)
        if self._lock.acquire(blocking=False):
            try:
                self._send_notes()
            finally:
                self._lock.release()
        else:  # another thread talks: it, or the keeper, sends the note afterwards
            self._bell.ring()

    def hold(self, object_id: str, version: int) -> None:
        """Announce, soon, that this process holds a version once more."""
        self._ledger.change((object_id, version), 1)
        self._bell.ring()

    def release(self, object_id: str, version: int) -> None:
        """Announce, soon, that this process holds a version once less; safe in a finalizer."""
        self._ledger.change((object_id, version), -1)
        self._bell.ring()

    def close(self) -> None:
        """End the line, and hosting if this channel does; closing twice is fine."""
        if self._closing.is_set():
            return
        self._closing.set()
        wire, keeper = self._wire, self._keeper
        if wire is not None:
            wire.interrupt()
        self._bell.ring()
        with self._lock:
            self._drop(self._wire)
            service, self._service = self._service, None
        if service is not None:
            service.stop()
        if keeper is not None:
            keeper.join()

    def _talk(self, exchange: Callable[[Wire], Any]) -> Any:
        deadline = time.monotonic() + self._settings.connect_seconds
        with self._lock:
            while True:
                with as_store_error(self.store_path):
                    wire = self._wire or self._reach(deadline)
                try:
                    self._ledger.announce(wire)
                    self._send_notes()
                    return exchange(wire)
                except NQError:
                    raise
                except TimeoutError as exc:
                    self._drop(wire)
                    raise CoordinatorUnavailable(silent(self.store_path, self.peer_info, self._settings)) from exc
                except OSError as exc:
                    self._drop(wire)
                    if time.monotonic() >= deadline:
                        raise CoordinatorUnavailable(nobody(self.store_path, self._require)) from exc
                except BaseException:  # an interrupt: the answer is still under way and must not meet the next request
                    self._drop(wire)
                    raise

    def _send_notes(self) -> None:
        """Send the notes that wait, with the lock held."""
        wire = self._wire
        if wire is None:
            self._notes.clear()
            return
        try:
            self._notes.send(wire)
        except OSError:
            self._drop(wire)

    # -- the line (with the lock held) ---------------------------------------------------------------
    def _reach(self, deadline: float) -> Wire:
        """Connect, or host and connect, trying until the deadline."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            if self._closing.is_set():
                raise CoordinatorUnavailable(f"The channel to {self.store_path} is closed. Connect again.")
            wire = self._attempt()
            if wire is not None:
                return wire
            if time.monotonic() >= deadline:
                raise CoordinatorUnavailable(nobody(self.store_path, self._require))
            self._closing.wait(pause * random.uniform(0.5, 1.0))
            pause = min(1.6 * pause, _LONGEST_PAUSE_SECONDS)

    def _attempt(self) -> Wire | None:
        """Try once: take the line to whoever listens, or host. None means not yet."""
        wire = self._dial()
        if wire is None and self._may_host and time.monotonic() >= self._host_after and self._host():
            wire = self._dial()
        if wire is None or not self._accepts(wire):
            return None
        self._wire, self.peer_info = wire, wire.info
        if self._keeper is None:
            self._keeper = Keeper(self, self._bell, self._closing)
        self._ledger.forget_told()
        try:
            self._ledger.announce(wire)
        except OSError:
            self._drop(wire)
            return None
        self._tell_owner()
        return self._wire

    def _tell_owner(self) -> None:
        if self._on_connect is not None:
            try:
                self._on_connect(self)
            except NQError as exc:  # the line is good, and its owner is asked again after the next connection
                _log.warning("what follows a connection failed: %s", exc)

    def _dial(self) -> Wire | None:
        try:
            return dial(self.store_path / SOCKET_NAME, self._role, self._settings.connect_seconds)
        except NQError:
            raise
        except OSError:
            return None

    def _accepts(self, wire: Wire) -> bool:
        """Keep this line? A server takes over from a host that is none; who requires a server waits for one."""
        if wire.info["host"]["role"] == "server" or (self._role != "server" and self._require != "server"):
            return True
        try:
            if self._role == "server" and self._may_host:
                return not wire.call("handover", {})["granted"] or self._not_now(wire)
        except OSError as exc:
            if isinstance(exc, NQError):
                raise
        return self._not_now(wire)

    def _not_now(self, wire: Wire) -> bool:
        wire.close()
        return False

    def _host(self) -> bool:
        store = Catalogue(self.store_path, create=False)
        service = become_host(store, self._settings, self._role, succeeds=bool(self.peer_info))
        if service is None:
            return False
        self._service = service
        if self._role != "server":
            self.notice = (
                f"This process (pid {os.getpid()}) coordinates the store {self.store_path} until a Jupyter server or "
                "another process takes over; nothing needs to be done."
            )
            _log.info(self.notice)
        return True

    def _drop(self, wire: Wire | None) -> None:
        if wire is None:
            return
        if wire is self._wire:
            self._wire = None
            self._notes.clear()
            eager = self._role == "server"
            self._host_after = 0.0 if eager else time.monotonic() + random.uniform(*_SERVER_FIRST_SECONDS)
        wire.close()
        self._bell.ring()

    # -- what the keeper calls -------------------------------------------------------------------------
    @property
    def wire(self) -> Wire | None:
        """The present line, if any."""
        return self._wire

    def broke(self, wire: Wire) -> None:
        """Forget a line whose other end is gone."""
        with self._lock:
            if wire is self._wire:
                self._drop(wire)

    def flush(self) -> None:
        """Announce holds and send the notes that wait."""
        with self._lock:
            try:
                if self._wire is not None and self._ledger.pending:
                    self._ledger.announce(self._wire)
            except OSError:
                self._drop(self._wire)
            self._send_notes()

    def mend(self) -> None:
        """Try once to get a new line; a request that needs it meanwhile waits for the outcome."""
        with self._lock:
            if self._wire is None and not self._closing.is_set():
                try:
                    self._attempt()
                except NQError as exc:
                    _log.debug("no coordinator yet: %s", exc)

    # -- fork ----------------------------------------------------------------------------------------
    def _after_fork(self) -> None:
        """In a child: forget the parent's line, which is closed here, and its threads, which are not here."""
        self._lock = threading.RLock()
        self._wire = self._service = self._keeper = None
        self._bell = Bell()
        self._notes.clear()
        if not self._closing.is_set():
            self._closing = threading.Event()


def _renew_in_child() -> None:
    for channel in list(_channels):
        channel._after_fork()


os.register_at_fork(after_in_child=_renew_in_child)
