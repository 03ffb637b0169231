"""Callbacks: one thread of a process that reads every subscription with one, and calls it.

A thread, because a cell that blocks starves everything that runs on the notebook's event loop. It waits on the bells of
all its streams at once.
"""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Callable
from typing import Any

from jupyter_nq.errors import InvalidArgument, Lagged, NQError
from jupyter_nq.sizes import counted
from jupyter_nq.streams.subscription import Subscription
from jupyter_nq.streams.waiting import Bell, wait_for_any

_LONGEST_WAIT_SECONDS = 1.0
_AT_ONCE = 1000

_log = logging.getLogger("jupyter_nq")


class Listener:
    """A callback on a stream, until it is stopped."""

    def __init__(
        self, stream: str, subscription: Subscription, callback: Callable[[Any], object], *, batches: bool
    ) -> None:
        self._stream = stream
        # Written by the background thread, but for _paused and _stopped, which are events.
        self._subscription = subscription
        self._callback = callback
        self._batches = batches
        self._paused = threading.Event()
        self._stopped = threading.Event()
        self.calls = 0
        """How often the callback was called."""
        self.errors = 0
        """How often that raised. The first error of each kind is logged with where it came from."""
        self.lost = 0
        """Messages that were gone before they could be read."""
        self.trouble: str | None = None
        """Why it ended by itself: its stream was dropped, or is damaged."""
        self._told: set[tuple[type[BaseException], str]] = set()

    def __repr__(self) -> str:
        state = "stopped" if self.stopped else "paused" if self._paused.is_set() else "running"
        figures = f"{counted(self.calls, 'call')}, {counted(self.errors, 'error')}, lost {self.lost:,}"
        return f"<Listener {state}, {figures}{f': {self.trouble}' if self.trouble else ''}>"

    @property
    def stopped(self) -> bool:
        """Tell whether it was stopped, or its stream was dropped."""
        return self._stopped.is_set()

    @property
    def lag(self) -> int:
        """Messages that are there and were not read."""
        return 0 if self.stopped else self._subscription.lag

    def pause(self) -> None:
        """Read nothing until `resume`; the stream goes on without waiting."""
        self._paused.set()

    def resume(self) -> None:
        """Read on."""
        self._paused.clear()
        self.bell.ring()

    def stop(self) -> None:
        """End it, after the call that may be under way. Stopping twice is fine."""
        self._stopped.set()
        self.bell.ring()

    # -- the thread ------------------------------------------------------------------------------
    @property
    def bell(self) -> Bell:
        """Rings when something was published."""
        return self._subscription.bell

    def step(self) -> bool:
        """Hand on what is there; returns whether there was something."""
        if self._paused.is_set() or self._stopped.is_set():
            return False
        try:
            found = self._read()
        except Lagged as exc:
            self.lost += exc.lost
            return True
        except NQError as exc:
            self.trouble = str(exc)
            _log.warning("%s", exc)
            self._stopped.set()
            return False
        for one in found:
            if self._stopped.is_set():
                break
            self._call(one)
        return bool(found)

    def _read(self) -> list[Any]:
        if self._batches:
            return list(self._subscription.read_batches())
        return list(self._subscription.get_messages(_AT_ONCE))

    def _call(self, one: Any) -> None:
        self.calls += 1
        try:
            self._callback(one)
        except Exception as exc:  # it is the user's, and must not end the others
            self.errors += 1
            where = traceback.extract_tb(exc.__traceback__)[-1]
            if (kind := (type(exc), f"{where.filename}:{where.lineno}")) not in self._told:
                self._told.add(kind)
                _log.warning("a callback of the stream %r failed, and is called on", self._stream, exc_info=exc)

    def end(self) -> None:
        """Let go of the stream."""
        self._subscription.close()


class Background:
    """The thread of a process, which runs while there are listeners."""

    def __init__(self) -> None:
        # _lock guards both; the thread ends when there is no listener.
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<Background of {len(self._listeners)} listeners>"

    def add(
        self, stream: str, subscription: Subscription, callback: Callable[[Any], object], *, batches: bool
    ) -> Listener:
        """Have a callback called for what a subscription reads."""
        if not callable(callback):
            subscription.close()  # a notebook keeps the error, and it the consumer and its name
            raise InvalidArgument(f"{callback!r} cannot be called.")
        listener = Listener(stream, subscription, callback, batches=batches)
        with self._lock:
            self._listeners.append(listener)
            self._listeners[0].bell.ring()  # so that the thread takes notice
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jupyter-nq-streams", daemon=True)
                self._thread.start()
        return listener

    def _run(self) -> None:
        while (listeners := self._current()) is not None:
            bells = [(listener.bell, listener.bell.seen()) for listener in listeners]
            busy = [listener.step() for listener in listeners]  # all of them: none waits for another
            if not any(busy):
                wait_for_any(bells, _LONGEST_WAIT_SECONDS)

    def _current(self) -> list[Listener] | None:
        """Return the listeners that run; None, and no thread any more, when there are none."""
        with self._lock:
            gone = [listener for listener in self._listeners if listener.stopped]
            self._listeners = [listener for listener in self._listeners if not listener.stopped]
            for listener in gone:
                listener.end()
            if not self._listeners:
                self._thread = None
                return None
            return list(self._listeners)

    def part(self) -> None:
        """Forget everything, in a forked child."""
        self.__init__()  # type: ignore[misc]


background = Background()
"""That of this process."""

os.register_at_fork(after_in_child=background.part)
