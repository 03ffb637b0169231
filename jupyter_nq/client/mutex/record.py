"""The record of a mutex: who has it until when, with the token that grows with every holder. MUTEX.md has its bytes."""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import xxhash

from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError

RECORD_BYTES = 512
MAGIC = b"NQMUTEX1"
LONGEST_WHO_BYTES = 400

_FIELDS = struct.Struct("<8s8Q")
_DIGEST = struct.Struct("<Q")
_DIGEST_OFFSET = RECORD_BYTES - _DIGEST.size
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_ns() -> int:
    """Return the time of leases: it goes on while the machine sleeps, and nobody can set it."""
    return time.clock_gettime_ns(_CLOCK)


@dataclass(frozen=True)
class Record:
    """Who has a mutex, or had it last."""

    token: int = 0
    """0 before the first holder."""
    held: bool = False
    pid: int = 0
    thread: int = 0
    taken_ns: int = 0
    """UTC, since the epoch."""
    lease_ns: int = 0
    expires_ns: int = 0
    """In the time of leases, see `now_ns`."""
    who: str = ""

    def __str__(self) -> str:
        taken = datetime.fromtimestamp(self.taken_ns / 1e9, UTC)
        left = (self.expires_ns - now_ns()) / 1e9
        lease = f"ends in {left:.1f} s" if left > 0 else f"ended {-left:.1f} s ago"
        return f"{self.who} (pid {self.pid}), since {taken:%Y-%m-%d %H:%M:%S} UTC; its lease {lease}"

    @property
    def expired(self) -> bool:
        """Tell whether the lease has ended."""
        return now_ns() >= self.expires_ns


def read(fd: int, path: Path) -> Record:
    """Return the record in an open file, whose lock the caller has.

    Raises
    ------
    ChecksumError
        It is none: its token is not known.
    """
    with refused(path):
        content = os.pread(fd, RECORD_BYTES, 0)
    if not content:
        return Record()
    if len(content) < RECORD_BYTES or _DIGEST.unpack_from(content, _DIGEST_OFFSET)[0] != _digest(content):
        raise ChecksumError(
            f"{path} is damaged, so nobody can have the mutex. When nobody uses it, remove {path.parent}."
        )
    magic, token, held, pid, thread, taken_ns, lease_ns, expires_ns, who_bytes = _FIELDS.unpack_from(content)
    if magic != MAGIC:
        raise ChecksumError(f"{path} has another layout. Upgrade the older of the two environments.")
    who = content[_FIELDS.size : _FIELDS.size + who_bytes].decode(errors="replace")
    return Record(token, bool(held), pid, thread, taken_ns, lease_ns, expires_ns, who)


def write(fd: int, path: Path, record: Record) -> None:
    """Replace the record in an open file, whose lock the caller has, with one write: that wakes who waits."""
    who = record.who.encode()[:LONGEST_WHO_BYTES].decode(errors="ignore").encode()  # no half of a character
    numbers = (record.token, int(record.held), record.pid, record.thread, record.taken_ns, record.lease_ns)
    content = (_FIELDS.pack(MAGIC, *numbers, record.expires_ns, len(who)) + who).ljust(_DIGEST_OFFSET, b"\0")
    with refused(path):
        os.pwrite(fd, content + _DIGEST.pack(_digest(content)), 0)


def _digest(content: bytes) -> int:
    return xxhash.xxh3_64_intdigest(content[:_DIGEST_OFFSET])
