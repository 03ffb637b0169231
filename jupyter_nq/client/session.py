"""A session: one process's view of the store, and its line to the coordinator.

Bars are loaded and brought up to their files here; what can be done with any shared object is in `objects`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_nq.bars.profile import Profile
from jupyter_nq.buffers import Handle, Store
from jupyter_nq.client.bars.cache import Cache
from jupyter_nq.client.bars.featured import Wanted, featured
from jupyter_nq.client.bars.loading import Mapped, Progress
from jupyter_nq.client.bars.remembered import load_as_said
from jupyter_nq.client.bars.request import Reading
from jupyter_nq.client.bars.sources import Given, source_for
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.line.overruled import overruled
from jupyter_nq.client.notebooks.inbox import Inboxes
from jupyter_nq.client.notebooks.registering import notebooks
from jupyter_nq.client.notebooks.roster import Roster
from jupyter_nq.client.objects import Objects
from jupyter_nq.client.origin import marked
from jupyter_nq.client.records import Desk, Notebook, Status
from jupyter_nq.client.selection import Stamp, checked_form, row_range, visible
from jupyter_nq.client.streams.streaming import Listed
from jupyter_nq.config import Settings, default_store_dir, environment, load_settings
from jupyter_nq.errors import InvalidArgument
from jupyter_nq.streams import Stream

if TYPE_CHECKING:
    import pyarrow as pa

    from jupyter_nq.client.bars.refresh import Refreshed


class Session(Objects):
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

    Warns
    -----
    UserWarning
        The store has another quota, or another rule of what leaves memory, than these settings say.
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
        store = Store(self.settings.store_dir or default_store_dir())
        self.roster = Roster()
        channel = Channel(store, self.settings, role=role, require=require, on_connect=self.roster.tell)
        super().__init__(store, channel, self.settings)
        self.inboxes = Inboxes(self)
        self.cache = Cache(self.settings, lambda: self.channel.peer_info.get("settings", {}))
        if role == "client" and (told := overruled(self.settings, self.channel)) is not None:
            try:
                warnings.warn(told, stacklevel=2)
            except UserWarning:  # who wants warnings to be errors has no session, and no line either
                self.close()
                raise

    def __repr__(self) -> str:
        return f"<Session {self.store.path} {'hosting' if self.channel.is_host else 'connected'}>"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the coordinator; frames that were handed out stay readable. Closing twice is fine."""
        self.inboxes.close()
        self.cache.wait()
        self._writer.sparing.close()
        self.streaming.close()
        self.channel.close()

    @property
    def data_dir(self) -> Path:
        """Directory of the bar files: $JUPYTER_NQ_DATA as it is now, else the setting, else the host's, else `.`."""
        shared = self.channel.peer_info.get("settings", {})
        now = environment().get("data_dir")
        return Path(now or self.settings.data_dir or shared.get("data_dir") or os.curdir)

    # -- streams ---------------------------------------------------------------------------------
    def stream(
        self,
        name: str,
        schema: pa.Schema | Mapping[str, Any] | None = None,
        *,
        form: str | None = None,
        retention_bytes: int | None = None,
        segment_bytes: int | None = None,
        overflow: str | None = None,
        block_seconds: float | None = None,
        exclusive: bool | None = None,
        evolve: bool = False,
        retention_rows: int | None = None,
        retention_seconds: float | None = None,
        durable: bool | None = None,
    ) -> Stream:
        """Open a stream by its name, made unless it is there: what is published there, every notebook can read.

        Parameters
        ----------
        name
            `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
        schema
            Names and types of its columns: an Arrow schema, or a dict such as `{"at": "datetime64[ns, UTC]", "price":
            "float64"}`. Columns of a fixed width make it a tape: rows without nulls, read as one batch however many
            messages they came in, and fastest by far for single rows. Without a schema it is a log: each message is
            kept as it was published, with its metadata; the first frame decides on the columns of all others.
        form
            "log" for a schema that could be a tape, too.
        retention_bytes
            Memory for the messages of each publisher; the oldest go when it is full. None takes 64 MiB, or an eighth of
            the pool when that is less. This and what follows is fixed when the stream is made.
        segment_bytes
            In which pieces memory comes and goes; a larger message gets a larger one. None takes an eighth of the
            retention, at most 8 MiB.
        overflow
            What happens when memory is full: "drop_oldest" (None), or, to keep what a gating consumer has not read,
            "block" the publisher, "drop_new" messages, or raise an "error".
        block_seconds
            How long a publisher is blocked before that is an error; None takes 10.
        exclusive
            True lets one publisher at a time write to it; a second one is refused.
        evolve
            True gives a stream that is there this schema, if it has another: messages from now on have it, and those
            before keep theirs.
        retention_rows, retention_seconds
            How many rows each publisher's messages keep, and for how long; None for as many and as long as there is
            memory. Readers see no message beyond, of a stream that nobody publishes to either.
        durable
            True keeps on the disk what memory keeps, so that it outlives a restart of the machine: messages, and what
            named consumers acknowledged. The disk takes both in groups, every 0.2 s; `flush` waits for it.

        Raises
        ------
        InvalidName, InvalidArgument, UnsupportedData, SchemaMismatch
            It cannot be made so, or is there as another.
        StoreError, CoordinatorUnavailable
        """
        options = {
            "retention_bytes": retention_bytes,
            "segment_bytes": segment_bytes,
            "overflow": overflow,
            "block_seconds": block_seconds,
            "exclusive": exclusive,
            "retention_rows": retention_rows,
            "retention_seconds": retention_seconds,
            "durable": durable,
        }
        told = {key: value for key, value in options.items() if value is not None}
        return self.streaming.open(name, schema, form, told, evolve=evolve)

    def list_streams(self) -> list[Listed]:
        """Return all streams, by name, with their publishers and consumers."""
        return self.streaming.listed()

    def drop_stream(self, name: str) -> int:
        """Remove a stream for everybody; returns how many messages were ever published.

        Who publishes to it or reads it is told at the next attempt; batches that somebody holds stay as they are.

        Raises
        ------
        UnknownStream
        """
        return self.streaming.drop(name)

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
            "pandas", "arrow", "numpy" (dict of 1-D arrays), "torch" (dict of 1-D tensors) or "polars".
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
        from jupyter_nq.client.bars.refresh import refresh  # it is built on this module

        with self._reporting():
            return refresh(self, name, progress)

    # -- the desk --------------------------------------------------------------------------------
    def status(self) -> Status:
        """Return the state of the store and its coordinator."""
        return Status.from_wire(self.channel.request("status"))

    def notebooks(self) -> list[Notebook]:
        """Return the connected processes, kernels with the notebook they run: what each is, holds, publishes and reads.

        A process that registered several names has a row for each.
        """
        return notebooks(self)

    def desk(self) -> Desk:
        """Return status, datasets and notebooks, taken at one moment."""
        return Desk.from_wire(self.channel.request("desk"))
