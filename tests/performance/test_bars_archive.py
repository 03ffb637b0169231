"""The archive and the shared buffer beside the usual Parquet file: sizes, and seconds until every page was touched."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jupyter_nq.bars.archive import read_archive, write_archive
from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.buffers import Store

pytestmark = pytest.mark.performance

ROWS, ROUNDS, PAGE_NUMBERS = 2_000_000, 7, 512


def touched(table: pa.Table) -> float:
    """Read a number of every 4 KiB page of every column."""
    total = 0.0
    for column in table.columns:
        for chunk in column.chunks:
            plain = chunk.view(pa.int64()) if pa.types.is_timestamp(chunk.type) else chunk
            total += float(plain.to_numpy()[::PAGE_NUMBERS].sum())
    return total


def medians(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median seconds of each call, the calls taking turns after a first round that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(ROUNDS + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in taken.items()}


def test_archive_and_shared_buffer_beside_parquet(tmp_path: Path, nq_store_dir: Path) -> None:
    """At most half the bytes; the warm copy ten times as fast as the Parquet file, whatever is then read of it.

    To read all of it costs a page fault for every 4 KiB of tmpfs, which is printed beside.
    """
    bars = sample_bars("1min", rows=ROWS, seed=2)
    bars = bars.append_column(BAR_SCHEMA.field("flags"), pa.array(np.zeros(ROWS, np.uint32))).cast(BAR_SCHEMA)
    usual, exact = tmp_path / "usual.parquet", tmp_path / "exact.parquet"
    pq.write_table(bars, usual, compression="zstd")
    assert write_archive(bars, exact, 0.25)
    store = Store(nq_store_dir)
    info = store.write("NQ.1min", store.plan(bars))

    took = medians(
        {
            "shared buffer": lambda: store.open_id(info.id).pandas(),
            "shared buffer, every page touched": lambda: touched(store.open_id(info.id).arrow()),
            "archive": lambda: touched(read_archive(exact)),
            "Parquet, zstd": lambda: touched(pq.read_table(usual)),
        }
    )
    sizes = {"archive": os.path.getsize(exact), "Parquet, zstd": os.path.getsize(usual)}
    print(f"\n{ROWS:,} bars:")
    for name, seconds in took.items():
        stored = f", {sizes[name] / ROWS:.2f} bytes a bar" if name in sizes else ""
        print(f"  {name}: {seconds * 1e3:.2f} ms{stored}, Parquet {took['Parquet, zstd'] / seconds:.1f} times that")
    smaller = sizes["Parquet, zstd"] / sizes["archive"]
    print(f"  archive {smaller:.2f} times smaller than zstd Parquet")
    assert read_archive(exact).equals(bars)
    assert smaller > 2
    assert took["Parquet, zstd"] > 10 * took["shared buffer"]
    assert took["Parquet, zstd"] > 2 * took["shared buffer, every page touched"], "half of what was measured"
    assert took["archive"] < 1.4 * took["Parquet, zstd"], "twice what was measured"
