"""What the store directory holds: objects by their headers, names as symbolic links, orphans, bytes.

There is no index beside the files. The headers say which objects exist, the links say which name means
which object, and both change by `rename`, so a reader never finds half a change. The operations that
change names and remove objects are the coordinator's; any process may read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from jupyter_nq.buffers import layout, platform, words
from jupyter_nq.buffers.cgroups import cgroup_rest
from jupyter_nq.buffers.directory import NOTES, POOL, STREAMS, open_directory
from jupyter_nq.buffers.locks import is_current, try_flock
from jupyter_nq.buffers.names import check_name, is_object_id
from jupyter_nq.buffers.objects import (
    Damaged,
    ObjectInfo,
    header_words,
    open_object,
    read_committed_rows,
    read_info,
    read_static,
)
from jupyter_nq.buffers.pool import SMALLEST_BYTES, Pool
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError, StoreError, UnknownDataset

_POOL_SHARE = 0.8  # of what is free: the rest belongs to whoever else uses the file system
_Read = TypeVar("_Read")
_REMOVE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Catalogue:
    """The files of a store directory. It keeps no state of its own, so any number may be open."""

    def __init__(self, path: str | os.PathLike[str], create: bool = True) -> None:
        self.path = Path(os.path.abspath(path))
        self.epoch = open_directory(self.path, create=create).epoch
        self._obj, self._tmp, self._names = (self.path / part for part in ("obj", "tmp", "names"))
        self._streams = self.path / STREAMS
        self._notes = self.path / NOTES
        self.pool = Pool(self.path / POOL)
        self._in_memory = platform.is_in_memory(os.stat(self.path).st_dev)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    # -- reading ---------------------------------------------------------------------------------
    def names(self) -> dict[str, str]:
        """Return the object id behind each dataset name."""
        targets = {path.name: _target(path) for path in _entries(self._names)}
        return {name: target for name, target in sorted(targets.items()) if target is not None}

    def info(self, object_id: str) -> ObjectInfo:
        """Read one header.

        Raises
        ------
        UnknownDataset
            There is no such object.
        ChecksumError
            Its header was read and is wrong.
        StoreError
            The system refuses to read it, which says nothing about the object.
        """
        return self._read(object_id, read_info)

    def static(self, object_id: str) -> layout.Static:
        """Read the part of one header that never changes; raises as `info`."""
        return self._read(object_id, read_static)

    def committed_rows(self, object_id: str) -> int:
        """Read how many rows one header says are committed, a fraction of the work of `info`; raises as it does."""
        return self._read(object_id, read_committed_rows)

    def exists(self, object_id: str) -> bool:
        """Tell whether an object, sound or damaged, is there."""
        if not is_object_id(object_id):
            return False
        path = self._obj / object_id
        with refused(path):
            try:
                os.lstat(path)
            except FileNotFoundError:
                return False
        return True

    def scan(self) -> list[ObjectInfo]:
        """Read the headers of all sound objects, oldest first; `StoreError` when one cannot be read."""
        found = [entry for entry in self._survey() if isinstance(entry, ObjectInfo)]
        return sorted(found, key=lambda info: (info.created_ns, info.id))

    def damaged(self) -> list[Damaged]:
        """Return what lies among the objects and is none, with the reason; `StoreError` as for `scan`."""
        return [entry for entry in self._survey() if isinstance(entry, Damaged)]

    def holders(self, object_id: str) -> list[int]:
        """Return the pids that mapped the object (or whose children still do), from the kernel's lock table."""
        return platform.lock_holders(self._object_path(object_id))

    # -- bytes -----------------------------------------------------------------------------------
    def used_bytes(self) -> int:
        """Return the allocated bytes of all objects, those under construction and spare segments included."""
        return sum(_allocated(self._obj)) + sum(_allocated(self._tmp)) + self.pool.nbytes()

    def stream_bytes(self) -> int:
        """Return the allocated bytes of all streams."""
        with refused(self._streams):
            return sum(sum(_allocated(Path(entry.path))) for entry in os.scandir(self._streams) if entry.is_dir())

    def pool_limit(self, configured: int = 0) -> int:
        """Return the bytes that all objects together may take.

        The least of: `configured` (0 means no limit of its own), 80 % of what is free in the file system or
        used by the store already, and, on tmpfs, 80 % of what the memory cgroup allows, whose processes need the rest.
        """
        used = self.used_bytes() + self.stream_bytes()
        with refused(self.path):
            limits = [int(_POOL_SHARE * (platform.file_system_free(self.path) + used))]
        if configured:
            limits.append(configured)
        rest = cgroup_rest() if self._in_memory else None
        if rest is not None:
            limits.append(int(_POOL_SHARE * (rest + used)))
        return min(limits)

    # -- changing --------------------------------------------------------------------------------
    def stamp(self, object_id: str, version: int) -> None:
        """Write the version of the object's first commit into its header; repeating it is fine."""
        if version < 1:
            raise ValueError(f"version is {version}; versions count from 1")
        with self._opened(object_id, os.O_RDWR) as fd:
            static = read_static(fd, self._object_path(object_id))  # it is one, so the page that is mapped is there
            with header_words(fd) as page:
                had = words.value(page, static, "first_version")
                if had not in (0, version):
                    raise StoreError(
                        f"The object {object_id} is version {had} already and cannot become version {version}."
                    )
                words.put(page, static, "first_version", version)

    def link(self, name: str, object_id: str) -> None:
        """Let `name` mean the object, at once for every reader."""
        draft, target = f"{self._tmp}/{check_name(name)}{_own_draft()}", f"../obj/{object_id}"
        with refused(joined_path(self._names, name)):
            try:
                os.symlink(target, draft)
            except FileExistsError:  # a host with this pid died between the two
                os.unlink(draft)
                os.symlink(target, draft)
            try:
                os.rename(draft, joined_path(self._names, name))
            except OSError:
                os.unlink(draft)
                raise

    def unlink(self, name: str) -> None:
        """Forget a name; a name that is not there is no error. Objects and views stay."""
        path = self._names / check_name(name)
        with refused(path):
            path.unlink(missing_ok=True)

    def collect(self, object_id: str, spare_bytes: int = 0, version: int | None = None) -> bool:
        """Remove an object that nobody maps and give its memory back; False while somebody holds it.

        An object that is not there counts as removed. Its note goes with it. Its memory is kept for the next write
        when, with it, the spare segments take at most `spare_bytes`. With a `version` it stays (False) when it has
        another by now: what was appended since is in no copy of it.
        """

        def is_wanted(fd: int, path: Path) -> bool:
            return version is None or read_info(fd, path).version == version

        def kept(fd: int, path: Path) -> bool:
            return self._kept(fd, path, spare_bytes)

        removed = _remove_if_free(self._object_path(object_id), kept, is_wanted)
        gone = removed is not False
        if gone:
            self._forget(object_id)
        return gone

    def sweep(self) -> list[Path]:
        """Remove what dead processes left, and return it.

        That is: files in `tmp/` that nobody has locked, links there that another process did not get into place,
        objects that were sealed but not published by a process that is gone, and notes of objects that are. Only the
        coordinator (or whoever knows that there is none) may call it.
        """
        removed = [path for path in _entries(self._tmp) if _remove_orphan(path)]
        unpublished = [i for i in self.scan() if i.version == 0 and not platform.process_is_alive(i.owner_pid)]
        removed += [self._object_path(i.id) for i in unpublished if self.collect(i.id)]
        return removed + self.sweep_notes()

    def sweep_notes(self) -> list[Path]:
        """Remove the notes of objects that are gone, and return them."""
        notes = _entries(self._notes) if self._notes.is_dir() else []
        orphans = [path for path in notes if not self.exists(path.name)]
        for path in orphans:
            self._forget(path.name)
        return orphans

    def _kept(self, fd: int, path: Path, spare_bytes: int) -> bool:
        """Keep the memory of a locked object as a spare segment, if it is worth it and there may be so much."""
        nbytes = os.fstat(fd).st_blocks * 512
        if not self._in_memory or nbytes < SMALLEST_BYTES or nbytes > spare_bytes:
            return False
        self.pool.trim(spare_bytes - nbytes)
        self.pool.keep(path)
        return True

    def _forget(self, object_id: str) -> None:
        path = self._notes / object_id
        with refused(path):
            path.unlink(missing_ok=True)

    # -- files -----------------------------------------------------------------------------------
    def _object_path(self, object_id: str) -> Path:
        if not is_object_id(object_id):
            raise UnknownDataset(f"{object_id!r} is not an object id.")
        return joined_path(self._obj, object_id)

    def _read(self, object_id: str, read: Callable[[int, Path], _Read]) -> _Read:
        path = self._object_path(object_id)
        with self._opened(object_id, os.O_RDONLY) as fd:
            try:
                return read(fd, path)
            except ChecksumError:
                if not is_current(fd, path):  # its pages went while it was read
                    raise self._dropped(object_id) from None
                raise

    @contextlib.contextmanager
    def _opened(self, object_id: str, flags: int) -> Iterator[int]:
        path = self._object_path(object_id)
        try:
            fd = open_object(path, flags)
        except FileNotFoundError:
            raise self._dropped(object_id) from None
        try:
            yield fd
        finally:
            os.close(fd)

    def _dropped(self, object_id: str) -> UnknownDataset:
        return UnknownDataset(f"There is no object {object_id} in {self.path}; it was dropped.")

    def _survey(self) -> Iterator[ObjectInfo | Damaged]:
        for path in _entries(self._obj):
            if not is_object_id(path.name):
                yield Damaged(path, "its name is not an object id")
                continue
            try:
                yield self.info(path.name)
            except UnknownDataset:
                continue  # dropped meanwhile
            except ChecksumError as exc:
                yield Damaged(path, str(exc))


@functools.lru_cache(maxsize=4096)  # of the same few names all the time, and each open needs two of them
def joined_path(directory: Path, name: str) -> Path:
    """Return the path of a file of the store whose name was checked."""
    return directory / name


def _entries(directory: Path) -> list[Path]:
    with refused(directory), os.scandir(directory) as entries:
        return [Path(entry.path) for entry in entries]


def _target(link: Path) -> str | None:
    """Return the object id to which a name leads; None when it went, or is no name."""
    with refused(link):
        try:
            object_id = os.path.basename(os.readlink(link))
        except OSError as exc:
            if exc.errno in (errno.ENOENT, errno.EINVAL):
                return None
            raise
    return object_id if is_object_id(object_id) else None


def _allocated(directory: Path) -> Iterator[int]:
    for path in _entries(directory):
        with refused(path), contextlib.suppress(FileNotFoundError):
            yield os.lstat(path).st_blocks * 512


def _own_draft() -> str:
    return f".{os.getpid()}.link"


def _remove_orphan(path: Path) -> bool:
    """Remove a file of `tmp/` whose maker is gone; what is neither file nor link is not the store's."""
    with refused(path):
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return False
        if stat.S_ISREG(mode):
            return bool(_remove_if_free(path))
        if not stat.S_ISLNK(mode) or path.name.endswith(_own_draft()):
            return False
        path.unlink(missing_ok=True)
        return True


def _remove_if_free(
    path: Path,
    keep: Callable[[int, Path], bool] = lambda fd, path: False,
    is_wanted: Callable[[int, Path], bool] = lambda fd, path: True,
) -> bool | None:
    """Unlink a file that nobody has locked and give back its pages; None when it is not there, False when held.

    While it is locked, `is_wanted` may refuse, which is False too, and `keep` may put it elsewhere instead.
    """
    with refused(path):
        try:
            fd = os.open(path, _REMOVE)
        except FileNotFoundError:
            return None
        try:
            if not try_flock(fd, fcntl.LOCK_EX):
                return False
            if not is_current(fd, path):
                return None
            if not is_wanted(fd, path):
                return False
            if keep(fd, path):
                return True
            os.unlink(path)  # first: whoever opened it meanwhile finds the path gone and looks again
            platform.punch_hole(fd, 0, os.fstat(fd).st_size)
            return True
        finally:
            os.close(fd)
