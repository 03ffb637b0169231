"""The copy of a flag on the disk: one small text file, replaced as a whole.

A first line with a digest of all that follows, then JSON: the record, and the changes before it. It is written under
another name and synced, renamed, and its directory synced; only then does whoever asked for it go on.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from jupyter_nq.buffers.cold.copies import sync_directory
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import write_all
from jupyter_nq.errors import ChecksumError, StoreError
from jupyter_nq.streams.flags.places import Places
from jupyter_nq.streams.flags.record import Record, as_json, from_json

HISTORY_LENGTH = 32
"""Changes that are kept, the newest included."""
DISK_LOCK = ".lock"
_FIRST_WORD = "NQFLAG1"
_MOST_BYTES = 1 << 18  # 256 KiB
_DRAFT = ".part"


@dataclass(frozen=True)
class Copy:
    """What the disk has of a flag."""

    record: Record
    history: tuple[Record, ...]
    """The last changes, the newest first."""


def read_copy(places: Places, name: str) -> Copy | None:
    """Return what the disk has of a flag, None when it has nothing.

    Raises
    ------
    StoreError
        It cannot be read; or its directory is on a disk that is not mounted, as far as a link tells.
    ChecksumError
        It is damaged.
    """
    path = places.copy(name)
    with refused(path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            _check_links(places.disk)
            return None
        try:
            content = os.pread(fd, _MOST_BYTES, 0)
        finally:
            os.close(fd)
    return _decoded(path, content)


def _check_links(directory: Path) -> None:
    """Raise `StoreError` when a link on the way to a directory leads nowhere: then nobody knows what was in it."""
    for one in (directory, *directory.parents):
        if one.is_symlink() and not one.exists():
            raise StoreError(f"{one} leads to {os.readlink(one)}, which is not there. Mount it, or remove the link.")


def write_copy(places: Places, name: str, record: Record, before: Sequence[Record]) -> None:
    """Replace what the disk has of a flag, and return when the disk has it.

    Raises
    ------
    StoreError, StoreFull
        The disk refuses; it has what it had before, or the new copy where only the last sync failed.
    """
    path = places.copy(name)
    make_directory(places.disk)
    draft = places.disk / f".{name}.{secrets.token_hex(8)}{_DRAFT}"
    content = _encoded([record, *before][:HISTORY_LENGTH])
    try:
        with refused(draft):
            _write_synced(draft, content)
            os.rename(draft, path)
            sync_directory(places.disk)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def remove_copy(places: Places, name: str) -> None:
    """Remove what the disk has of a flag, and the directory when it was the last."""
    with refused(places.disk), contextlib.suppress(FileNotFoundError):
        places.copy(name).unlink()
        sync_directory(places.disk)
        if os.listdir(places.disk) == [DISK_LOCK]:
            (places.disk / DISK_LOCK).unlink()
            places.disk.rmdir()


def sweep_drafts(places: Places, name: str) -> None:
    """Remove what somebody left who died over a copy; only who holds the flag's lock may."""
    for draft in places.disk.glob(f".{name}.*{_DRAFT}"):
        with contextlib.suppress(OSError):  # the disk refuses: it does no harm there
            draft.unlink()


def _write_synced(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, memoryview(content), 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path) -> None:
    """Make a directory; the disk has its name, and those of the ones above it that were made too."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    with refused(path):
        for one in reversed(missing):
            one.mkdir(mode=0o700, exist_ok=True)
            sync_directory(one.parent)


def _encoded(records: Sequence[Record]) -> bytes:
    text = json.dumps([as_json(record) for record in records], indent=1).encode() + b"\n"
    return f"{_FIRST_WORD} {xxhash.xxh3_128_hexdigest(text)}\n".encode() + text


def _decoded(path: Path, content: bytes) -> Copy:
    first, _, text = content.partition(b"\n")
    if first != f"{_FIRST_WORD} {xxhash.xxh3_128_hexdigest(text)}".encode():
        raise ChecksumError(f"{path} is damaged: it differs from its digest.")
    try:
        records = tuple(from_json(kept) for kept in json.loads(text))
        return Copy(records[0], records)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as exc:
        raise ChecksumError(f"{path} is damaged: {exc}.") from exc
