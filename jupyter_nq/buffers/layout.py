"""The header of an object file: where each word lies, and how it is read and written.

A file is: the header page (fields, version ring, metadata), further header pages when the metadata and
the digest table need them, then page-aligned blocks. `LAYOUT.md` is the same table for readers in other
languages; a test compares the two.

The first 256 bytes are static and, together with the metadata, covered by `header_digest`. The next 256
bytes, and the version ring behind them, change during the life of the object, see `words`.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack
import xxhash

from jupyter_nq.errors import ChecksumError

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"NQOBJECT"
LAYOUT = 3
PAGE = 4096
DIGEST_BLOCK_BYTES = 1 << 20  # 1 MiB
DIGEST_BYTES = 16
RING_SLOTS = 128
SLOT_BYTES = 16
RING_OFFSET = 512
METADATA_OFFSET = RING_OFFSET + RING_SLOTS * SLOT_BYTES
METADATA_LIMIT_BYTES = 64 << 20  # 64 MiB: a reader of a damaged header allocates no more

UNREADABLE = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
    MemoryError,
    struct.error,
    msgpack.UnpackException,
)
"""What reading bytes raises that are not what they should be."""

KINDS = {"table": 1, "array": 2}
_KIND_NAMES = {number: name for name, number in KINDS.items()}
DIGEST_STATES = ("off", "pending", "done")
OFF, PENDING, DONE = range(3)

# name -> (offset, bytes); integers are little-endian and unsigned
STATIC_FIELDS: dict[str, tuple[int, int]] = {
    "magic": (0, 8),
    "layout": (8, 8),
    "header_bytes": (16, 8),
    "file_bytes": (24, 8),
    "object_id": (32, 16),
    "epoch": (48, 16),
    "kind": (64, 8),
    "capacity_rows": (72, 8),
    "owner_pid": (80, 8),
    "created_ns": (88, 8),
    "metadata_offset": (96, 8),
    "metadata_bytes": (104, 8),
    "digest_offset": (112, 8),
    "digest_bytes": (120, 8),
    "digest_block_bytes": (128, 8),
    "header_digest": (248, 8),
}
CHANGING_FIELDS: dict[str, tuple[int, int]] = {
    "sealed": (256, 8),
    "first_version": (264, 8),
    "version_count": (272, 8),
    "committed_rows": (280, 8),
    "digest_state": (288, 8),
    "digest_rows": (296, 8),
    "digest_root": (304, 16),
}
STATIC_BYTES = 256
_DIGESTED_BYTES = STATIC_FIELDS["header_digest"][0]
_STATIC = struct.Struct("<8sQQQ16s16sQQQQQQQQQ")
_CHANGING = struct.Struct("<QQQQQQ16s")
WORD = {name: offset // 8 for name, (offset, _) in CHANGING_FIELDS.items()}


def align(nbytes: int) -> int:
    """Round up to whole pages.

    >>> align(1), align(4096), align(0)
    (4096, 4096, 0)
    """
    return -(-nbytes // PAGE) * PAGE


_DTYPE = re.compile(r"[<|]([biufcmMSU])([1-9][0-9]{0,8})(\[[1-9]?[0-9]{0,8}(?:[YMWDhms]|[munpfa]s)\])?")
_SIZES = {
    "b": (1,),
    "i": (1, 2, 4, 8),
    "u": (1, 2, 4, 8),
    "f": (2, 4, 8, 12, 16),
    "c": (8, 16, 24, 32),
    "m": (8,),
    "M": (8,),
}


@functools.lru_cache(maxsize=256)
def item_bytes(dtype: str) -> int:
    """Return the bytes of one value of a numpy dtype that an object may hold; `ChecksumError` for any other.

    >>> item_bytes("<f8"), item_bytes("<M8[ns]"), item_bytes("<U5")
    (8, 8, 20)
    """
    found = _DTYPE.fullmatch(dtype) if isinstance(dtype, str) else None
    if found is None:
        raise ChecksumError(f"its dtype {dtype!r} is none that an object may have")
    kind, size, unit = found[1], int(found[2]), found[3]
    if (kind in _SIZES and size not in _SIZES[kind]) or (unit and kind not in "mM"):
        raise ChecksumError(f"its dtype {dtype!r} is none that an object may have")
    return 4 * size if kind == "U" else size


@dataclass(frozen=True)
class Block:
    """Lanes of one dtype, as a 2-D array (lanes, capacity) whose rows start on pages."""

    dtype: str
    """numpy dtype string, little-endian."""
    offset: int
    """Bytes from the start of the file to the first lane."""
    stride: int
    """Bytes from one lane to the next; a multiple of the page."""
    lanes: tuple[int, ...]
    """Positions of the lanes among those of the object, in the order of the block."""


@dataclass(frozen=True, eq=False)
class Static:
    """What never changes after the seal: identity, sizes, schema, block table, the caller's metadata."""

    object_id: str
    epoch: str
    kind: str
    capacity_rows: int
    owner_pid: int
    created_ns: int
    header_bytes: int
    file_bytes: int
    metadata_bytes: int
    digest_offset: int
    digest_bytes: int
    name: str
    columns: tuple[str, ...]
    lanes: tuple[tuple[int, str], ...]
    """Of each lane the position of its column and its role there, see `lanes`."""
    blocks: tuple[Block, ...]
    schema: bytes | None
    """Serialized Arrow schema of a table, None for an array."""
    dictionaries: dict[str, bytes]
    """The categories of each column that has some, as an Arrow IPC stream of one column."""
    shape: tuple[int, ...]
    """Shape of one row of an array; empty for a table."""
    origin: dict[str, Any]
    """How the data came in: container, pandas index, scalar."""
    meta: dict[str, Any]
    """The caller's own metadata."""

    @property
    def arrow_schema(self) -> pa.Schema | None:
        """Arrow schema of a table, None for an array."""
        return None if self.schema is None else parse_schema(self.schema)

    @property
    def forms(self) -> dict[str, str]:
        """What columns are to become again where their lanes do not tell: a dtype of pandas, `object` or `arrays`."""
        found: dict[str, str] = self.origin.get("forms", {})
        return found

    def column_type(self, name: str) -> pa.DataType:
        """Return the Arrow type of a table's column."""
        return field_type(self.arrow_schema, name)


def field_type(schema: pa.Schema | None, name: str) -> pa.DataType:
    """Return the type of a column of a table's schema."""
    assert schema is not None  # a table has one
    return schema.field(name).type


@functools.lru_cache(maxsize=512)
def parse_schema(serialized: bytes) -> pa.Schema:
    """Return the Arrow schema that its IPC bytes hold; only who looks at columns pays for pyarrow."""
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(serialized))


@dataclass(frozen=True)
class Changing:
    """One reading of the words that change: their values, without the checks that they have in the header."""

    sealed: int
    first_version: int
    version_count: int
    committed_rows: int
    digest_state: int
    digest_rows: int
    digest_root: bytes
    ring: Sequence[int] = field(default=(), repr=False)
    """Rows and created_ns of each slot of the version ring; zeros where there is no version that may be read."""


def encode_metadata(static: Static) -> bytes:
    """Pack what has no fixed size: name, schema, block table, origin and the caller's metadata."""
    content = {
        "name": static.name,
        "columns": static.columns,
        "lanes": static.lanes,
        "blocks": [(b.dtype, b.offset, b.stride, b.lanes) for b in static.blocks],
        "schema": static.schema,
        "dictionaries": static.dictionaries,
        "shape": static.shape,
        "origin": static.origin,
        "meta": static.meta,
    }
    packed: bytes = msgpack.packb(content, use_bin_type=True)
    return packed


def encode_static(static: Static, metadata: bytes) -> bytes:
    """Return the first 256 bytes of the file; `metadata` is covered by their digest."""
    packed = _STATIC.pack(
        MAGIC,
        LAYOUT,
        static.header_bytes,
        static.file_bytes,
        bytes.fromhex(static.object_id),
        bytes.fromhex(static.epoch),
        KINDS[static.kind],
        static.capacity_rows,
        static.owner_pid,
        static.created_ns,
        METADATA_OFFSET,
        len(metadata),
        static.digest_offset,
        static.digest_bytes,
        DIGEST_BLOCK_BYTES,
    ).ljust(_DIGESTED_BYTES, b"\0")
    return packed + struct.pack("<Q", xxhash.xxh3_64_intdigest(packed + metadata))


def metadata_span(page: bytes, size: int) -> tuple[int, int]:
    """Return where the metadata lies, from the first page; `ChecksumError` when it is not that of a file of `size`."""
    if len(page) < STATIC_BYTES or page[:8] != MAGIC:
        raise ChecksumError("it does not start with the magic of an object")
    fields = _STATIC.unpack_from(page)
    if fields[1] != LAYOUT:
        raise ChecksumError(f"it has layout {fields[1]}, this version of jupyter-nq reads layout {LAYOUT}")
    start, length, header_bytes = fields[10], fields[11], fields[2]
    if start != METADATA_OFFSET or length > METADATA_LIMIT_BYTES or start + length > header_bytes:
        raise ChecksumError("its header is damaged (the metadata lies outside the header)")
    if header_bytes % PAGE or header_bytes > size:
        raise ChecksumError("its header is damaged (it does not end in the file), or the file was cut or extended")
    return start, start + length


def decode_static(page: bytes, metadata: bytes) -> Static:
    """Check the digest of the static part and read it."""
    (digest,) = struct.unpack_from("<Q", page, _DIGESTED_BYTES)
    if xxhash.xxh3_64_intdigest(page[:_DIGESTED_BYTES] + metadata) != digest:
        raise ChecksumError("its header is damaged (digest of the header differs)")
    fields = _STATIC.unpack_from(page)
    if fields[14] != DIGEST_BLOCK_BYTES:
        raise ChecksumError(f"its digests cover {fields[14]} bytes each")
    content = msgpack.unpackb(metadata, raw=False)
    return Static(
        object_id=fields[4].hex(),
        epoch=fields[5].hex(),
        kind=_KIND_NAMES[fields[6]],
        capacity_rows=fields[7],
        owner_pid=fields[8],
        created_ns=fields[9],
        header_bytes=fields[2],
        file_bytes=fields[3],
        metadata_bytes=fields[11],
        digest_offset=fields[12],
        digest_bytes=fields[13],
        name=content["name"],
        columns=tuple(content["columns"]),
        lanes=tuple((column, role) for column, role in content["lanes"]),
        blocks=tuple(Block(d, o, s, tuple(lanes)) for d, o, s, lanes in content["blocks"]),
        schema=content["schema"],
        dictionaries=content["dictionaries"],
        shape=tuple(content["shape"]),
        origin=content["origin"],
        meta=content["meta"],
    )


def encode_changing(changing: Changing) -> bytes:
    """Pack a reading for a file whose own digest covers it; the version ring is apart."""
    return _CHANGING.pack(
        changing.sealed,
        changing.first_version,
        changing.version_count,
        changing.committed_rows,
        changing.digest_state,
        changing.digest_rows,
        changing.digest_root,
    )


def decode_changing(packed: bytes) -> Changing:
    """Read what `encode_changing` packed; the version ring is apart."""
    return Changing(*_CHANGING.unpack(packed))


def committed_slots(changing: Changing) -> list[tuple[int, int, int]]:
    """Return (index, rows, created_ns) of the newest committed versions, oldest first.

    An append that died before its commit left one slot with more rows than are committed: it does not count. The
    oldest slot of the ring may be in the hands of an append and is left out.
    """
    newest = newest_slot(changing)[0]
    return [_slot(changing, i) for i in range(max(0, newest - RING_SLOTS + 2), newest + 1)]


def newest_slot(changing: Changing) -> tuple[int, int, int]:
    """Return (index, rows, created_ns) of the newest committed version, without a look at the others."""
    last = changing.version_count - 1
    found = _slot(changing, last)
    return found if last == 0 or found[1] <= changing.committed_rows else _slot(changing, last - 1)


def _slot(changing: Changing, index: int) -> tuple[int, int, int]:
    at = index % RING_SLOTS * 2
    return index, changing.ring[at], changing.ring[at + 1]
