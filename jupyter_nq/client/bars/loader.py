"""`UnifiedDataLoader`: the specification's loader, thin over the process's session.

Its three switches mean what they say: `cache_enabled` the archive of parsed files, `validation_enabled` a report of
each timeframe that is loaded, `preprocessing_enabled` columns of features beside the bars.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_nq.bars.discovery import timeframes
from jupyter_nq.client.bars.request import Request, asked, source_of
from jupyter_nq.client.sections import Config, read_config, section, switch
from jupyter_nq.client.selection import Stamp
from jupyter_nq.errors import ConfigError, InvalidArgument, NQError, UnknownDataset

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_nq.bars.sessions.completeness import Completeness
    from jupyter_nq.bars.validation.report import Report
    from jupyter_nq.bars.validation.running import RunningErrors
    from jupyter_nq.bars.validation.validator import DataValidator
    from jupyter_nq.buffers import Handle
    from jupyter_nq.client.bars.loading import Mapped, Progress
    from jupyter_nq.client.session import Session

_SECTION = "data_loading"
_SWITCHES = ("cache_enabled", "validation_enabled", "preprocessing_enabled")
_KEYS = ("data_dir", "chunk_size", *_SWITCHES)
_CHUNK_ROWS = 10_000
_SHOWN = 3  # errors in a warning; the report has all


class UnifiedDataLoader:
    """Load bars by timeframe; all loaders of all notebooks share one parsed copy.

    Parameters
    ----------
    data_dir
        Directory of the bar files; None takes the configured one.
    chunk_size
        Rows of a chunk of `load_chunked_data`; None means 10,000.
    cache_enabled
        Restore an unchanged file from its archive, and keep one; None means True.
    validation_enabled
        Validate every timeframe that is loaded, keep the report and warn once of its errors; None means True. What is
        loaded stays as it is: actions of the validation change the `table` of the report.
    preprocessing_enabled
        Show the usual features beside the bars, shared as a dataset of their own; None means True.
    config
        Mapping with a section `data_loading`, or that section, or the path of a YAML file: what is not given above, by
        the same names. A section `validation` is for the `DataValidator`.
    symbol
        Instrument that the timeframes belong to; None takes the configured one.
    session
        Session to load through; None takes the process's own.

    Raises
    ------
    ConfigError
        The configuration has a key that nothing reads, a switch is neither True nor False, or a chunk would have no
        row.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        chunk_size: int | None = None,
        cache_enabled: bool | None = None,
        validation_enabled: bool | None = None,
        preprocessing_enabled: bool | None = None,
        config: Config = None,
        *,
        symbol: str | None = None,
        session: Session | None = None,
    ) -> None:
        from jupyter_nq.bars.validation.validator import DataValidator
        from jupyter_nq.client.api import connect

        self._config = read_config(config)
        given = section(self._config, _SECTION, _KEYS, DataValidator.KEYS)
        switches = (cache_enabled, validation_enabled, preprocessing_enabled)
        self._cached, self._validated, self._preprocessed = (
            switch(name, given.get(name) if value is None else value)
            for name, value in zip(_SWITCHES, switches, strict=True)
        )
        self._session = session or connect()
        self._data_dir = data_dir or given.get("data_dir") or self._session.data_dir
        self._symbol = symbol or self._session.settings.default_symbol
        self._chunk_rows = _rows(given.get("chunk_size", _CHUNK_ROWS) if chunk_size is None else chunk_size)
        self._loads: list[tuple[str, str, float]] = []  # dataset, how it was had, seconds
        self._shared: dict[str, Mapping[str, Any]] = {}  # dataset -> what it was read from, as `source_of` says
        self._reports: dict[str, tuple[tuple[str, int], Report]] = {}  # with the object and rows it is about
        self._warned: list[Report] = []
        self._complete: dict[str, Completeness] = {}

    def __repr__(self) -> str:
        return f"<UnifiedDataLoader of {self._symbol} in {self._data_dir}>"

    def load_data(
        self,
        timeframe: str = "30min",
        start_date: Stamp | None = None,
        end_date: Stamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return the bars of one timeframe as a read-only zero-copy frame.

        Columns are `timestamp` (UTC ns, start of bar), `open high low close` (float64), `volume` (int64) and, unless
        preprocessing is switched off, the usual features (float64, NaN where too few bars came before);
        `start_date` and `end_date` are inclusive. Errors are those of `jupyter_nq.load`.
        """
        frame: pd.DataFrame = self._session.view(
            self._shown(timeframe), columns=columns, start=start_date, end=end_date
        )
        return frame

    def load_chunked_data(
        self,
        timeframe: str = "30min",
        chunk_size: int | None = None,
        start_date: Stamp | None = None,
        end_date: Stamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield the bars of one timeframe in frames of exactly `chunk_size` rows; the last may be shorter.

        Put together they are the frame of `load_data`, bit for bit, and the index counts on from chunk to chunk. What
        somebody has loaded is not read again: a chunk is then a view of it. Else the file is read chunk by chunk, with
        the memory of a chunk, and nothing is shared. Of that the validation sees what has been read, and checks bars
        and their neighbours; the rules about sessions, and those of one's own, need a `validation_report`.
        """
        from jupyter_nq.client.bars import chunked

        rows = self._chunk_rows if chunk_size is None else _rows(chunk_size)
        request = asked(self._session, None, timeframe, symbol=self._symbol, data_dir=self._data_dir)
        if chunked.at_hand(self._session, request, features=self._preprocessed):
            frame = self.load_data(timeframe, start_date, end_date, columns)
            return (frame.iloc[at : at + rows] for at in range(0, len(frame), rows))
        wanted = chunked.Wanted(rows, columns, start_date, end_date, self._preprocessed)
        errors = self._running(request) if self._validated else None
        return chunked.chunks(self._session, request, wanted, errors, f"validation_report({timeframe!r})")

    def load_multiple_timeframes(
        self,
        timeframes: Sequence[str],
        align_timestamps: bool = True,
        start_date: Stamp | None = None,
        end_date: Stamp | None = None,
    ) -> dict[str, pd.DataFrame]:
        """Return the frames of several timeframes by their names.

        Parameters
        ----------
        timeframes
            For example `["30min", "1h"]`.
        align_timestamps
            Give every frame the rows of the shortest timeframe: row i of a longer one is its last bar that had
            closed when the shortest's i-th closed, `timestamp` being that bar's own start; before the first
            there are NaT and NaN. Aligned on starts instead, rows would tell their future.
        start_date, end_date
            First and last bar, both inclusive; aligned, those of the shortest timeframe.
        """
        from jupyter_nq.client.bars.timeframes import align

        if isinstance(timeframes, str):
            raise InvalidArgument(f"timeframes={timeframes!r} is one text. Write a list: [{timeframes!r}].")
        if not align_timestamps:
            return {name: self.load_data(name, start_date, end_date) for name in timeframes}
        return align(self._session, {name: self._shown(name) for name in timeframes}, start_date, end_date)

    def get_available_timeframes(self) -> list[str]:
        """Return the timeframes that the directory holds for the loader's symbol, shortest first."""
        return timeframes(self._data_dir, self._symbol)

    def preload_data(self, timeframes: Sequence[str], progress: Progress | None = None) -> None:
        """Parse and share timeframes now, so that every later load of any notebook only maps them.

        `progress` is called with the share of all that is done, 0 to 1; it may raise to give up.
        """
        if isinstance(timeframes, str):
            raise InvalidArgument(f"timeframes={timeframes!r} is one text. Write a list: [{timeframes!r}].")
        for number, name in enumerate(timeframes):
            self._shown(name, _part(progress, number, len(timeframes)))
        if progress is not None:
            progress(1.0)

    def validation_report(self, timeframe: str = "30min") -> Report:
        """Return what is wrong with the bars of one timeframe, as `jupyter_nq.validate` does for a dataset.

        Rows are counted from 0. A configuration with a section `validation` is that of the `DataValidator`.
        """
        return self._report(timeframe, self._mapped(timeframe, validate=False).handle)

    def get_data_statistics(self, timeframe: str = "30min") -> dict[str, Any]:
        """Return what one timeframe holds.

        Keys: `rows`, `first` and `last` (UTC stamps of bars), `lowest` and `highest` price, `mean_close`,
        `total_volume`, `zero_volume_rows`, `flat_rows`, `bytes` of shared memory, `dataset`, `version`.
        """
        from jupyter_nq.bars.rules import FLAT, ZERO_VOLUME

        handle = self._mapped(timeframe).handle
        bars = self._session.view(handle, "numpy", columns=["timestamp", "low", "high", "close", "volume", "flags"])
        return {
            "dataset": handle.info.name,
            "version": handle.version,
            "rows": handle.rows,
            "first": np.datetime_as_string(bars["timestamp"][0], "s") + "Z",
            "last": np.datetime_as_string(bars["timestamp"][-1], "s") + "Z",
            "lowest": float(bars["low"].min()),
            "highest": float(bars["high"].max()),
            "mean_close": float(bars["close"].mean()),
            "total_volume": int(bars["volume"].sum()),
            "zero_volume_rows": int((bars["flags"] & ZERO_VOLUME != 0).sum()),
            "flat_rows": int((bars["flags"] & FLAT != 0).sum()),
            "bytes": handle.info.nbytes,
        }

    def monitor_data_completeness(self, timeframe: str = "30min") -> Completeness:
        """Return which bars the exchange's calendar expects of a timeframe and its data has not.

        The result has `expected`, `present`, `missing`, `share`, `missing_sessions`, `incomplete`, `gaps`, `text()`.

        Raises
        ------
        ConfigError
            The sessions of the instrument are not known.
        """
        from jupyter_nq.bars.instruments import instrument
        from jupyter_nq.bars.sessions.completeness import completeness
        from jupyter_nq.bars.timeframe import parse_timeframe
        from jupyter_nq.client.bars.timeframes import without_sessions

        known = instrument(self._symbol)
        if known.calendar is None:
            raise without_sessions(known.symbol)
        stamps = self._session.view(self._mapped(timeframe).handle, "numpy", columns=["timestamp"])["timestamp"]
        found = completeness(stamps.view(np.int64), parse_timeframe(timeframe).minutes, known.calendar)
        self._complete[timeframe] = found
        return found

    def get_completeness_report(self) -> dict[str, dict[str, Any]]:
        """Return the counts of every timeframe that `monitor_data_completeness` looked at, by timeframe.

        Keys: `expected`, `present`, `missing`, `share` (0 to 1), `missing_sessions` (dates), `gaps`.
        """
        return {
            timeframe: {
                "expected": found.expected,
                "present": found.present,
                "missing": found.missing,
                "share": found.share,
                "missing_sessions": [str(day) for day in found.missing_sessions],
                "gaps": len(found.gaps),
            }
            for timeframe, found in self._complete.items()
        }

    def get_performance_metrics(self) -> dict[str, float]:
        """Return how this loader's loads of bars went.

        Keys: `loads`; of these `mapped`, `restored` from an archive, `refreshed` by what the file has got and
        `parsed`; `seconds` in all, `slowest_seconds`.
        """
        counted = Counter(how for _, how, _ in self._loads)
        seconds = [seconds for _, _, seconds in self._loads]
        return {
            "loads": len(self._loads),
            **{how: counted[how] for how in ("mapped", "restored", "refreshed", "parsed")},
            "seconds": sum(seconds),
            "slowest_seconds": max(seconds, default=0.0),
        }

    def clear_cache(self) -> None:
        """Drop the shared datasets that this loader loaded, and their archives; frames stay readable.

        The next load parses again.
        """
        from jupyter_nq.client.bars.sources import source_again

        for name, read_from in self._shared.items():
            with suppress(UnknownDataset):  # somebody else dropped it
                self._session.drop(name)
            with suppress(NQError):  # the file is gone, and with it the name of its archive
                self._session.cache.forget(source_again(self._session, read_from))
        for known in (self._loads, self._shared, self._reports, self._complete):
            known.clear()

    def _mapped(self, timeframe: str, progress: Progress | None = None, *, validate: bool = True) -> Mapped:
        """Map the bars of one timeframe."""
        with nullcontext() if self._cached else self._session.cache.paused():
            mapped = self._session.map(
                timeframe=timeframe, symbol=self._symbol, data_dir=self._data_dir, progress=progress
            )
        name = mapped.handle.info.name
        self._loads.append((name, mapped.how, mapped.seconds))
        self._shared[name] = source_of(mapped.handle.info.meta)
        if self._validated and validate:
            self._warn_of(self._report(timeframe, mapped.handle), timeframe)
        return mapped

    def _shown(self, timeframe: str, progress: Progress | None = None) -> Handle:
        """Map what `load_data` shows: the bars, or the bars with their features."""
        mapped = self._mapped(timeframe, progress)
        if self._preprocessed:
            from jupyter_nq.client.bars.featured import featured

            mapped = featured(self._session, mapped, True)
            self._shared[mapped.handle.info.name] = source_of(mapped.handle.info.meta)
        return mapped.handle

    def _report(self, timeframe: str, handle: Handle) -> Report:
        """Validate the bars once for each version of them."""
        what = handle.info.id, handle.rows
        known = self._reports.get(timeframe)
        if known is None or known[0] != what:
            found = self._validator().validate_data(self._session.view(handle), handle.info.name)
            known = self._reports[timeframe] = what, found
        return known[1]

    def _running(self, request: Request) -> RunningErrors:
        """Return what finds errors in bars that are not loaded as a whole."""
        from jupyter_nq.bars.timeframe import parse_timeframe
        from jupyter_nq.bars.validation.running import RunningErrors

        return RunningErrors(minutes=parse_timeframe(request.timeframe).minutes, symbol=request.symbol)

    def _validator(self) -> DataValidator:
        """Return the validator with what the configuration says to it, in its section or among the loader's keys."""
        from jupyter_nq.bars.validation.validator import DataValidator

        config: Mapping[str, Any] = self._config or {}
        own = {key: config[key] for key in (*DataValidator.KEYS, "validation") if key in config}
        return DataValidator(own)

    def _warn_of(self, report: Report, timeframe: str) -> None:
        errors = [found.sentence + found.where() for found in report.findings if found.severity == "error"]
        if not errors or report in self._warned:
            return
        self._warned.append(report)
        first = "; ".join(errors[:_SHOWN])
        more = f" and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        told = f"{report.name} has errors: {first}{more}. validation_report({timeframe!r}) shows all."
        warnings.warn(told, stacklevel=5)


def _part(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Return the progress of one of several in that of all."""
    return None if progress is None else lambda fraction: progress((number + fraction) / count)


def _rows(chunk_size: Any) -> int:
    if not isinstance(chunk_size, int) or isinstance(chunk_size, bool) or chunk_size < 1:
        raise ConfigError(f"chunk_size={chunk_size!r} is not a number of rows. Pass 1 or more.")
    return chunk_size
