"""The detail of a cold file: all that an object had beside its committed bytes, and where its chunks lie.

It holds the words of the object's header as they were, so that the object comes back with its versions and its
digests, and whoever reads it checks them as he would check the header of an object in memory: every size is in
bounds before anything is allocated for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack

from jupyter_nq.buffers import layout, soundness
from jupyter_nq.buffers.cold.encoding import CHUNK_BYTES
from jupyter_nq.buffers.cold.layout import Head
from jupyter_nq.buffers.layout import DIGEST_BYTES, DONE
from jupyter_nq.buffers.notes import NOTE_BYTES
from jupyter_nq.buffers.places import DATA, OFFSETS, Place, digest_pieces, places
from jupyter_nq.buffers.segments import root_digest
from jupyter_nq.errors import ChecksumError

_CHUNK = struct.Struct("<BI16s")
_SEALED_MORE_BYTES = 16  # that encryption adds to a chunk


@dataclass(frozen=True)
class Extent:
    """A range of a lane that is one chunk of the file."""

    index: int
    """Number of the chunk in the file."""
    lane: int
    """Position of the lane among those of the object."""
    start: int
    """First byte in the lane: a multiple of 4 MiB."""
    nbytes: int


@dataclass(frozen=True)
class Chunk:
    """How one range of a lane lies in the file."""

    codec: int
    """See `encoding`."""
    stored_bytes: int
    digest: bytes
    """xxh3_128 of the stored bytes."""


@dataclass(frozen=True)
class Frozen:
    """An object at rest."""

    static: layout.Static
    """Its epoch is that of the store in which it was frozen."""
    metadata: bytes = field(repr=False)
    """The packed metadata of its header."""
    changing: layout.Changing
    """The words that change, with the slots of its committed versions and no others."""
    committed: tuple[int, ...]
    """Committed bytes of each lane."""
    table: tuple[bytes, ...] = field(repr=False)
    """Of each lane the digests of its pieces; empty when the object has no digest that is done."""
    note: bytes | None = field(repr=False, default=None)

    @property
    def lanes(self) -> tuple[Place, ...]:
        """The lanes in their order."""
        return places(self.static)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The numpy dtype of each lane."""
        found = {lane: block.dtype for block in self.static.blocks for lane in block.lanes}
        return tuple(found[lane] for lane in range(len(found)))

    @property
    def raw_bytes(self) -> int:
        """Bytes of memory that the object takes."""
        return self.static.header_bytes + sum(map(layout.align, self.committed))

    def extents(self) -> list[Extent]:
        """Return the range of each chunk, in the order of the file."""
        return list(_extents(self.committed))


def _extents(committed: Sequence[int]) -> Iterator[Extent]:
    index = 0
    for lane, total in enumerate(committed):
        for start in range(0, total, CHUNK_BYTES):
            yield Extent(index, lane, start, min(CHUNK_BYTES, total - start))
            index += 1


def encode_detail(frozen: Frozen, chunks: Sequence[Chunk]) -> bytes:
    """Pack an object at rest and the table of its chunks."""
    changing = frozen.changing
    content = {
        "static": layout.encode_static(frozen.static, frozen.metadata),
        "metadata": frozen.metadata,
        "changing": layout.encode_changing(changing),
        "ring": struct.pack(f"<{len(changing.ring)}Q", *changing.ring),
        "committed": frozen.committed,
        "table": frozen.table,
        "note": frozen.note,
        "chunks": b"".join(_CHUNK.pack(c.codec, c.stored_bytes, c.digest) for c in chunks),
    }
    packed: bytes = msgpack.packb(content, use_bin_type=True)
    return packed


def decode_detail(packed: memoryview, head: Head) -> tuple[Frozen, list[Chunk]]:
    """Read a detail and check that all it says can be true; `ChecksumError` with the reason otherwise."""
    try:
        content = msgpack.unpackb(packed, raw=False)
        frozen = _frozen_of(content)
        chunks = [Chunk(*fields) for fields in _CHUNK.iter_unpack(content["chunks"])]
        _check(frozen, head)
        _check_chunks(frozen, chunks, head)
    except ChecksumError:
        raise
    except layout.UNREADABLE as exc:
        raise ChecksumError(f"its detail cannot be read ({exc!r})") from exc
    return frozen, chunks


def _frozen_of(content: dict[str, Any]) -> Frozen:
    page, metadata, ring = content["static"], content["metadata"], content["ring"]
    return Frozen(
        static=layout.decode_static(page, metadata),
        metadata=metadata,
        changing=replace(layout.decode_changing(content["changing"]), ring=struct.unpack(f"<{len(ring) // 8}Q", ring)),
        committed=tuple(content["committed"]),
        table=tuple(content["table"]),
        note=content["note"],
    )


def _check(frozen: Frozen, head: Head) -> None:
    static, changing = frozen.static, frozen.changing
    soundness.check_static(static)
    _require(static.object_id == head.object_id, "its detail is of another object")
    _require(static.metadata_bytes == len(frozen.metadata), "its metadata have another length")
    _require(static.file_bytes % layout.PAGE == 0 and static.file_bytes < 1 << 62, "its size is impossible")
    _require(len(changing.ring) == 2 * layout.RING_SLOTS, "its version ring has another length")
    soundness.check_changing(static, changing)
    soundness.check_slots(changing)
    rows = changing.committed_rows
    _require(rows == head.summary.rows and static.name == head.summary.name, "its summary is of another object")
    _require(len(frozen.committed) == len(frozen.lanes), "its lanes are of another number")
    for lane, committed in zip(frozen.lanes, frozen.committed, strict=True):
        expected = committed if lane.role == DATA else (rows + (lane.role == OFFSETS)) * lane.item_bytes
        _require(type(committed) is int and committed == expected and 0 <= committed <= lane.room, "its lanes are cut")
    _require(frozen.raw_bytes == head.summary.raw_bytes, "its size is that of another object")
    _check_table(frozen)
    note = frozen.note
    _require(note is None or (isinstance(note, bytes) and len(note) <= NOTE_BYTES), "its note is none")


def _check_table(frozen: Frozen) -> None:
    if frozen.changing.digest_state != DONE:
        _require(frozen.table == (), "it has digests though it has none")
        return
    sizes = [digest_pieces(committed) * DIGEST_BYTES for committed in frozen.committed]
    _require([len(part) for part in frozen.table] == sizes, "its table of digests has another length")
    root = root_digest(frozen.changing.committed_rows, b"".join(frozen.table), frozen.static)
    _require(root == frozen.changing.digest_root, "its table of digests is damaged")


def _check_chunks(frozen: Frozen, chunks: Sequence[Chunk], head: Head) -> None:
    count = sum(-(-committed // CHUNK_BYTES) for committed in frozen.committed)
    _require(len(chunks) == count == head.chunk_count, "its chunks are of another number")
    extents = frozen.extents()
    bounds = all(
        0 < chunk.stored_bytes <= extent.nbytes + _SEALED_MORE_BYTES
        for chunk, extent in zip(chunks, extents, strict=True)
    )
    total = sum(chunk.stored_bytes for chunk in chunks)
    _require(bounds and head.chunks_offset + total == head.detail_offset, "its chunks have other sizes")


def _require(sound: bool, otherwise: str) -> None:
    if not sound:
        raise ChecksumError(otherwise)
