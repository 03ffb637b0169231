"""What a header says about an object, as a frozen record."""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_nq.buffers import layout, platform, soundness, words
from jupyter_nq.buffers.places import committed_bytes, places
from jupyter_nq.buffers.refusals import refusal, refused
from jupyter_nq.errors import ChecksumError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ObjectInfo:
    """One object of the store, as its header tells."""

    id: str
    """32 hexadecimal digits."""
    name: str
    """The dataset it was written for; the name may point to another object by now."""
    version: int
    """Newest version; 0 while the object is sealed but not published."""
    first_version: int
    """Version of its first commit; each append is the next one."""
    rows: int
    """Committed rows of the newest version."""
    capacity_rows: int
    nbytes: int
    """Allocated bytes, the reserve not included."""
    created_ns: int
    """Nanoseconds since 1970, UTC."""
    owner_pid: int
    """Process that wrote it."""
    kind: str
    """`table` or `array`."""
    schema_bytes: bytes | None = field(repr=False)
    """Arrow schema of a table as IPC bytes, None for an array."""
    dtype: str | None
    """numpy dtype string of an array."""
    shape: tuple[int, ...] | None
    """Shape of an array, rows first."""
    meta: dict[str, Any] = field(repr=False)
    """The metadata that its writer gave."""
    digest: str | None
    """xxh3_128 over the rows and the piece digests, in hexadecimal."""
    digest_state: str
    """`off`, `pending` or `done`."""
    _path: Path = field(repr=False, compare=False)
    _changing: layout.Changing = field(repr=False, compare=False)

    @functools.cached_property
    def versions(self) -> tuple[tuple[int, int, int], ...]:
        """(version, rows, created_ns) of the versions that can still be opened, oldest first.

        Raises
        ------
        ChecksumError
            An older one is damaged.
        """
        first = self.first_version
        slots = sound_slots(self._path, self._changing)
        return tuple((first + i if first else 0, rows, created_ns) for i, rows, created_ns in slots)

    @property
    def schema(self) -> pa.Schema | None:
        """Arrow schema of a table, None for an array."""
        return None if self.schema_bytes is None else layout.parse_schema(self.schema_bytes)


@dataclass(frozen=True)
class Damaged:
    """A file among the objects that is not one."""

    path: Path
    reason: str


def open_object(path: Path, flags: int) -> int:
    """Open an object file.

    Raises
    ------
    FileNotFoundError
        It is gone.
    ChecksumError
        Something else than a file lies there.
    StoreError
        The system refuses; that says nothing about the object.
    """
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would wait for its end
    except FileNotFoundError:
        raise
    except OSError as exc:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise _damaged(path, "it is not a file") from exc
        raise refusal(path, exc) from exc


def read_info(fd: int, path: Path) -> ObjectInfo:
    """Read an open object file's header; `ChecksumError` when it is damaged."""
    static = read_static(fd, path)
    with header_words(fd, access=mmap.ACCESS_READ) as page:
        return info_of(fd, path, static, page)


@contextlib.contextmanager
def header_words(fd: int, access: int = mmap.ACCESS_WRITE) -> Iterator[memoryview]:
    """Map the first page and give it as 64-bit words, each read and written as one."""
    with refused(fd):
        page = mmap.mmap(fd, layout.PAGE, access=access)
    with page, memoryview(page) as raw, raw.cast("Q") as found:
        yield found


def read_committed_rows(fd: int, path: Path) -> int:
    """Return the rows that an open object file says are committed; raises as `read_static`."""
    place = layout.WORD["committed_rows"]
    static = read_static(fd, path)
    with refused(fd):
        word = int.from_bytes(os.pread(fd, 8, 8 * place), "little")
    try:
        return words.opened(static.object_id, place, word)
    except ChecksumError as exc:
        raise _damaged(path, str(exc)) from exc


def read_static(fd: int, path: Path) -> layout.Static:
    """Return the static header of an open object file; `ChecksumError` when it was read and cannot be true."""
    with refused(path):
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _damaged(path, "it is not a file")
        page = os.pread(fd, layout.PAGE, 0)
    try:
        start, stop = layout.metadata_span(page, found.st_size)
        metadata = page[start:stop] if stop <= len(page) else _read(fd, start, stop)
        static = _decode(page[: layout.STATIC_BYTES], metadata)
    except ChecksumError as exc:
        raise _damaged(path, str(exc)) from exc
    if found.st_size != static.file_bytes:
        raise _damaged(path, "the file was cut or extended")
    if static.object_id != path.name:
        raise _damaged(path, f"it is the object {static.object_id} under another name")
    return static


def _read(fd: int, start: int, stop: int) -> bytes:
    with refused(fd):
        return os.pread(fd, stop - start, start)


@functools.lru_cache(maxsize=4096)
def _decode(page: bytes, metadata: bytes) -> layout.Static:
    """Read and check the static part; cached, because the bytes of an object never change."""
    try:
        static = layout.decode_static(page, metadata)
        soundness.check_static(static)
    except ChecksumError:
        raise
    except layout.UNREADABLE as exc:
        raise ChecksumError(f"its header cannot be read ({exc!r})") from exc
    return static


def read_changing(path: Path, static: layout.Static, page: memoryview) -> layout.Changing:
    """Return the changing words after checking that they can be true."""
    try:
        changing = words.read(page, static)
        soundness.check_changing(static, changing)
    except ChecksumError as exc:
        raise _damaged(path, str(exc)) from exc
    return changing


def sound_slots(path: Path, changing: layout.Changing) -> list[tuple[int, int, int]]:
    """Return (index, rows, created_ns) of the versions that can be opened, after checking that all can be true."""
    try:
        soundness.check_slots(changing)
    except ChecksumError as exc:
        raise _damaged(path, str(exc)) from exc
    return layout.committed_slots(changing)


def allocated_bytes(fd: int, path: Path, static: layout.Static, rows: int) -> int:
    """Return the bytes that an object takes; `ChecksumError` when they cannot hold its committed rows or their text.

    Only tmpfs counts its pages at once, and only there would a view of a row without memory take some, or be
    a SIGBUS when there is none.
    """
    with refused(path):
        found = os.fstat(fd)
    allocated = found.st_blocks * 512
    try:
        with refused(path):
            committed = committed_bytes(places(static), rows, lambda offset, count: os.pread(fd, count, offset))
        if platform.is_in_memory(found.st_dev):
            soundness.check_allocated(static, committed, allocated)
    except ChecksumError as exc:
        raise _damaged(path, str(exc)) from exc
    return allocated


def _damaged(path: Path, reason: str) -> ChecksumError:
    return ChecksumError(f"{path} is not a sound object: {reason}. Remove it with `jupyter nq clean`.")


def info_of(fd: int, path: Path, static: layout.Static, page: memoryview) -> ObjectInfo:
    """Join the static and the changing part of a header."""
    changing = read_changing(path, static, page)
    first = changing.first_version
    array = static.kind == "array"
    rows = changing.committed_rows
    return ObjectInfo(
        id=static.object_id,
        name=static.name,
        version=first + layout.newest_slot(changing)[0] if first else 0,
        first_version=first,
        rows=rows,
        capacity_rows=static.capacity_rows,
        nbytes=allocated_bytes(fd, path, static, rows),
        created_ns=static.created_ns,
        owner_pid=static.owner_pid,
        kind=static.kind,
        schema_bytes=static.schema,
        dtype=static.blocks[0].dtype if array else None,
        shape=array_shape(static, rows) if array else None,
        meta=static.meta,
        digest=changing.digest_root.hex() if changing.digest_state == layout.DONE else None,
        digest_state=layout.DIGEST_STATES[changing.digest_state],
        _path=path,
        _changing=changing,
    )


def array_shape(static: layout.Static, rows: int) -> tuple[int, ...]:
    """Return the shape of an array object with this many rows."""
    return () if static.origin.get("scalar") else (rows, *static.shape)
