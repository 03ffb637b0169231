"""The note of an object: a few bytes beside it that may be replaced, where its own metadata never change.

What an object was made of is written into its header once. What its newest rows were made of changes with every
append, so it lies in a small file of its own, `notes/<id>`, replaced by `rename`: a reader finds the old note or
the new one. A note carries a digest, and one that is missing, cut or damaged is no note: who needs it does what it
would do without. It lives no longer than its object.
"""

from __future__ import annotations

import os
from pathlib import Path

import xxhash

from jupyter_nq.buffers.names import new_object_id
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import fresh_file, store_full, write_all
from jupyter_nq.errors import UnsupportedData

NOTE_BYTES = 1 << 20  # 1 MiB: the most that a note may hold
_MAGIC = b"NQNOTE01"
_HEAD_BYTES = len(_MAGIC) + 16


def write_note(directory: Path, drafts: Path, object_id: str, content: bytes) -> None:
    """Replace the note of an object.

    Raises
    ------
    UnsupportedData
        It is too long.
    StoreFull
        There is no room for it; the note before is still there.
    """
    if len(content) > NOTE_BYTES:
        raise UnsupportedData(f"A note of {len(content):,} bytes is too long; {NOTE_BYTES:,} are possible.")
    with refused(directory):
        directory.mkdir(mode=0o700, exist_ok=True)
    draft, path = drafts / f"{new_object_id()}.note", directory / object_id
    with fresh_file(draft, draft) as fd:
        with store_full(directory, _HEAD_BYTES + len(content)):
            os.posix_fallocate(fd, 0, _HEAD_BYTES + len(content))
        write_all(fd, memoryview(_MAGIC + xxhash.xxh3_128_digest(content) + content), 0)
        with refused(path):
            os.rename(draft, path)


def read_note(directory: Path, object_id: str) -> bytes | None:
    """Return the note of an object; None when it has none that is whole."""
    try:
        fd = os.open(directory / object_id, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.pread(fd, _HEAD_BYTES + NOTE_BYTES + 1, 0)
    except OSError:
        return None
    finally:
        os.close(fd)
    content = found[_HEAD_BYTES:]
    whole = found[:_HEAD_BYTES] == _MAGIC + xxhash.xxh3_128_digest(content)
    return content if whole else None
