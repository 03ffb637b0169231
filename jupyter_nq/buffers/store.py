"""The store: write objects, open them, append to them, build one thing once.

Bytes never pass through another process. A writer fills a private file and renames it into place; a
reader follows the name's link, takes the shared lock, checks that the path still leads to what it locked,
and maps. No call here talks to the coordinator: publishing a name is its business (`stamp`, `link`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_nq.buffers import digests, layout, locks, notes, soundness
from jupyter_nq.buffers.appending import append_rows
from jupyter_nq.buffers.catalogue import Catalogue, joined_path
from jupyter_nq.buffers.drafts import Unsealed
from jupyter_nq.buffers.handle import Handle, MappedFile, map_locked
from jupyter_nq.buffers.intake import take_in
from jupyter_nq.buffers.joining import check_alike, joined, mapped_content
from jupyter_nq.buffers.mappings import Mappings
from jupyter_nq.buffers.names import check_name, new_object_id
from jupyter_nq.buffers.objects import (
    ObjectInfo,
    allocated_bytes,
    header_words,
    open_object,
    read_changing,
    read_info,
    read_static,
)
from jupyter_nq.buffers.plan import Need, Plan, need_of, plan_content
from jupyter_nq.buffers.pool import SMALLEST_BYTES
from jupyter_nq.buffers.prefaulting import prefault
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import Progress, fresh_file
from jupyter_nq.buffers.writing import clean, fill, make_room
from jupyter_nq.errors import ChecksumError, StoreFull, UnknownDataset, UnsupportedData, nearest

_OPEN_SECONDS = 5.0  # a remover holds its lock for as long as the pages take to go, well below this
_PAUSE_SECONDS = 0.001


class Store(Catalogue):
    """A directory of shared objects.

    Parameters
    ----------
    path
        The directory; two processes that open the same one share what is in it.
    create
        Make it when it is absent or empty.

    Raises
    ------
    StoreError
        The directory cannot be a store; the message says why and what to do.
    """

    def __init__(self, path: str | os.PathLike[str], create: bool = True) -> None:
        super().__init__(path, create)
        self._mapped = Mappings()

    # -- writing ---------------------------------------------------------------------------------
    def plan(self, data: Any, reserve_rows: int = 0, *, meta: Mapping[str, Any] | None = None) -> Plan:
        """Describe the object that `data` would become (`.nbytes`, `.rows`), without allocating anything.

        Raises
        ------
        UnsupportedData
            The data has no fixed-width layout; the message names the column and what to do.
        """
        return plan_content(take_in(data), reserve_rows, meta)

    def write(
        self,
        name: str,
        data: Any,
        *,
        meta: Mapping[str, Any] | None = None,
        reserve_rows: int = 0,
        progress: Progress | None = None,
        digest: bool = True,
        spare_bytes: int | None = None,
    ) -> ObjectInfo:
        """Copy `data` into a new sealed object, which nobody sees under `name` before it is published.

        Parameters
        ----------
        name
            The dataset for which it is meant.
        data
            What `intake.take_in` accepts, or a `Plan` (then `meta` and `reserve_rows` are the plan's).
        meta
            The caller's own metadata: plain values that msgpack can hold.
        reserve_rows
            Room for rows to append in place; it takes no memory before they come.
        progress
            Called with the fraction done, about once per MiB; may raise to cancel.
        digest
            Digest the bytes while they are copied.
        spare_bytes
            What spare segments may keep of the memory that the store has left; None means all of it.

        Raises
        ------
        StoreFull
            No room; nothing is left behind, as with any other exception.
        """
        plan = data if isinstance(data, Plan) else self.plan(data, reserve_rows, meta=meta)
        static, draft, sealed = self._identified(name, plan)
        with fresh_file(draft, sealed, lambda path: self._spare(plan.nbytes, path)) as fd:
            written_before = os.fstat(fd).st_blocks > 0
            self._make_room(fd, need_of(static, plan.content.lanes), spare_bytes)
            with self._mapped.over(fd, static.file_bytes) if written_before else contextlib.nullcontext() as over:
                fill(fd, plan, static, progress, digest, over)
            with refused(sealed):
                os.rename(draft, sealed)
            return read_info(fd, sealed)

    def prefault(self, need: Need, *, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Put a spare segment into the pool, allocated and mapped here, so that the next write of this kind is a copy.

        False when it would be of no use: there is one, the write is too small for one, the store is not in memory.

        Parameters
        ----------
        need
            Of the write that is expected: `Plan.need`.
        stopped
            Asked about once per 64 MiB; True gives up.

        Raises
        ------
        StoreFull
            No room; nothing is left behind, as with any other exception.
        """
        if not self._may_be_spare(need.nbytes) or self.pool.has(need.nbytes, self._mapped):
            return False
        return prefault(self.pool, self._tmp, self._mapped, need, stopped)

    def begin(self, name: str, plan: Plan, *, spare_bytes: int | None = None) -> Unsealed:
        """Make room for an object that is written in place; the plan is that of `drafts.blank` data.

        Its bytes are zeros, or what an older object left. The memory is all there: writing it never fails.

        Raises
        ------
        StoreFull
            No room; nothing is left behind.
        """
        static, draft, sealed = self._identified(name, plan)
        with contextlib.ExitStack() as held:
            fd = held.enter_context(fresh_file(draft, sealed, lambda path: self._spare(plan.nbytes, path)))
            written_before = os.fstat(fd).st_blocks > 0
            self._make_room(fd, need_of(static, plan.content.lanes), spare_bytes)
            unsealed = Unsealed(held, fd, draft, sealed, static, plan.rows)
        if written_before:
            clean(unsealed.mapping, plan, static)
        return unsealed

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

    def append(self, object_id: str, data: Any, *, progress: Progress | None = None) -> ObjectInfo:
        """Add rows to an object in place; those who mapped it keep the rows they have.

        Raises
        ------
        CapacityFull
            They do not fit behind the committed rows, bring the first null into a column, or a category that it
            does not have: use `grow`.
        UnsupportedData
            Columns, types or shape differ from the object's.
        StoreFull
            No memory for the rows; the object is as before.
        """
        content = take_in(data)
        with self._appending(object_id) as (fd, path):
            append_rows(fd, path, content, progress, lambda: self.pool.trim(0))
            return read_info(fd, path)

    def grow(
        self, object_id: str, data: Any, *, progress: Progress | None = None, spare_bytes: int | None = None
    ) -> ObjectInfo:
        """Write an object of twice the capacity that holds the old rows and the new ones; it has no version yet.

        Raises
        ------
        ChecksumError
            The old rows differ from their digest: a copy would get one that says that they are sound.
        StoreFull, UnsupportedData
            As `append`.
        """
        content = take_in(data)
        with self._completed(object_id) as (fd, path, static, changing), self.open_id(object_id) as old:
            check_alike(content, static)
            with refused(path):
                digests.verify_object(fd, static, changing)
            whole = joined(mapped_content(old.mapping(), static, old.info.rows), content)
            reserve = max(2 * static.capacity_rows - whole.rows, 0)
            digest = old.info.digest_state != "off"
            plan = plan_content(whole, reserve, static.meta)
            return self.write(static.name, plan, progress=progress, digest=digest, spare_bytes=spare_bytes)

    def verify(self, object_id: str) -> bool:
        """Compare an object's bytes with its digest, completed if it was pending; see `Handle.verify`."""
        with self._completed(object_id) as (fd, path, static, changing), refused(path):
            return digests.verify_object(fd, static, changing)

    def annotate(self, object_id: str, note: bytes) -> None:
        """Replace the note of an object: what is to be known of its newest rows, beside what its header says.

        Raises
        ------
        UnknownDataset
            There is no such object.
        StoreFull, UnsupportedData
            There is no room, or the note is longer than 1 MiB; the note before stays.
        """
        if not self.exists(object_id):
            raise self._dropped(object_id)
        notes.write_note(self._notes, self._tmp, object_id, note)

    # -- reading ---------------------------------------------------------------------------------
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

    # -- building once ---------------------------------------------------------------------------
    def lock(
        self, key: str, *, waiting: Callable[[float | None], None] | None = None
    ) -> contextlib.AbstractContextManager[locks.BuildLock]:
        """Hold the exclusive right to build `key`, waiting for the present builder.

        Parameters
        ----------
        key
            What is built; letters and digits, usually a digest of source and options.
        waiting
            Called every 20 ms while another process builds, with the fraction it wrote or None; may raise.

        Raises
        ------
        NQError
            The builder that was waited for failed with this error of the source or the store. After one that was
            killed, or failed for a reason of its own, the lock is ours.

        Check again inside whether the thing is there: the builder that was waited for may have made it.
        """
        return locks.build_lock(self._lock_path(key), waiting)

    def writing(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Be the only writer of a name, waiting for the present one; so its versions and rows never fork."""
        return locks.exclusive(self._tmp / f"{check_name(name)}.write")

    # -- files -----------------------------------------------------------------------------------
    def _identified(self, name: str, plan: Plan) -> tuple[layout.Static, Path, Path]:
        """Return the header of a new object, with where it is written and where it goes when it is whole."""
        static = plan.static(check_name(name), new_object_id(), self.epoch, os.getpid(), time.time_ns())
        _check_readable(static)
        return static, self._tmp / f"{static.object_id}.part", self._obj / static.object_id

    def _spare(self, nbytes: int, to: Path) -> int | None:
        """Take a spare segment for an object, if there is one of such a size."""
        return self.pool.take(nbytes, to, self._mapped) if self._may_be_spare(nbytes) else None

    def _may_be_spare(self, nbytes: int) -> bool:
        return nbytes >= SMALLEST_BYTES and self._in_memory

    def _make_room(self, fd: int, need: Need, spare_bytes: int | None) -> None:
        """Allocate an object's memory; what spare segments have is given back when it is needed."""
        if spare_bytes is not None:
            self.pool.trim(spare_bytes)
        try:
            make_room(fd, self.path, need)
        except StoreFull:
            if not self.pool.trim(0):
                raise
            make_room(fd, self.path, need)

    def _lock_path(self, key: str) -> Path:
        return self._tmp / f"{check_name(key)}.build"

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


def _check_readable(static: layout.Static) -> None:
    """Refuse to write what every reader would take for damage."""
    try:
        soundness.check_static(static)
    except ChecksumError as exc:
        raise UnsupportedData(f"{static.name} cannot be shared: {exc}.") from exc
