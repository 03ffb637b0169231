"""Cold copies: objects as compressed files on a disk, found by their heads alone.

A directory of cold copies belongs to nothing: the object whose id a file has may be in a store, or in none any
more. There is no index beside the files. A file appears under its name by `rename` when the disk has all of it, so
it is there whole or not at all. Listing reads the head and the summary of each file; what writes and reads the rest
is in `freezing` and `thawing`, which need numpy and pyarrow, and this does not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_nq.buffers.cold.layout import HEAD_BYTES, Head, decode_head, summary_bytes
from jupyter_nq.buffers.locks import is_current, try_flock
from jupyter_nq.buffers.names import is_object_id
from jupyter_nq.buffers.objects import Damaged
from jupyter_nq.buffers.refusals import refusal, refused
from jupyter_nq.errors import ChecksumError, StoreError, UnknownDataset

SUFFIX = ".cold"
_TMP = "tmp"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class ColdInfo:
    """One cold copy, as its head tells."""

    id: str
    """Of the object: 32 hexadecimal digits."""
    name: str
    """The dataset for which the object was written."""
    version: int
    """Newest version in it; 0 when the object was not published."""
    first_version: int
    """Version of its first commit."""
    rows: int
    """Rows of the newest version."""
    raw_bytes: int
    """Bytes of memory that the object takes when it is thawed."""
    nbytes: int
    """Bytes of the file."""
    created_ns: int
    """When the object was written, in nanoseconds since 1970, UTC."""
    owner_pid: int
    """Process that wrote the object."""
    kind: str
    """`table` or `array`."""
    meta: dict[str, Any] = field(repr=False)
    """The metadata that its writer gave; empty when the file is encrypted."""
    versions: tuple[tuple[int, int, int], ...] = field(repr=False)
    """(version, rows, created_ns) of the versions that it holds, oldest first."""
    durable: bool
    """Kept for good; otherwise only until the object is in memory again."""
    key_id: str | None
    """Which master key it needs, None when it is plain."""


class ColdCopies:
    """A directory of cold copies. It keeps no state of its own, so any number may be open.

    Parameters
    ----------
    directory
        Where they lie, on a disk; private to its owner.
    create
        Make it when it is absent.

    Raises
    ------
    StoreError
        It is not a directory, belongs to somebody else, is open to others, or cannot be made or written.
    """

    def __init__(self, directory: str | os.PathLike[str], create: bool = True) -> None:
        self.path = Path(os.path.abspath(directory))
        if create:
            _make(self.path)
        _check(self.path)
        self.tmp = self.path / _TMP
        """Where files under construction lie; whoever writes one holds `flock` on it."""
        with refused(self.tmp):
            self.tmp.mkdir(mode=0o700, exist_ok=True)

    def __repr__(self) -> str:
        return f"<ColdCopies {self.path}>"

    # -- reading ---------------------------------------------------------------------------------
    def scan(self) -> list[ColdInfo]:
        """Read the heads of all sound cold copies, oldest object first; `StoreError` when one cannot be read."""
        found = [entry for entry in self._survey() if isinstance(entry, ColdInfo)]
        return sorted(found, key=lambda info: (info.created_ns, info.id))

    def damaged(self) -> list[Damaged]:
        """Return the files that are no cold copy, or one of another format, with the reason."""
        return [entry for entry in self._survey() if isinstance(entry, Damaged)]

    def info(self, object_id: str) -> ColdInfo:
        """Read one head.

        Raises
        ------
        UnknownDataset
            There is no cold copy of this object.
        ChecksumError
            Its head is damaged, or of another format.
        StoreError
            The system refuses to read it, which says nothing about the copy.
        """
        with self.opened(object_id) as (fd, path):
            return info_of(read_head(fd, path))

    def exists(self, object_id: str) -> bool:
        """Tell whether there is a cold copy of an object, sound or damaged."""
        if not is_object_id(object_id):
            return False
        path = self.file(object_id)
        with refused(path):
            return os.path.lexists(path)

    def is_durable(self, object_id: str) -> bool:
        """Tell whether an object has a copy that is kept for good; a damaged one, which may have been, counts for it.

        `StoreError` when the system refuses to read it.
        """
        try:
            return self.info(object_id).durable
        except UnknownDataset:
            return False
        except ChecksumError:
            return True

    def used_bytes(self) -> int:
        """Return the bytes that all files take on the disk, those under construction included."""
        return sum(_allocated(self.path)) + sum(_allocated(self.tmp))

    @contextlib.contextmanager
    def opened(self, object_id: str) -> Iterator[tuple[int, Path]]:
        """Open the file of a cold copy; what is open stays readable when it is replaced or removed meanwhile."""
        path = self.file(object_id)
        fd = self._open(path)
        try:
            yield fd, path
        finally:
            os.close(fd)

    def file(self, object_id: str) -> Path:
        """Return the path that the cold copy of an object has; `UnknownDataset` when this is no object id."""
        if not is_object_id(object_id):
            raise UnknownDataset(f"{object_id!r} is not an object id.")
        return self.path / f"{object_id}{SUFFIX}"

    # -- changing --------------------------------------------------------------------------------
    def remove(self, object_id: str) -> bool:
        """Remove the cold copy of an object; False when there was none. Whoever reads it reads on."""
        path = self.file(object_id)
        with refused(path):
            try:
                os.unlink(path)
            except FileNotFoundError:
                return False
        return True

    def sweep(self) -> list[Path]:
        """Remove the files under construction whose writers are gone, and return them."""
        with refused(self.tmp):
            drafts = [Path(entry.path) for entry in os.scandir(self.tmp)]
        return [path for path in drafts if drop_orphan(path)]

    # -- files -----------------------------------------------------------------------------------
    def _open(self, path: Path) -> int:
        try:
            return os.open(path, _READ)
        except FileNotFoundError:
            raise UnknownDataset(f"There is no cold copy of {path.stem} in {self.path}.") from None
        except OSError as exc:
            if not _is_file(path):
                raise _damaged(path, "it is not a file") from exc
            raise refusal(path, exc) from exc

    def _survey(self) -> Iterator[ColdInfo | Damaged]:
        with refused(self.path):
            paths = [Path(entry.path) for entry in os.scandir(self.path) if entry.name != _TMP]
        for path in paths:
            if path.suffix != SUFFIX or not is_object_id(path.stem):
                yield Damaged(path, "its name is not that of a cold copy")
                continue
            try:
                yield self.info(path.stem)
            except UnknownDataset:
                continue  # removed meanwhile
            except ChecksumError as exc:
                yield Damaged(path, str(exc))


def read_head(fd: int, path: Path) -> Head:
    """Read the head and the summary of an open file; `ChecksumError` with its path when they cannot be true."""
    with refused(path):
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _damaged(path, "it is not a file")
        words = os.pread(fd, HEAD_BYTES, 0)
    with naming(path):
        length = summary_bytes(words, found.st_size)
        with refused(path):
            summary = os.pread(fd, length, HEAD_BYTES)
        head = decode_head(words, summary)
        if head.object_id != path.stem:
            raise ChecksumError(f"it is the copy of {head.object_id} under another name")
    return head


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the path and what to do around the reason of a `ChecksumError`."""
    try:
        yield
    except ChecksumError as exc:
        raise _damaged(path, str(exc)) from exc


def drop_orphan(path: Path) -> bool:
    """Remove a file under construction that nobody has locked; False when it is held, gone, or no file.

    Its pages are not punched, as those of an object in memory are: it may be a second name of a whole file.
    """
    with refused(path):
        try:
            fd = os.open(path, _READ)
        except FileNotFoundError:
            return False
        except OSError:
            if _is_file(path):
                raise
            return False
        try:
            free = stat.S_ISREG(os.fstat(fd).st_mode) and try_flock(fd, fcntl.LOCK_EX) and is_current(fd, path)
            if free:
                os.unlink(path)
            return free
        finally:
            os.close(fd)


def info_of(head: Head) -> ColdInfo:
    """Return what a head tells."""
    summary = head.summary
    return ColdInfo(
        id=head.object_id,
        name=summary.name,
        version=summary.version,
        first_version=summary.first_version,
        rows=summary.rows,
        raw_bytes=summary.raw_bytes,
        nbytes=head.file_bytes,
        created_ns=summary.created_ns,
        owner_pid=summary.owner_pid,
        kind=summary.kind,
        meta=summary.meta,
        versions=summary.versions,
        durable=head.durable,
        key_id=None if head.key is None else head.key.key_id,
    )


def sync_directory(path: Path) -> None:
    """Return when the disk has the names in a directory."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _make(path: Path) -> None:
    """Make a directory; the disk has its name, and those of the ones above it that were made too."""
    try:
        made = [directory for directory in (path, *path.parents) if not directory.exists()]
        os.makedirs(path, mode=0o700, exist_ok=True)
        for directory in made:
            sync_directory(directory.parent)
    except OSError as exc:
        raise StoreError(
            f"The directory of cold copies {path} cannot be made: {exc.strerror}. Make it yourself, or choose another."
        ) from exc


def _check(path: Path) -> None:
    try:
        found = os.stat(path)
    except OSError as exc:
        raise StoreError(
            f"The directory of cold copies {path} cannot be opened: {exc.strerror}. Mount its disk; or, when what "
            f"was in it is lost, make it anew: mkdir -p -m 700 {path}"
        ) from exc
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError(f"{path} is not a directory. Choose another for cold copies.")
    if found.st_uid != os.geteuid():
        raise StoreError(f"{path} belongs to user {found.st_uid}, you are {os.geteuid()}. Choose one of your own.")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StoreError(f"Others may enter {path} (mode {stat.S_IMODE(found.st_mode):o}). Close it: chmod 700 {path}")


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _allocated(directory: Path) -> Iterator[int]:
    with refused(directory):
        paths = [entry.path for entry in os.scandir(directory) if entry.is_file(follow_symlinks=False)]
    for path in paths:
        with refused(path), contextlib.suppress(FileNotFoundError):
            yield os.lstat(path).st_blocks * 512


def _damaged(path: Path, reason: str) -> ChecksumError:
    return ChecksumError(f"{path} is not a sound cold copy: {reason}. Remove it when its data can be loaded again.")
