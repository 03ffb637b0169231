"""Thawing: a cold file becomes an object of a store again, the same bit for bit, but for the epoch of its store.

Nothing of the file is believed before its digest was compared: the head, then the detail, then each chunk before it
is decoded, and the decoded bytes with the object's own digests. Sizes are checked before memory is taken for them.
The object is written as any other: under another name, whole, and then renamed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import xxhash

from jupyter_nq.buffers import layout
from jupyter_nq.buffers.cold.copies import ColdCopies, ColdInfo, drop_orphan, info_of, naming, read_head
from jupyter_nq.buffers.cold.detail import Chunk, Extent, Frozen, decode_detail
from jupyter_nq.buffers.cold.encoding import CHUNK_BYTES, Buffer, decode
from jupyter_nq.buffers.cold.encryption import TAG_BYTES, Cipher, cipher_of
from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.buffers.cold.layout import Head
from jupyter_nq.buffers.digests import damaged_piece, differing_piece, reading
from jupyter_nq.buffers.directory import NOTES
from jupyter_nq.buffers.layout import DIGEST_BLOCK_BYTES
from jupyter_nq.buffers.locks import exclusive
from jupyter_nq.buffers.notes import write_note
from jupyter_nq.buffers.objects import ObjectInfo
from jupyter_nq.buffers.parallel import in_order
from jupyter_nq.buffers.places import committed_bytes
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import Progress, allocate, fresh_file, progress_steps, store_full, write_all
from jupyter_nq.buffers.store import Store
from jupyter_nq.buffers.words import whole_header
from jupyter_nq.errors import ChecksumError, StoreFull

_Take = Callable[[int, Buffer], None]


def thaw(
    store: Store,
    object_id: str,
    cold: ColdCopies,
    *,
    keys: KeyRing | None = None,
    progress: Progress | None = None,
) -> ObjectInfo:
    """Bring an object back from its cold copy, which stays; one that the store has already is left alone.

    It has its id, name, versions, rows, room, digests and note again; a name leads to it when somebody links it.
    Who else thaws the same object waits, and finds it there.

    Parameters
    ----------
    keys
        Master keys, for an encrypted file.
    progress
        Called with the fraction done, about once per 4 MiB; may raise to cancel.

    Raises
    ------
    UnknownDataset
        There is no cold copy of it.
    ChecksumError
        The copy is damaged; the message names the file, and the column and the place in it.
    UnknownKey
        It is encrypted and its master key is not among `keys`; the message names the id of the key.
    StoreFull
        No room in the store; nothing is left behind, as with any other exception.
    """
    path = cold.file(object_id)
    draft, sealed = store.path / "tmp" / f"{object_id}.part", store.path / "obj" / path.stem
    with exclusive(store.path / "tmp" / f"{object_id}.thaw"):
        if store.exists(object_id):
            return store.info(object_id)
        with cold.opened(object_id) as (source, path):
            copy = _Copy(source, path, keys)
            drop_orphan(draft)
            with fresh_file(draft, sealed) as fd:
                _fill(fd, store, copy, progress)
                _keep_note(store, object_id, copy.frozen.note)
                with refused(sealed):
                    os.rename(draft, sealed)
        if store.annotation(object_id) is None:  # a sweep took it for that of an object that is gone
            _keep_note(store, object_id, copy.frozen.note)
        return store.info(object_id)


def check_cold(
    object_id: str, cold: ColdCopies, *, keys: KeyRing | None = None, progress: Progress | None = None
) -> ColdInfo:
    """Read all of a cold copy and compare it with its digests, as `thaw` does, without writing anything.

    Raises
    ------
    UnknownDataset, ChecksumError, UnknownKey
        As for `thaw`.
    """
    with cold.opened(object_id) as (source, path):
        copy = _Copy(source, path, keys)
        copy.read_chunks(lambda extent: lambda at, part: None, progress)
        return info_of(copy.head)


class _Copy:
    """An open cold file whose head and detail have been checked."""

    def __init__(self, fd: int, path: Path, keys: KeyRing | None) -> None:
        self.head: Head = read_head(fd, path)
        self._fd = fd
        self.path = path
        self._buffers = threading.local()  # of each thread one to decrypt into
        with naming(path):
            self._cipher: Cipher | None = cipher_of(self.head, keys)
            stored = self._stored(self.head.detail_offset, self.head.detail_bytes, self.head.detail_digest)
            detail = self._opened(self.head.chunk_count, stored, self.head.authentic())
            self.frozen: Frozen
            self.frozen, self._chunks = decode_detail(detail, self.head)

    def read_chunks(self, place: Callable[[Extent], _Take], progress: Progress | None) -> None:
        """Check and decode all chunks in several threads.

        `place(extent)` returns what takes the bytes of a chunk: it is called with the position in the lane and the
        bytes.
        """
        step = progress_steps(progress, sum(self.frozen.committed))
        located, at = [], self.head.chunks_offset
        for extent, chunk in zip(self.frozen.extents(), self._chunks, strict=True):
            located.append((extent, chunk, at))
            at += chunk.stored_bytes

        def work(item: tuple[Extent, Chunk, int]) -> int:
            extent, chunk, at = item
            with naming(self.path):
                parts = self._decoded(extent, chunk, at)
            start, take = extent.start, place(extent)
            for part in parts:
                take(start, part)
                start += len(part)
            return extent.nbytes

        with in_order(work, located) as results:
            for nbytes in results:
                step(nbytes)

    def _decoded(self, extent: Extent, chunk: Chunk, at: int) -> Sequence[Buffer]:
        lane = self.frozen.lanes[extent.lane]
        try:
            stored = self._stored(at, chunk.stored_bytes, chunk.digest)
            plain = self._opened(extent.index, stored)
            parts = decode(plain, self.frozen.dtypes[extent.lane], chunk.codec, extent.nbytes)
        except ChecksumError as exc:
            column = f"column {lane.column!r}, {lane.role}" if lane.column else "the array"
            number = extent.start // CHUNK_BYTES
            raise ChecksumError(f"chunk {number} of {column}, is damaged (bytes {at:,} and on): {exc}") from exc
        if self.frozen.table:
            self._compare(extent, parts)
        return parts

    def _compare(self, extent: Extent, parts: Sequence[Buffer]) -> None:
        whole = memoryview(parts[0]) if len(parts) == 1 else memoryview(b"".join(parts))
        piece = differing_piece(whole, extent.start // DIGEST_BLOCK_BYTES, self.frozen.table[extent.lane])
        if piece is not None:
            raise ChecksumError(damaged_piece(self.frozen.lanes[extent.lane].column, piece))

    def _stored(self, at: int, nbytes: int, digest: bytes) -> memoryview:
        """Read bytes of the file and compare them with their digest."""
        with refused(self.path):
            data = os.pread(self._fd, nbytes, at)
        if len(data) != nbytes or xxhash.xxh3_128_digest(data) != digest:
            raise ChecksumError("its digest differs")
        return memoryview(data)

    def _opened(self, index: int, stored: memoryview, about: bytes = b"") -> memoryview:
        if self._cipher is None:
            return stored
        buffer: bytearray | None = getattr(self._buffers, "buffer", None)
        if buffer is None or len(buffer) < len(stored):
            buffer = self._buffers.buffer = bytearray(max(len(stored), CHUNK_BYTES + TAG_BYTES))
        return self._cipher.open_into(index, stored, buffer, about)


def _fill(fd: int, store: Store, copy: _Copy, progress: Progress | None) -> None:
    frozen = copy.frozen
    static, lanes = replace(frozen.static, epoch=store.epoch), frozen.lanes
    _make_room(fd, store, frozen)

    def place(extent: Extent) -> _Take:
        offset = lanes[extent.lane].offset
        return lambda at, part: write_all(fd, memoryview(part), offset + at)

    copy.read_chunks(place, progress)
    _check_text(fd, copy)
    table_at = static.digest_offset
    for lane, part in zip(lanes, frozen.table, strict=False):  # an object without digests has no parts
        write_all(fd, memoryview(part), table_at)
        table_at += lane.table_bytes
    changing = frozen.changing
    if changing.digest_state == layout.PENDING:  # its table is not kept, so whoever completes it begins anew
        changing = replace(changing, digest_rows=0)
    write_all(fd, memoryview(whole_header(static, frozen.metadata, changing)), 0)


def _make_room(fd: int, store: Store, frozen: Frozen) -> None:
    """Allocate what the object will take; what spare segments have is given back when it is needed."""
    with store_full(store.path, frozen.raw_bytes):
        os.ftruncate(fd, frozen.static.file_bytes)
    committed = zip(frozen.lanes, frozen.committed, strict=True)
    spans = [(0, frozen.static.header_bytes), *((lane.offset, layout.align(total)) for lane, total in committed)]
    try:
        allocate(fd, spans, store.path)
    except StoreFull:
        if not store.pool.trim(0):
            raise
        allocate(fd, spans, store.path)


def _check_text(fd: int, copy: _Copy) -> None:
    """Compare where text ends with how much of it came: a view is built from the former."""
    frozen = copy.frozen
    with naming(copy.path), refused(copy.path):
        found = committed_bytes(frozen.lanes, frozen.changing.committed_rows, reading(fd))
        if tuple(found) != frozen.committed:
            raise ChecksumError("the offsets of a column do not fit its text")


def _keep_note(store: Store, object_id: str, note: bytes | None) -> None:
    if note is not None:
        write_note(store.path / NOTES, store.path / "tmp", object_id, note)
