"""What chunks, spans of time, longer bars and joins cost, beside pandas doing the same in the same run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.bars import BAR_SCHEMA, read_bars, sniff
from jupyter_nq.bars.asof import Timed, asof
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.chunks import iterate
from jupyter_nq.bars.resample import resample
from jupyter_nq.bars.sample import write_sample
from jupyter_nq.bars.sessions.calendar import sessions

pytestmark = pytest.mark.performance

ROWS = 1_000_000
ROUNDS = 5
MOST_MEMORY = 64 << 20  # 64 MiB: what the design allows; it aims at 32
MINUTE_NS = 60 * 10**9


def _medians(**calls: Callable[[], object]) -> dict[str, float]:
    """Return the median seconds of each call, measured in turn so that load hits all alike."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


@pytest.fixture(scope="module")
def minutes_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a day-first file of a million minutes in two layouts."""
    [path] = write_sample(tmp_path_factory.mktemp("minutes"), rows=ROWS, layouts=["1min"])
    return path


_MEMORY = """
import sys
import warnings
from pathlib import Path
import jupyter_nq as nq
from jupyter_nq.bars import compiled
from jupyter_nq.bars.features.pipeline import KERNELS as FEATURES
from jupyter_nq.bars.reading import fast, starts
from jupyter_nq.bars.validation.rows import KERNELS as RULES

how, few, many = sys.argv[1:]
warnings.simplefilter("error")


def memory(name):
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) << 10


def rows(path):
    if how == "iterate":
        chunks = nq.iterate(path, "1min", symbol="NQ", rows=10_000)
        return sum(batch.num_rows for batch in chunks)
    chunks = nq.UnifiedDataLoader(Path(path).parent).load_chunked_data("1min", chunk_size=10_000)
    return sum(len(frame) for frame in chunks)


compiled.warm_up((fast.KERNELS, starts.CLOCKS, FEATURES, RULES))
rows(few)
Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
base = memory("VmRSS")
print(rows(many), memory("VmHWM") - base)
"""


@pytest.fixture(scope="module")
def ten_million(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a file of half a gigabyte, ten million minutes in two layouts."""
    [path] = write_sample(tmp_path_factory.mktemp("many"), rows=10 * ROWS, layouts=["1min"])
    yield path
    path.unlink()


@pytest.mark.parametrize("how", ["iterate", "load_chunked_data"])
def test_the_memory_of_chunks(tmp_path: Path, ten_million: Path, how: str) -> None:
    """The peak of a process that goes through a file of half a gigabyte in chunks, above what it had before.

    Finding out what the file is is part of it, and so are the features and the validation of `load_chunked_data`. The
    process has gone through a small file before, and has loaded what is compiled: numba alone takes some 100 MiB.
    """
    [few] = write_sample(tmp_path / "few", rows=ROWS // 10, layouts=["1min"])
    own = {"JUPYTER_NQ_STORE": str(tmp_path / "store"), "XDG_DATA_HOME": str(tmp_path / "data")}
    start = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-c", _MEMORY, how, few, ten_million],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
        env=os.environ | own,
    )
    seconds = time.perf_counter() - start
    read, above = map(int, ran.stdout.split())
    size = ten_million.stat().st_size
    shown = f"{above / 2**20:.0f} MiB above base, {seconds:.1f} s"
    print(f"\n{read:,} rows, {size / 1e6:.0f} MB, in chunks of 10,000 by {how}: {shown}")
    assert read == 10 * ROWS
    assert above < MOST_MEMORY


@pytest.fixture(scope="module")
def minutes() -> pa.Table:
    """Give a million minutes of the equity calendar."""
    first, last = (int(pd.Timestamp(day, tz="UTC").value) for day in ("2018-01-01", "2021-06-01"))
    sess = sessions(EQUITY, first, last)
    starts = np.concatenate([np.arange(o, c, MINUTE_NS) for o, c in zip(sess.opens, sess.closes, strict=True)])[:ROWS]
    close = 15_000 + np.cumsum(np.random.default_rng(1).integers(-3, 4, ROWS)) * 0.25
    columns = [starts, close, close + 1, close - 1, close, np.arange(ROWS) % 99, np.zeros(ROWS, np.uint32)]
    arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, BAR_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=BAR_SCHEMA)


def test_chunks_and_a_month(minutes_file: Path) -> None:
    """A file in chunks of 10,000 rows beside reading it whole, and one month of its two years."""
    profile: Profile = sniff(minutes_file, tz="Asia/Jerusalem").profile
    start, end = (int(pd.Timestamp(day, tz="UTC").value) for day in ("2021-06-01", "2021-07-01"))

    def chunks(**span: Any) -> int:
        return sum(batch.num_rows for batch in iterate(minutes_file, profile, rows=10_000, **span))

    took = _medians(
        chunks=chunks,
        block_by_block=lambda: chunks(settings={"small_bytes": 1 << 60}),
        whole=lambda: read_bars(minutes_file, profile),
        month=lambda: chunks(start_ns=start, end_ns=end),
    )
    shown = ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in took.items())
    print(f"\n{ROWS:,} rows, {minutes_file.stat().st_size / 1e6:.0f} MB: {shown}")
    assert took["month"] < took["block_by_block"] / 8, "it is so little that it goes this way too"
    assert took["chunks"] < took["block_by_block"] / 2, "half of what was measured"


def test_chunks_with_stamps_against_pandas(tmp_path: Path) -> None:
    """20,000 rows in two layouts, stamps read in chunks of 10,000, beside pandas chunk by chunk."""
    [path] = write_sample(tmp_path, rows=20_000, layouts=["1min"])
    profile = sniff(path, tz="Asia/Jerusalem").profile

    def by_pandas() -> None:
        for frame in pd.read_csv(path, chunksize=10_000):
            pd.to_datetime(frame["Timestamp"], format="mixed", dayfirst=True)

    took = _medians(ours=lambda: list(iterate(path, profile, rows=10_000)), pandas=by_pandas)
    ratio = took["pandas"] / took["ours"]
    print(f"\n20,000 mixed rows: {took['ours'] * 1e3:.1f} ms, pandas {took['pandas'] * 1e3:.0f} ms: {ratio:.0f}x")
    assert ratio > 25, "half of what was measured"


def test_longer_bars(minutes: pa.Table) -> None:
    """A million minutes to hours from the opening, beside pandas' resample of the same, anchored by the clock."""
    frame = minutes.drop_columns(["flags"]).to_pandas().set_index("timestamp").tz_convert("America/New_York")
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    took = _medians(
        ours=lambda: resample(minutes, "1h", minutes=1, calendar=EQUITY),
        pandas=lambda: frame.resample("1h").agg(how).dropna(),  # type: ignore[arg-type]
    )
    ratio = took["pandas"] / took["ours"]
    print(
        f"\n{ROWS:,} minutes to hours: {took['ours'] * 1e3:.0f} ms, pandas {took['pandas'] * 1e3:.0f} ms: {ratio:.1f}x"
    )
    assert ratio > 0.5, "half of what was measured; pandas knows no sessions"


def test_joins(minutes: pa.Table) -> None:
    """A million minutes with the last complete hour, beside pandas' merge_asof on stamps shifted by hand."""
    hours = resample(minutes, "1h", minutes=1, calendar=EQUITY)
    left = minutes.to_pandas().assign(at=lambda frame: frame["timestamp"] + pd.Timedelta(minutes=1))
    right = hours.to_pandas().assign(at=lambda frame: frame["timestamp"] + pd.Timedelta(hours=1))
    took = _medians(
        ours=lambda: asof(Timed(minutes, 1, EQUITY), Timed(hours, 60, EQUITY)),
        pandas=lambda: pd.merge_asof(left, right, on="at", suffixes=("", "_right")),
    )
    ratio = took["pandas"] / took["ours"]
    print(f"\n{ROWS:,} rows joined: {took['ours'] * 1e3:.0f} ms, pandas {took['pandas'] * 1e3:.0f} ms: {ratio:.1f}x")
    assert ratio > 0.6, "half of what was measured"
