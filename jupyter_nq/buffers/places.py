"""Where the lanes of an object lie, and how many of their bytes are committed.

A column is one lane of values, or several. A column with nulls has a lane `valid` before them, with a byte for
each row. Text has a lane of `offsets`, one more than rows, and one of `data`: the bytes of row `r` lie between
offsets `r` and `r + 1`. So the count of committed rows says of every lane how much of it is committed: of `data`
it is the offset behind the last row, which is written before the rows are committed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jupyter_nq.buffers.layout import DIGEST_BLOCK_BYTES, DIGEST_BYTES, Block, Static, item_bytes
from jupyter_nq.errors import ChecksumError

VALUES, VALID, OFFSETS, DATA = "values", "valid", "offsets", "data"
ROLES = ((VALUES,), (VALID, VALUES), (OFFSETS, DATA), (VALID, OFFSETS, DATA), ())
"""The lanes that a column may have, in this order; none for a column of nothing but nulls."""

Read = Callable[[int, int], bytes]
"""`read(offset, count)` gives bytes of the file."""


@dataclass(frozen=True)
class Place:
    """One lane in the file."""

    column: str
    role: str
    offset: int
    """Bytes from the start of the file to the first item."""
    item_bytes: int
    """Bytes of one row, one offset, or 1."""
    room: int
    """Bytes for which there are addresses."""

    @property
    def table_bytes(self) -> int:
        """Bytes of its part of the digest table, which has room for all it may hold."""
        return digest_pieces(self.room) * DIGEST_BYTES


@functools.lru_cache(maxsize=1024)  # of the same header, as headers are read once
def places(static: Static) -> tuple[Place, ...]:
    """Return the lanes in the order of the metadata."""
    found: dict[int, Place] = {}
    for block in static.blocks:
        for i, lane in enumerate(block.lanes):
            column, role = static.lanes[lane]
            size = lane_item_bytes(static, block, role)
            room = lane_room(static, block, role, size)
            found[lane] = Place(static.columns[column], role, block.offset + i * block.stride, size, room)
    return tuple(found[lane] for lane in range(len(static.lanes)))


def lane_item_bytes(static: Static, block: Block, role: str) -> int:
    """Return the bytes of one item of a lane in a block; a row of an array is one item."""
    size = item_bytes(block.dtype)
    return size * math.prod(static.shape) if role == VALUES else size


def lane_room(static: Static, block: Block, role: str, size: int) -> int:
    """Return the bytes that a lane in a block may come to hold."""
    if role == DATA:
        return block.stride
    return size * (static.capacity_rows + (role == OFFSETS))


def committed_bytes(lanes: Sequence[Place], rows: int, read: Read) -> list[int]:
    """Return how many bytes of each lane the first `rows` rows take.

    Raises
    ------
    ChecksumError
        An offset lies outside its data.
    """
    found = []
    end = 0
    for lane in lanes:
        if lane.role == DATA:
            if not 0 <= end <= lane.room:
                raise ChecksumError(f"the offsets of column {lane.column!r} lie outside its data")
            found.append(end)
            continue
        if lane.role == OFFSETS:
            at = lane.offset + rows * lane.item_bytes
            end = int.from_bytes(read(at, lane.item_bytes), "little", signed=True)
        found.append((rows + (lane.role == OFFSETS)) * lane.item_bytes)
    return found


def digest_pieces(nbytes: int) -> int:
    """Return how many 1 MiB pieces cover `nbytes`.

    >>> digest_pieces(0), digest_pieces(1), digest_pieces((1 << 20) + 1)
    (0, 1, 2)
    """
    return -(-nbytes // DIGEST_BLOCK_BYTES)
