"""The processes that watch a flag: one small file for each, which says what it has seen, and when.

A watcher holds a lock on its file while it lives, so a file without one is an orphan. It writes what it has seen with
one call; a reader that meets half of it finds that the digest is wrong, and looks again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.locks import open_lock_file, try_flock
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError, NQError
from jupyter_nq.streams.flags.changing import record_or_none
from jupyter_nq.streams.flags.making import sweep
from jupyter_nq.streams.flags.page import KEY, Page, sealed, unsealed
from jupyter_nq.streams.flags.places import WATCHER, Places
from jupyter_nq.streams.flags.record import Record, Who, now_ns

_MOST_BYTES = 4096
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Acknowledged:
    """What one watcher says."""

    who: Who
    seconds: float | None
    """From the setting or clearing until it was seen; None when it was not."""


@dataclass(frozen=True)
class Seen:
    """What one watcher has written."""

    who: Who
    key: int
    """0 when it has seen nothing yet."""
    clock_ns: int


class Register:
    """This process's own file as a watcher; closed with the flag."""

    def __init__(self, places: Places, name: str, who: Who) -> None:
        self._who = who
        self._path = places.beside(name, WATCHER, f"{who.pid}-{secrets.token_hex(4)}")
        self._fd = own(open_lock_file(self._path))
        if not try_flock(self._fd, fcntl.LOCK_EX):  # somebody looks at it, and takes it for an orphan
            with refused(self._path):
                fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __repr__(self) -> str:
        return f"<Register {self._path.name}>"

    def write(self, key: int) -> None:
        """Say what was seen, now."""
        kept = {"who": asdict(self._who), "key": f"{key:016x}", "clock_ns": now_ns()}
        content = sealed(json.dumps(kept).encode(), 0)
        with refused(self._path):
            os.pwrite(self._fd, content, 0)

    @property
    def is_there(self) -> bool:
        """Tell whether others still find the file."""
        try:
            return self._fd >= 0 and os.fstat(self._fd).st_nlink > 0
        except OSError:
            return False

    def close(self) -> None:
        """Remove the file; closing twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):  # the directory is gone, or refuses: the lock goes all the same
                self._path.unlink(missing_ok=True)
            disown(fd)
            os.close(fd)

    def part(self) -> None:
        """Leave the file to the parent, in a forked child, where `forking` has replaced the descriptor."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            disown(fd)
            os.close(fd)


class Attendance:
    """This process as a watcher of a flag, from the first moment on that its file can be made."""

    def __init__(self, places: Places, name: str, who: Callable[[], Who]) -> None:
        # Only the background thread changes it once it has begun, and whoever closes it after that.
        self._places, self._name, self._who = places, name, who
        self._register: Register | None = None
        self._seen = 0
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Attendance of {self._register!r}>"

    def begin(self) -> None:
        """Be known to others as a watcher, if that is possible now."""
        with contextlib.suppress(NQError, OSError):  # the flag cannot be read, or its directory not be written
            sweep(self._places, self._name, WATCHER)
            self._renew()

    def write(self, page: Page, key: int) -> None:
        """Acknowledge a key, unless that was done."""
        if self._is_closed or (key == self._seen and self._register is not None and self._register.is_there):
            return
        if self._register is None or not self._register.is_there:
            self._renew()
        assert self._register is not None
        self._register.write(key)
        self._seen = key
        page.acks.ring()

    def _renew(self) -> None:
        self._drop()
        self._register = Register(self._places, self._name, self._who())

    def _drop(self) -> None:
        if self._register is not None:
            self._register.close()
            self._register = None

    def close(self) -> None:
        """Be a watcher no more; closing twice is fine."""
        self._is_closed = True
        self._drop()

    def part(self) -> None:
        """Leave the file to the parent, in a forked child."""
        self._is_closed = True
        if self._register is not None:
            self._register.part()
            self._register = None


def acknowledged(page: Page, places: Places, name: str, timeout: float) -> list[Acknowledged]:
    """Wait until all living watchers have seen the key that there is now; returns what each of them says."""
    deadline = time.monotonic() + timeout
    while True:
        bell = page.acks.seen()
        key, record = page.words[KEY], record_or_none(page)
        found = watchers(places, name)
        left = deadline - time.monotonic()
        if left <= 0 or all(seen.key == key for seen in found):
            return [_acknowledged(seen, key, record) for seen in found]
        page.acks.wait(bell, min(left, _LOOK_SECONDS))


def _acknowledged(seen: Seen, key: int, record: Record | None) -> Acknowledged:
    if seen.key != key or record is None:
        return Acknowledged(seen.who, None)
    return Acknowledged(seen.who, max(seen.clock_ns - record.clock_ns, 0) / 1e9)


def watchers(places: Places, name: str) -> list[Seen]:
    """Return what the living watchers of a flag have seen; the files of others are removed."""
    found = [_look(path) for path in places.all_beside(name, WATCHER)]
    return [seen for seen in found if seen is not None]


def _look(path: Path) -> Seen | None:
    try:
        with refused(path):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except NQError:
        return None  # it has just gone
    try:
        if try_flock(fd, fcntl.LOCK_SH):
            path.unlink(missing_ok=True)
            return None
        content = os.pread(fd, _MOST_BYTES, 0)
    finally:
        os.close(fd)
    try:
        kept = json.loads(unsealed(content, 0))
    except (ChecksumError, ValueError):  # it has seen nothing yet, or writes just now
        pid = int(path.name.rpartition("@")[2].partition("-")[0])
        return Seen(Who(f"pid {pid}", pid), 0, 0)
    return Seen(Who(**kept["who"]), int(kept["key"], 16), int(kept["clock_ns"]))
