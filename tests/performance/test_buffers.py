"""What shared objects cost: a put against memcpy, a get at any size, a publish in place, and a second process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.testing import Child
from tests.performance.measuring import medians

pytestmark = pytest.mark.performance

COLUMNS = 8
ROWS = 1 << 22  # of eight float64 columns: 256 MiB
NBYTES = COLUMNS * ROWS * 8
ROUNDS = 5


@pytest.fixture
def session(nq_store_dir: Path) -> Iterator[Session]:
    """A session that hosts its own coordinator."""
    with Session(settings=Settings(store_dir=str(nq_store_dir))) as opened:
        yield opened


def columns(rows: int) -> dict[str, np.ndarray]:
    """Return random columns."""
    random = np.random.default_rng(1)
    return {f"c{i}": random.random(rows) for i in range(COLUMNS)}


def test_put_against_memcpy(nq_store_dir: Path) -> None:
    """Into memory that was written before, with and without digest, and into fresh memory: against one warm copy."""
    store = Store(nq_store_dir)
    data = columns(ROWS)
    target = {name: np.zeros(ROWS) for name in data}

    def memcpy() -> None:
        for name, values in data.items():
            np.copyto(target[name], values)

    def put(digest: bool, spare_bytes: int) -> None:
        store.collect(store.write("a", data, digest=digest).id, spare_bytes)

    def first() -> None:
        store.pool.trim(0)
        put(True, 0)

    # After a first put nothing is left: one more makes the segment, and a second one the mapping that is kept.
    calls = {
        "memcpy": memcpy,
        "first": first,
        "segment": lambda: put(False, 2 * NBYTES),
        "mapping": lambda: put(False, 2 * NBYTES),
        "plain": lambda: put(False, 2 * NBYTES),
        "digested": lambda: put(True, 2 * NBYTES),
    }
    took = medians(calls, ROUNDS)
    ratios = {name: took["memcpy"] / took[name] for name in ("plain", "digested", "first")}
    shown = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in ratios.items())
    print(f"\nput of 256 MB against memcpy ({NBYTES / took['memcpy'] / 1e9:.1f} GB/s): {shown}")
    assert ratios["plain"] > 0.3
    assert ratios["digested"] > 0.25
    assert ratios["first"] > 0.03


def test_get(session: Session, tmp_path: Path) -> None:
    """Open, lease and views cost the same at 1 MB and at 256 MB; a frame little more; a Parquet file far more."""
    for name, rows in (("small", ROWS >> 8), ("large", ROWS)):
        session.put(name, columns(rows))
        session.put(f"{name}-array", np.zeros(COLUMNS * rows))
    pq.write_table(pa.table(columns(ROWS >> 2)), tmp_path / "quarter.parquet", compression="zstd")
    calls = {
        "array of 1 MB": lambda: session.get("small-array", as_="numpy"),
        "array of 256 MB": lambda: session.get("large-array", as_="numpy"),
        "8 columns of 1 MB": lambda: session.get("small", as_="numpy"),
        "8 columns of 256 MB": lambda: session.get("large", as_="numpy"),
        "frame of 256 MB": lambda: session.get("large"),
    }
    took = medians(calls, 200)
    parquet = 4 * medians({"read": lambda: pq.read_table(tmp_path / "quarter.parquet").to_pandas()}, ROUNDS)["read"]
    shown = ", ".join(f"{name} {seconds * 1e6:.0f} us" for name, seconds in took.items())
    print(f"\nget: {shown}; zstd Parquet {parquet * 1e3:.0f} ms: {parquet / took['frame of 256 MB']:,.0f}x")
    assert took["array of 256 MB"] < 2 * took["array of 1 MB"]
    assert took["8 columns of 256 MB"] < 2 * took["8 columns of 1 MB"]
    assert took["8 columns of 256 MB"] < 1e-3, "ten times the budget of 100 us"
    assert took["frame of 256 MB"] < 8e-3, "ten times the budget of 0.8 ms"
    assert parquet > 100 * took["frame of 256 MB"]


def test_publish_in_place(session: Session) -> None:
    """Publishing what was written in place takes milliseconds, at 1 MB as at 256 MB."""
    took: dict[int, list[float]] = {ROWS >> 8: [], ROWS: []}
    for turn in range(ROUNDS + 1):
        for rows, seconds in took.items():
            draft = session.empty(f"a{rows}", dict.fromkeys(map(str, range(COLUMNS)), "f8"), rows)
            for values in draft.numpy().values():
                values[:] = turn
            start = time.perf_counter()
            draft.publish()
            seconds.append(time.perf_counter() - start)
            assert draft.wait(60)
    small, large = (sorted(seconds[1:])[ROUNDS // 2] for seconds in took.values())
    print(f"\npublish in place: 1 MB {small * 1e3:.2f} ms, 256 MB {large * 1e3:.2f} ms")
    assert large < 10e-3, "ten times the budget of 1 ms"


READER = """
import numpy as np
from jupyter_nq.buffers import Store
def private():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
store = Store(sys.argv[1])
store.open("small").pandas()
before = private()
frame = store.open("large").pandas()
total = sum(float(frame[name].to_numpy().sum()) for name in frame)
say(private() - before)
"""


def test_private_memory_of_a_further_reader(session: Session) -> None:
    """A second process that reads all 256 MB of a frame takes less than 2 MB of its own."""
    session.put("small", columns(10))
    session.put("large", columns(ROWS))
    with Child(READER, os.fspath(session.store.path)) as child:
        kib = int(child.line())
    print(f"\nprivate memory of a reader of 256 MB: {kib} KiB")
    assert kib < 20 << 10, "ten times the budget of 2 MB"
