"""Reading a large text file of mixed layouts, beside Arrow, polars and pandas in the same run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from jupyter_nq.bars.reading import fast
from jupyter_nq.bars.reading.reader import read_bars
from jupyter_nq.bars.sniffing.sniff import sniff

pytestmark = pytest.mark.performance

ROWS, FEW_ROWS, ROUNDS = 1_000_000, 100_000, 5
FORMATS = ["%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M"]


def write(path: Path, rows: int) -> Path:
    """Write bars whose stamps lost their seconds and zeros where day and month could be exchanged."""
    random = np.random.default_rng(7)
    stamps = np.datetime_as_string(np.datetime64("2015-01-04T23:00") + np.arange(rows), unit="m").tolist()
    close = 60_000 + np.cumsum(random.integers(-4, 5, rows))
    open_ = close + random.integers(-3, 4, rows)
    high = np.maximum(open_, close) + random.integers(0, 5, rows)
    low = np.minimum(open_, close) - random.integers(0, 5, rows)
    prices = [(column * 0.25).tolist() for column in (open_, high, low, close)]
    with path.open("w") as file:
        file.write("Timestamp,Open,High,Low,Close,Volume\n")
        for at, o, h, lowest, c, v in zip(stamps, *prices, random.integers(1, 5000, rows).tolist(), strict=True):
            day, month, year = at[8:10], at[5:7], at[:4]
            short = f"{int(day)}/{int(month)}/{year} {int(at[11:13])}:{at[14:]}"
            stamp = short if int(day) <= 12 else f"{day}/{month}/{year} {at[11:]}:00"
            file.write(f"{stamp},{o:.2f},{h:.2f},{lowest:.2f},{c:.2f},{v}\n")
    return path


def medians(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each call, the calls taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - start)
    return {name: sorted(each)[rounds // 2] for name, each in taken.items()}


def with_arrow(path: Path) -> pa.Table:
    """Read with Arrow's streaming reader, which tries two formats."""
    options = pacsv.ConvertOptions(timestamp_parsers=FORMATS, column_types={"Timestamp": pa.timestamp("s")})
    with pacsv.open_csv(str(path), read_options=pacsv.ReadOptions(block_size=4 << 20), convert_options=options) as read:
        return read.read_all()


def with_polars(path: Path) -> Any:
    """Read with polars' lazy scan, the first format that fits."""
    pl = pytest.importorskip("polars")
    stamp = pl.col("Timestamp")
    parsed = pl.coalesce([stamp.str.to_datetime(form, strict=False) for form in FORMATS])
    return pl.scan_csv(path, schema_overrides={"Timestamp": pl.String}).with_columns(parsed).collect()


def with_pandas(path: Path) -> Any:
    """Read with pandas, each stamp by its own format."""
    pd = pytest.importorskip("pandas")
    frame = pd.read_csv(path)
    frame["Timestamp"] = pd.to_datetime(frame["Timestamp"], format="mixed", dayfirst=True)
    return frame


def test_reading_beside_others(tmp_path: Path) -> None:
    """Prints the ratios; only the table and the distance from pandas are asserted, half of what was measured."""
    path, few = write(tmp_path / "bars.csv", ROWS), write(tmp_path / "few.csv", FEW_ROWS)
    profile = sniff(path, timeframe="1min", tz="UTC", edge="start").profile
    assert fast.KERNELS.wait() is not None
    general = {"small_bytes": 1 << 40}
    many = medians(
        {
            "ours": lambda: read_bars(path, profile),
            "general path": lambda: read_bars(path, profile, settings=general),
            "pyarrow": lambda: with_arrow(path),
            "polars": lambda: with_polars(path),
        },
        ROUNDS,
    )
    less = medians({"ours": lambda: read_bars(few, profile), "pandas": lambda: with_pandas(few)}, 1)
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, {ROWS:,} rows, {path.stat().st_size / many['ours'] / 1e9:.2f} GB/s:")
    for name, seconds in many.items():
        print(f"  {name}: {seconds * 1e3:.0f} ms, {seconds / many['ours']:.2f} times ours")
    print(f"{FEW_ROWS:,} rows: pandas {less['pandas'] / less['ours']:.0f} times ours")
    assert read_bars(path, profile).equals(read_bars(path, profile, settings=general))
    assert less["pandas"] > 50 * less["ours"]
