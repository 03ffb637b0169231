"""Opening a file of text, compressed or not: what is read from it is the text, and not more than was promised.

What a compressed file becomes is known only by expanding it, so a file of a few kilobytes can fill a disk. Nothing
is expanded ahead of its reading, and reading stops where a file has grown beyond `MOST_TIMES` times its size.
"""

from __future__ import annotations

import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from jupyter_nq.errors import SourceNotFound, UnreadableSource

MOST_TIMES = 1000
"""How many times its size a compressed file may have; tables of bars have five to twenty times."""
_ALWAYS = 64 << 20  # 64 MiB: what any compressed file may become

MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty one
}
"""First bytes of compressed files."""
_MOST_LISTED = 5
_OF_MACOS = re.compile(r"__MACOSX/|(.*/)?\.DS_Store$")  # what it adds to an archive
_ENCRYPTED = 0x1  # the flag of a member of a ZIP file

COLUMNAR = (b"PAR1", b"PARE", b"ARROW1", b"FEA1", b"\xff\xff\xff\xff")
"""First bytes of Parquet (also encrypted), of Arrow files, of the first Feather files, and of Arrow streams."""


def check_file(path: Path) -> None:
    """Raise unless `path` is a file that can be read to its end: no directory, pipe, socket or device."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as exc:
        raise SourceNotFound(f"{path} does not exist.") from exc
    except OSError as exc:
        raise UnreadableSource(f"{path} cannot be read: {exc.strerror}. Check its permissions.") from exc
    except ValueError as exc:
        raise SourceNotFound(f"{str(path)!r} is not the name of a file: {exc}.") from exc
    if stat.S_ISDIR(mode):
        raise UnreadableSource(f"{path} is a directory. Pass a file, or a symbol and data_dir=.")
    if not stat.S_ISREG(mode):
        raise UnreadableSource(f"{path} is a pipe, socket or device, which may never end. Save it as a file.")


def is_columnar(path: Path) -> bool:
    """Tell by its first bytes whether a file is Parquet or Arrow data, whatever its name says.

    What is no file that can be read is not; opening it says why.
    """
    try:
        check_file(path)
        with path.open("rb") as file:
            return file.read(8).startswith(COLUMNAR)
    except (OSError, ValueError):  # the package's own errors are these, too
        return False


def compression(path: Path) -> str | None:
    """Return how a file is compressed by its first bytes: `gzip`, `bz2`, `zstd`, `xz`, `zip`, or None."""
    with path.open("rb") as file:
        head = file.read(8)
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)


def is_open_ended(path: Path) -> bool:
    """Tell whether a file of text that is not compressed ends without a line break: its last line may be cut."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) not in b"\r\n" and compression(path) is None


class Plain:
    """The bytes of a file as they are. Used by one thread."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self._file = file
        self._size = max(os.fstat(file.fileno()).st_size, 1)

    def share(self) -> float:
        """Return the share of the file that is read."""
        return min(self._file.tell() / self._size, 1.0)


class Bounded:
    """A stream of expanded bytes that ends in an error when there are too many. Used by one thread."""

    def __init__(self, path: Path, raw: Any, position: Callable[[], int]) -> None:
        self._path, self._raw, self._position = path, raw, position
        self._size = path.stat().st_size
        self._limit = max(self._size * MOST_TIMES, _ALWAYS)
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, nothing at the end; raises `UnreadableSource`."""
        try:
            data: bytes = self._raw.read(size if size >= 0 else self._limit + 1)
        except (lzma.LZMAError, zlib.error, zipfile.BadZipFile, EOFError, OSError, pa.ArrowException) as exc:
            raise _damaged(self._path, exc) from exc
        self._read += len(data)
        if self._read > self._limit:
            raise UnreadableSource(
                f"{self._path} expands to more than {self._limit:,} bytes, {MOST_TIMES} times its size, which no table "
                "of bars does. Expand it yourself if you trust it, and pass the result."
            )
        return data

    def share(self) -> float:
        """Return the share of the packed file that is read."""
        return min(self._position() / self._size, 1.0)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open the bytes of a file's text, expanded when the file is compressed.

    `read(size)` gives them, and `share()` the share of the file that they came from.
    """
    kind = compression(path)
    if kind is None:
        with path.open("rb") as file:
            yield Plain(file)
    elif kind == "xz":
        with path.open("rb") as packed, lzma.open(packed) as expanded:
            yield Bounded(path, expanded, packed.tell)
    elif kind == "zip":
        with path.open("rb") as packed, _member(path, packed) as expanded:
            yield Bounded(path, expanded, packed.tell)
    else:
        with pa.OSFile(os.fspath(path), "rb") as packed, pa.CompressedInputStream(packed, kind) as stream:
            yield Bounded(path, stream, packed.tell)


@contextmanager
def _member(path: Path, packed: BinaryIO) -> Iterator[Any]:
    """Open the only file in a ZIP file."""
    try:
        archive = zipfile.ZipFile(packed)
    except (zipfile.BadZipFile, OSError) as exc:
        raise _damaged(path, exc) from exc
    with archive:
        try:
            expanded = archive.open(_only(path, archive.infolist()))
        except (zipfile.BadZipFile, NotImplementedError, OSError) as exc:
            raise _damaged(path, exc) from exc
        with expanded:
            yield expanded


def _only(path: Path, members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    """Return the only member that is a file, which must not be encrypted."""
    files = [one for one in members if not one.is_dir() and not _OF_MACOS.match(one.filename)]
    if len(files) != 1:
        listed = ": " + ", ".join(repr(one.filename) for one in files[:_MOST_LISTED]) if files else ""
        more = f" and {len(files) - _MOST_LISTED} more" if len(files) > _MOST_LISTED else ""
        raise UnreadableSource(
            f"{path} is a ZIP file of {len(files)} files{listed}{more}; one is read when it holds a single file of "
            "text. Unpack it, and pass the file that you mean; export a spreadsheet as CSV."
        )
    if files[0].flag_bits & _ENCRYPTED:
        raise UnreadableSource(f"{path}: its file {files[0].filename!r} is encrypted. Unpack it with its password.")
    return files[0]


def _damaged(path: Path, exc: Exception) -> UnreadableSource:
    return UnreadableSource(f"{path}: the compressed data are damaged or cut off ({exc}). Get the file again.")
