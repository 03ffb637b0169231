"""The thread that keeps a channel's line while nobody uses it.

It only waits: for the line to break, and for the bell, which is rung when there is something to announce.
Without a line it tries to get one, at once and then more and more rarely.
"""

from __future__ import annotations

import logging
import random
import select
import threading
from typing import Protocol

from jupyter_nq.client.line.bell import Bell
from jupyter_nq.coordinator import Wire

FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 1.0
_BATCH_SECONDS = 0.02

_log = logging.getLogger("jupyter_nq")


class Line(Protocol):
    """What the keeper looks after."""

    @property
    def wire(self) -> Wire | None:
        """The present wire, None while there is none."""

    def mend(self) -> None:
        """Try once to get a wire."""

    def broke(self, wire: Wire) -> None:
        """Forget a wire whose other end is gone."""

    def flush(self) -> None:
        """Send what waits to be announced."""


class Keeper:
    """The thread, which runs until `closing` is set and the bell is rung."""

    def __init__(self, line: Line, bell: Bell, closing: threading.Event) -> None:
        self._line = line
        self._bell = bell
        self._closing = closing
        self._thread = threading.Thread(target=self._run, name="jupyter-nq-keeper", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Keeper {'alive' if self._thread.is_alive() else 'ended'}>"

    def join(self) -> None:
        """Wait for the end, unless the keeper itself asks."""
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        pause, cause = FIRST_PAUSE_SECONDS, ""
        while not self._closing.is_set():
            try:
                if self._tend():
                    pause = FIRST_PAUSE_SECONDS
                    continue
            except Exception as exc:  # the root of the thread without which an idle process would be forgotten
                if repr(exc) != cause:
                    _log.exception("%r cannot be kept, and is tried again", self._line)
                cause = repr(exc)
            self._closing.wait(pause * random.uniform(0.5, 1.0))
            pause = min(1.6 * pause, _LONGEST_PAUSE_SECONDS)

    def _tend(self) -> bool:
        """Wait until something happens to the line; without one, try to get one and return False."""
        wire = self._line.wire
        if wire is None:
            self._line.mend()
            return False
        poll = select.poll()
        poll.register(self._bell.fileno(), select.POLLIN)
        if (fd := wire.sock.fileno()) >= 0:
            poll.register(fd, select.POLLRDHUP)
        ready = dict(poll.poll())
        if self._bell.fileno() in ready:
            self._closing.wait(_BATCH_SECONDS)
            self._bell.heard()
            self._line.flush()
        if fd in ready:
            self._line.broke(wire)
        return True
