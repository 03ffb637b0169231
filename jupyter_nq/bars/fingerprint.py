"""What identifies the content of a source: its size and digest, and the cheap signs of a change.

A dataset is keyed by content, so a changed file is a new version and an untouched one is never parsed
twice. `quick` decides without reading: size, modification time and inode unchanged means unchanged.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jupyter_nq.errors import SourceNotFound, UnreadableSource

CODE_VERSION = "bars-2"
"""Changes whenever the reader gives another table for the same file and profile; part of every cache key."""

_CHUNK_BYTES = 1 << 20  # 1 MiB


@dataclass(frozen=True)
class Fingerprint:
    """The identity of a file's content at one moment."""

    size: int
    """Bytes."""
    mtime_ns: int
    """Modification time, ns since the epoch."""
    inode: int
    digest: str
    """xxh3_128 of the content, 32 hexadecimal digits."""

    @property
    def quick(self) -> tuple[int, int, int]:
        """The part that `quick(path)` gives without reading the file."""
        return self.size, self.mtime_ns, self.inode


def quick(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """Return (size, mtime_ns, inode) of a file without reading it."""
    try:
        stat = os.stat(path)
    except FileNotFoundError as exc:
        raise SourceNotFound(f"{path} does not exist.") from exc
    except OSError as exc:
        raise UnreadableSource(f"{path} cannot be read: {exc.strerror}. Check its permissions.") from exc
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """Return the fingerprint of a file, reading it once in 1 MiB pieces.

    Raises
    ------
    SourceNotFound, UnreadableSource
        The file does not exist, cannot be read, or keeps changing while it is read.
    """
    import xxhash

    before = quick(path)
    digest = xxhash.xxh3_128()
    try:
        with Path(path).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as exc:
        raise UnreadableSource(f"{path} cannot be read: {exc.strerror}. Pass a file that you may read.") from exc
    if quick(path) != before:
        raise UnreadableSource(f"{path} changed while it was read. Load it again when its writer has finished.")
    return Fingerprint(*before, digest.hexdigest())
