"""Opening objects: by name or by id, under a lock that lasts as long as any view, and with their digests.

A reader follows the name's link, takes the shared lock, checks that the path still leads to what it locked, and maps.
Who appends to an object, or completes its digest, has a lock file of that object alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from jupyter_nq.buffers import digests, layout, locks, notes
from jupyter_nq.buffers.catalogue import Catalogue, joined_path
from jupyter_nq.buffers.handle import Handle, MappedFile, map_locked
from jupyter_nq.buffers.names import check_name
from jupyter_nq.buffers.objects import (
    allocated_bytes,
    header_words,
    open_object,
    read_changing,
    read_static,
    sound_slots,
)
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import UnknownDataset, nearest

_OPEN_SECONDS = 5.0  # a remover holds its lock for as long as the pages take to go, well below this
_PAUSE_SECONDS = 0.001


class Opening(Catalogue):
    """The objects of a store directory, for who reads them."""

    def annotation(self, object_id: str) -> bytes | None:
        """Return the note of an object, None when it has none; a damaged one is none."""
        return notes.read_note(self._notes, self._object_path(object_id).name)

    def noted_ns(self, object_id: str) -> int | None:
        """Return when the note of an object was written, in nanoseconds since 1970, None when it has none."""
        path = self._notes / self._object_path(object_id).name
        with refused(path), contextlib.suppress(FileNotFoundError):
            return os.lstat(path).st_mtime_ns
        return None

    def open(self, name: str, *, version: int | None = None, private: bool = False) -> Handle:
        """Map the newest object of a dataset and hold it until the last view is gone.

        Parameters
        ----------
        name
            The dataset.
        version
            A version that this object holds; None means the newest.
        private
            Map copy-on-write: views may be written, and the writing stays in this process.

        Raises
        ------
        UnknownDataset
            No such name, object, or version in it.
        ChecksumError
            Its header is damaged.
        StoreError
            The system refuses to open or to map it.
        """
        with self._locked_shared(lambda: self.resolve(name), name, os.O_RDONLY) as (fd, path):
            return map_locked(self, fd, path, version, private=private)

    def open_id(self, object_id: str, *, version: int | None = None, private: bool = False) -> Handle:
        """Map an object by its id, named or not; see `open`."""
        with self._locked_shared_id(object_id, os.O_RDONLY) as (fd, path):
            return map_locked(self, fd, path, version, private=private)

    def lend(self, object_id: str) -> contextlib.AbstractContextManager[tuple[int, Path]]:
        """Hold the file of an object open under the shared lock; gives its descriptor and its path. See `open`."""
        return self._locked_shared_id(object_id, os.O_RDONLY)

    def resolve(self, name: str) -> str:
        """Return the object id behind a dataset name; `UnknownDataset` with the nearest names."""
        path = joined_path(self._names, check_name(name))
        with refused(path):
            try:
                return os.path.basename(os.readlink(path))
            except OSError as exc:
                if exc.errno not in (errno.ENOENT, errno.EINVAL):
                    raise
        known = self.names()
        listed = f" The store holds: {', '.join(known)}." if known else " The store is empty."
        raise UnknownDataset(f"There is no dataset {name!r}.{nearest(name, known)}{listed}")

    def map_private(self, object_id: str) -> MappedFile:
        """Return a second, copy-on-write mapping of an object."""
        return self.open_id(object_id, private=True).mapping()

    # -- digests ----------------------------------------------------------------------------------
    def verify(self, object_id: str) -> bool:
        """Compare an object's bytes with its digest, completed if it was pending; see `Handle.verify`."""
        with self._completed(object_id) as (fd, path, static, changing), refused(path):
            sound_slots(path, changing)
            return digests.verify_object(fd, static, changing)

    def complete(self, object_id: str) -> None:
        """Digest what an object has no digest of yet, when who was to do it died, or is not done: that is waited for.

        Its bytes are taken as they are now: what was damaged before is not found. Pieces of 1 MiB that had a digest
        keep it.

        Raises
        ------
        UnknownDataset
            It is gone.
        """
        with self._completed(object_id):
            pass

    # -- locks ------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _appending(self, object_id: str) -> Iterator[tuple[int, Path]]:
        path = self._object_path(object_id)
        with (
            locks.exclusive(self._tmp / f"{path.name}.append"),
            self._locked_shared_id(object_id, os.O_RDWR) as opened,
        ):
            yield opened

    @contextlib.contextmanager
    def _completed(self, object_id: str) -> Iterator[tuple[int, Path, layout.Static, layout.Changing]]:
        """Open an object for who appends to it alone, with its digest done unless it has none.

        Nobody else is at the digest then: who owes it holds the same lock, and is dead when that is free.
        """
        with self._appending(object_id) as (fd, path):
            static = read_static(fd, path)
            with header_words(fd) as words:
                changing = read_changing(path, static, words)
                allocated_bytes(fd, path, static, changing.committed_rows)
                if changing.digest_state == layout.PENDING:
                    with refused(path):
                        digests.refresh_digest(fd, static, words)
                    changing = read_changing(path, static, words)
            yield fd, path, static, changing

    def _locked_shared_id(self, object_id: str, flags: int) -> contextlib.AbstractContextManager[tuple[int, Path]]:
        known = self._object_path(object_id).name
        return self._locked_shared(lambda: known, known, flags)

    @contextlib.contextmanager
    def _locked_shared(self, resolve: Callable[[], str], ref: str, flags: int) -> Iterator[tuple[int, Path]]:
        deadline = time.monotonic() + _OPEN_SECONDS
        gone: str | None = None
        while True:
            path = self._object_path(resolve())
            try:
                fd = open_object(path, flags)
            except FileNotFoundError:
                if gone == path.name:  # twice the same: not a name that just moved on
                    raise UnknownDataset(f"The object behind {ref!r} is gone; it was dropped.") from None
                gone = path.name
                continue
            try:
                if locks.try_flock(fd, fcntl.LOCK_SH) and locks.is_current(fd, path):
                    yield fd, path
                    return
            finally:
                os.close(fd)
            if time.monotonic() > deadline:
                raise UnknownDataset(f"The object behind {ref!r} is being removed.")
            threading.Event().wait(_PAUSE_SECONDS)
