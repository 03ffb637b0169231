"""Digests of an object: xxh3_128 of each 1 MiB of each column, and one over those and the row count.

The table of piece digests locates damage; the root is the object's fingerprint. Pieces are counted from the
start of each column, so an append recomputes only the last, partly filled piece and those behind it.

Who appends may die between the word that commits its rows and their digest. Whoever comes next takes up the work where
the last whole digest ends. Rows that had a digest keep what it says of them: a piece that is filled up further gets a
new digest only if its rows still have the old one, so damage to them is found whatever was appended since. Damage that
came to rows before they were digested cannot be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import xxhash

from jupyter_nq.buffers import layout, words
from jupyter_nq.buffers.layout import DIGEST_BLOCK_BYTES, DIGEST_BYTES
from jupyter_nq.buffers.places import Read, committed_bytes, digest_pieces, places
from jupyter_nq.buffers.segments import root_digest
from jupyter_nq.errors import ChecksumError


def refresh_digest(fd: int, static: layout.Static, page: memoryview) -> None:
    """Digest the committed rows that are not yet, and store table, root and state `done`."""
    start_row, rows = words.value(page, static, "digest_rows"), words.value(page, static, "committed_rows")
    table_at = static.digest_offset
    pieces = b""
    lanes, read = places(static), reading(fd)
    sizes = zip(committed_bytes(lanes, start_row, read), committed_bytes(lanes, rows, read), strict=True)
    for lane, (known, total) in zip(lanes, sizes, strict=True):
        first = known // DIGEST_BLOCK_BYTES if start_row else 0
        begun = known % DIGEST_BLOCK_BYTES if start_row else 0
        new = [_continued(fd, lane.offset, known, total, table_at + first * DIGEST_BYTES)] if begun else []
        new += piece_digests(fd, lane.offset, total, first + len(new))
        os.pwrite(fd, b"".join(new), table_at + first * DIGEST_BYTES)
        pieces += os.pread(fd, digest_pieces(total) * DIGEST_BYTES, table_at)
        table_at += lane.table_bytes
    root = np.frombuffer(root_digest(rows, pieces, static), "<u8")
    at = layout.WORD["digest_root"]
    page[at], page[at + 1] = int(root[0]), int(root[1])
    words.put(page, static, "digest_rows", rows)
    words.put(page, static, "digest_state", layout.DONE)


def _continued(fd: int, offset: int, known: int, total: int, stored_at: int) -> bytes:
    """Digest the piece in which the digested bytes of a lane end; one that was damaged before keeps its old digest.

    Who died over the same work may have stored the new digest already.
    """
    start = known // DIGEST_BLOCK_BYTES * DIGEST_BLOCK_BYTES
    piece = memoryview(bytearray(min(DIGEST_BLOCK_BYTES, total - start)))
    _read_whole(fd, piece, offset + start)
    hasher = xxhash.xxh3_128(piece[: known - start])
    before = hasher.digest()
    hasher.update(piece[known - start :])
    after: bytes = hasher.digest()
    stored = os.pread(fd, DIGEST_BYTES, stored_at)
    return after if stored in (before, after) else stored


def piece_digests(fd: int, offset: int, total: int, first: int = 0) -> Iterator[bytes]:
    """Digest the pieces, from number `first` on, of a lane that starts at `offset` and has `total` committed bytes."""
    buffer = memoryview(bytearray(min(DIGEST_BLOCK_BYTES, total)))  # one for all: fresh pages cost more than the digest
    for start in range(first * DIGEST_BLOCK_BYTES, total, DIGEST_BLOCK_BYTES):
        piece = buffer[: min(DIGEST_BLOCK_BYTES, total - start)]
        _read_whole(fd, piece, offset + start)
        yield xxhash.xxh3_128_digest(piece)


def differing_piece(data: memoryview, first: int, stored: bytes) -> int | None:
    """Return the number of the first piece of a lane that differs from its digest, None when all agree.

    Parameters
    ----------
    data
        Bytes of the lane that begin with piece number `first`.
    stored
        The digests of all pieces of the lane.
    """
    for i, start in enumerate(range(0, len(data), DIGEST_BLOCK_BYTES), first):
        found = xxhash.xxh3_128_digest(data[start : start + DIGEST_BLOCK_BYTES])
        if found != stored[i * DIGEST_BYTES : (i + 1) * DIGEST_BYTES]:
            return i
    return None


def damaged_piece(column: str, piece: int) -> str:
    """Say which piece of which column is damaged."""
    where = f"column {column!r}" if column else "the array"
    return f"{where} is damaged in its 1 MiB piece {piece} (bytes {piece << 20:,} and on)"


def _read_whole(fd: int, piece: memoryview, offset: int) -> None:
    while piece:
        done = os.preadv(fd, [piece], offset)
        if not done:
            raise ChecksumError("The file of a shared object was cut while it was read. Load the dataset again.")
        piece, offset = piece[done:], offset + done


def reading(fd: int) -> Read:
    """Return what reads a few bytes of an open object file."""
    return lambda offset, count: os.pread(fd, count, offset)


def verify_object(fd: int, static: layout.Static, changing: layout.Changing) -> bool:
    """Compare the committed bytes with the digests; see `Handle.verify`."""
    if changing.digest_state != layout.DONE:
        return False
    rows, table_at, pieces = changing.digest_rows, static.digest_offset, b""
    lanes = places(static)
    for lane, total in zip(lanes, committed_bytes(lanes, rows, reading(fd)), strict=True):
        stored = os.pread(fd, digest_pieces(total) * DIGEST_BYTES, table_at)
        for i, found in enumerate(piece_digests(fd, lane.offset, total)):
            if found != stored[i * DIGEST_BYTES : (i + 1) * DIGEST_BYTES]:
                raise ChecksumError(
                    f"{static.name}: {damaged_piece(lane.column, i)}. Drop the dataset and load it again."
                )
        pieces += stored
        table_at += lane.table_bytes
    if root_digest(rows, pieces, static) != changing.digest_root:
        raise ChecksumError(f"{static.name}: its table of digests is damaged. Drop the dataset and load it again.")
    return True
