"""Objects of every kind for cold copies, and the files that they become."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from jupyter_nq.buffers import ObjectInfo, Store
from jupyter_nq.buffers.objects import read_static
from jupyter_nq.buffers.places import committed_bytes, places
from tests.unit.buffers.conftest import make_bars, publish
from tests.unit.buffers.values.nested_values import others
from tests.unit.buffers.values.test_columns import frames

MASTER_KEY = bytes(range(32))


def ticks(rows: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return prices on a grid of quarters."""
    return 16_000 + np.cumsum(np.random.default_rng(seed).integers(-8, 9, rows)) * 0.25


def kinds() -> dict[str, Any]:
    """Return data of every kind that can be shared."""
    random = np.random.default_rng(1)
    odd = np.array([np.nan, -0.0, 0.0, np.inf, -np.inf, 5e-324]).view(np.uint64)
    odd[0] |= 0xBEEF  # a NaN with a payload
    words = [random.bytes(int(n)).hex() for n in random.integers(0, 30, 3000)]
    return {
        **frames(),
        "bars": make_bars(1000),
        "ticks": {"close": ticks(5000), "odd": np.tile(odd.view(np.float64), 833 + 1)[:5000]},
        "text": pa.table({"w": words, "large": pa.array(words[::-1], pa.large_string())}),
        "codes": pa.table({"c": pa.array(["buy", "sell", None] * 1000).dictionary_encode()}),
        "numbers": {d: random.integers(0, 100, 700).astype(d) for d in ("i1", "u2", "i4", "u8", "f2", "f4")},
        "complex": (random.random(600) + 1j * random.random(600)).astype("c8"),
        "wide complex": np.exp(1j * np.arange(600)),
        "long doubles": np.arange(100, dtype=np.longdouble),
        "cube": random.random((20, 7, 5), np.float32),
        "fixed text": np.array(["NQ", "ES", ""] * 50),
        "scalar": np.array(7.5),
        "empty array": np.empty((0, 3)),
        "rows of nothing": np.empty((5, 0)),
        "bytes": random.bytes(1000),
        "json": {"a": [1, 2, {"b": None}]},
        "no bytes": b"",
        "nothing but nulls": pa.table({"n": pa.nulls(5)}),
        "nested": pa.table(others()),
    }


def committed_ranges(store: Store, info: ObjectInfo) -> Iterator[tuple[int, int]]:
    """Return where the committed bytes of each lane begin and end in the object's file."""
    path = store.path / "obj" / info.id
    content = path.read_bytes()
    with path.open("rb") as file:
        lanes = places(read_static(file.fileno(), path))
    sizes = committed_bytes(lanes, info.rows, lambda at, count: content[at : at + count])
    return ((lane.offset, lane.offset + size) for lane, size in zip(lanes, sizes, strict=True))


def committed(store: Store, info: ObjectInfo) -> list[bytes]:
    """Return the committed bytes of each lane."""
    content = (store.path / "obj" / info.id).read_bytes()
    return [content[start:stop] for start, stop in committed_ranges(store, info)]


def versions(store: Store, count: int = 3) -> ObjectInfo:
    """Write an object that was appended to, published, with a note."""
    table = pa.table({"x": ticks(700), "n": pa.array([1, None] * 350), "s": [f"row {i}" for i in range(700)]})
    info = publish(store, store.write("a", table, reserve_rows=10_000, meta={"key": "k"}), 5)
    for size in itertools.islice(itertools.cycle((1, 30, 200)), count - 1):
        info = store.append(info.id, table.slice(0, size))
    store.annotate(info.id, b"what its rows were read from")
    return info


def long_table(rows: int = 700_000) -> dict[str, Any]:
    """Return a table whose lanes take several chunks: ticks, times, random floats and random bytes."""
    random = np.random.default_rng(2)
    close = ticks(rows)
    close[600_000] = np.pi  # its chunk is off the grid, the others are on it
    return {
        "close": close,
        "time": pd.date_range("2020", periods=rows, freq="min").to_numpy("M8[ns]"),
        "random": random.random(rows),
        "noise": np.frombuffer(random.bytes(rows), np.uint8),
    }


def cold_file(directory: Path, object_id: str) -> Path:
    """Return the file of a cold copy."""
    return directory / f"{object_id}.cold"
