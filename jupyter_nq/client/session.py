"""A session: one process's view of the store, and its line to the coordinator.

Reading needs no coordinator: a name is a symbolic link in the store, and the lock on the mapped file
is the lease. The coordinator is asked before bytes are allocated (quota), when an object gets its
name and version, and it is told what this process holds, so that others can see it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_nq.bars.profile import Profile
from jupyter_nq.buffers import Handle, Store
from jupyter_nq.buffers.drafts import blank
from jupyter_nq.client.cache import Cache
from jupyter_nq.client.channel import Channel
from jupyter_nq.client.collecting import Collected, collect
from jupyter_nq.client.drafting import Draft
from jupyter_nq.client.featured import Wanted, featured
from jupyter_nq.client.getting import Verified, checked_verify, verify_as, wants_private
from jupyter_nq.client.loading import Mapped, Progress
from jupyter_nq.client.origin import marked
from jupyter_nq.client.records import Dataset, Desk, Notebook, Status, Stored
from jupyter_nq.client.remembered import load_as_said
from jupyter_nq.client.request import Reading
from jupyter_nq.client.selection import Stamp, checked_form, row_range, visible
from jupyter_nq.client.sources import Given, source_for
from jupyter_nq.client.spilling import Spilling
from jupyter_nq.client.writing import Writer, refuse_parsed
from jupyter_nq.config import Settings, default_store_dir, environment, load_settings
from jupyter_nq.errors import (
    AmbiguousStamps,
    ChecksumError,
    InvalidArgument,
    StoreFull,
    UnknownDataset,
    UnreadableSource,
)

if TYPE_CHECKING:
    from jupyter_nq.client.refresh import Refreshed

_FOR_THE_DESK = (AmbiguousStamps, ChecksumError, StoreFull, UnreadableSource)
_DESK_CHARACTERS = 300


class Session:
    """The store of this process, opened.

    Parameters
    ----------
    where
        Directory of the store; None means `$JUPYTER_NQ_STORE`, the settings file, else the user's default.
    require
        "server" refuses to work without a Jupyter server that hosts the coordinator; None lets this
        process host it when nobody does.
    settings
        Settings of this process; None reads them.
    role
        How this process greets: "client", or "cli" for a command.

    Raises
    ------
    StoreError, CoordinatorUnavailable, VersionMismatch, ConfigError
    """

    def __init__(
        self,
        where: str | os.PathLike[str] | None = None,
        require: str | None = None,
        settings: Settings | None = None,
        role: str = "client",
    ) -> None:
        if require not in (None, "server"):
            raise InvalidArgument(f"require={require!r} is neither None nor 'server'.")
        self.settings = settings or load_settings(store_dir=None if where is None else os.fspath(where))
        self.store = Store(self.settings.store_dir or default_store_dir())
        self.cache = Cache(self.settings, lambda: self.channel.peer_info.get("settings", {}))
        self.channel = Channel(self.store, self.settings, role=role, require=require)
        reserve = self.settings.append_reserve
        self.spilling = Spilling(self.store, self.channel, self.settings)
        self._writer = Writer(self.store, self.channel, self.spilling.room, self._hold, reserve_share=reserve)
        self._verified: Verified = set()  # only added to, by whatever thread; one entry too few costs a reading

    def __repr__(self) -> str:
        return f"<Session {self.store.path} {'hosting' if self.channel.is_host else 'connected'}>"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the coordinator; frames that were handed out stay readable. Closing twice is fine."""
        self.cache.wait()
        self.channel.close()

    @property
    def data_dir(self) -> Path:
        """Directory of the bar files: $JUPYTER_NQ_DATA as it is now, else the setting, else the host's, else `.`."""
        shared = self.channel.peer_info.get("settings", {})
        now = environment().get("data_dir")
        return Path(now or self.settings.data_dir or shared.get("data_dir") or os.curdir)

    # -- bars ------------------------------------------------------------------------------------
    def load(
        self,
        source: Given = None,
        timeframe: str | None = None,
        *,
        symbol: str | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        tz: str | None = None,
        edge: str | None = None,
        day_first: bool | None = None,
        profile: Profile | str | Mapping[str, Any] | None = None,
        contract: str | None = None,
        start: Stamp | None = None,
        end: Stamp | None = None,
        columns: Sequence[str] | None = None,
        features: Wanted | None = None,
        as_: str = "pandas",
        progress: Progress | None = None,
    ) -> Any:
        """Return the bars of a file, parsed by the first process that asks and mapped by all others.

        Parameters
        ----------
        source
            Path of a bar file, or a symbol ("NQ"), or a timeframe ("30min": the default symbol). Or several files of
            one series: a list of paths, or a pattern such as "data/NQ_20*.csv". Or a file elsewhere, at an address such
            as "s3://bucket/NQ_5min.parquet" (also gs:// and abfss://), which is fetched once. Or a table in memory: a
            frame of pandas or polars, a relation of DuckDB, an Arrow table or stream.
        timeframe
            For example "30min", "5min", "5min_extended", "1h".
        symbol, data_dir
            Instrument, and the directory to look in; None takes the settings.
        tz, edge, day_first
            Zone of the stamps (IANA name), "start" or "end" of bar, day before month. None finds it out
            and fails when the file does not tell. A given answer makes a dataset of its own.
        profile
            What the file is: a vendor's name ("tradestation", "kibot", "databento", ...), a profile as `sniff` finds
            it, or single answers: {"delimiter": ";", "columns": {"close": "Settle"}, "layouts": ["DD/MM/YYYY HH:MM"]}.
            The answers above win over it, and a file that contradicts it is an error.
        contract
            The symbol whose rows are meant, of a file that mixes several. What is said of a file with these five is
            remembered for it, and used when it is loaded without any and leaves a question open.
        start, end
            First and last bar by its start, both inclusive: "2024-06-12 14:30" (UTC unless it has a zone), or a
            whole day, month or year ("2024-06"), or a date or datetime.
        columns
            Names in the order wanted; None shows all but `flags`.
        features
            True for the usual features, or a list such as `["sma(20)", "rsi(14)"]`: more columns, float64, NaN where
            too few bars came before. Computed once, and shared as a dataset of their own beside the bars.
        as_
            "pandas", "arrow", "numpy" (dict of 1-D arrays) or "torch" (dict of 1-D tensors).
        progress
            Called with 0 to 1 while the file is parsed, here or elsewhere; may raise to give up.

        Returns
        -------
        A read-only zero-copy view, rows in strictly increasing `timestamp` (UTC ns, start of bar), prices
        float64 as in the file, `volume` int64. Tensors are copy-on-write per page.

        Warns
        -----
        UserWarning
            When bars are a wrong contract's or lie in closed hours; when the plain name is taken by another file and
            the dataset got a name of its own.

        Raises
        ------
        SourceNotFound, AmbiguousSource, AmbiguousStamps, UnreadableSource, UnknownInstrument,
        UnknownTimeframe, StoreFull, InvalidArgument
        """
        mapped = self.map(
            source,
            timeframe,
            symbol=symbol,
            data_dir=data_dir,
            reading=Reading(tz, edge, day_first, profile, contract),
            features=features,
            progress=progress,
        )
        for told in mapped.warnings:
            warnings.warn(told, stacklevel=3)
        return self.view(mapped.handle, as_, columns=columns, start=start, end=end)

    def map(
        self,
        source: Given = None,
        timeframe: str | None = None,
        *,
        symbol: str | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        reading: Reading | None = None,
        features: Wanted | None = None,
        progress: Progress | None = None,
    ) -> Mapped:
        """Do what `load` does, up to the mapped object: with how it was read, how long it took, and a notice."""
        told: dict[str, Any] = {"symbol": symbol, "data_dir": data_dir, "reading": reading, "progress": progress}
        wanted = source_for(self, source, timeframe, **told)
        with self._reporting():
            mapped = load_as_said(self, wanted, progress)
            return mapped if features is None else featured(self, mapped, features, progress)

    def view(
        self,
        handle: Handle,
        as_: str = "pandas",
        *,
        columns: Sequence[str] | None = None,
        start: Stamp | None = None,
        end: Stamp | None = None,
    ) -> Any:
        """Return the chosen rows and columns of a mapped object as `as_`, without copying.

        A frame or table of bars says in `attrs["nq"]` or its schema's metadata which dataset it shows.
        """
        first, stop = row_range(handle, start, end)
        data = handle.view(checked_form(as_), columns=visible(handle, columns), start=first, stop=stop)
        return marked(data, handle)

    # -- shared objects --------------------------------------------------------------------------
    def put(self, name: str, data: Any, *, durable: bool | None = None, progress: Progress | None = None) -> Stored:
        """Share `data` under `name`, as a new version if the name exists. Copies the data once.

        Parameters
        ----------
        name
            `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
        data
            pandas DataFrame or Series, pyarrow Table, numpy array, torch tensor, dict of 1-D arrays, or what gives an
            Arrow stream: columns of numbers, bools, times, dates, decimals, text, bytes and categories, with nulls or
            without. Or bytes; or what JSON can hold, such as a dict of settings.
        durable
            True writes it to the disk too before it returns, so that it survives a restart of the machine; every append
            to it does the same. None does as the version before, False does not.

        Raises
        ------
        InvalidName, StoreFull
        UnsupportedData
            Also when `name` is a dataset that was loaded from a file.
        """
        self._refuse_parsed(name)
        if durable is None:
            durable = self._is_durable(name)
        with self.publish(name, data, progress=progress) as handle:
            if durable:
                self.spilling.keep(handle.info.id)
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
            return Draft(self.store, self._writer, self._writer.begin(name, blank(schema, rows)), self._before_publish)

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
            "pandas", "arrow", "numpy" or "torch" (copy-on-write). What cannot be a view is copied: see
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
        UnknownDataset
            With the nearest names.
        ChecksumError
            Something differs from its digest; the column and the megabyte are named.
        InvalidArgument
        """
        handle = self.open(name, version, writable=writable, verify=verify)
        data = handle.view(checked_form(as_), columns=visible(handle, columns), start=start, stop=stop)
        return marked(data, handle)

    def append(self, name: str, rows: Any) -> Stored:
        """Add rows to a shared table: a new version of the same object, frames that exist stay as they are.

        Rows must have the table's columns and types. When the reserved capacity is full, the table is
        copied once to an object of twice its size. A dataset that was loaded from a file is refused.

        Raises
        ------
        UnknownDataset, UnsupportedData, StoreFull
        """
        with self.store.writing(name), self.open(name) as before:
            refuse_parsed(before, "Add the rows to the file and refresh it")
            durable = self.spilling.is_durable(before.info.id)
            added = self._writer.add(name, before.info.id, rows)
            if durable:
                self.spilling.keep(self.store.resolve(name))
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
                self._writer.add(name, current, rows, note)
            else:
                self.store.annotate(current, note)
            return self.open(name)

    def refresh(self, name: Any, *, progress: Progress | None = None) -> Refreshed:
        """Bring a dataset up to its file: what was appended is parsed and appended, by one process for all.

        A history that was rewritten, or new rows that show the file in another light, make a full new version. Views
        that exist stay as they are; `load` and `get` show the new version. Features beside the bars are carried on.

        Parameters
        ----------
        name
            The dataset, as `ls` names it: "NQ.30min", or a frame or table that shows it.
        progress
            Called with 0 to 1 while the file is read; may raise to give up.

        Returns
        -------
        Refreshed
            Versions before and after, rows added, changed and removed, and who is still on an older version;
            `text()` says it in a line.

        Raises
        ------
        UnknownDataset, UnsupportedData, InvalidArgument
            No such dataset; it was not read from a file; a frame that does not say what it shows.
        SourceNotFound, UnreadableSource, AmbiguousStamps, StoreFull
            As `load`; the version that was there stays.
        """
        from jupyter_nq.client.refresh import refresh  # it is built on this module

        with self._reporting():
            return refresh(self, name, progress)

    def open(
        self, name: str, version: int | None = None, *, writable: str | bool = False, verify: str = "never"
    ) -> Handle:
        """Map a shared object, with the options of `get`; the lease lasts as long as any view of it.

        Raises
        ------
        UnknownDataset, ChecksumError, InvalidArgument
        """
        private, verify = wants_private(writable), checked_verify(verify)
        handle = self._mapped(name, version, private)
        verify_as(handle, verify, self._verified)
        return self._hold(handle)

    def _mapped(self, name: str, version: int | None, private: bool) -> Handle:
        """Map a version; one that left memory is brought back, and may leave again before it is mapped."""
        if version is None:
            with suppress(UnknownDataset):
                return self.store.open(name, private=private)
        for last in (False, False, True):
            found = self.channel.request("find", name=name, version=version)  # raises with the nearest names
            if not found["in_memory"]:
                self.spilling.bring_back(found)
            try:
                at = None if version is None else found["version"]
                return self.store.open_id(found["id"], version=at, private=private)
            except UnknownDataset:
                if last:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _before_publish(self, name: str) -> Callable[[str], object]:
        """Refuse a name that is not to be put, and return what is to be done with the id of its next version."""
        self._refuse_parsed(name)
        return self.spilling.keep if self._is_durable(name) else lambda id_: None

    def _refuse_parsed(self, name: str) -> None:
        with suppress(UnknownDataset, ChecksumError), self.open(name) as before:  # what is damaged may be replaced
            refuse_parsed(before, "Drop it first")

    def _is_durable(self, name: str) -> bool:
        with suppress(UnknownDataset):
            return self.spilling.is_durable(self.store.resolve(name))
        return False

    def ls(self) -> list[Dataset]:
        """Return all datasets with their holders, by name."""
        return [Dataset.from_wire(row) for row in self.channel.request("ls")]

    def drop(self, name: str) -> None:
        """Remove a name and all its versions; who holds a view keeps it.

        Raises
        ------
        UnknownDataset
        """
        # With the object, so that a drop that is sent again never takes what was put meanwhile.
        self.channel.request("drop", name=name, id=self._find(name, None))

    # -- memory ----------------------------------------------------------------------------------
    def pin(self, name: str) -> Stored:
        """Keep a dataset in memory, whatever needs room; one that left it is brought back. It survives this process.

        Raises
        ------
        UnknownDataset, StoreFull
        """
        told = self.channel.request("pin", name=name, pinned=True)
        with self.open(name):
            return Stored(told["name"], told["version"], told["rows"], told["bytes"])

    def unpin(self, name: str) -> Stored:
        """Let a dataset leave memory again when room is needed; `UnknownDataset` when there is none."""
        told = self.channel.request("pin", name=name, pinned=False)
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
        UnknownDataset
        StoreFull
            The disk has no room for them.
        """
        return self.spilling.spill(names, bytes, progress)

    def gc(self) -> Collected:
        """Free what nobody needs, at once: replaced and dropped versions, leftovers of dead processes, spare memory.

        All of it goes by itself sooner or later.
        """
        return collect(self.store, self.channel)

    # -- the desk --------------------------------------------------------------------------------
    def status(self) -> Status:
        """Return the state of the store and its coordinator."""
        return Status.from_wire(self.channel.request("status"))

    def notebooks(self) -> list[Notebook]:
        """Return the connected processes, kernels with the notebook they run."""
        return [Notebook.from_wire(row) for row in self.channel.request("notebooks")]

    def desk(self) -> Desk:
        """Return status, datasets and notebooks, taken at one moment."""
        return Desk.from_wire(self.channel.request("desk"))

    def report(self, problem: str) -> None:
        """Show a problem on everybody's desk."""
        self.channel.note("problem", text=problem)

    def _find(self, name: str, version: int | None) -> str:
        found: dict[str, Any] = self.channel.request("find", name=name, version=version)
        return str(found["id"])

    def _hold(self, handle: Handle) -> Handle:
        """Announce what is held here, until the last view is gone."""
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
            self.report(str(exc).partition("\n")[0][:_DESK_CHARACTERS])
            raise
