"""The consumers of a stream, as its publishers and the coordinator see them: one small file for each.

A consumer keeps its position in each lane there, and holds a lock on the file while it lives, so a file without one is
an orphan; that of a named consumer stays, and is where it goes on. A publisher that must not drop what somebody still
needs looks at the positions before it lets go of a segment.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.layout import PAGE
from jupyter_nq.buffers.locks import try_flock
from jupyter_nq.buffers.names import check_name
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import StreamBusy
from jupyter_nq.streams import layout

CONSUMERS = "consumers"
_ANONYMOUS = "."  # no name begins so
_PID, _STARTED, _GATING, _KNOWN, _LOST, _READ = range(6)
_POSITIONS = 64
_NO_POSITION = (1 << 64) - 1


@dataclass(frozen=True)
class Seen:
    """One consumer as others see it."""

    name: str | None
    """None for one that keeps no position."""
    pid: int
    """0 when nobody uses this name now."""
    started_ns: int
    gating: bool
    lost: int
    """Messages that it missed."""
    positions: dict[int, int]
    """Lane -> sequence of the next message."""


class Register:
    """A consumer's own file, mapped; closed with the consumer.

    Raises
    ------
    StreamBusy
        Another consumer uses the name.
    """

    def __init__(self, stream: Path, name: str | None, *, gating: bool, started_ns: int) -> None:
        directory = stream / CONSUMERS
        self._name = name
        self._path = directory / (check_name(name) if name else f"{_ANONYMOUS}{secrets.token_hex(8)}")
        with refused(directory):
            directory.mkdir(mode=0o700, exist_ok=True)
            self._fd = own(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        try:
            if not try_flock(self._fd, fcntl.LOCK_EX):
                raise StreamBusy(
                    f"A consumer {name!r} of the stream {stream.name!r} is there. Close it, or take another name."
                )
            with refused(self._path):
                new = os.fstat(self._fd).st_size < PAGE
                os.posix_fallocate(self._fd, 0, PAGE)
                self._mapped = mmap.mmap(self._fd, PAGE)
        except BaseException:
            disown(self._fd)
            os.close(self._fd)
            raise
        self._words = memoryview(self._mapped).cast("Q")
        if new:
            for lane in range(layout.LANES):
                self._words[_POSITIONS + lane] = _NO_POSITION
        self._words[_PID], self._words[_STARTED] = os.getpid(), started_ns
        self._words[_GATING] = int(gating)

    def __repr__(self) -> str:
        return f"<Register {self._path.name}>"

    def position(self, lane: int) -> int | None:
        """Return where this consumer is in a lane; None when it never read there."""
        found = self._words[_POSITIONS + lane]
        return None if found == _NO_POSITION else found

    def move(self, lane: int, seq: int) -> None:
        """Keep where the consumer is in a lane."""
        self._words[_POSITIONS + lane] = seq

    def count_lost(self, lost: int) -> None:
        """Add messages that were missed."""
        self._words[_LOST] += lost

    def close(self) -> None:
        """Let go of the file; one without a name goes. Closing twice is fine."""
        if self._fd < 0:
            return
        self._words[_PID] = 0
        if self._name is None:
            self._path.unlink(missing_ok=True)
        disown(self._fd)
        os.close(self._fd)
        self._fd = -1


def consumers(stream: Path) -> Iterator[Seen]:
    """Yield the consumers of a stream; those that died without a name are removed."""
    try:
        entries = sorted(os.listdir(stream / CONSUMERS))
    except FileNotFoundError:
        return
    for entry in entries:
        found = _look(stream / CONSUMERS / entry)
        if found is not None:
            yield found


def _look(path: Path) -> Seen | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        content = os.pread(fd, PAGE, 0)
        name = None if path.name.startswith(_ANONYMOUS) else path.name
        alone = try_flock(fd, fcntl.LOCK_SH)
        if alone and name is None:
            path.unlink(missing_ok=True)
            return None
    finally:
        os.close(fd)
    if len(content) < PAGE:
        return None  # it is about to be made
    words = memoryview(content).cast("Q")
    found = {lane: words[_POSITIONS + lane] for lane in range(layout.LANES)}
    positions = {lane: seq for lane, seq in found.items() if seq != _NO_POSITION}
    pid = 0 if alone else words[_PID]
    return Seen(name, pid, words[_STARTED], bool(words[_GATING]), words[_LOST], positions)
