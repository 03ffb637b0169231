"""A table in memory as what a load reads: a frame of pandas or polars, a relation of DuckDB, an Arrow table or stream.

It has no path and no state to look at, so it is read first and known by its content: the digest of the canonical
columns. Whoever loads the same bars, of whatever library and types, maps the dataset that is there. Other bars under
the same name are its next version, as with `put`, unless the name is a file's.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import xxhash

from jupyter_nq.bars.instruments import code_of
from jupyter_nq.bars.timeframe import parse_timeframe, timeframe_of
from jupyter_nq.buffers import Handle
from jupyter_nq.client.bars.request import Reading, Request, root_symbol, source_of
from jupyter_nq.client.origin import Origin, origin_of
from jupyter_nq.errors import UnreadableSource

if TYPE_CHECKING:
    from jupyter_nq.bars import Bars
    from jupyter_nq.bars.columnar.sheets import Sheet
    from jupyter_nq.bars.reading.blocks import Progress

_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")


def is_table(data: Any) -> bool:
    """Tell whether something is a table in memory: whatever gives an Arrow stream, or one batch of it."""
    return hasattr(data, "__arrow_c_stream__") or isinstance(data, pa.RecordBatch)


class ObjectSource:
    """A table in memory, and what it is said to be. Used by one thread.

    Parameters
    ----------
    data
        Anything that `is_table` accepts. A stream is read to its end.
    timeframe, symbol
        What the bars are; None where the table itself says so, because it came from a dataset.

    Raises
    ------
    UnreadableSource
        Neither says what the bars are, or the table cannot be taken for one of Arrow's.
    UnknownInstrument, UnknownTimeframe
    """

    archived = False

    def __init__(self, data: Any, timeframe: str | None, symbol: str | None, reading: Reading) -> None:
        self.label = f"a {_library(data)}{type(data).__name__}"
        self._table = _table_of(self.label, data)
        self._origin = _origin(data, self._table)
        said = self._origin or Origin("", 0)
        symbol = symbol or said.symbol
        if timeframe is None and said.minutes is not None:
            timeframe = timeframe_of(said.minutes).label
        if symbol is None or timeframe is None:
            raise UnreadableSource(
                f"{self.label} does not tell which instrument and timeframe it holds. "
                "Say both, for example nq.load(frame, '30min', symbol='NQ')."
            )
        label = parse_timeframe(timeframe).label
        self.request = Request(Path(self.label), root_symbol(symbol), label, reading)

    @property
    def key(self) -> str:
        """What its table depends on: the bars themselves."""
        return f"{self._digest}\0{code_of(self.request.symbol)}"

    def may_own(self, handle: Handle) -> bool:
        """Is the dataset of bars that came from memory, or has it the same bars?"""
        return "object" in source_of(handle.info.meta) or self.is_same(handle)

    def is_same(self, handle: Handle) -> bool:
        """Does the dataset hold exactly these bars, wherever they came from?"""
        known = source_of(handle.info.meta)
        if not known or handle.rows != self._bars.table.num_rows:
            return False
        if "object" in known and known.get("rows") == handle.rows:
            same = self._digest, code_of(self.request.symbol)
            return (known.get("digest"), known.get("code")) == same
        return digest_of(handle.arrow()) == self._digest

    def parse(self, block_bytes: int, progress: Progress) -> Bars:
        """Return the bars, which have been read."""
        progress(1.0)
        return self._bars

    def record(self, bars: Bars) -> dict[str, Any]:
        """Return what the dataset remembers of the table, JSON-able."""
        return {
            "object": self.label,
            "digest": self._digest,
            "reading": self.request.reading.given(),
            "code": code_of(self.request.symbol),
            "symbol": self.request.symbol,
            "timeframe": self.request.timeframe,
            "rows": bars.table.num_rows,
            "profile": bars.profile.to_dict(),
            "evidence": list(bars.evidence),
        }

    @cached_property
    def _bars(self) -> Bars:
        from jupyter_nq.bars.columnar.loading import load_sheet
        from jupyter_nq.bars.columnar.sheets import Sheet

        request, reading = self.request, self.request.reading
        if self._origin is not None and reading.edge is None:
            reading = replace(reading, edge="start")  # its bars have been read, and stamps are starts since
        told: dict[str, Any] = {"timeframe": request.timeframe, "symbol": request.symbol, **reading.given()}
        sheet: Sheet = Sheet(self.label, self._table, kind=self.label)
        return load_sheet(sheet, request.path, **told)

    @cached_property
    def _digest(self) -> str:
        return digest_of(self._bars.table)


def digest_of(table: pa.Table) -> str:
    """Return the digest of the canonical columns of bars, flags left out: equal for equal bars."""
    digest = xxhash.xxh3_128()
    for name in _COLUMNS:
        for chunk in table.column(name).chunks:
            width = chunk.type.bit_width // 8
            digest.update(memoryview(chunk.buffers()[1])[chunk.offset * width : (chunk.offset + len(chunk)) * width])
    return digest.hexdigest()


def _library(data: Any) -> str:
    name = type(data).__module__.partition(".")[0].lstrip("_")
    return f"{name} " if name != "builtins" else ""


def _origin(data: Any, table: pa.Table) -> Origin | None:
    """Return what a frame says of itself, when its stamps are still those of the dataset."""
    found = origin_of(data) or origin_of(table)
    stamps = table.schema.field("timestamp").type if "timestamp" in table.schema.names else None
    return found if stamps is not None and pa.types.is_timestamp(stamps) and stamps.tz == "UTC" else None


def _table_of(label: str, data: Any) -> pa.Table:
    try:
        if isinstance(data, pa.RecordBatchReader):
            return data.read_all()
        return pa.table(data) if not isinstance(data, pa.RecordBatch) else pa.Table.from_batches([data])
    except (pa.ArrowException, TypeError, ValueError) as exc:
        why = "; ".join(str(part) for part in exc.args) or type(exc).__name__
        raise UnreadableSource(
            f"{label} cannot be read as a table: {why}. Give each column one type: numbers for prices and volume, "
            "timestamps or text for the stamps."
        ) from exc
