"""Recorded sessions as a feed would send them: small bars, or ticks that make the same bars."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.features.pipeline import Features
from jupyter_nq.bars.instruments import EQUITY, instrument
from jupyter_nq.bars.resample import resample
from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.client.live.builder import BarBuilder
from jupyter_nq.client.live.live import Live
from jupyter_nq.client.live.rows import Intake
from jupyter_nq.client.live.starting import prepared
from jupyter_nq.client.session import Session
from tests.unit.client.live.clock import ManualClock

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
OPEN_NS = 1_593_381_600 * SECOND_NS
"""Of the first session of the sample."""
TIMEFRAMES = ("1min", "5min", "15min", "30min", "1h", "2h", "4h", "1D")
BARS = {
    "timestamp": "datetime64[ns, UTC]",
    **dict.fromkeys(["open", "high", "low", "close"], "float64"),
    "volume": "int64",
}
TICKS = {"timestamp": "datetime64[ns, UTC]", "price": "float64", "volume": "int64"}


def minutes(rows: int, seed: int = 7) -> pa.Table:
    """Return bars of one minute from the first session's open on, with one in nine left out: nobody traded."""
    whole = sample_bars("1min", rows=rows, seed=seed)
    return whole.filter(pa.array(np.arange(rows) % 9 != 4))


def ticks(bars: pa.Table) -> pa.Table:
    """Return four ticks for each bar, which make it again; two of them have one stamp."""
    starts = np.asarray(bars["timestamp"].cast(pa.int64()))
    stamps = (starts[:, None] + np.array([0, 20, 20, 59]) * SECOND_NS).ravel()
    prices = np.stack([np.asarray(bars[name]) for name in ("open", "high", "low", "close")], axis=1).ravel()
    volume = np.asarray(bars["volume"])
    parts = np.stack([volume // 2, volume - volume // 2, np.zeros_like(volume), np.zeros_like(volume)], axis=1).ravel()
    return pa.table(
        {
            "timestamp": pa.array(stamps).cast(BAR_SCHEMA.field("timestamp").type),
            "price": prices,
            "volume": parts,
        }
    )


def pieces(table: pa.Table, cuts: Iterable[int]) -> list[pa.Table]:
    """Return a table in pieces, cut before these rows."""
    edges = sorted({0, table.num_rows, *(cut % (table.num_rows + 1) for cut in cuts)})
    return [table.slice(start, stop - start) for start, stop in itertools.pairwise(edges)]


def history(bars: pa.Table, timeframe: str) -> pa.Table:
    """Return what a file of these one-minute bars has as longer bars, without a last one that is not over."""
    return resample(bars, timeframe, minutes=1, calendar=EQUITY)


def built(feed: Sequence[pa.Table], builder: BarBuilder, intake: Intake, end_ns: int | None = None) -> pa.Table:
    """Return the bars of a feed; at the end the clock closes what is open."""
    found = [builder.add(intake.take(piece).rows).closed for piece in feed]
    if end_ns is not None:
        found.append(builder.advance(end_ns))
    return pa.concat_tables(found)


def published(session: Session, name: str) -> pa.Table:
    """Return all that is on a tape."""
    stream = session.stream(name)
    assert stream.schema is not None
    found = [stream.schema.empty_table()]
    with stream.subscribe("earliest") as reader:
        while (table := reader.read_table()) is not None:
            found.append(table)
    return pa.concat_tables(found)


def same(found: pa.Table, wanted: pa.Table) -> bool:
    """Tell whether two tables have the same columns, bit for bit: NaN equals NaN."""

    def bits(table: pa.Table, name: str) -> bytes:
        column = table[name]
        return np.asarray(column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).tobytes()

    return found.column_names == wanted.column_names and all(
        bits(found, name) == bits(wanted, name) for name in wanted.column_names
    )


def featured(bars: pa.Table, length: int, wanted: Sequence[str]) -> pa.Table:
    """Return bars with the features that history has."""
    hours = instrument("NQ").regular_hours
    return Features(wanted, calendar=EQUITY, minutes=length, regular_hours=hours).compute(bars)


def live_of(session: Session, clock: ManualClock | None = None, bars: Any = ("5min",), **options: Any) -> Live:
    """Return live bars of a source that were not started, with a clock that a test moves."""
    source = options.pop("source", "feed.NQ.1min")
    return prepared(session, "NQ", source, bars, clock=clock or ManualClock(OPEN_NS), **options)


def send(session: Session, table: pa.Table, name: str = "feed.NQ.1min") -> None:
    """Publish rows as a feed would, on a stream that is made unless it is there."""
    with session.stream(name, BARS if "open" in table.column_names else TICKS) as stream:
        if table.num_rows:
            stream.publish(table)
