"""From data to the exact file that will hold it: block table, sizes, bytes to allocate. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jupyter_nq.buffers.layout import (
    DIGEST_BYTES,
    METADATA_LIMIT_BYTES,
    METADATA_OFFSET,
    PAGE,
    Block,
    Static,
    align,
    encode_metadata,
)
from jupyter_nq.buffers.places import DATA, OFFSETS, digest_pieces
from jupyter_nq.buffers.values.dictionaries import encode
from jupyter_nq.buffers.values.intake import Content
from jupyter_nq.buffers.values.lanes import Lane
from jupyter_nq.errors import UnsupportedData

_TEXT_BYTES = 16  # of a row that is to come, where none is there to tell


@dataclass(frozen=True)
class Need:
    """The memory that an object takes: where in its file, and how much."""

    file_bytes: int
    """Size of the file, the reserve included."""
    spans: tuple[tuple[int, int], ...]
    """Offset and bytes, in whole pages, of what is allocated; the rest of the file is a hole."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(nbytes for _, nbytes in self.spans)


@dataclass(frozen=True)
class Plan:
    """An object that could be written: what it holds and the bytes it will take."""

    content: Content = field(repr=False)
    capacity_rows: int
    blocks: tuple[Block, ...]
    """Block offsets count from the end of the header, which is known when the name is."""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows that are written now."""
        return self.content.rows

    def reserving(self, share: float) -> Plan:
        """Return the same plan with room for a share of its rows more."""
        return plan_content(self.content, int(self.rows * share), self.meta)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the object allocates, in whole pages; the reserve costs nothing yet."""
        return self.header_bytes + sum(pages for _, pages in committed_spans(self.blocks, self.content.lanes))

    def need(self, name: str) -> Need:
        """Return what memory the object takes under a name."""
        return need_of(self.static(name, "0" * 32, "0" * 32, 0, 0), self.content.lanes)

    @property
    def header_bytes(self) -> int:
        """Bytes of the header for a name of the largest length."""
        return self.static("n" * 128, "0" * 32, "0" * 32, 0, 0).header_bytes

    def static(self, name: str, object_id: str, epoch: str, owner_pid: int, created_ns: int) -> Static:
        """Return the static part of the header, offsets settled."""
        lanes, positions = self.content.lanes, {name: i for i, name in enumerate(self.content.columns)}
        draft = Static(
            object_id=object_id,
            epoch=epoch,
            kind=self.content.kind,
            capacity_rows=self.capacity_rows,
            owner_pid=owner_pid,
            created_ns=created_ns,
            header_bytes=0,
            file_bytes=0,
            metadata_bytes=0,
            digest_offset=0,
            digest_bytes=sum(digest_pieces(r) for r in rooms(lanes, self.rows, self.capacity_rows)) * DIGEST_BYTES,
            name=name,
            columns=self.content.columns,
            lanes=tuple((positions[lane.name], lane.role) for lane in lanes),
            blocks=self.blocks,
            schema=None if self.content.schema is None else self.content.schema.serialize().to_pybytes(),
            dictionaries={name: encode(values) for name, values in self.content.categories.items()},
            shape=self.content.shape,
            origin=dict(self.content.origin),
            meta=dict(self.meta),
        )
        return _settle(draft)


def plan_content(content: Content, reserve_rows: int, meta: Mapping[str, Any] | None) -> Plan:
    """Plan an object with room for `reserve_rows` more rows."""
    if reserve_rows < 0:
        raise ValueError(f"reserve_rows is {reserve_rows}, it must be 0 or more")
    if content.origin.get("scalar"):
        reserve_rows = 0
    capacity = content.rows + reserve_rows
    return Plan(content, capacity, block_table(content.lanes, content.rows, capacity), dict(meta or {}))


def rooms(lanes: tuple[Lane, ...], rows: int, capacity_rows: int) -> list[int]:
    """Return the bytes that each lane may come to hold; text has room for rows as long as those that are there."""
    found = []
    for lane in lanes:
        if lane.role == DATA:
            usual = lane.nbytes / rows if rows else _TEXT_BYTES
            found.append(align(lane.nbytes + math.ceil(usual * (capacity_rows - rows))))
        else:
            found.append(lane.row_bytes * (capacity_rows + (lane.role == OFFSETS)))
    return found


def block_table(lanes: tuple[Lane, ...], rows: int, capacity_rows: int) -> tuple[Block, ...]:
    """Group the lanes of one dtype and role into one block each, in order of first appearance; offsets start at 0."""
    groups: dict[tuple[str, str, int], list[int]] = {}
    for position, lane in enumerate(lanes):
        alone = position if lane.role == DATA else -1
        groups.setdefault((lane.dtype, lane.role, alone), []).append(position)
    room = rooms(lanes, rows, capacity_rows)
    blocks, offset = [], 0
    for (dtype, _, _), positions in groups.items():
        stride = align(room[positions[0]])
        blocks.append(Block(dtype, offset, stride, tuple(positions)))
        offset += stride * len(positions)
    return tuple(blocks)


def lane_offsets(blocks: tuple[Block, ...]) -> dict[int, int]:
    """Return for each lane the byte offset of its first value, in the blocks' own frame of reference."""
    return {position: b.offset + i * b.stride for b in blocks for i, position in enumerate(b.lanes)}


def need_of(static: Static, lanes: tuple[Lane, ...]) -> Need:
    """Return what memory an object of this header takes."""
    return Need(static.file_bytes, ((0, static.header_bytes), *committed_spans(static.blocks, lanes)))


def committed_spans(blocks: tuple[Block, ...], lanes: tuple[Lane, ...]) -> list[tuple[int, int]]:
    """Return (offset, bytes in whole pages) of each lane's committed range."""
    offsets = lane_offsets(blocks)
    return [(offsets[i], align(lane.nbytes)) for i, lane in enumerate(lanes)]


def _settle(draft: Static) -> Static:
    # The block offsets are part of the metadata, whose size decides where the blocks start: msgpack spends
    # up to 9 bytes on an integer, so room for the largest is left once instead of iterating.
    slack = 9 * (len(draft.blocks) + 1)
    try:
        metadata_bytes = len(encode_metadata(draft)) + slack
    except (TypeError, ValueError, OverflowError) as exc:
        raise UnsupportedData(f"The metadata must be plain msgpack values (text, numbers, lists, maps): {exc}") from exc
    if metadata_bytes > METADATA_LIMIT_BYTES:
        raise UnsupportedData(
            f"Names, types and metadata take {metadata_bytes:,} bytes, {METADATA_LIMIT_BYTES:,} are possible. "
            "Share fewer columns, or keep the metadata elsewhere."
        )
    digest_offset = -(-(METADATA_OFFSET + metadata_bytes) // DIGEST_BYTES) * DIGEST_BYTES
    header_bytes = max(PAGE, align(digest_offset + draft.digest_bytes))
    blocks = tuple(replace(b, offset=b.offset + header_bytes) for b in draft.blocks)
    end = max((b.offset + b.stride * len(b.lanes) for b in blocks), default=header_bytes)
    return replace(
        draft,
        blocks=blocks,
        metadata_bytes=metadata_bytes - slack,
        digest_offset=digest_offset,
        header_bytes=header_bytes,
        file_bytes=end,
    )
