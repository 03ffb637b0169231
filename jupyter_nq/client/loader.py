"""`UnifiedDataLoader`: the specification's loader, thin over the process's session."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_nq.bars.discovery import timeframes
from jupyter_nq.client.selection import Stamp
from jupyter_nq.errors import ConfigError, InvalidArgument, UnknownDataset, nearest

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_nq.bars.sessions.completeness import Completeness
    from jupyter_nq.client.loading import Mapped
    from jupyter_nq.client.session import Session

_SECTION = "data_loading"
_KEYS = ("data_dir", "chunk_size")
_CHUNK_ROWS = 10_000


class UnifiedDataLoader:
    """Load bars by timeframe; all loaders of all notebooks share one parsed copy.

    Parameters
    ----------
    data_dir
        Directory of the bar files; None takes the configured one.
    chunk_size
        Rows of a chunk of `load_chunked_data`; None means 10,000.
    config
        Mapping with a section `data_loading`, or that section: `data_dir` and `chunk_size`, where they are not given.
    symbol
        Instrument that the timeframes belong to; None takes the configured one.
    session
        Session to load through; None takes the process's own.

    Raises
    ------
    ConfigError
        The configuration has a key that nothing reads, or a chunk would have no row.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        chunk_size: int | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        symbol: str | None = None,
        session: Session | None = None,
    ) -> None:
        from jupyter_nq.client.api import connect

        given = _section(config or {})
        self._session = session or connect()
        self._data_dir = data_dir or given.get("data_dir") or self._session.data_dir
        self._symbol = symbol or self._session.settings.default_symbol
        self._chunk_rows = _rows(chunk_size or given.get("chunk_size", _CHUNK_ROWS))
        self._loads: list[tuple[str, bool, float]] = []  # dataset, parsed here, seconds
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

        Columns are `timestamp` (UTC ns, start of bar), `open high low close` (float64) and `volume`
        (int64); `start_date` and `end_date` are inclusive. Errors are those of `jupyter_nq.load`.
        """
        frame: pd.DataFrame = self._session.view(
            self._mapped(timeframe).handle, columns=columns, start=start_date, end=end_date
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

        A chunk is a view of the shared dataset and not a copy, and its index counts on from chunk to chunk.
        """
        rows = self._chunk_rows if chunk_size is None else _rows(chunk_size)
        frame = self.load_data(timeframe, start_date, end_date, columns)
        return (frame.iloc[at : at + rows] for at in range(0, len(frame), rows))

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
        from jupyter_nq.client.timeframes import align

        if isinstance(timeframes, str):
            raise InvalidArgument(f"timeframes={timeframes!r} is one text. Write a list: [{timeframes!r}].")
        if not align_timestamps:
            return {name: self.load_data(name, start_date, end_date) for name in timeframes}
        return align(self._session, {name: self._mapped(name).handle for name in timeframes}, start_date, end_date)

    def get_available_timeframes(self) -> list[str]:
        """Return the timeframes that the directory holds for the loader's symbol, shortest first."""
        return timeframes(self._data_dir, self._symbol)

    def preload_data(self, timeframes: Sequence[str]) -> None:
        """Parse and share timeframes now, so that every later load of any notebook only maps them."""
        for name in timeframes:
            self._mapped(name)

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

        stamps = self._session.view(self._mapped(timeframe).handle, "numpy", columns=["timestamp"])["timestamp"]
        found = completeness(
            stamps.view(np.int64), parse_timeframe(timeframe).minutes, instrument(self._symbol).calendar
        )
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
        """Return how this loader's loads went: `loads`, `parsed`, `mapped`, `seconds` in all, `slowest_seconds`."""
        parsed = sum(parsed for _, parsed, _ in self._loads)
        seconds = [seconds for _, _, seconds in self._loads]
        return {
            "loads": len(self._loads),
            "parsed": parsed,
            "mapped": len(self._loads) - parsed,
            "seconds": sum(seconds),
            "slowest_seconds": max(seconds, default=0.0),
        }

    def clear_cache(self) -> None:
        """Drop the shared datasets that this loader loaded; the next load parses again, frames stay readable."""
        for name in dict.fromkeys(name for name, _, _ in self._loads):
            try:
                self._session.drop(name)
            except UnknownDataset:
                continue  # somebody else dropped it
        self._loads.clear()

    def _mapped(self, timeframe: str) -> Mapped:
        mapped = self._session.map(timeframe=timeframe, symbol=self._symbol, data_dir=self._data_dir)
        self._loads.append((mapped.handle.info.name, mapped.parsed, mapped.seconds))
        return mapped


def _section(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keys about loading, and refuse one that nothing would read."""
    given = config.get(_SECTION, {} if any(isinstance(value, Mapping) for value in config.values()) else config)
    for key in given:
        if key not in _KEYS:
            raise ConfigError(f"{_SECTION} has no key {key!r}.{nearest(str(key), _KEYS)} It has {', '.join(_KEYS)}.")
    return given  # type: ignore[no-any-return]


def _rows(chunk_size: Any) -> int:
    if not isinstance(chunk_size, int) or isinstance(chunk_size, bool) or chunk_size < 1:
        raise ConfigError(f"chunk_size={chunk_size!r} is not a number of rows. Pass 1 or more.")
    return chunk_size
