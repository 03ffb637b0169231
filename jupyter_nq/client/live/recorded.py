"""`nq.replay`: from what a notebook names to a session of it, and the sandbox streams that it is fed into."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from jupyter_nq.bars.instruments import Instrument, instrument
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sessions.calendar import CALENDARS
from jupyter_nq.bars.timeframe import parse_timeframe, timeframe_of
from jupyter_nq.client.bars.timeframes import whole, without_sessions
from jupyter_nq.client.live.clocks import CLOCK_SCHEMA
from jupyter_nq.client.live.names import CLOCK, prefix_of
from jupyter_nq.client.live.replay import MAX, Replay, running, speed_of
from jupyter_nq.client.live.script import TICK_SCHEMA, script_of
from jupyter_nq.client.origin import Origin, origin_of
from jupyter_nq.errors import InvalidArgument, StreamBusy

if TYPE_CHECKING:
    from jupyter_nq.client.bars.loading import Progress
    from jupyter_nq.client.session import Session
    from jupyter_nq.streams import Stream

_CLOCK_BYTES = 128 << 10  # 128 KiB, the least that a stream takes: the last time is all that is read
_BLOCK_SECONDS = 1.0  # then it looks whether it was stopped, and waits again


@dataclass(frozen=True)
class _Recorded:
    table: pa.Table
    minutes: int
    """0 for ticks."""
    known: Instrument


def replay(
    session: Session,
    source: Any,
    day: str | date,
    *,
    speed: str | float = MAX,
    timeframe: str | None = None,
    symbol: str | None = None,
    prefix: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    retention_bytes: int | None = None,
    progress: Progress | None = None,
) -> Replay:
    """Feed one session of recorded bars or ticks into streams of the sandbox, with a clock of its own.

    The rows are on `replay.NQ.1min`, or `replay.NQ.ticks`, each published when it was complete; the clock is on
    `replay.NQ.1min.clock`. `nq.live("NQ", source="replay.NQ.1min")` builds bars from it as from a live stream, by that
    clock, and publishes them in the sandbox too. A replay never publishes on a live name.

    Parameters
    ----------
    source
        A symbol or path of a file, as for `load`; the name of a dataset; or a frame or table of bars or of ticks
        (timestamp, price, volume).
    day
        Trade date of the session, "2024-06-12"; NQ's opens on the evening before.
    speed
        "60x", or a number, how many seconds of the session pass in one; "max" as fast as consumers that gate allow.
    timeframe, symbol, data_dir
        Length of the bars to look for, or of a table that does not say it; instrument; and directory, as for `load`.
    prefix
        First part of the names: "replay" (None), or one that begins with "replay.".
    retention_bytes
        As for `stream`.
    progress
        As for `load`.

    Returns
    -------
    Replay
        Running in the background: `progress`, `state`, `wait()`, `stop()`.

    Raises
    ------
    InvalidArgument
        The prefix is no sandbox, the speed is none, or there is no such session.
    StreamBusy
        A replay under this name is running.
    NQError
        As `load` and `stream`.
    """
    prefix, pace = prefix_of(prefix), speed_of(speed)
    found = _recorded(session, source, timeframe, symbol, data_dir, progress)
    calendar = str(found.known.calendar)
    script = script_of(found.table, day, minutes=found.minutes, calendar=calendar, speed=pace)
    kind = timeframe_of(found.minutes).label if found.minutes else "ticks"
    name = f"{prefix}.{found.known.symbol}.{kind}"
    _make_way(session, name)
    clock = session.stream(name + CLOCK, CLOCK_SCHEMA, retention_bytes=_CLOCK_BYTES, exclusive=True)
    schema = BAR_SCHEMA if found.minutes else TICK_SCHEMA
    told: dict[str, Any] = {"exclusive": True, "overflow": "block", "block_seconds": _BLOCK_SECONDS}
    rows = session.stream(name, schema, retention_bytes=retention_bytes, **told)
    return Replay(script, rows, clock, pace).start()


def _make_way(session: Session, name: str) -> None:
    """Remove the streams of an earlier replay of this name, unless it is running."""
    there = [one for one in (name, name + CLOCK) if one in session.streaming.names()]
    for one in there:
        with session.streaming.existing(one) as stream:
            _check_idle(stream, name)
    for one in there:
        session.drop_stream(one)


def _check_idle(stream: Stream, name: str) -> None:
    others = [publisher["pid"] for publisher in stream.stats()["publishers"] if publisher["pid"] != os.getpid()]
    if others or any(replay.name == name for replay in running()):
        by = f"by process {others[0]}" if others else "here"
        raise StreamBusy(f"A replay feeds {name!r} already, {by}. Stop it (replay.stop()), or pass another prefix=.")


def _recorded(
    session: Session,
    source: Any,
    timeframe: str | None,
    symbol: str | None,
    data_dir: str | os.PathLike[str] | None,
    progress: Progress | None,
) -> _Recorded:
    if isinstance(source, str) and source in session.store.names():
        data = whole(session, source)
    elif isinstance(source, (str, os.PathLike)):
        mapped = session.map(source, timeframe, symbol=symbol, data_dir=data_dir, progress=progress)
        data = session.view(mapped.handle, "arrow", columns=BAR_SCHEMA.names)
    else:
        data = source
    if not isinstance(data, (pd.DataFrame, pa.Table)):
        raise InvalidArgument(f"{type(source).__name__} is no file, dataset, frame or table. Pass one of these.")
    origin = origin_of(data) or Origin("", 0)
    table = pa.Table.from_pandas(data, preserve_index=False) if isinstance(data, pd.DataFrame) else data
    return _Recorded(table, _minutes(table, origin, timeframe), _instrument(origin, symbol))


def _minutes(table: pa.Table, origin: Origin, timeframe: str | None) -> int:
    """Return the length of bars; 0 for ticks."""
    if "price" in table.column_names:
        return 0
    wanted = None if timeframe is None else parse_timeframe(timeframe).minutes
    if origin.minutes is None and wanted is None:
        raise InvalidArgument("the bars do not tell how long they are. Pass timeframe='1min'.")
    if wanted is not None and origin.minutes not in (None, wanted):
        raise InvalidArgument(
            f"{origin.dataset} has {origin.minutes}-minute bars, not {timeframe}. Resample them first."
        )
    return origin.minutes or wanted or 0


def _instrument(origin: Origin, symbol: str | None) -> Instrument:
    if symbol is None and origin.symbol is None:
        raise without_sessions(None)
    known = instrument(symbol or str(origin.symbol))
    if known.calendar not in CALENDARS:
        raise without_sessions(known.symbol)
    return known
