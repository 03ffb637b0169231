"""What others handed to a notebook: held here from the moment at which the sender is told so, under its dataset's name.

Only what was asked for is taken. A version is mapped and compared with its digest before the sender is told that it is
here; no variable of the notebook is touched. A newer version replaces an older one, never the other way.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jupyter_nq.buffers import Handle, check_name
from jupyter_nq.client.notebooks.calling import Caller
from jupyter_nq.client.notebooks.receiving import Receiver
from jupyter_nq.errors import InvalidArgument, NQError, UnknownDataset, nearest

if TYPE_CHECKING:
    from jupyter_nq.client.session import Session

_log = logging.getLogger("jupyter_nq")
Callback = Callable[["Arrival"], object]


@dataclass(frozen=True)
class Arrival:
    """A version of a dataset that another notebook handed to this one; it stays in memory while this is held."""

    name: str
    version: int
    sender: str
    """The sender's registered name, else its notebook or program."""
    sender_pid: int
    at: datetime
    """When it was here, UTC."""
    handle: Handle = field(repr=False)
    _view: Callable[..., Any] = field(repr=False, compare=False)

    @property
    def data(self) -> Any:
        """Return what was handed over, as `nq.get` does: a frame is a view of shared memory."""
        return self.view()

    def view(self, as_: str = "pandas", **selection: Any) -> Any:
        """Return it in a form of `nq.get`: "pandas", "arrow", "numpy", "torch", "polars"; `columns` chooses some."""
        return self._view(self.handle, as_, **selection)


class Inbox:
    """What was handed to one registered name, or to the process.

    Parameters
    ----------
    session
        Of this process.
    name
        The registered name; None for the process.
    """

    def __init__(self, session: Session, name: str | None = None) -> None:
        # _lock guards _asked (by dataset, whom to call), _everything, _declined, _arrived and _caller; _starting guards
        # _receiver. A forked child begins anew: its parent's threads are not there.
        self._session = session
        self._name = name
        self._starting = threading.Lock()
        self._receiver: Receiver | None = None
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Condition()
        self._asked: dict[str, list[Callback]] = {}
        self._everything = False
        self._declined: set[str] = set()  # of everything
        self._arrived: dict[str, Arrival] = {}
        self._caller: Caller | None = None
        self._pid = os.getpid()

    def __repr__(self) -> str:
        asked = "everything" if self._everything else ", ".join(self._asked) or "nothing"
        return f"<Inbox of {self._name or 'this process'}, asked for {asked}, {len(self._arrived)} arrived>"

    # -- asking ------------------------------------------------------------------------------------
    def accept(self, *names: str) -> None:
        """Take what others hand over under these names, or under any without one; they can send when this returns."""
        self._renew_in_child()
        wanted = [check_name(name) for name in names]
        with self._lock:
            self._everything = self._everything or not wanted
            self._declined = self._declined.difference(wanted) if wanted else set()
            for name in wanted:
                self._asked.setdefault(name, [])
        self._start()

    def on_sync(self, name: str, callback: Callback) -> None:
        """Take what others hand over under a name, and call back with each `Arrival`, in a thread for callbacks."""
        if not callable(callback):
            raise InvalidArgument(f"{callback!r} cannot be called.")
        self._renew_in_child()
        with self._lock:
            self._asked.setdefault(check_name(name), []).append(callback)
            self._declined.discard(name)
        self._start()

    def decline(self, *names: str) -> None:
        """Take these names no longer, or nothing any more without one, and let go of what came under them."""
        self._renew_in_child()
        with self._lock:
            self._everything = self._everything and bool(names)
            self._declined = self._declined.union(names) if self._everything else set()
            for name in names or (*self._asked, *self._arrived):
                self._asked.pop(name, None)
                self._arrived.pop(name, None)

    # -- reading -----------------------------------------------------------------------------------
    def arrival(self, name: str, timeout: float = 0.0, newer_than: int = 0) -> Arrival:
        """Return the newest version that came under a name.

        Parameters
        ----------
        timeout
            Seconds to wait for one.
        newer_than
            Waits for a version above this one.

        Raises
        ------
        UnknownDataset
            None has come; with the nearest names that have.
        InvalidArgument
            The timeout is no time.
        """
        if not isinstance(timeout, (int, float)) or not 0 <= timeout <= threading.TIMEOUT_MAX:
            raise InvalidArgument(f"timeout={timeout!r} is no number of seconds.")
        self._renew_in_child()
        deadline = time.monotonic() + timeout
        with self._lock:
            while (found := self._arrived.get(name)) is None or found.version <= newer_than:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise UnknownDataset(self._missing(name, newer_than))
                self._lock.wait(left)
            return found

    def arrivals(self) -> list[Arrival]:
        """Return what is here, by name."""
        self._renew_in_child()
        with self._lock:
            return [self._arrived[name] for name in sorted(self._arrived)]

    def close(self) -> None:
        """Take nothing any more, and let go of what came. Closing twice is fine."""
        self._renew_in_child()
        with self._starting:
            receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.close()
        self.decline()  # what came last, too
        with self._lock:
            caller, self._caller = self._caller, None
        if caller is not None:
            caller.close()

    def _missing(self, name: str, newer_than: int) -> str:
        what = f"Nothing newer than version {newer_than}" if newer_than else "Nothing"
        taken = (self._everything and name not in self._declined) or name in self._asked
        asked = "" if taken else f" It was not asked for: nq.accept({name!r})."
        return f"{what} has been handed over here under {name!r}.{nearest(name, self._arrived)}{asked}"

    def _start(self) -> None:
        with self._starting:
            if self._receiver is None or not self._receiver.usable:
                self._receiver = Receiver(self._session, self._name, self._deliver)

    def _renew_in_child(self) -> None:
        if self._pid != os.getpid():
            self._starting, self._receiver = threading.Lock(), None
            self._begin()

    # -- in the receiver's thread --------------------------------------------------------------------
    def _deliver(self, told: Mapping[str, Any]) -> None:
        """Take a version, or find why not, and say so."""
        before = self._arrived.get(told["name"])
        try:
            refusal = self._take(told)
        except Exception as exc:  # whatever it is, the sender waits for a word
            refusal = f"{type(exc).__name__}: {exc}"
        try:
            self._session.channel.request("synced", number=told["number"], refusal=refusal)
        except NQError as exc:  # the sender's line broke too: it sends again, or is told that nobody coordinates
            _log.debug("the sender was not told: %s", exc)
        arrived = self._arrived.get(told["name"])
        if arrived is not None and arrived is not before:
            self._call(arrived)

    def _take(self, told: Mapping[str, Any]) -> str | None:
        name, version, id_ = told["name"], told["version"], told.get("id")
        with self._lock:
            refusal, before = self._unasked(name), self._arrived.get(name)
        if refusal is not None:
            return refusal
        if before is not None and before.version > version:
            return f"it has version {before.version}, which is newer"
        if before is not None and before.version == version and id_ in (None, before.handle.info.id):
            return None  # else its memory was removed by hand, and the version given to something else
        try:
            handle = self._session.open(name, version, verify="first")
        except NQError as exc:
            return str(exc).rstrip(".")
        if id_ not in (None, handle.info.id):
            handle.close()
            return f"version {version} of {name!r} is something else by now"
        return self._keep(
            Arrival(name, version, told["sender"], told["pid"], datetime.now(UTC), handle, self._session.view)
        )

    def _keep(self, arrival: Arrival) -> str | None:
        with self._lock:
            if (refusal := self._unasked(arrival.name)) is None:  # it was declined while it was mapped
                self._arrived[arrival.name] = arrival  # the one before lives while somebody holds it
                self._lock.notify_all()
            return refusal

    def _unasked(self, name: str) -> str | None:
        if name in self._declined:
            return f"it does not take {name!r} any more"
        if self._everything or name in self._asked:
            return None
        asked = ", ".join(sorted(self._asked))
        return f"it has not asked for it, {f'only for {asked}' if asked else 'nor for anything'}"

    def _call(self, arrival: Arrival) -> None:
        with self._lock:
            callbacks = list(self._asked.get(arrival.name, ()))
            if callbacks and self._caller is None:
                self._caller = Caller()
            caller = self._caller
        for callback in callbacks:
            if caller is not None:
                caller.call(callback, arrival)


class Inboxes:
    """The inboxes of a session: one for each name that it registered, and the process's own."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()  # guards _inboxes; a forked child has its own
        self._pid = os.getpid()
        self._inboxes: dict[str | None, Inbox] = {}

    def __repr__(self) -> str:
        return f"<Inboxes of {', '.join(str(name or 'this process') for name in self._inboxes) or 'nobody'}>"

    def of(self, name: str | None = None) -> Inbox:
        """Return the inbox of a registered name, or of the process."""
        self._renew_in_child()
        with self._lock:
            return self._inboxes.setdefault(name, Inbox(self._session, name))

    def close(self) -> None:
        """Close all of them."""
        self._renew_in_child()
        with self._lock:
            inboxes, self._inboxes = list(self._inboxes.values()), {}
        for inbox in inboxes:
            inbox.close()

    def _renew_in_child(self) -> None:
        if self._pid != os.getpid():
            self._lock, self._pid = threading.Lock(), os.getpid()
