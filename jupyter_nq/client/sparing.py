"""Memory prepared for the next write, in the idle time of a process that writes.

The first touch of shared memory costs several times what copying into it costs. Who has written something is likely
to write such a thing again; so when it has paused for a moment, a thread makes one spare segment of that shape, with
a mapping of it, and ends. The coordinator says whether there may be one: not beyond its share of the quota, nor when
the machine is short of memory. It is given back when nobody writes for half a minute, or when somebody needs the room.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.plan import Need, Plan
from jupyter_nq.buffers.pool import SMALLEST_BYTES
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.errors import NQError

IDLE_SECONDS = 0.2

_log = logging.getLogger("jupyter_nq")
_all: weakref.WeakSet[Sparing] = weakref.WeakSet()


class Sparing:
    """What a session prepares for its next write.

    Parameters
    ----------
    store, channel
        The session's.
    """

    def __init__(self, store: Store, channel: Channel) -> None:
        # _need is what the last write took, None once that is prepared, and _at when it was, monotonic; _thread waits
        # for the pause after it. _lock guards all three.
        self._store = store
        self._channel = channel
        self._lock = threading.Lock()
        self._need: Need | None = None
        self._at = 0.0
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        _all.add(self)

    def __repr__(self) -> str:
        return f"<Sparing in {self._store.path}>"

    def wrote(self, name: str, plan: Plan) -> None:
        """Take note of a write; at the next pause, memory for another such is prepared."""
        if plan.nbytes < SMALLEST_BYTES:
            return
        with self._lock:
            self._need, self._at = plan.need(name), time.monotonic()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="jupyter-nq-sparing", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Give up what is under way, and wait until it has ended; closing twice is fine."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            with self._lock:
                need, left = self._need, self._at + IDLE_SECONDS - time.monotonic()
                if need is None:
                    self._thread = None  # from here on, whoever writes starts another
                    return
                if left <= 0:
                    self._need = None
            if left > 0:
                self._closing.wait(left)
            else:
                self._prepare(need)

    def _prepare(self, need: Need) -> None:
        try:
            promise = self._channel.request("prefault", bytes=need.nbytes)
            if promise is not None:
                try:
                    self._store.prefault(need, stopped=self._is_unwanted)
                finally:
                    self._channel.note("release", ticket=promise["ticket"], tidy=True)
        except NQError as exc:
            _log.debug("no memory is prepared for the next write: %s", exc)

    def _is_unwanted(self) -> bool:
        """Tell whether the session closes, or writes again: then it has other need of the machine."""
        return self._closing.is_set() or time.monotonic() - self._at < IDLE_SECONDS

    def _after_fork(self) -> None:
        """In a child: begin anew. The thread is not here, and what it had locked at the fork would be for ever."""
        self._lock = threading.Lock()
        self._need, self._thread = None, None
        closed, self._closing = self._closing.is_set(), threading.Event()
        if closed:
            self._closing.set()


def _renew_in_child() -> None:
    for sparing in list(_all):
        sparing._after_fork()


os.register_at_fork(after_in_child=_renew_in_child)
