"""Freezing: an object of a store becomes a cold file, which the disk has when the call returns.

The object may be read and appended to meanwhile: its committed rows never change, and the copy holds those of one
moment, at which nobody else writes it: so it never has fewer rows than the one before, nor is it less durable. The
bytes are compared with the object's digests on their way, so that what is damaged in memory is not kept for sound.
Chunks are encoded in several threads and written one behind the other; the head comes last.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import xxhash

from jupyter_nq.buffers import layout
from jupyter_nq.buffers.cold.copies import ColdCopies, ColdInfo, info_of
from jupyter_nq.buffers.cold.detail import Chunk, Extent, Frozen, encode_detail
from jupyter_nq.buffers.cold.encoding import CHUNK_BYTES, RAW, Buffer, codecs, encode
from jupyter_nq.buffers.cold.encryption import SALT_BYTES, TAG_BYTES, Cipher, new_seal
from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.buffers.cold.layout import DETAIL_LIMIT_BYTES, HEAD_BYTES, Head, Summary, encode_summary
from jupyter_nq.buffers.cold.replacing import replacing
from jupyter_nq.buffers.digests import damaged_piece, differing_piece, reading
from jupyter_nq.buffers.layout import DIGEST_BLOCK_BYTES, DIGEST_BYTES, DONE
from jupyter_nq.buffers.objects import allocated_bytes, header_words, read_changing, read_static
from jupyter_nq.buffers.parallel import in_order
from jupyter_nq.buffers.places import committed_bytes, digest_pieces, places
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import Progress, progress_steps, root_digest, write_all
from jupyter_nq.buffers.store import Store
from jupyter_nq.errors import ChecksumError, UnsupportedData

_SAMPLE_BYTES = 256 << 10  # 256 KiB from the middle of a long lane tell which codec suits it


def freeze(
    store: Store,
    object_id: str,
    cold: ColdCopies,
    *,
    durable: bool = False,
    keys: KeyRing | None = None,
    progress: Progress | None = None,
) -> ColdInfo:
    """Write a cold copy of an object; it replaces an older one of the same object when the disk has it.

    Parameters
    ----------
    durable
        Say in the file that it is kept for good, as it is said anyway when it was of the copy before. It is synced to
        the disk either way.
    keys
        Encrypt it; None writes a plain file. Name, rows, versions and times stay readable without a key.
    progress
        Called with the fraction done, about once per 4 MiB; may raise to cancel.

    Returns
    -------
    ColdInfo
        Of the rows that were committed when it began: an append may have added more since.

    Raises
    ------
    UnknownDataset
        There is no such object.
    ChecksumError
        The object is damaged in memory.
    StoreFull, StoreError
        The disk has no room, or refuses. Nothing is left behind; an older copy stays.
    MissingLibrary
        `keys` are given and `cryptography` is not installed.
    """
    if store.info(object_id).digest_state == "pending":
        store.complete(object_id)  # so that what is on the disk can be compared, and its writer has parted from it
    # Read when nobody else writes the copy: what waits for that may be replaced by an older reading otherwise.
    with store.lend(object_id) as (fd, path), replacing(cold, object_id) as out:
        frozen = _at_rest(fd, path)
        # Read after the rows: it still tells of them, where one that was read before might not yet.
        frozen = replace(frozen, note=store.annotation(object_id))
        head = _write(out, fd, frozen, durable or cold.is_durable(object_id), keys, progress)
    return info_of(head)


# -- the object at one moment --------------------------------------------------------------------
def _at_rest(fd: int, path: Path) -> Frozen:
    static = read_static(fd, path)
    with refused(path):
        metadata = os.pread(fd, static.metadata_bytes, layout.METADATA_OFFSET)
    with header_words(fd, access=mmap.ACCESS_READ) as words:
        changing = read_changing(path, static, words)
        while True:
            allocated_bytes(fd, path, static, changing.committed_rows)
            committed = committed_bytes(places(static), changing.committed_rows, reading(fd))
            table = _read_table(fd, static, committed) if changing.digest_state == DONE else ()
            if _agrees(static, changing, table):
                return Frozen(static, metadata, _settled(changing), tuple(committed), table)
            later = read_changing(path, static, words)
            if later == changing:  # no append is at work in the table
                raise ChecksumError(
                    f"{static.name}: its table of digests is damaged. Drop the dataset and load it again."
                )
            changing = later


def _read_table(fd: int, static: layout.Static, committed: list[int]) -> tuple[bytes, ...]:
    at, found = static.digest_offset, []
    for place, total in zip(places(static), committed, strict=True):
        with refused(fd):
            found.append(os.pread(fd, digest_pieces(total) * DIGEST_BYTES, at))
        at += place.table_bytes
    return tuple(found)


def _agrees(static: layout.Static, changing: layout.Changing, table: tuple[bytes, ...]) -> bool:
    if changing.digest_state != DONE:
        return True
    return root_digest(changing.committed_rows, b"".join(table), static) == changing.digest_root


def _settled(changing: layout.Changing) -> layout.Changing:
    """Return the words without the slot of an append that is under way, or died."""
    slots = layout.committed_slots(changing)
    ring = [0] * (2 * layout.RING_SLOTS)
    for index, rows, created in slots:
        at = index % layout.RING_SLOTS * 2
        ring[at : at + 2] = rows, created
    return replace(changing, version_count=slots[-1][0] + 1, ring=tuple(ring))


# -- the file ------------------------------------------------------------------------------------
class _Output:
    """A file under construction: what is put into it goes behind what is there, sealed when it is encrypted."""

    def __init__(self, fd: int, at: int, cipher: Cipher | None) -> None:
        self.at = at
        self._fd = fd
        self._cipher = cipher
        self._buffer = bytearray()  # kept from chunk to chunk: fresh pages cost more than the encryption

    def put(self, index: int, data: Buffer, about: bytes = b"") -> tuple[int, bytes]:
        """Write a chunk; returns how many bytes it takes there, and their digest."""
        stored = memoryview(data).cast("B")  # Arrow's bytes are signed
        if self._cipher is not None:
            if len(self._buffer) < len(stored) + TAG_BYTES:
                self._buffer = bytearray(len(stored) + TAG_BYTES)
            stored = self._cipher.seal_into(index, stored, self._buffer, about)
        write_all(self._fd, stored, self.at)
        self.at += len(stored)
        return len(stored), xxhash.xxh3_128_digest(stored)


def _write(out: int, fd: int, frozen: Frozen, durable: bool, keys: KeyRing | None, progress: Progress | None) -> Head:
    summary = _summary_of(frozen, plain=keys is None)
    packed = encode_summary(summary)
    extents = frozen.extents()
    seal = None if keys is None else new_seal(keys, frozen.static.object_id, summary.version, len(extents))
    output = _Output(out, HEAD_BYTES + len(packed), None if seal is None else seal.cipher)
    detail = encode_detail(frozen, _write_chunks(output, fd, frozen, extents, progress))
    detail_bytes = len(detail) + (0 if seal is None else TAG_BYTES)
    if detail_bytes > DETAIL_LIMIT_BYTES:
        raise UnsupportedData(
            f"What {summary.name} has beside its rows takes {detail_bytes:,} bytes, {DETAIL_LIMIT_BYTES:,} are "
            "possible in a cold copy. Share it in parts."
        )
    head = Head(
        object_id=frozen.static.object_id,
        durable=durable,
        file_bytes=output.at + detail_bytes,
        detail_bytes=detail_bytes,
        chunk_count=len(extents),
        detail_digest=bytes(DIGEST_BYTES),
        nonce_salt=bytes(SALT_BYTES) if seal is None else seal.salt,
        key=None if seal is None else seal.key,
        summary=summary,
        packed_summary=packed,
    )
    _, digest = output.put(len(extents), detail, head.authentic())
    head = replace(head, detail_digest=digest)
    write_all(out, memoryview(head.encode()), 0)
    return head


def _write_chunks(
    output: _Output, fd: int, frozen: Frozen, extents: Sequence[Extent], progress: Progress | None
) -> list[Chunk]:
    step = progress_steps(progress, sum(frozen.committed))
    chunks = []
    with in_order(_encoder(fd, frozen), extents) as results:
        for extent, (codec, encoded) in zip(extents, results, strict=True):
            chunks.append(Chunk(codec, *output.put(extent.index, encoded)))
            step(extent.nbytes)
    return chunks


def _encoder(fd: int, frozen: Frozen) -> Callable[[Extent], tuple[int, Buffer]]:
    """Return what reads, compares and encodes the bytes of one chunk; it is called in several threads."""
    lanes, dtypes = frozen.lanes, frozen.dtypes
    of_lanes = zip(lanes, dtypes, frozen.committed, strict=True)
    choices = [_choices(fd, lane.offset, dtype, committed) for lane, dtype, committed in of_lanes]

    def encoded(extent: Extent) -> tuple[int, Buffer]:
        lane = lanes[extent.lane]
        data = memoryview(_read(fd, lane.offset + extent.start, extent.nbytes))
        if frozen.table:
            piece = differing_piece(data, extent.start // DIGEST_BLOCK_BYTES, frozen.table[extent.lane])
            if piece is not None:
                where = damaged_piece(lane.column, piece)
                raise ChecksumError(f"{frozen.static.name}: {where}. Drop the dataset and load it again.")
        return encode(data, dtypes[extent.lane], choices[extent.lane])

    return encoded


def _choices(fd: int, offset: int, dtype: str, committed: int) -> tuple[int, ...]:
    """Return the codecs to try: of a long lane the one that makes a part of it smallest, or none."""
    possible = codecs(dtype)
    if committed <= CHUNK_BYTES:
        return possible
    start = committed // 2 // _SAMPLE_BYTES * _SAMPLE_BYTES
    sample = _read(fd, offset + start, min(_SAMPLE_BYTES, committed - start))
    best, _ = encode(memoryview(sample), dtype, possible)
    return () if best == RAW else (best,)


def _read(fd: int, offset: int, nbytes: int) -> bytes:
    with refused(fd):
        data = os.pread(fd, nbytes, offset)
    if len(data) != nbytes:
        raise ChecksumError("The file of a shared object was cut while it was read. Load the dataset again.")
    return data


def _summary_of(frozen: Frozen, *, plain: bool) -> Summary:
    static, first = frozen.static, frozen.changing.first_version
    slots = layout.committed_slots(frozen.changing)
    return Summary(
        name=static.name,
        kind=static.kind,
        first_version=first,
        versions=tuple((first + i if first else 0, rows, created) for i, rows, created in slots),
        raw_bytes=frozen.raw_bytes,
        created_ns=static.created_ns,
        owner_pid=static.owner_pid,
        meta=static.meta if plain else {},
    )
