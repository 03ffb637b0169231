"""What identifies the content of a source: its size and digest, and the cheap signs of a change.

A dataset is keyed by content, so a changed file is a new version and an untouched one is never parsed
twice. `quick` decides without reading: size, inode, and the times of modification and of any change unchanged means
unchanged. The last one no program can set back, as copies with their times do with the other.

The digest is a tree: of the size, and of the digests of pieces of 4 MiB. So several threads share the work, and of
a file that has grown it is known without reading it again whether it begins with what it was: exactly, an edit
anywhere in it is found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from jupyter_nq.errors import SourceNotFound, UnreadableSource

CODE_VERSION = "bars-5"
"""Changes whenever the reader gives another table for the same file and profile; part of every cache key."""

PIECE_BYTES = 4 << 20  # 4 MiB
_CHUNK_BYTES = 1 << 20  # 1 MiB: stays in a processor's cache between reading and digesting
_MOST_THREADS = 4


@dataclass(frozen=True)
class Fingerprint:
    """The identity of a file's content at one moment."""

    size: int
    """Bytes."""
    mtime_ns: int
    """Modification time, ns since the epoch."""
    ctime_ns: int
    """Time of the last change of content, name or permissions, ns since the epoch."""
    inode: int
    digest: str
    """xxh3_128 of the size (8 bytes, little-endian) and of the digests of all pieces, 32 hexadecimal digits."""
    pieces: tuple[bytes, ...] = field(default=(), repr=False, compare=False)
    """xxh3_128 of each 4 MiB, the last one shorter."""

    @property
    def quick(self) -> tuple[int, int, int, int]:
        """The part that `quick(path)` gives without reading the file."""
        return self.size, self.mtime_ns, self.ctime_ns, self.inode


def quick(path: str | os.PathLike[str]) -> tuple[int, int, int, int]:
    """Return (size, mtime_ns, ctime_ns, inode) of a file without reading it."""
    try:
        stat = os.stat(path)
    except FileNotFoundError as exc:
        raise SourceNotFound(f"{path} does not exist.") from exc
    except OSError as exc:
        raise UnreadableSource(f"{path} cannot be read: {exc.strerror}. Check its permissions.") from exc
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """Return the fingerprint of a file, reading it once, a large one in a few threads.

    Raises
    ------
    SourceNotFound, UnreadableSource
        The file does not exist, cannot be read, or keeps changing while it is read.
    """
    before = quick(path)
    size = before[0]
    with _reading(path) as file:
        spans = [(start, min(start + PIECE_BYTES, size)) for start in range(0, size, PIECE_BYTES)]
        pieces = tuple(_digests(file, spans))
    if quick(path) != before:
        raise UnreadableSource(f"{path} changed while it was read. Load it again when its writer has finished.")
    return Fingerprint(*before, _root(size, pieces), pieces)


def begins_with(path: str | os.PathLike[str], found: Fingerprint, size: int, digest: str) -> bool:
    """Tell whether a file begins with what a fingerprint of `size` and `digest` was taken of.

    `found` is the file's fingerprint as it is now. At most one piece is read again.

    Raises
    ------
    SourceNotFound, UnreadableSource
    """
    if not found.pieces or not 0 < size <= found.size:
        return False
    whole, rest = divmod(size, PIECE_BYTES)
    pieces = found.pieces[:whole]
    if rest:
        with _reading(path) as file:
            pieces = (*pieces, *_digests(file, [(whole * PIECE_BYTES, size)]))
    return _root(size, pieces) == digest


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[int]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield file
        finally:
            os.close(file)
    except OSError as exc:
        raise UnreadableSource(f"{path} cannot be read: {exc.strerror}. Pass a file that you may read.") from exc


def _digests(file: int, spans: list[tuple[int, int]]) -> list[bytes]:
    """Return the digest of each span of bytes of an open file."""
    threads = min(len(os.sched_getaffinity(0)), _MOST_THREADS, len(spans))
    if threads < 2:
        return _some_digests(file, spans)
    pool = ThreadPoolExecutor(threads, "jupyter-nq-digest")
    try:
        shares = [pool.submit(_some_digests, file, spans[first::threads]) for first in range(threads)]
        found = [share.result() for share in shares]
    finally:
        pool.shutdown(cancel_futures=True)
    return [found[i % threads][i // threads] for i in range(len(spans))]


def _some_digests(file: int, spans: list[tuple[int, int]]) -> list[bytes]:
    import xxhash

    longest = max((stop - start for start, stop in spans), default=0)
    buffer = memoryview(bytearray(min(_CHUNK_BYTES, longest)))  # one for all: fresh memory costs as much as reading
    found = []
    for start, stop in spans:
        digest = xxhash.xxh3_128()
        while start < stop and (read := os.preadv(file, [buffer[: stop - start]], start)):
            digest.update(buffer[:read])
            start += read  # nothing read: it has become shorter, which its size tells
        found.append(digest.digest())
    return found


def _root(size: int, pieces: tuple[bytes, ...]) -> str:
    import xxhash

    return xxhash.xxh3_128_hexdigest(size.to_bytes(8, "little") + b"".join(pieces))
