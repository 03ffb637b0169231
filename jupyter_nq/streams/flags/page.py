"""The shared page of a flag, mapped: the key, two slots for records, the bells and the heartbeat.

A flag is clear if, and only if, the record is whole, says so, and names the key that is in the page. To set it is one
store of a key that never was; to clear it writes a record that names the key one has seen, and never the key. So a
setting that comes while somebody clears another cannot be lost, and a damaged key or record is never read as clear.

`FLAGS.md` is the same table for readers in other languages; a test compares the two.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import stat
import weakref
from pathlib import Path

import numpy as np
import xxhash

from jupyter_nq.buffers.refusals import refusal, refused
from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams.flags.record import Record, decode, encode, shortened
from jupyter_nq.streams.waiting import Bell

MAGIC = b"NQFLAG\0\0"
LAYOUT = 1
PAGE_BYTES = 4096
KEY, SEQ, NEWS, NEWS_WAITING, ACKS, ACKS_WAITING, DEADLINE_NS, DURABLE_GENERATION = range(32, 40)
"""Words, as places among the 64-bit words of the page."""
SLOT_OFFSETS = (512, 2304)
SLOT_BYTES = 1792
_DIGEST_BYTES = 16
_HEAD_BYTES = _DIGEST_BYTES + 8
_TRIES = 1000  # a record is replaced twice while it is read only by who does nothing else


def _seeking() -> ctypes._NamedFuncPointer:
    """Return the cheapest call that tells a size. It keeps the interpreter's lock.

    Who reads a flag in a loop beside a busy thread would wait for that each time that the lock is let go.
    """
    found = ctypes.PyDLL(None).lseek
    found.argtypes, found.restype = [ctypes.c_int, ctypes.c_int64, ctypes.c_int], ctypes.c_int64
    return found


_seek = _seeking()


class Page:
    """The page of a flag.

    Raises
    ------
    StoreError
        It cannot be opened.
    ChecksumError
        It is no page of a flag: too short, or no plain file.
    FileNotFoundError
        There is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = _opened(path)
        weakref.finalize(self, os.close, self.fd).atexit = False  # with the last who looks at it, in any thread
        with refused(path):
            self._mapped = mmap.mmap(self.fd, PAGE_BYTES)
        self._raw = memoryview(self._mapped)
        self.words = self._raw.cast("Q")
        address = np.frombuffer(self._mapped, np.uint8).ctypes.data
        self.news = Bell(self.words, address, NEWS, NEWS_WAITING)
        """Rings when the flag changes."""
        self.acks = Bell(self.words, address, ACKS, ACKS_WAITING)
        """Rings when a process has seen that."""

    def __repr__(self) -> str:
        return f"<Page {self.path}>"

    def is_cut(self) -> bool:
        """Tell whether the file is shorter than the page, or its size is not known; other threads do not run for it."""
        return bool(_seek(self.fd, 0, os.SEEK_END) != PAGE_BYTES)

    def wrong(self) -> str | None:
        """Return what is wrong with the file; None when the mapping may be touched.

        Touching what was cut off a file ends the process (SIGBUS): whoever touches the page asks this before.
        """
        try:
            found = os.fstat(self.fd)
        except OSError as exc:
            return f"its file cannot be looked at: {exc.strerror}"
        if found.st_size < PAGE_BYTES:
            return f"its file was cut to {found.st_size:,} bytes"
        return None if found.st_nlink else "its file was removed"

    def misplaced(self) -> str | None:
        """Return why the path does not lead to this page any more; None when it does."""
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except OSError as exc:
            return f"its file cannot be found: {exc.strerror}"
        here = os.fstat(self.fd)
        return None if (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev) else "its file was replaced"

    def record(self) -> Record:
        """Return the record; raises `ChecksumError` when it, or the head of the page, is damaged."""
        if bytes(self._raw[:8]) != MAGIC or self.words[1] != LAYOUT:
            raise ChecksumError(f"its page does not begin as one of layout {LAYOUT} does")
        for _ in range(_TRIES):
            seq = self.words[SEQ]
            slot = self._slot(seq)
            if self.words[SEQ] == seq:
                return decode(unsealed(slot, seq))
        raise ChecksumError("its record changes all the time")

    def write(self, record: Record) -> None:
        """Replace the record; only who holds the lock may. It is there at once, or not at all."""
        seq = (self.words[SEQ] + 1) & 0xFFFFFFFF
        content = sealed(encode(record), seq)
        start = SLOT_OFFSETS[seq & 1]
        self._raw[start : start + len(content)] = content
        self._raw[:8] = MAGIC  # which damage may have changed
        self.words[1] = LAYOUT
        self.words[SEQ] = seq

    def _slot(self, seq: int) -> bytes:
        start = SLOT_OFFSETS[seq & 1]
        return bytes(self._raw[start : start + SLOT_BYTES])


def new_page(record: Record, durable_generation: int) -> bytes:
    """Return the bytes of a page with its first record."""
    content = bytearray(PAGE_BYTES)
    content[:8] = MAGIC
    content[8:16] = LAYOUT.to_bytes(8, "little")
    content[8 * KEY : 8 * KEY + 8] = record.key.to_bytes(8, "little")
    content[8 * DURABLE_GENERATION : 8 * DURABLE_GENERATION + 8] = durable_generation.to_bytes(8, "little")
    kept = sealed(encode(shortened(record)), 0)
    content[SLOT_OFFSETS[0] : SLOT_OFFSETS[0] + len(kept)] = kept
    return bytes(content)


def sealed(content: bytes, seq: int) -> bytes:
    """Return what a slot has: digest, length and content."""
    length = len(content).to_bytes(8, "little")
    return xxhash.xxh3_128_digest(seq.to_bytes(8, "little") + length + content) + length + content


def unsealed(slot: bytes, seq: int) -> bytes:
    """Return the content of a slot; raises `ChecksumError` when it is not what was written."""
    length = int.from_bytes(slot[_DIGEST_BYTES:_HEAD_BYTES], "little")
    content = slot[_HEAD_BYTES : _HEAD_BYTES + length]
    head = seq.to_bytes(8, "little") + slot[_DIGEST_BYTES:_HEAD_BYTES]
    if slot[:_DIGEST_BYTES] != xxhash.xxh3_128_digest(head + content):
        raise ChecksumError("its record differs from its digest")
    return content


def _opened(path: Path) -> int:
    """Open the file of a page, which is whole."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise refusal(path, exc) from exc
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_size == PAGE_BYTES:
        return fd
    os.close(fd)
    raise ChecksumError(f"its file has {found.st_size:,} bytes and not {PAGE_BYTES:,}")
