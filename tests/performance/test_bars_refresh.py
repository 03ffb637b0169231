"""Refreshing a large file that has grown by a day, beside loading it again."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_nq.bars.sample import write_sample
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings

pytestmark = pytest.mark.performance

ROWS = int(os.environ.get("JUPYTER_NQ_REFRESH_ROWS", "1000000"))
"""The budget is for 5,000,000, which take longer to write than to measure."""
NEW, ROUNDS = 276, 5


@pytest.fixture
def session(nq_store_dir: Path) -> Iterator[Session]:
    """A session that hosts its own coordinator and keeps no archive."""
    with Session(settings=Settings(store_dir=str(nq_store_dir), cache_bytes=0)) as opened:
        yield opened


def test_refresh_beside_a_load(session: Session, tmp_path: Path) -> None:
    """Five times a day's rows more, refreshed, and the whole file loaded anew: the same bits, many times faster."""
    (path,) = write_sample(tmp_path, rows=ROWS, seed=9, layouts=["1min"])
    with path.open("rb") as file:
        file.seek(-2 * ROUNDS * NEW * 64, os.SEEK_END)
        rest = file.read().splitlines(keepends=True)[-ROUNDS * NEW :]
    whole = path.stat().st_size
    os.truncate(path, whole - sum(map(len, rest)))
    session.map(path).handle.close()
    os.sync()  # else appending waits for the disk to write what this and other benchmarks have just written
    refreshed = []
    for round_ in range(ROUNDS):
        with path.open("ab") as file:
            file.writelines(rest[round_ * NEW : (round_ + 1) * NEW])
        start = time.perf_counter()
        told = session.refresh("NQ.1min")
        refreshed.append(time.perf_counter() - start)
        assert (told.added, told.changed, told.remarks) == (NEW, 0, ())
    grown = session.open("NQ.1min").arrow()
    assert path.stat().st_size == whole
    loads = []
    for round_ in range(3):
        other = tmp_path / str(round_) / path.name
        other.parent.mkdir()
        shutil.copy(path, other)
        session.drop("NQ.1min")
        start = time.perf_counter()
        mapped = session.map(other)
        loads.append(time.perf_counter() - start)
        assert mapped.parsed
        assert mapped.handle.arrow().equals(grown)
        other.unlink()
    load, refresh = statistics.median(loads), statistics.median(refreshed)
    print(
        f"\n{ROWS:,} rows, {whole / 1e6:.0f} MB, {NEW} new: load {load * 1e3:.0f} ms, refresh {refresh * 1e3:.1f} ms: "
        f"{load / refresh:.0f}x"
    )
    assert load / refresh > (25 if ROWS >= 5_000_000 else 8), "half of what was measured"
