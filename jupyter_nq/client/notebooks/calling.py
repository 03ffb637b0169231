"""Callbacks in a thread of their own, one after the other: a slow one delays the next, and nothing else."""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("jupyter_nq")


class Caller:
    """Calls what it is given, in this order, until it is closed."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[Any], object], Any] | None] = queue.SimpleQueue()
        self._told: set[tuple[type[BaseException], str]] = set()  # the thread's
        self.errors = 0
        """How often a callback raised. The first error of each kind is logged with where it came from."""
        self._thread = threading.Thread(target=self._run, name="jupyter-nq-callbacks", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Caller, {self._calls.qsize()} waiting, {self.errors} errors>"

    def call(self, callback: Callable[[Any], object], argument: Any) -> None:
        """Have a callback called, after those that wait."""
        self._calls.put((callback, argument))

    def close(self) -> None:
        """Call nothing more after what waits; it returns at once."""
        self._calls.put(None)

    def _run(self) -> None:
        while (found := self._calls.get()) is not None:
            callback, argument = found
            try:
                callback(argument)
            except Exception as exc:  # it is the user's, and must not end the others
                self._tell(exc)
            del found, callback, argument  # what it was about may be let go while nothing else comes

    def _tell(self, exc: Exception) -> None:
        self.errors += 1
        where = traceback.extract_tb(exc.__traceback__)[-1]
        if (kind := (type(exc), f"{where.filename}:{where.lineno}")) not in self._told:
            self._told.add(kind)
            _log.warning("a callback of an inbox failed, and is called on", exc_info=exc)
