"""What the store directory holds: objects by their headers, names as symbolic links, orphans, bytes.

There is no index beside the files. The headers say which objects exist, the links say which name means
which object, and both change by `rename`, so a reader never finds half a change. The operations that
change names and remove objects are the coordinator's; any process may read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from jupyter_nq.buffers import layout, platform
from jupyter_nq.buffers.directory import open_directory
from jupyter_nq.buffers.locks import is_current, try_flock
from jupyter_nq.buffers.names import check_name, is_object_id
from jupyter_nq.buffers.objects import Damaged, ObjectInfo, header_words, read_info
from jupyter_nq.errors import NQError, StoreError, UnknownDataset

_POOL_SHARE = 0.8  # of what is free: the rest belongs to whoever else uses the file system
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHANGE = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class Catalogue:
    """The files of a store directory. It keeps no state of its own, so any number may be open."""

    def __init__(self, path: str | os.PathLike[str], create: bool = True) -> None:
        self.path = Path(os.path.abspath(path))
        self.epoch = open_directory(self.path, create=create).epoch
        self._obj, self._tmp, self._names = (self.path / part for part in ("obj", "tmp", "names"))
        self._in_memory = platform.is_in_memory(self.path)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    # -- reading ---------------------------------------------------------------------------------
    def names(self) -> dict[str, str]:
        """Return the object id behind each dataset name."""
        found = {}
        with os.scandir(self._names) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    object_id = os.path.basename(os.readlink(entry.path))
                    if is_object_id(object_id):
                        found[entry.name] = object_id
        return dict(sorted(found.items()))

    def info(self, object_id: str) -> ObjectInfo:
        """Read one header; `UnknownDataset` when there is no such object, `ChecksumError` when it is damaged."""
        with self._opened(object_id, _READ) as fd:
            return read_info(fd, self._object_path(object_id))

    def scan(self) -> list[ObjectInfo]:
        """Read the headers of all sound objects, oldest first."""
        found = [entry for entry in self._survey() if isinstance(entry, ObjectInfo)]
        return sorted(found, key=lambda info: (info.created_ns, info.id))

    def damaged(self) -> list[Damaged]:
        """Return the files among the objects that are none, with the reason."""
        return [entry for entry in self._survey() if isinstance(entry, Damaged)]

    def holders(self, object_id: str) -> list[int]:
        """Return the pids that mapped the object (or whose children still do), from the kernel's lock table."""
        return platform.lock_holders(self._object_path(object_id))

    # -- bytes -----------------------------------------------------------------------------------
    def used_bytes(self) -> int:
        """Return the allocated bytes of all objects, those under construction included."""
        return sum(_allocated(self._obj)) + sum(_allocated(self._tmp))

    def pool_limit(self, configured: int = 0) -> int:
        """Return the bytes that all objects together may take.

        The least of: `configured` (0 means no limit of its own), 80 % of what is free in the file system or
        used by the store already, and, on tmpfs, what the memory cgroup allows.
        """
        used = self.used_bytes()
        limits = [int(_POOL_SHARE * (platform.file_system_free(self.path) + used))]
        if configured:
            limits.append(configured)
        rest = platform.cgroup_rest() if self._in_memory else None
        if rest is not None:
            limits.append(rest + used)
        return min(limits)

    def free_bytes(self, configured: int = 0) -> int:
        """Return how much of the pool is left."""
        return max(0, self.pool_limit(configured) - self.used_bytes())

    # -- changing --------------------------------------------------------------------------------
    def stamp(self, object_id: str, version: int) -> None:
        """Write the version of the object's first commit into its header; repeating it is fine."""
        if version < 1:
            raise ValueError(f"version is {version}; versions count from 1")
        with self._opened(object_id, _CHANGE) as fd:
            had = read_info(fd, self._object_path(object_id)).first_version
            if had not in (0, version):
                raise StoreError(
                    f"The object {object_id} is version {had} already and cannot become version {version}."
                )
            with header_words(fd) as words:
                words[layout.WORD["first_version"]] = version

    def link(self, name: str, object_id: str) -> None:
        """Let `name` mean the object, at once for every reader."""
        draft = self._tmp / f"{check_name(name)}.link"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        os.symlink(f"../obj/{object_id}", draft)
        os.rename(draft, self._names / name)

    def unlink(self, name: str) -> None:
        """Forget a name; a name that is not there is no error. Objects and views stay."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._names / check_name(name))

    def collect(self, object_id: str) -> bool:
        """Remove an object that nobody maps and give its memory back; False while somebody holds it.

        An object that is not there counts as removed.
        """
        return _remove_if_free(self._object_path(object_id)) is not False

    def sweep(self) -> list[Path]:
        """Remove what dead processes left, and return it.

        That is: files in `tmp/` that nobody has locked, and objects that were sealed but not published by a
        process that is gone. Only the coordinator (or whoever knows that there is none) may call it.
        """
        candidates = [Path(entry.path) for entry in os.scandir(self._tmp)]
        removed = [path for path in candidates if _is_orphan_kind(path) and _remove_if_free(path)]
        unpublished = [i for i in self.scan() if i.version == 0 and not platform.process_is_alive(i.owner_pid)]
        return removed + [self._object_path(i.id) for i in unpublished if self.collect(i.id)]

    # -- files -----------------------------------------------------------------------------------
    def _object_path(self, object_id: str) -> Path:
        if not is_object_id(object_id):
            raise UnknownDataset(f"{object_id!r} is not an object id.")
        return self._obj / object_id

    @contextlib.contextmanager
    def _opened(self, object_id: str, flags: int) -> Iterator[int]:
        path = self._object_path(object_id)
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:
            raise UnknownDataset(f"There is no object {object_id} in {self.path}; it was dropped.") from None
        try:
            yield fd
        finally:
            os.close(fd)

    def _survey(self) -> Iterator[ObjectInfo | Damaged]:
        with os.scandir(self._obj) as entries:
            paths = [Path(entry.path) for entry in entries]
        for path in paths:
            if not is_object_id(path.name):
                yield Damaged(path, "its name is not an object id")
                continue
            try:
                yield self.info(path.name)
            except UnknownDataset:
                continue  # dropped meanwhile
            except (NQError, OSError) as exc:
                yield Damaged(path, str(exc))


def _allocated(directory: Path) -> Iterator[int]:
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                yield entry.stat(follow_symlinks=False).st_blocks * 512


def _is_orphan_kind(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISREG(mode)


def _remove_if_free(path: Path) -> bool | None:
    """Unlink a file that nobody has locked and give back its pages; None when it is not there, False when held."""
    try:
        fd = os.open(path, _CHANGE)
    except FileNotFoundError:
        return None
    try:
        if not try_flock(fd, fcntl.LOCK_EX):
            return False
        if not is_current(fd, path):
            return None
        os.unlink(path)  # first: whoever opened it meanwhile finds the path gone and looks again
        platform.punch_hole(fd, 0, os.fstat(fd).st_size)
        return True
    finally:
        os.close(fd)
