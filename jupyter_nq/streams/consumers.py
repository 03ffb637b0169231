"""The consumers of a stream, as its publishers and the coordinator see them: one small file for each.

A consumer keeps its position in each lane there, and holds a lock on the file while it lives, so a file without one is
an orphan; that of a named consumer stays, and is where it goes on. A publisher that must not drop what somebody still
needs looks at the positions before it lets go of a segment.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.layout import PAGE
from jupyter_nq.buffers.locks import is_current, open_lock_file, try_flock
from jupyter_nq.buffers.names import check_name
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import StreamBusy
from jupyter_nq.streams import layout

CONSUMERS = "consumers"
_ANONYMOUS = "."  # no name begins so
_PID, _STARTED, _GATING, _STATE, _LOST = range(5)
_MAKING, _MADE, _BEGUN = range(3)
_LOOK_SECONDS = 0.5  # whoever looks at a file holds its lock for an instant: somebody else has it for longer
_PAUSE_SECONDS = 0.001
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
        self._name = name
        self._path, self._fd = _taken(stream, name)
        try:
            self._words = memoryview(_mapped(self._path)).cast("Q")
        except BaseException:
            _let_go(self._fd)
            raise
        if self._words[_STATE] == _MAKING:
            for lane in range(layout.LANES):
                self._words[_POSITIONS + lane] = _NO_POSITION
        self._words[_PID], self._words[_STARTED] = os.getpid(), started_ns
        self._words[_GATING] = int(gating)
        self._words[_STATE] = max(self._words[_STATE], _MADE)

    def __repr__(self) -> str:
        return f"<Register {self._path.name}>"

    @property
    def begun(self) -> bool:
        """Tell whether a consumer of this name has begun before: lanes without a position are new to it."""
        return self._words[_STATE] == _BEGUN

    def begin(self) -> None:
        """Say that each lane there is has a position now."""
        self._words[_STATE] = _BEGUN

    def position(self, lane: int) -> int | None:
        """Return where this consumer is in a lane; None when it never read there."""
        found = self._words[_POSITIONS + lane]
        return None if found == _NO_POSITION else found

    def move(self, lane: int, seq: int) -> None:
        """Keep where the consumer is in a lane."""
        self._words[_POSITIONS + lane] = seq

    def positions(self) -> bytes:
        """Return all positions, to be compared."""
        return self._words[_POSITIONS : _POSITIONS + layout.LANES].tobytes()

    def count_lost(self, lost: int) -> None:
        """Add messages that were missed."""
        self._words[_LOST] += lost

    def close(self) -> None:
        """Let go of the file; one without a name goes. Closing twice is fine."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        self._words[_PID] = 0
        if self._name is None:
            self._path.unlink(missing_ok=True)
        _let_go(fd)

    def part(self) -> None:
        """Leave the file to the parent, in a forked child, which has no lock on it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _taken(stream: Path, name: str | None) -> tuple[Path, int]:
    """Return a consumer's file, and a descriptor that holds its lock."""
    directory = stream / CONSUMERS
    with refused(directory):
        directory.mkdir(mode=0o700, exist_ok=True)
    pause = threading.Event()
    deadline = time.monotonic() + _LOOK_SECONDS
    while True:
        path = directory / (f"{_ANONYMOUS}{secrets.token_hex(8)}" if name is None else check_name(name, "consumer"))
        fd = own(open_lock_file(path))
        if try_flock(fd, fcntl.LOCK_EX) and is_current(fd, path):
            return path, fd
        _let_go(fd)  # somebody looks, and may have removed it as an orphan
        if time.monotonic() > deadline:
            held = _look(str(path), name)
            whose = f", of process {held.pid}" if held is not None and held.pid else ""
            raise StreamBusy(
                f"A consumer {name!r} of the stream {stream.name!r} is there{whose}. Close it, or take another name."
            )
        pause.wait(_PAUSE_SECONDS)


def _mapped(path: Path) -> mmap.mmap:
    """Map a consumer's file through a descriptor without the lock: a mapping keeps a duplicate, in children too."""
    with refused(path):
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.posix_fallocate(fd, 0, PAGE)
            return mmap.mmap(fd, PAGE)
        finally:
            os.close(fd)


def _let_go(fd: int) -> None:
    disown(fd)
    os.close(fd)


def named(directory: Path) -> list[str]:
    """Return the names of the consumers that have one, in the directory of a stream in memory or on the disk."""
    try:
        found = os.listdir(directory / CONSUMERS)
    except FileNotFoundError:
        return []
    return sorted(name for name in found if not name.startswith(_ANONYMOUS))


def at_rest(path: Path) -> bytes:
    """Return a consumer's file as it is when nobody uses it; `FileNotFoundError` when there is none."""
    words = memoryview(bytearray(path.read_bytes().ljust(PAGE, b"\0"))).cast("Q")
    words[_PID] = words[_STARTED] = 0
    return words.tobytes()


def within(content: bytes, heads: dict[int, int]) -> bytes:
    """Return a consumer's file with no position behind the heads of the lanes."""
    words = memoryview(bytearray(content)).cast("Q")
    for lane in range(layout.LANES):
        seq = words[_POSITIONS + lane]
        if seq != _NO_POSITION:
            words[_POSITIONS + lane] = min(seq, heads.get(lane, 0))
    return words.tobytes()


def in_the_way(stream: Path, lane: int, end: int) -> list[Seen]:
    """Return the gating consumers that need messages of a lane before a sequence."""
    return [seen for seen in consumers(stream) if seen.gating and seen.positions.get(lane, 0) < end]


def consumers(stream: Path) -> Iterator[Seen]:
    """Yield the consumers of a stream; those that died without a name, or before they were made, are removed."""
    directory = f"{stream}/{CONSUMERS}"  # no paths below: whoever watches all streams looks at each of these often
    try:
        entries = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    for entry in entries:
        found = _look(f"{directory}/{entry}", None if entry.startswith(_ANONYMOUS) else entry)
        if found is not None:
            yield found


def _look(path: str, name: str | None) -> Seen | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        content = os.pread(fd, PAGE, 0)
        alone = try_flock(fd, fcntl.LOCK_SH)
        made = len(content) == PAGE and memoryview(content).cast("Q")[_STATE] != _MAKING
        if alone and (name is None or not made):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return None
    finally:
        os.close(fd)
    if not made:
        return None  # it is about to be made, and has read nothing
    words = memoryview(content).cast("Q")
    found = enumerate(words[_POSITIONS : _POSITIONS + layout.LANES].tolist())
    positions = {lane: seq for lane, seq in found if seq != _NO_POSITION}
    pid = 0 if alone else words[_PID]
    return Seen(name, pid, words[_STARTED], bool(words[_GATING]), words[_LOST], positions)
