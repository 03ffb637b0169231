"""Who writes to a stream: each publisher has a lane of its own, so that nobody waits for anybody.

A lane belongs to who holds the lock on its file; a process that dies lets go of it. The next publisher takes the first
lane that is free and goes on where the last one stopped, behind its committed head: what was not committed is gone.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.locks import exclusive, open_lock_file, try_flock
from jupyter_nq.errors import ChecksumError, StreamBusy
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import CONTROL, Lane, MappedControl

_CLAIMING = "claim.lock"
_LOOK_SECONDS = 0.5
_PAUSE_SECONDS = 0.0005
_LAST = 1 << 62  # no lane ever counts so far


class Claim:
    """A lane that this process owns until it closes the claim.

    Raises
    ------
    StreamBusy
        Every lane has its publisher: of an exclusive stream the only one.
    ChecksumError
        The lane's words contradict each other.
    """

    def __init__(self, control: MappedControl, started_ns: int) -> None:
        with exclusive(control.path / _CLAIMING):  # consumers look for lanes up to the first that nobody ever had
            self.fd, number = _take(control)
            self.lane: Lane = control.lane(number)
            self.lane.set(layout.OWNER_STARTED, started_ns)
            self.lane.set(layout.OWNER_PID, os.getpid())  # from here on consumers look at it
        control.news.ring()
        self._check(control)

    def __repr__(self) -> str:
        return f"<Claim of {self.lane!r}>"

    def _check(self, control: MappedControl) -> None:
        get = self.lane.get
        last = max(self.lane.head, get(layout.HEAD_SEGMENT))
        if last > _LAST or self.lane.tail > self.lane.head or get(layout.TAIL_SEGMENT) > get(layout.HEAD_SEGMENT):
            self.close()
            raise ChecksumError(
                f"{control.path / CONTROL} is damaged: lane {self.lane.number} would keep messages {self.lane.tail} to "
                f"{self.lane.head}. Remove the stream."
            )

    def close(self) -> None:
        """Give the lane back; closing twice is fine."""
        if self.fd >= 0:
            disown(self.fd)
            os.close(self.fd)
            self.fd = -1


def _take(control: MappedControl) -> tuple[int, int]:
    for number in range(control.static.lanes):
        fd = own(open_lock_file(lock_path(control.path, number)))
        if _lock(fd):
            return fd, number
        disown(fd)
        os.close(fd)
    name, pid = control.static.name, control.lane(0).get(layout.OWNER_PID)
    if control.static.lanes == 1:
        raise StreamBusy(f"The stream {name!r} is exclusive, and process {pid} publishes to it. Stop that one first.")
    raise StreamBusy(f"All {control.static.lanes} lanes of the stream {name!r} are taken. Stop a publisher first.")


def _lock(fd: int) -> bool:
    """Lock a lane; False when it has a publisher. Who looks at it shares the lock, for an instant: that is waited for.

    Whoever claims a lane holds the lock of claims, so nobody else takes this one meanwhile. One that looks for longer
    was stopped, and the lane counts as taken.
    """
    pause = threading.Event()
    deadline = time.monotonic() + _LOOK_SECONDS
    while not try_flock(fd, fcntl.LOCK_EX):
        if not try_flock(fd, fcntl.LOCK_SH) or time.monotonic() > deadline:
            return False
        pause.wait(_PAUSE_SECONDS)
    return True


def is_taken(control: MappedControl, number: int) -> bool:
    """Tell whether a lane has a publisher that lives."""
    try:
        fd = os.open(lock_path(control.path, number), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def lock_path(stream: Path, lane: int) -> Path:
    """Return the lock file of a lane."""
    return stream / f"{lane}.lock"
