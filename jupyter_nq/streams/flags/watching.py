"""A callback on a flag, called in the background thread of the process."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable

from jupyter_nq.errors import InvalidArgument
from jupyter_nq.sizes import counted
from jupyter_nq.streams.flags.record import State

_log = logging.getLogger("jupyter_nq")


class Watch:
    """A callback, until it is stopped."""

    def __init__(self, callback: Callable[[State], object]) -> None:
        # Written by the background thread, but for _stopped, which is an event.
        if not callable(callback):
            raise InvalidArgument(f"{callback!r} cannot be called.")
        self._callback = callback
        self._stopped = threading.Event()
        self._last: tuple[bool, int, str | None] | None = None
        self.calls = 0
        """How often the callback was called."""
        self.errors = 0
        """How often that raised. The first error of each kind is logged with where it came from."""
        self._told: set[tuple[type[BaseException], str]] = set()

    def __repr__(self) -> str:
        state = "stopped" if self.stopped else "running"
        return f"<Watch {state}, {counted(self.calls, 'call')}, {counted(self.errors, 'error')}>"

    @property
    def stopped(self) -> bool:
        """Tell whether it was stopped."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End it, after the call that may be under way. Stopping twice is fine."""
        self._stopped.set()

    def tell(self, state: State) -> None:
        """Call the callback, unless it has had this state; the first one it gets only if that is set."""
        now = (state.is_set, state.generation, state.unreadable)
        is_first, is_same = self._last is None, self._last == now
        self._last = now
        if not (is_same or self.stopped or (is_first and not state.is_set)):
            self._call(state)

    def _call(self, state: State) -> None:
        self.calls += 1
        try:
            self._callback(state)
        except Exception as exc:  # it is the user's, and must not end the watching
            self.errors += 1
            where = traceback.extract_tb(exc.__traceback__)[-1]
            if (kind := (type(exc), f"{where.filename}:{where.lineno}")) not in self._told:
                self._told.add(kind)
                _log.warning("a callback of a flag failed, and is called on", exc_info=exc)
