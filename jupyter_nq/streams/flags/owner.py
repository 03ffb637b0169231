"""The owner of a dead man's switch: a lock that dies with the process, and a deadline that it moves on.

The deadline is a time of a clock that nobody sets. Every reader compares it by itself, and the lock is looked at ten
times a second: an owner that hangs is noticed at its deadline, one that died mostly before.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.locks import is_current, open_lock_file, try_flock
from jupyter_nq.buffers.platform import lock_holders
from jupyter_nq.errors import FlagBusy, InvalidArgument, nearest
from jupyter_nq.streams.flags.changing import Changed, Changes
from jupyter_nq.streams.flags.making import is_locked
from jupyter_nq.streams.flags.page import DEADLINE_NS, Page
from jupyter_nq.streams.flags.places import OWNER, Places
from jupyter_nq.streams.flags.record import Owner, Who, fresh_key, now_ns

LEAST_SECONDS = 0.2
MOST_SECONDS = 86_400.0
BEATS = ("thread", "manual")
"""Who beats."""
_BEATS_IN_TIME = 5
_SLACK_NS = 1_000_000_000  # a deadline further away than a beat puts it is none
_LOOK_SECONDS = 0.5  # whoever looks whether the owner lives has the lock for an instant
_PAUSE_SECONDS = 0.001


def check_heartbeat(seconds: float, beat: str) -> float:
    """Return the seconds of a heartbeat; raises `InvalidArgument` when they are none, or nobody is to beat."""
    if beat not in BEATS:
        raise InvalidArgument(f"beat={beat!r} is none of {', '.join(BEATS)}.{nearest(str(beat), BEATS)}")
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise InvalidArgument(f"deadman={seconds!r} is no time from {LEAST_SECONDS:g} to {MOST_SECONDS:,.0f} seconds.")
    return float(seconds)


def verdict(page: Page, places: Places, name: str, owner: Owner) -> str | None:
    """Return why an owner counts as dead; None when it lives."""
    now = now_ns()  # before the deadline: whoever is stopped between the two finds it later, not passed
    left_ns = page.words[DEADLINE_NS] - now
    if left_ns < 0:
        return f"its owner {owner.who} gave no sign of life for {owner.seconds:g} s"
    if left_ns > owner.seconds * 1e9 + _SLACK_NS:
        return f"the deadline of its owner {owner.who} is damaged"
    if not is_locked(places.beside(name, OWNER)):
        return f"its owner {owner.who} ended without a release"
    return None


class Ownership:
    """This process's part in a dead man's switch: the lock and the heartbeat, while it is the owner."""

    def __init__(self, places: Places, name: str, who: Callable[[], Who], changes: Changes) -> None:
        # _lock guards all that follows it: the notebook begins and releases, the background thread beats.
        self._places, self._name, self._who, self._changes = places, name, who, changes
        self._lock = threading.RLock()
        self._fd = -1
        self._owner: Owner | None = None
        self._is_manual = False
        self._beat_at = 0.0

    def __repr__(self) -> str:
        held = f"{self._owner.seconds:g} s" if self._owner is not None else "not held"
        return f"<Ownership of {self._name}, {held}>"

    def begin(self, page: Page, seconds: float, beat: str) -> Changed | None:
        """Become the owner, or one with another heartbeat; None when nothing changes.

        Raises
        ------
        FlagBusy
            Another process is the owner.
        InvalidArgument, StoreError, ChecksumError
        """
        owner = Owner(self._who(), check_heartbeat(seconds, beat), fresh_key())
        with self._lock:
            if self._is_mine(page):
                assert self._owner is not None
                if (self._owner.seconds, self._is_manual) == (owner.seconds, beat == "manual"):
                    return None
                self._changes.disarm(page, self._owner)
            self._fd = self._fd if self._fd >= 0 else _taken(self._places.beside(self._name, OWNER), self._name)
            try:
                changed = self._changes.arm(page, owner)
            except BaseException:
                self.close()
                raise
            self._owner, self._is_manual = owner, beat == "manual"
            self._beat_at = time.monotonic()
            return changed

    def beat(self, page: Page | None) -> bool:
        """Move the deadline on; False when that came too late, or the page is lost.

        Raises
        ------
        FlagBusy
            This process is not the owner.
        """
        with self._lock:
            if page is None:
                return False
            if not self._is_mine(page):
                was = self._owner is not None
                self.close()
                if was:
                    return False
                raise FlagBusy(
                    f"This process does not own the flag {self._name!r}. Write nq.flag({self._name!r}, deadman=5)."
                )
            assert self._owner is not None
            now = now_ns()
            if now <= page.words[DEADLINE_NS]:
                page.words[DEADLINE_NS] = now + round(self._owner.seconds * 1e9)
                return True
            self._changes.latch(page, self._owner, f"its owner {self._owner.who} was late with its own heartbeat")
            self.close()
            return False

    @property
    def is_mine(self) -> bool:
        """Tell whether this process is the owner, as far as it knows."""
        return self._owner is not None

    def release(self, page: Page | None) -> Changed | None:
        """Be the owner no more; None when the heartbeat had stopped before, for which the flag is set."""
        with self._lock:
            if page is None or not self.beat(page):
                return None
            assert self._owner is not None
            changed = self._changes.disarm(page, self._owner)
            self.close()
            return changed

    def step(self, page: Page | None) -> None:
        """Beat, when it is time and no manual beat is wanted."""
        with self._lock:
            if self._owner is None or self._is_manual or page is None or self.pause_seconds > 0:
                return
            self._beat_at = time.monotonic()
            self.beat(page)

    @property
    def pause_seconds(self) -> float:
        """How long the background thread may sleep before the next beat."""
        owner = self._owner
        if owner is None or self._is_manual:
            return MOST_SECONDS
        return max(self._beat_at + owner.seconds / _BEATS_IN_TIME - time.monotonic(), 0.0)

    def _is_mine(self, page: Page) -> bool:
        """Tell whether this process is the owner, also in the eyes of the others."""
        found = page.record().owner if self._owner is not None else None
        return found is not None and self._owner is not None and found.token == self._owner.token

    def close(self) -> None:
        """Give the lock back: if that is no release, it sets the flag. Closing twice is fine."""
        with self._lock:
            fd, self._fd, self._owner = self._fd, -1, None
            if fd >= 0:
                disown(fd)
                os.close(fd)

    def part(self) -> None:
        """Leave the lock to the parent, in a forked child, where `forking` has replaced the descriptor."""
        self._lock = threading.RLock()
        self.close()


def _taken(path: Path, name: str) -> int:
    pause, deadline = threading.Event(), time.monotonic() + _LOOK_SECONDS
    while True:
        fd = own(open_lock_file(path))
        if try_flock(fd, fcntl.LOCK_EX) and is_current(fd, path):
            return fd
        disown(fd)
        os.close(fd)
        if time.monotonic() > deadline:
            holders = ", ".join(f"pid {pid}" for pid in lock_holders(path)) or "another process"
            raise FlagBusy(f"The flag {name!r} waits for the heartbeat of {holders} already. Release it there first.")
        pause.wait(_PAUSE_SECONDS)
