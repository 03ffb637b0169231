"""A connection on which a notebook hears of what others hand to it, in a thread of its own: a cell may block meanwhile.

It is made before anybody is told to send: whoever has asked is reachable from then on. When the coordinator leaves, it
is made again with the next one. It never hosts: the session's own line does.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jupyter_nq.coordinator import Wire, dial
from jupyter_nq.coordinator.deliveries import SENT
from jupyter_nq.coordinator.listening import SOCKET_NAME
from jupyter_nq.errors import CoordinatorUnavailable, NQError

if TYPE_CHECKING:
    from jupyter_nq.client.session import Session

_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.25

_log = logging.getLogger("jupyter_nq")


def reach(session: Session, seconds: float) -> Wire:
    """Return a connection of its own to the coordinator of a session, whichever process that is by now.

    Raises
    ------
    CoordinatorUnavailable
        Nobody coordinates for so long.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        session.channel.request("status")  # waits for a coordinator, or becomes it
        try:
            return dial(session.store.path / SOCKET_NAME, "watch", seconds)
        except NQError:
            raise
        except OSError as exc:  # it has just left
            if time.monotonic() >= deadline:
                raise CoordinatorUnavailable(
                    f"The coordinator of {session.store.path} does not take a connection ({exc}). Try again."
                ) from exc
            pause.wait(_FIRST_PAUSE_SECONDS)


class Receiver:
    """Hands on what is sent to a notebook until it is closed.

    Parameters
    ----------
    session
        Of this process.
    name
        The registered name that it hears for; None hears for the process.
    handle
        Called in the thread with what the target is told; it must not raise.
    """

    def __init__(self, session: Session, name: str | None, handle: Callable[[Mapping[str, Any]], None]) -> None:
        self._path = session.store.path / SOCKET_NAME
        self._seconds = session.settings.connect_seconds
        self._name = name
        self._handle = handle
        self._pid = os.getpid()
        self._closing = threading.Event()
        self._wire: Wire | None = self._listening(reach(session, self._seconds))  # the thread's
        self._thread = threading.Thread(target=self._run, name="jupyter-nq-inbox", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        state = "closed" if self._closing.is_set() else "listening" if self._wire else "waiting"
        return f"<Receiver for {self._name or 'this process'}, {state}>"

    @property
    def usable(self) -> bool:
        """Tell whether it hears: not closed, and not a forked child's copy of its parent's."""
        return not self._closing.is_set() and self._pid == os.getpid()

    def close(self) -> None:
        """Hear no more; what is being handled is finished, unless this is called from it. Closing twice is fine."""
        self._closing.set()
        if self._pid != os.getpid():
            return
        wire = self._wire
        if wire is not None:
            wire.hear_no_more()  # what is being handled is still to be answered
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _listening(self, wire: Wire) -> Wire:
        try:
            wire.call("receive", {"name": self._name})
        except BaseException:
            wire.close()
            raise
        wire.sock.settimeout(None)
        return wire

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._closing.is_set():
            if self._wire is not None:
                self._hear(self._wire)
                pause = _FIRST_PAUSE_SECONDS
            self._wire = self._again()
            if self._wire is None:
                self._closing.wait(pause)
                pause = min(1.6 * pause, _LONGEST_PAUSE_SECONDS)
        if self._wire is not None:
            self._wire.close()

    def _hear(self, wire: Wire) -> None:
        """Hand on what comes until the coordinator leaves."""
        try:
            while not self._closing.is_set():
                name, data = wire.next_event()
                if name == SENT:
                    self._handle(data)
        except (OSError, NQError) as exc:
            _log.debug("the coordinator left: %s", exc)
        except Exception:  # the root of the thread: whatever it was, the notebook must not be deaf
            _log.exception("what was handed over cannot be read")
        finally:
            self._wire = None
            wire.close()

    def _again(self) -> Wire | None:
        if self._closing.is_set():
            return None
        try:
            return self._listening(dial(self._path, "watch", self._seconds))
        except (OSError, NQError) as exc:
            _log.debug("no coordinator to hear from: %s", exc)
            return None
