"""`resample` and `asof` for what a notebook has at hand: names of datasets, frames and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from jupyter_nq.bars.asof import Timed, aligned
from jupyter_nq.bars.asof import asof as asof_tables
from jupyter_nq.bars.instruments import instrument, regular_hours_of
from jupyter_nq.bars.resample import resample as resample_table
from jupyter_nq.bars.timeframe import parse_timeframe, timeframe_of
from jupyter_nq.client.origin import Origin, origin_of
from jupyter_nq.client.selection import Stamp
from jupyter_nq.errors import ConfigError, InvalidArgument, NQError, UnsupportedData

if TYPE_CHECKING:
    from jupyter_nq.buffers import Handle
    from jupyter_nq.client.session import Session

FORMS = ("pandas", "arrow")


def resample(
    session: Session,
    source: Any,
    timeframe: str,
    *,
    hours: str = "eth",
    source_timeframe: str | None = None,
    symbol: str | None = None,
    as_: str = "pandas",
) -> Any:
    """Return longer bars, cut at the sessions of the exchange.

    Parameters
    ----------
    source
        Name of a dataset of bars, or a frame or table of them.
    timeframe
        Length of the results: a multiple of the source's, up to "1D", which is one bar for each session.
    hours
        "eth" takes whole sessions from their open, for NQ at 18:00 New York, "rth" the instrument's regular hours, for
        NQ from 09:30.
    source_timeframe, symbol
        What the source is, where it does not say so itself; what `load` returns does.
    as_
        "pandas" or "arrow".

    Returns
    -------
    New bars with the columns of a load, and `flags` when the frame or table has them. The last may be partial. A bar is
    there when a source bar is.

    Raises
    ------
    InvalidArgument
        The lengths do not fit, or a bar lies outside the sessions; the message counts and names them.
    UnknownDataset, ConfigError
        No such dataset; the sessions of the instrument are not known.
    """
    _check_form(as_)
    timed, origin = bars_of(session, source, source_timeframe, symbol)
    regular = regular_hours_of(origin.symbol)
    if timed.calendar is None and not (regular and hours == "rth"):
        raise without_sessions(origin.symbol)
    table = resample_table(
        timed.table, timeframe, minutes=timed.minutes, calendar=timed.calendar, hours=hours, regular_hours=regular
    )
    table = table if _shows_flags(source, timed) else table.drop_columns(["flags"])
    return _as(table, as_, replace(origin, minutes=parse_timeframe(timeframe).minutes, calendar=timed.calendar))


def asof(
    session: Session,
    left: Any,
    right: Any,
    *,
    at: str = "close",
    suffix: str | None = None,
    tolerance_minutes: int | None = None,
    timeframe: str | None = None,
    right_timeframe: str | None = None,
    symbol: str | None = None,
    as_: str = "pandas",
) -> Any:
    """Return the left bars, each with the last right bar that was complete when the left bar closed.

    A bar is known when it has closed, so nothing is joined that lies in a row's future.

    Parameters
    ----------
    left, right
        Names of datasets of bars, or frames or tables of them.
    at
        "close" joins what is known at the left bar's close, "open" at its start.
    suffix
        Behind the names of the right columns; None takes the right timeframe: `close_3h`.
    tolerance_minutes
        A right bar that closed longer ago is not joined; None means any age.
    timeframe, right_timeframe, symbol
        What the bars are, where they do not say so themselves; what `load` and `resample` return does.
    as_
        "pandas" or "arrow".

    Returns
    -------
    The left columns, then the right ones and `age<suffix>`, the time since the right bar closed. Where nothing is
    joined they are null (NaN and NaT in pandas, where whole numbers become float64), never 0.

    Raises
    ------
    InvalidArgument, UnknownDataset
    """
    _check_form(as_)
    first, origin = bars_of(session, left, timeframe, symbol, over=False)
    second, _ = bars_of(session, right, right_timeframe, symbol, over=False)
    ending = f"_{timeframe_of(second.minutes).label}" if suffix is None else suffix
    if not _shows_flags(left, first) and "flags" in first.table.column_names:
        first = replace(first, table=first.table.drop_columns(["flags"]))
    joined = asof_tables(first, second, at=at, suffix=ending, tolerance_minutes=tolerance_minutes)
    return _as(joined, as_, replace(origin, minutes=first.minutes, calendar=first.calendar))


def align(
    session: Session, handles: Mapping[str, Handle], start: Stamp | None = None, end: Stamp | None = None
) -> dict[str, pd.DataFrame]:
    """Return mapped timeframes with the rows of the shortest, see `UnifiedDataLoader.load_multiple_timeframes`."""
    timed, origins = {}, {}
    for label, handle in handles.items():
        table = session.view(handle, "arrow")
        origins[label] = origin = origin_of(table) or Origin(handle.info.name, handle.version)
        timed[label] = Timed(table, origin.minutes or parse_timeframe(label).minutes, origin.calendar)
    base = min(timed, key=lambda label: timed[label].minutes, default=None)
    if base is not None:
        shown = session.view(handles[base], "arrow", start=start, end=end)
        timed[base] = Timed(shown, timed[base].minutes, timed[base].calendar)
    return {label: _as(table, "pandas", origins[label]) for label, table in aligned(timed).items()}


def bars_of(
    session: Session, source: Any, timeframe: str | None = None, symbol: str | None = None, *, over: bool = True
) -> tuple[Timed, Origin]:
    """Return the bars of a dataset's name, frame or table, with what they are; a timeframe wins over what they say.

    `over` tells whether the symbol does too, or is only for bars that name no instrument.

    Raises
    ------
    InvalidArgument
        Nothing tells the length of the bars.
    UnsupportedData
        It is none of these.
    """
    data = whole(session, source) if isinstance(source, str) else source
    if not isinstance(data, (pd.DataFrame, pa.Table)):
        raise UnsupportedData(
            f"{type(source).__name__} is neither the name of a dataset nor a frame or table of bars. Pass one of these."
        )
    origin = origin_of(data) or Origin("", 0)
    minutes = origin.minutes if timeframe is None else parse_timeframe(timeframe).minutes
    if minutes is None:
        what = f"the dataset {source!r}" if isinstance(source, str) else f"the {type(source).__name__}"
        raise InvalidArgument(f"{what} does not tell how long its bars are. Pass the timeframe, for example '30min'.")
    calendar = origin.calendar
    if symbol is not None and (over or origin.symbol is None):
        known = instrument(symbol)
        calendar, origin = known.calendar, replace(origin, symbol=known.symbol)
    table = pa.Table.from_pandas(data, preserve_index=False) if isinstance(data, pd.DataFrame) else data
    return Timed(table, minutes, calendar), origin


def without_sessions(symbol: str | None) -> NQError:
    """Return the error of bars whose sessions are not known, nor perhaps their instrument."""
    if symbol is None:
        return InvalidArgument(
            "the instrument of the bars is not known, so neither are its sessions. Pass symbol='NQ'."
        )
    return ConfigError(
        f"the sessions of {symbol} are not known. Name its calendar in `instruments` of the settings file."
    )


def whole(session: Session, name: str) -> Any:
    """Return a dataset as a table, with the columns that a load hides."""
    handle = session.open(name)
    schema = handle.info.schema
    if schema is None:
        raise UnsupportedData(f"the dataset {name!r} is an array, not a table of bars.")
    return session.view(handle, "arrow", columns=schema.names)


def _shows_flags(source: Any, timed: Timed) -> bool:
    """Tell whether bars come with flags that somebody asked for: a dataset has them always, and hides them."""
    return not isinstance(source, str) and "flags" in timed.table.column_names


def _check_form(as_: str) -> None:
    if as_ not in FORMS:
        raise InvalidArgument(f"as_={as_!r} is neither 'pandas' nor 'arrow'.")


def _as(table: pa.Table, as_: str, origin: Origin) -> Any:
    """Return a result in the form wanted, with the note of what it is; without the note that its source had."""
    bare = table.replace_schema_metadata(None)
    return origin.note(bare.to_pandas() if as_ == "pandas" else bare)
