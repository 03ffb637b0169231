"""What a header says about an object, as a frozen record."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.buffers import layout
from jupyter_nq.errors import ChecksumError


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
    schema: pa.Schema | None = field(repr=False)
    """Arrow schema of a table, None for an array."""
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
    versions: tuple[tuple[int, int, int], ...] = field(repr=False, default=())
    """(version, rows, created_ns) of the versions that can still be opened, oldest first."""


@dataclass(frozen=True)
class Damaged:
    """A file among the objects that is not one."""

    path: Path
    reason: str


def read_info(fd: int, path: Path) -> ObjectInfo:
    """Read an open object file's header; `ChecksumError` when it is damaged."""
    page = os.pread(fd, layout.PAGE, 0)
    static = checked_static(page, fd, path)
    words = memoryview(page).cast("Q")
    return info_of(static, checked_changing(page, static, path), words, os.fstat(fd).st_blocks * 512)


def checked_static(page: bytes, fd: int, path: Path) -> layout.Static:
    """Return the static header behind its first page, after checking digest and file size."""
    try:
        start, stop = layout.metadata_span(page)
        metadata = page[start:stop] if stop <= len(page) else os.pread(fd, stop - start, start)
        static = layout.decode_static(page[: layout.STATIC_BYTES], metadata)
        if os.fstat(fd).st_size != static.file_bytes:
            raise ChecksumError("the file was cut or extended")
    except ChecksumError as exc:
        raise ChecksumError(f"{path} is not a sound object: {exc}. Remove it with `jupyter nq clean`.") from exc
    except (struct.error, KeyError, TypeError, ValueError) as exc:
        raise ChecksumError(f"{path} is not a sound object: {exc!r}. Remove it with `jupyter nq clean`.") from exc
    return static


def checked_changing(page: bytes | memoryview, static: layout.Static, path: Path) -> layout.Changing:
    """Return the changing words after checking that they can be true."""
    changing = layout.decode_changing(page)
    sound = (
        changing.sealed == 1
        and changing.committed_rows <= static.capacity_rows
        and changing.version_count >= 1
        and changing.digest_state < len(layout.DIGEST_STATES)
    )
    if not sound:
        raise ChecksumError(
            f"{path} is not a sound object: its counts are impossible. Remove it with `jupyter nq clean`."
        )
    return changing


def info_of(static: layout.Static, changing: layout.Changing, words: memoryview, nbytes: int) -> ObjectInfo:
    """Join the static and the changing part of a header."""
    versions = version_table(changing, words)
    array = static.kind == "array"
    rows = changing.committed_rows
    return ObjectInfo(
        id=static.object_id,
        name=static.name,
        version=versions[-1][0],
        first_version=changing.first_version,
        rows=rows,
        capacity_rows=static.capacity_rows,
        nbytes=nbytes,
        created_ns=static.created_ns,
        owner_pid=static.owner_pid,
        kind=static.kind,
        schema=static.arrow_schema,
        dtype=np.dtype(static.blocks[0].dtype).str if array else None,
        shape=array_shape(static, rows) if array else None,
        meta=static.meta,
        digest=changing.digest_root.hex() if changing.digest_state == layout.DONE else None,
        digest_state=layout.DIGEST_STATES[changing.digest_state],
        versions=versions,
    )


def array_shape(static: layout.Static, rows: int) -> tuple[int, ...]:
    """Return the shape of an array object with this many rows."""
    return () if static.origin.get("scalar") else (rows, *static.shape)


def version_table(changing: layout.Changing, words: memoryview) -> tuple[tuple[int, int, int], ...]:
    """Return (version, rows, created_ns) of each version still in the ring; all are 0 before publication."""
    count = layout.visible_versions(words, changing)
    first = max(0, count - (layout.RING_SLOTS - 1))  # the oldest slot may be in the hands of an append
    named = changing.first_version > 0
    return tuple((changing.first_version + i if named else 0, *layout.slot(words, i)) for i in range(first, count))
