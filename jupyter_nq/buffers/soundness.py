"""Whether a header can be true: every address inside the file and its own block, every count in bounds.

The digest of a header finds accidents to its static part. These checks are for the words that change, which
have no digest, and for a header whose digest is right and whose content is not (a defect, another program).
Views are built from these numbers alone: one wrong address would show foreign bytes, or end the kernel by
SIGBUS. Nothing here reads the file.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from typing import Any

from jupyter_nq.buffers.layout import (
    DIGEST_BLOCK_BYTES,
    DIGEST_BYTES,
    DIGEST_STATES,
    DONE,
    METADATA_OFFSET,
    PAGE,
    Block,
    Changing,
    Static,
    align,
    committed_slots,
)
from jupyter_nq.buffers.names import is_name
from jupyter_nq.errors import ChecksumError

_COUNT_LIMIT = 1 << 62
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


def row_bytes(static: Static, block: Block) -> int:
    """Return the bytes of one row of one column of a block."""
    return item_bytes(block.dtype) * math.prod(static.shape)


# -- the static part -----------------------------------------------------------------------------
def check_static(static: Static) -> None:
    """Raise `ChecksumError` with the reason when the static part cannot be true."""
    _check_identity(static)
    _check_blocks(static)
    _check_header(static)
    _check_origin(static)


def _check_identity(static: Static) -> None:
    _require(isinstance(static.name, str) and is_name(static.name), "its name is no dataset name")
    _require(_are_counts(static.capacity_rows, static.created_ns, *static.shape), "its counts are impossible")
    _require(isinstance(static.meta, dict), "its metadata are no map")
    names = static.columns
    _require(all(isinstance(c, str) for c in names) and len(set(names)) == len(names), "its columns are not unique")
    if static.kind == "array":
        sound = names == ("",) and static.schema is None and len(static.blocks) == 1
    else:
        sound = isinstance(static.schema, bytes) and static.shape == ()
    _require(sound, f"its columns are not those of its kind ({static.kind})")


def _check_blocks(static: Static) -> None:
    end = static.header_bytes
    for block in sorted(static.blocks, key=lambda b: b.offset):
        _require(_are_counts(block.offset, block.stride, *block.columns), "its block table is impossible")
        aligned = block.offset % PAGE == 0 and block.stride % PAGE == 0
        _require(aligned and block.offset >= end, "its blocks overlap or do not start on pages")
        _require(block.stride >= row_bytes(static, block) * static.capacity_rows, "its columns overlap")
        end = block.offset + block.stride * len(block.columns)
    _require(end <= static.file_bytes, "its blocks lie outside the file")
    positions = sorted(c for block in static.blocks for c in block.columns)
    _require(positions == list(range(len(static.columns))), "its blocks do not hold each column once")


def _check_header(static: Static) -> None:
    table = sum(
        len(block.columns) * -(-row_bytes(static, block) * static.capacity_rows // DIGEST_BLOCK_BYTES) * DIGEST_BYTES
        for block in static.blocks
    )
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
    column, span = index.get("column"), index.get("range", [0, 1])
    _require(column is None or column in static.columns, "its index is none of its columns")
    _require(isinstance(span, list) and [type(n) for n in span] == [int, int], "the range of its index is none")
    if origin.get("container") == "series":
        _require(len(static.columns) > (column is not None), "it is no series")


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
    slots = committed_slots(changing)
    counts = [slot_rows for _, slot_rows, _ in slots]
    _require(
        counts[-1] == rows
        and all(a < b for a, b in itertools.pairwise(counts))
        and all(created < _COUNT_LIMIT for _, _, created in slots),
        "its counts are impossible (the version ring)",
    )


def check_allocated(static: Static, rows: int, allocated: int) -> None:
    """Raise `ChecksumError` when more rows are said to be committed than there is memory for."""
    needed = sum(len(b.columns) * align(row_bytes(static, b) * rows) for b in static.blocks)
    _require(static.header_bytes + needed <= allocated, "its counts are impossible (rows without memory)")


def _are_counts(*values: Any) -> bool:
    return all(type(v) is int and 0 <= v < _COUNT_LIMIT for v in values)


def _require(sound: bool, otherwise: str) -> None:
    if not sound:
        raise ChecksumError(otherwise)
