"""Whether a header can be true: every address inside the file and its own block, every count in bounds.

The digest of a header finds accidents to its static part. These checks are for the words that change, which
have no digest, and for a header whose digest is right and whose content is not (a defect, another program).
Views are built from these numbers alone: one wrong address would show foreign bytes, or end the kernel by
SIGBUS. Nothing here reads the file.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from jupyter_nq.buffers.layout import (
    DIGEST_STATES,
    DONE,
    METADATA_OFFSET,
    PAGE,
    Block,
    Changing,
    Static,
    align,
    committed_slots,
    newest_slot,
)
from jupyter_nq.buffers.names import is_name
from jupyter_nq.buffers.places import DATA, OFFSETS, ROLES, VALID, VALUES, lane_item_bytes, lane_room, places
from jupyter_nq.buffers.words import VALUE_LIMIT
from jupyter_nq.errors import ChecksumError

_COUNT_LIMIT = 1 << 62
_DTYPES = {VALID: ("|b1",), OFFSETS: ("<i4", "<i8"), DATA: ("|u1",)}


# -- the static part -----------------------------------------------------------------------------
def check_static(static: Static) -> None:
    """Raise `ChecksumError` with the reason when the static part cannot be true."""
    _check_identity(static)
    _check_lanes(static)
    _check_blocks(static)
    _check_header(static)
    _check_origin(static)


def _check_identity(static: Static) -> None:
    _require(isinstance(static.name, str) and is_name(static.name), "its name is no dataset name")
    _require(_are_counts(static.capacity_rows) and static.capacity_rows < VALUE_LIMIT, "its counts are impossible")
    _require(_are_counts(static.created_ns, *static.shape), "its counts are impossible")
    _require(isinstance(static.meta, dict), "its metadata are no map")
    names = static.columns
    _require(all(isinstance(c, str) for c in names) and len(set(names)) == len(names), "its columns are not unique")
    if static.kind == "array":
        sound = names == ("",) and static.schema is None and len(static.blocks) == 1
    else:
        sound = isinstance(static.schema, bytes) and static.shape == ()
    _require(sound, f"its columns are not those of its kind ({static.kind})")


def _check_lanes(static: Static) -> None:
    """Each column has the lanes of one of its forms, and an array its values; what type needs which, views check."""
    roles: dict[int, list[str]] = {position: [] for position in range(len(static.columns))}
    for column, role in static.lanes:
        _require(type(column) is int and column in roles, "its lanes are of no column")
        roles[column].append(role)
    _require(all(tuple(found) in ROLES for found in roles.values()), "its columns have impossible lanes")
    in_order = [column for column, _ in static.lanes]
    _require(in_order == sorted(in_order), "its lanes are not in the order of the columns")
    _require(static.kind != "array" or static.lanes == ((0, VALUES),), "it is an array of impossible lanes")
    known = set(static.dictionaries) <= set(static.columns)
    packed = all(isinstance(stream, bytes) for stream in static.dictionaries.values())
    _require(known and packed, "its categories are of no column")


def _check_blocks(static: Static) -> None:
    end = static.header_bytes
    for block in sorted(static.blocks, key=lambda b: b.offset):
        _require(_are_counts(block.offset, block.stride, *block.lanes), "its block table is impossible")
        aligned = block.offset % PAGE == 0 and block.stride % PAGE == 0
        _require(aligned and block.offset >= end, "its blocks overlap or do not start on pages")
        end = block.offset + block.stride * len(block.lanes)
        _require(all(lane < len(static.lanes) for lane in block.lanes), "its blocks are of no lane")
        _require(all(_fits(static, block, static.lanes[lane][1]) for lane in block.lanes), "its lanes overlap")
    _require(end <= static.file_bytes, "its blocks lie outside the file")
    positions = sorted(lane for block in static.blocks for lane in block.lanes)
    _require(positions == list(range(len(static.lanes))), "its blocks do not hold each lane once")


def _fits(static: Static, block: Block, role: str) -> bool:
    """Return whether a lane of a role may lie in a block: of its dtype, and with room for all rows."""
    sound = block.dtype in _DTYPES.get(role, (block.dtype,))
    return sound and lane_room(static, block, role, lane_item_bytes(static, block, role)) <= block.stride


def _check_header(static: Static) -> None:
    table = sum(lane.table_bytes for lane in places(static))
    _require(static.digest_bytes == table, "its table of digests has another size than its columns need")
    _require(
        METADATA_OFFSET + static.metadata_bytes <= static.digest_offset
        and static.digest_offset + static.digest_bytes <= static.header_bytes,
        "its table of digests lies outside the header",
    )


def _check_origin(static: Static) -> None:
    origin = static.origin
    _require(isinstance(origin, dict), "its origin is no map")
    if origin.get("scalar"):
        _require(static.kind == "array" and static.shape == () and static.capacity_rows == 1, "it is no scalar")
    index = origin.get("index", {})
    _require(isinstance(index, dict), "its index is no map")
    column, span, levels = index.get("column"), index.get("range", [0, 1]), index.get("columns", [])
    _require(column is None or column in static.columns, "its index is none of its columns")
    known = isinstance(levels, list) and all(level in static.columns for level in levels)
    named = not levels or len(index["names"]) == len(index["dtypes"]) == len(levels)
    _require(known and named and not (levels and column), "the levels of its index are none of its columns")
    _require(isinstance(origin.get("forms", {}), dict), "the forms of its columns are no map")
    _require(isinstance(span, list) and [type(n) for n in span] == [int, int], "the range of its index is none")
    if origin.get("container") == "series":
        _require(len(static.columns) > (column is not None) + len(levels), "it is no series")


# -- the part that changes -----------------------------------------------------------------------
def check_changing(static: Static, changing: Changing) -> None:
    """Raise `ChecksumError` with the reason when the words that change cannot be true."""
    rows = changing.committed_rows
    _require(
        changing.sealed == 1
        and rows <= static.capacity_rows
        and 1 <= changing.version_count <= rows + 2  # each commit adds a row; one more may be under way
        and changing.first_version < _COUNT_LIMIT,
        "its counts are impossible",
    )
    sound = changing.digest_state < len(DIGEST_STATES) and changing.digest_rows <= rows
    _require(sound and (changing.digest_state != DONE or changing.digest_rows == rows), "its digest counts differ")
    _, newest_rows, created_ns = newest_slot(changing)
    _require(newest_rows == rows and created_ns < _COUNT_LIMIT, "its counts are impossible (the version ring)")


def check_slots(changing: Changing) -> None:
    """Raise `ChecksumError` with the reason when the versions cannot be true, the older ones too."""
    slots = committed_slots(changing)
    sound = all(before[1] < after[1] for before, after in itertools.pairwise(slots))
    _require(
        sound and all(created < _COUNT_LIMIT for _, _, created in slots), "its counts are impossible (the version ring)"
    )


def check_allocated(static: Static, committed: Sequence[int], allocated: int) -> None:
    """Raise `ChecksumError` when more bytes of the lanes are said to be committed than there is memory for."""
    needed = sum(map(align, committed))
    _require(static.header_bytes + needed <= allocated, "its counts are impossible (rows without memory)")


def _are_counts(*values: Any) -> bool:
    return all(type(v) is int and 0 <= v < _COUNT_LIMIT for v in values)


def _require(sound: bool, otherwise: str) -> None:
    if not sound:
        raise ChecksumError(otherwise)
