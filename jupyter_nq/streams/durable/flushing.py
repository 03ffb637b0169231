"""Groups: one thread of a process has the disk take, every 200 ms, what publishers and consumers did meanwhile.

Nobody who publishes waits for it, or tells it anything but that a segment is full. Who calls `flush` asks for a group
now, which it shares with all who ask at the same time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Protocol

from jupyter_nq.errors import NQError, StoreError

GROUP_SECONDS = 0.2
"""Between two groups, at most."""
_LEFT_SECONDS = 5.0  # a disk that hangs must not hold up the end of a process for longer

_log = logging.getLogger("jupyter_nq")


class Kept(Protocol):
    """Something of one stream that this process copies to the disk."""

    stream_id: str
    lane: int | None
    """Of which it is; None when it is no messages."""

    def flush(self) -> None:
        """Return when the disk has it as it was before the call; raises what the disk refuses."""

    def close(self) -> None:
        """Let go of it, in whatever state."""


class Entry:
    """Something that is copied in each group, and what the disk said last."""

    def __init__(self, kept: Kept) -> None:
        # _turn is held while it is copied or closed, and may be taken again by a collector within that;
        # error is written under it, and read by anybody.
        self.kept = kept
        self.error: NQError | None = None
        """Why the disk does not have it; None when it does."""
        self._turn = threading.RLock()
        self._copying = self._closed = False

    def __repr__(self) -> str:
        return f"<Entry of {self.kept!r}, {self.error or 'in order'}>"

    def copy(self) -> None:
        """Have the disk take it; what that refuses is kept as `error`, and logged when it is new."""
        with self._turn:
            if not self._closed:
                self._copy()
                if self._closed:  # meanwhile, by this thread
                    self.kept.close()

    def _copy(self) -> None:
        before = self.error
        self._copying = True
        try:
            self.kept.flush()
            self.error = None
        except NQError as exc:
            self.error = exc
        except OSError as exc:
            self.error = StoreError(f"The disk of a durable stream refuses: {exc}.")
        finally:
            self._copying = False
        if self.error is not None and before is None:
            _log.warning("a durable stream is not on the disk for now, and goes on in memory: %s", self.error)

    def close(self) -> None:
        """Copy it a last time, and let go of it. Closing twice is fine."""
        if not self._turn.acquire(timeout=_LEFT_SECONDS):
            _log.warning("the disk hangs: whoever opens the stream next copies what is in memory")
            return
        try:
            if self._closed:
                return
            self._closed = True
            if not self._copying:
                self._copy()
                self.kept.close()
        finally:
            self._turn.release()


class Flusher:
    """The thread of a process, which runs while there is something to copy."""

    def __init__(self) -> None:
        # _changed guards the rest. Groups are counted: who asks waits for one that began afterwards.
        self._changed = threading.Condition()
        self._entries: list[Entry] = []
        self._thread: threading.Thread | None = None
        self._begun = self._done = self._wanted = 0

    def __repr__(self) -> str:
        return f"<Flusher of {len(self._entries)}, {self._done} groups>"

    def add(self, kept: Kept) -> Entry:
        """Copy something in each group from now on."""
        entry = Entry(kept)
        with self._changed:
            self._entries.append(entry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jupyter-nq-durable", daemon=True)
                self._thread.start()
        return entry

    def remove(self, entry: Entry) -> None:
        """Copy something a last time, and no more."""
        entry.close()
        with self._changed:
            if entry in self._entries:
                self._entries.remove(entry)
            self._changed.notify_all()

    def hurry(self) -> None:
        """Begin the next group now; nobody waits for it."""
        with self._changed:
            self._wanted = max(self._wanted, self._begun + 1)
            self._changed.notify_all()

    def group(self, deadline: float | None) -> bool:
        """Wait for a group that begins from now on; False when it is not done by a monotonic time."""
        with self._changed:
            mine = self._begun + 1
            self._wanted = max(self._wanted, mine)
            self._changed.notify_all()
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            return self._changed.wait_for(lambda: self._done >= mine or self._thread is None, left)

    def of(self, stream_id: str) -> list[Entry]:
        """Return what this process copies of a stream."""
        with self._changed:
            return [entry for entry in self._entries if entry.kept.stream_id == stream_id]

    def _run(self) -> None:
        while (entries := self._next()) is not None:
            for entry in entries:
                entry.copy()
            with self._changed:
                self._done = self._begun
                self._changed.notify_all()

    def _next(self) -> list[Entry] | None:
        """Wait for the next group; None, and no thread any more, when there is nothing to copy."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted > self._begun or not self._entries, GROUP_SECONDS)
            if not self._entries:
                self._thread = None
                self._changed.notify_all()
                return None
            self._begun += 1
            return list(self._entries)

    def part(self) -> None:
        """Forget everything, in a forked child."""
        self.__init__()  # type: ignore[misc]


flusher = Flusher()
"""That of this process."""

os.register_at_fork(after_in_child=flusher.part)
