"""Reading a large text file of mixed layouts, beside Arrow, polars and pandas in the same run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from jupyter_nq.bars.loading import load_bars
from jupyter_nq.bars.reading import fast, starts
from jupyter_nq.bars.reading.reader import read_bars
from jupyter_nq.bars.sample import write_sample
from tests.performance.measuring import medians

pytestmark = pytest.mark.performance

ROWS, FEW_ROWS, ROUNDS = 3_000_000, 100_000, 5
# Ten million rows give the same ratios, and would take a minute. Measured on an idle machine of two cores: Arrow takes
# 7 times as long, polars 8 times, pandas 300 times; a whole load, which finds out everything about the file, is as fast
# as Arrow's reading. A build fails at less than half, because two threads suffer twice from a busy machine.
LEAST_ARROW, LEAST_POLARS, LEAST_PANDAS, LEAST_LOAD = 3.0, 3.0, 150.0, 0.5
FORMATS = ["%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M"]


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
    """Prints the ratios, and asserts half of what was measured; the table is that of the general path."""
    assert fast.KERNELS.wait() is not None
    assert starts.CLOCKS.wait() is not None
    [path] = write_sample(tmp_path, rows=ROWS, layouts=["1min"])
    [few] = write_sample(tmp_path / "few", rows=FEW_ROWS, layouts=["1min"])
    profile = load_bars(path).profile
    many = medians(
        {
            "ours": lambda: read_bars(path, profile),
            "a whole load": lambda: load_bars(path),
            "pyarrow": lambda: with_arrow(path),
            "polars": lambda: with_polars(path),
        },
        ROUNDS,
    )
    less = medians({"ours": lambda: read_bars(few, profile), "pandas": lambda: with_pandas(few)}, 3)
    ratios = {name: seconds / many["ours"] for name, seconds in many.items()}
    by_pandas = less["pandas"] / less["ours"]
    cores = len(os.sched_getaffinity(0))
    print(f"\n{cores} cores, {ROWS:,} rows, {path.stat().st_size / many['ours'] / 1e9:.2f} GB/s:")
    for name, seconds in many.items():
        print(f"  {name}: {seconds * 1e3:.0f} ms, {ratios[name]:.1f} times ours")
    print(f"{FEW_ROWS:,} rows: pandas {by_pandas:.0f} times ours")
    assert read_bars(path, profile).equals(read_bars(path, profile, settings={"small_bytes": 1 << 40}))
    assert ratios["pyarrow"] > LEAST_ARROW
    assert ratios["polars"] > LEAST_POLARS
    assert by_pandas > LEAST_PANDAS
    assert many["pyarrow"] > LEAST_LOAD * many["a whole load"]
