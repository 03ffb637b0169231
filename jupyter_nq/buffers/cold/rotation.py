"""Rotation of master keys: the key of a cold file is sealed by the current one, its data stay as they are."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from jupyter_nq.buffers.cold.copies import ColdCopies, ColdInfo, info_of, naming, read_head
from jupyter_nq.buffers.cold.encryption import key_about
from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.buffers.cold.replacing import replacing
from jupyter_nq.buffers.locks import is_current
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import write_all
from jupyter_nq.errors import ChecksumError

_COPY_BYTES = 8 << 20  # 8 MiB


def rewrap(cold: ColdCopies, object_id: str, keys: KeyRing) -> ColdInfo:
    """Seal the key of a cold copy with the current master key; a plain copy, or one that has it, is left alone.

    The chunks are copied as they are, without being decrypted. Afterwards the old master key is not needed for it.

    Raises
    ------
    UnknownDataset
        There is no cold copy of this object.
    UnknownKey
        Its master key is not among `keys`; the message names the id.
    ChecksumError
        Its head is damaged.
    StoreFull, StoreError
        The disk has no room for it twice, or refuses; the copy is as it was.
    """
    while (found := _rewrapped(cold, object_id, keys)) is None:
        pass
    return found


class _Replaced(Exception):
    """Another copy took the place of the one that was read, or it was removed."""


def _rewrapped(cold: ColdCopies, object_id: str, keys: KeyRing) -> ColdInfo | None:
    """Do what `rewrap` does; None when the copy was replaced meanwhile, by one with more rows perhaps."""
    with cold.opened(object_id) as (source, path), contextlib.suppress(_Replaced):
        head = read_head(source, path)
        if head.key is None or head.key.key_id == keys.current_id:
            return info_of(head)
        about = key_about(object_id)
        with naming(path):
            data_key = keys.unwrap(head.key, about)
        head = head.rekeyed(keys.wrap(data_key, about))
        with replacing(cold, object_id) as out:
            write_all(out, memoryview(head.encode()), 0)
            _copy(source, path, out, head.chunks_offset, head.file_bytes)
            with refused(path):
                os.fsync(out)  # which takes long: whoever removes the copy meanwhile is seen
            if not is_current(source, path):  # who writes a copy waits from here on, so a later one is never replaced
                raise _Replaced
        return info_of(head)
    return None


def _copy(source: int, path: Path, out: int, start: int, stop: int) -> None:
    while start < stop:
        with refused(path):
            piece = os.pread(source, min(_COPY_BYTES, stop - start), start)
        if not piece:
            raise ChecksumError(f"{path} was cut while it was read. Remove it when its data can be loaded again.")
        write_all(out, memoryview(piece), start)
        start += len(piece)
