"""A factory of streams in a private directory, and batches to publish."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.errors import StreamFull
from jupyter_nq.streams import Options, Stream, make_stream

Make = Callable[..., Stream]

SCHEMA = pa.schema([("ts", pa.timestamp("ns", "UTC")), ("price", pa.float64()), ("size", pa.int32())])
SMALL = {"segment_bytes": 64 << 10, "retention_bytes": 256 << 10}
"""Options of a stream whose segments are soon full: 64 KiB each, four of them."""


@pytest.fixture
def make(nq_store_dir: Path) -> Iterator[Make]:
    """Give a function that makes a stream, or opens it once more; all are closed at the end."""
    opened: list[Stream] = []

    def made(name: str = "s", schema: pa.Schema | None = None, form: str | None = None, **options: Any) -> Stream:
        make_stream(nq_store_dir, name, schema, form, Options(**options) if options else None)
        opened.append(Stream(nq_store_dir / name))
        return opened[-1]

    yield made
    for stream in opened:
        stream.close()


def ticks(rows: int, seed: int = 0) -> pa.RecordBatch:
    """Return random ticks of `SCHEMA`."""
    random = np.random.default_rng(seed)
    stamps = pa.array(np.arange(rows) * 1_000_003 + seed, pa.int64()).cast(SCHEMA.types[0])
    columns = [stamps, pa.array(random.random(rows)), pa.array(random.integers(0, 99, rows), pa.int32())]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def sequences(messages: list[Any]) -> list[int]:
    """Return the sequence of each message."""
    return [message.sequence_number for message in messages]


def until_full(stream: Stream, data: Any = None) -> int:
    """Publish until there is no room; returns how many found some."""
    for count in range(1000):
        try:
            if stream.publish(ticks(1000) if data is None else data) is None:
                return count
        except StreamFull:
            return count
    raise AssertionError("it is never full")
