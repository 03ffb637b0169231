"""The store: write objects, append to them, build one thing once; opening them is in `opening`.

Bytes never pass through another process. A writer fills a private file and renames it into place. No call here talks
to the coordinator: publishing a name is its business (`stamp`, `link`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jupyter_nq.buffers import digests, layout, locks, notes, soundness
from jupyter_nq.buffers.appending import append_rows
from jupyter_nq.buffers.drafts import Unsealed
from jupyter_nq.buffers.mappings import Mappings
from jupyter_nq.buffers.names import check_name, new_object_id
from jupyter_nq.buffers.objects import ObjectInfo, read_info
from jupyter_nq.buffers.opening import Opening
from jupyter_nq.buffers.plan import Need, Plan, need_of, plan_content
from jupyter_nq.buffers.pool import SMALLEST_BYTES
from jupyter_nq.buffers.prefaulting import prefault
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import Progress, fresh_file
from jupyter_nq.buffers.values.intake import take_in
from jupyter_nq.buffers.values.joining import check_alike, joined, mapped_content
from jupyter_nq.buffers.writing import clean, fill, make_room
from jupyter_nq.errors import ChecksumError, StoreFull, UnsupportedData


class Store(Opening):
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


def _check_readable(static: layout.Static) -> None:
    """Refuse to write what every reader would take for damage."""
    try:
        soundness.check_static(static)
    except ChecksumError as exc:
        raise UnsupportedData(f"{static.name} cannot be shared: {exc}.") from exc
