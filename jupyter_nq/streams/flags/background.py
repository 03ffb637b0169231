"""The thread of a process that watches its flags: it acknowledges, calls back, beats, and looks whether all is well.

A thread, because a cell that blocks starves everything that runs on the notebook's event loop. It waits on the bells
of all flags at once, and looks at each of them ten times a second.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Protocol

from jupyter_nq.errors import NQError
from jupyter_nq.streams.waiting import Bell, wait_for_any

LOOK_SECONDS = 0.1

_log = logging.getLogger("jupyter_nq")


class Watched(Protocol):
    """What the thread needs of a flag."""

    def step(self) -> None:
        """Look at it, and do what is to be done."""

    def part(self) -> None:
        """Give up what is the parent's, in a forked child."""

    @property
    def bell(self) -> Bell | None:
        """Rings when the flag changes; None when it cannot be touched."""

    @property
    def pause_seconds(self) -> float:
        """How long the thread may sleep."""


class Background:
    """The thread of a process, which runs while there are flags."""

    def __init__(self) -> None:
        # _lock guards _flags, _thread and _told; the thread ends when there is no flag.
        self._lock = threading.Lock()
        self._flags: list[Watched] = []
        self._thread: threading.Thread | None = None
        self._told: set[str] = set()
        self._never = threading.Event()

    def __repr__(self) -> str:
        return f"<Background of {len(self._flags)} flags>"

    def add(self, flag: Watched) -> None:
        """Watch a flag; adding one twice is fine."""
        with self._lock:
            if flag not in self._flags:
                self._flags.append(flag)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jupyter-nq-flags", daemon=True)
                self._thread.start()

    def remove(self, flag: Watched) -> None:
        """Watch a flag no more."""
        with self._lock:
            if flag in self._flags:
                self._flags.remove(flag)

    def _run(self) -> None:
        while (flags := self._current()) is not None:
            bells = [(bell, bell.seen()) for bell in (flag.bell for flag in flags) if bell is not None]
            for flag in flags:
                self._step(flag)
            pause = min(flag.pause_seconds for flag in flags)
            try:
                if bells:
                    wait_for_any(bells, pause)
                else:
                    self._never.wait(pause)
            except OSError as exc:  # a page was cut just now; the next look finds that
                _log.info("waiting for a flag failed: %s", exc)
                self._never.wait(pause)

    def _step(self, flag: Watched) -> None:
        try:
            flag.step()
        except (NQError, OSError) as exc:
            text = f"{flag!r} could not be watched, and is looked at again: {exc}"
            if text not in self._told:
                self._told.add(text)
                _log.warning("%s", text)

    def _current(self) -> list[Watched] | None:
        """Return the flags; None, and no thread any more, when there are none."""
        with self._lock:
            if not self._flags:
                self._thread = None
                return None
            return list(self._flags)

    def part(self) -> None:
        """Forget everything, in a forked child: it has the flags, and nobody who watches them for it."""
        flags = self._flags
        self.__init__()  # type: ignore[misc]
        for flag in flags:
            flag.part()


background = Background()
"""That of this process."""

os.register_at_fork(after_in_child=background.part)
