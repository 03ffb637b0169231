"""Shared objects by their names: put, got, appended to, pinned, put on the disk, dropped.

Reading needs no coordinator: a name is a symbolic link in the store, and the lock on the mapped file
is the lease. The coordinator is asked before bytes are allocated (quota), when an object gets its
name and version, and it is told what this process holds, so that others can see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from jupyter_nq.buffers import Handle, Store, check_name
from jupyter_nq.buffers.drafts import blank
from jupyter_nq.client.bars.loading import Progress
from jupyter_nq.client.cold.collecting import Collected, collect
from jupyter_nq.client.cold.rotating import Rotated
from jupyter_nq.client.cold.spilling import Spilling
from jupyter_nq.client.drafting import Draft
from jupyter_nq.client.getting import Verified, checked_rows, checked_verify, verify_as, wants_private
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.origin import marked
from jupyter_nq.client.records import Dataset, Stored
from jupyter_nq.client.selection import checked_form, visible
from jupyter_nq.client.streams.streaming import Streaming
from jupyter_nq.client.versions.staleness import Working
from jupyter_nq.client.writing import Writer, refuse_parsed
from jupyter_nq.config import Settings
from jupyter_nq.errors import AmbiguousStamps, ChecksumError, NQError, StoreFull, UnknownDataset, UnreadableSource
from jupyter_nq.sizes import shortened

_FOR_THE_DESK = (AmbiguousStamps, ChecksumError, StoreFull, UnreadableSource)
_DESK_CHARACTERS = 300


class Objects:
    """What a session can do with shared objects.

    Parameters
    ----------
    store, channel, settings
        The session's.
    """

    def __init__(self, store: Store, channel: Channel, settings: Settings) -> None:
        self.store = store
        self.channel = channel
        self.spilling = Spilling(store, channel, settings)
        self.streaming = Streaming(store, channel, self.spilling)
        self._writer = Writer(store, channel, self.spilling.room, self.hold, reserve_share=settings.append_reserve)
        self.working = Working(store, channel)
        self._verified: Verified = set()  # only added to, by whatever thread; one entry too few costs a reading

    # -- shared objects --------------------------------------------------------------------------
    def put(self, name: str, data: Any, *, durable: bool | None = None, progress: Progress | None = None) -> Stored:
        """Share `data` under `name`, as a new version if the name exists. Copies the data once.

        Parameters
        ----------
        name
            `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
        data
            pandas DataFrame or Series with any index, pyarrow Table, numpy array, torch tensor, dict of 1-D arrays, or
            what gives an Arrow stream: columns of any type of Arrow, with nulls or without. Or bytes; or what JSON can
            hold, such as a dict of settings.
        durable
            True writes it to the disk too before it returns, so that it survives a restart of the machine; every append
            to it does the same, and writes all of it again. None does as the version before was meant to, False does
            not, and removes the durable version before from the disk.

            When the disk refuses, the new version is shared all the same, and the disk keeps the durable version
            before, if there is one: that is what a restart brings back, until a newer one is durable, as the next one
            is meant to be then.

        Raises
        ------
        InvalidName
        StoreFull
            No room in the store; or none on the disk, and then the new version is there, but in memory alone.
        UnsupportedData
            Also when `name` is a dataset that was loaded from a file.
        """
        self._refuse_parsed(name)
        fleeting = durable is False
        if durable is None:
            durable = self._is_durable(name)
        with self._reporting(), self._writer.publish(name, data, None, progress, fleeting=fleeting) as handle:
            if durable:
                self._keep(name, handle.info.id)
            return Stored(name, handle.version, handle.rows, handle.info.nbytes)

    def empty(self, name: str, schema: Any, rows: Any) -> Draft:
        """Make room for a new version of `name` in shared memory, to be filled in place and published without a copy.

        >>> with session.empty("signals", {"close": "float64"}, 3) as draft:  # doctest: +SKIP
        ...     draft["close"][:] = [1.0, 2.0, 3.0]
        ...     draft.publish()

        Parameters
        ----------
        name
            `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
        schema
            Of a table: a dict of names and numpy dtypes or Arrow types, or a `pyarrow.Schema`; columns of numbers,
            bools, times and dates, without nulls (so no time is NaT). Of an array: its dtype.
        rows
            How many; for an array also its shape, rows first. They hold anything until they are written.

        Raises
        ------
        InvalidName, InvalidArgument, StoreFull
        UnsupportedData
            A column has no fixed width; or `name` is a dataset that was loaded from a file.
        """
        self._refuse_parsed(name)
        with self._reporting():
            unsealed = self._writer.begin(name, blank(schema, rows))
            if self.spilling.encrypts:
                unsealed.exclude_from_core_dumps()
            return Draft(self.store, self._writer, unsealed, self._before_publish)

    def publish(
        self, name: str, data: Any, *, meta: dict[str, Any] | None = None, progress: Progress | None = None
    ) -> Handle:
        """Do what `put` does, with metadata; returns the version made, held."""
        with self._reporting():
            return self._writer.publish(name, data, meta, progress)

    def get(
        self,
        name: str,
        version: int | None = None,
        as_: str = "pandas",
        *,
        columns: Sequence[str] | None = None,
        start: int = 0,
        stop: int | None = None,
        writable: str | bool = False,
        verify: str = "never",
    ) -> Any:
        """Return a shared object as a read-only zero-copy view; bytes as a `memoryview`, a JSON value made anew.

        Parameters
        ----------
        name, version
            The dataset; None is its newest version.
        as_
            "pandas", "arrow", "numpy", "torch" (copy-on-write) or "polars". What cannot be a view is copied: see
            `buffers.Handle`.
        columns, start, stop
            Columns by name and a half-open row range; None means all.
        writable
            "private" gives views that may be written: each page that is written is copied, for this process alone.
        verify
            Compare all bytes with their digest: "never", the "first" time in this session, or "always". It reads the
            whole object, at some gigabytes a second.

        Raises
        ------
        InvalidName
        UnknownDataset
            With the nearest names.
        ChecksumError
            Something differs from its digest; the column and the megabyte are named.
        InvalidArgument
        """
        first, end = checked_rows(start, stop)
        handle = self.open(name, version, writable=writable, verify=verify)
        data = handle.view(checked_form(as_), columns=visible(handle, columns), start=first, stop=end)
        return marked(data, handle)

    def append(self, name: str, rows: Any) -> Stored:
        """Add rows to a shared table: a new version of the same object, frames that exist stay as they are.

        Rows must have the table's columns and types. When the reserved capacity is full, the table is
        copied once to an object of twice its size. A dataset that was loaded from a file is refused.

        Raises
        ------
        InvalidName, UnknownDataset, UnsupportedData
        StoreFull
            No room in the store; or none on the disk for what is durable, and then the message says that the rows are
            there, in memory alone.
        """
        with self.store.writing(name), self.open(name) as before:
            refuse_parsed(name, before.info.meta, "Add the rows to the file and refresh it")
            durable = self._is_durable(name)
            added = self.working.appended(self._writer.add(name, before.info.id, rows))
            if durable:
                self._keep_added(added)
            return added

    def extend(self, name: str, base: Handle, rows: Any, note: bytes) -> Handle | None:
        """Append rows of its source to a dataset that was parsed or computed, and replace its note; returns it, held.

        None, and nothing is done, when `base` is not its newest version any more. The note is there before the rows
        are, so that they are never seen without it. Without rows only the note is replaced.
        """
        with self.store.writing(name):
            current = self._find(name, None)
            if (current, self.store.info(current).rows) != (base.info.id, base.rows):
                return None
            if len(rows):
                self.working.appended(self._writer.add(name, current, rows, note))
            else:
                self.store.annotate(current, note)
            return self.open(name)

    def open(
        self, name: str, version: int | None = None, *, writable: str | bool = False, verify: str = "never"
    ) -> Handle:
        """Map a shared object, with the options of `get`; the lease lasts as long as any view of it.

        Raises
        ------
        InvalidName, UnknownDataset, ChecksumError, InvalidArgument
        """
        private, verify = wants_private(writable), checked_verify(verify)
        handle = self._mapped(check_name(name), version, private)
        try:
            verify_as(handle, verify, self._verified)
        except BaseException as exc:
            handle.close()  # the error's traceback would keep it mapped
            if isinstance(exc, ChecksumError) and self.spilling.is_current(handle.info):
                raise ChecksumError(
                    f"{exc} Before that, try nq.spill({name!r}) and get it again: the disk has a copy of it."
                ) from exc
            raise
        self.working.note(handle, on_purpose=version is not None)
        return self.hold(handle)

    def _mapped(self, name: str, version: int | None, private: bool) -> Handle:
        """Map a version; one that left memory is brought back, and may leave again before it is mapped."""
        if version is None:
            with suppress(UnknownDataset):
                return self.store.open(name, private=private)
        for last in (False, False, True):
            found = self.channel.request("find", name=name, version=version)  # raises with the nearest names
            try:
                if not found["in_memory"]:
                    self.spilling.bring_back(found)
                at = None if version is None else found["version"]
                return self.store.open_id(found["id"], version=at, private=private)
            except UnknownDataset:
                if last:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _before_publish(self, name: str) -> Callable[[str], object]:
        """Refuse a name that is not to be put, and return what is to be done with the id of its next version."""
        self._refuse_parsed(name)
        return partial(self._keep, name) if self._is_durable(name) else lambda id_: None

    def _keep(self, name: str, id_: str) -> None:
        """Write a version to the disk for good; who appends meanwhile waits, and finds that it is durable."""
        with self.store.writing(name):
            self.spilling.keep(id_)

    def _keep_added(self, added: Stored) -> None:
        """Write a version that was appended to the disk for good; who is refused must not append its rows twice."""
        try:
            self.spilling.keep(self.store.resolve(added.name))
        except NQError as exc:
            raise type(exc)(
                f"The rows are there, as version {added.version} of {added.name!r}, but in memory alone: do not append "
                f"them again, the next append or put writes them to the disk too. {exc}"
            ) from exc

    def _refuse_parsed(self, name: str) -> None:
        with suppress(UnknownDataset, ChecksumError):  # what is damaged may be replaced
            known = self.store.resolve(name)
            meta = self.store.static(known).meta if self.store.exists(known) else self.spilling.meta_of(known)
            if meta is None:  # encrypted, or just gone
                with self.open(name) as before:
                    meta = before.info.meta
            refuse_parsed(name, meta, "Drop it first")

    def _is_durable(self, name: str) -> bool:
        """Tell whether the next version of a name is to be durable, as one was that has no successor on the disk."""
        with suppress(UnknownDataset):
            known = self.store.resolve(name)
            return self.spilling.is_durable(known) or (self.spilling.has_copies and self._lasts(name))
        return False

    def _lasts(self, name: str) -> bool:
        return self.channel.request("find", name=name).get("lasts") is True  # a host of an older version does not say

    def ls(self) -> list[Dataset]:
        """Return all datasets with their holders, by name."""
        return [Dataset.from_wire(row) for row in self.channel.request("ls")]

    def drop(self, name: str, *more: str) -> None:
        """Remove a name, or several, and all their versions; who holds a view keeps it.

        Raises
        ------
        InvalidName, UnknownDataset
            Of any of them, before one is dropped.
        """
        names = dict.fromkeys(check_name(wanted) for wanted in (name, *more))
        # With the object, so that a drop that is sent again never takes what was put meanwhile.
        for wanted, id_ in {wanted: self._find(wanted, None) for wanted in names}.items():
            self.channel.request("drop", name=wanted, id=id_)
            self.working.dropped(wanted)

    # -- memory ----------------------------------------------------------------------------------
    def pin(self, name: str) -> Stored:
        """Keep a dataset in memory, whatever needs room; one that left it is brought back. It survives this process.

        Raises
        ------
        InvalidName, UnknownDataset, StoreFull
        """
        told = self.channel.request("pin", name=check_name(name), pinned=True)
        with self.open(name):
            return Stored(told["name"], told["version"], told["rows"], told["bytes"])

    def unpin(self, name: str) -> Stored:
        """Let a dataset leave memory again when room is needed; `UnknownDataset` when there is none."""
        told = self.channel.request("pin", name=check_name(name), pinned=False)
        return Stored(told["name"], told["version"], told["rows"], told["bytes"])

    def spill(self, *names: str, bytes: int | None = None, progress: Progress | None = None) -> list[Stored]:
        """Write datasets to the disk and free their memory; `get` and `load` bring them back.

        Parameters
        ----------
        names
            Which; none means all, in the order of the eviction policy. Those that are pinned or held stay.
        bytes
            Stop when so much memory has been freed.

        Returns
        -------
        What left memory, with the bytes that it took there.

        Raises
        ------
        InvalidName, UnknownDataset
        StoreFull
            The disk has no room for them.
        """
        return self.spilling.spill([check_name(name) for name in names], bytes, progress)

    def rotate_keys(self, progress: Progress | None = None) -> Rotated:
        """Seal what is encrypted on the disk with the current master key, so that older keys are not needed any more.

        The current key is the first one of `key_file`, or the one of `JUPYTER_NQ_KEY`; the key file has the older ones
        behind it. Data are copied, not decrypted. Processes that know only an older key cannot read them afterwards.

        Returns
        -------
        What was sealed, what had that key, what is not encrypted, and what was refused with the reason: a copy whose
        key is not there, or that is damaged, stays as it was. Printed, it is a summary.

        Raises
        ------
        ConfigError
            This process has no key.
        StoreFull
            The disk has no room for the largest copy twice; doing it again does the rest.
        """
        return self.streaming.lasting.rotate(progress)

    def gc(self) -> Collected:
        """Free what nobody needs, at once: replaced and dropped versions, leftovers of dead processes, spare memory.

        All of it goes by itself sooner or later.
        """
        return collect(self.store, self.channel)

    # -- what all need ---------------------------------------------------------------------------
    def report(self, problem: str) -> None:
        """Show a problem on everybody's desk."""
        self.channel.note("problem", text=problem)

    def _find(self, name: str, version: int | None) -> str:
        found: dict[str, Any] = self.channel.request("find", name=name, version=version)
        return str(found["id"])

    def hold(self, handle: Handle) -> Handle:
        """Announce what is held here, until the last view is gone."""
        if self.spilling.encrypts:
            handle.exclude_from_core_dumps()
        held = handle.info.id, handle.version
        self.channel.hold(*held)
        handle.on_release(partial(self.channel.release, *held))
        return handle

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Put a problem that others should know of on the desk, and raise it here."""
        try:
            yield
        except _FOR_THE_DESK as exc:
            self.report(shortened(str(exc).partition("\n")[0], _DESK_CHARACTERS))
            raise
