"""A recorded session between real kernels: one replays it, one builds bars and is killed, one reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_nq.bars.sample import write_sample
from tests.integration.lone_kernel import Kernel, running

_SETUP = """
%load_ext jupyter_nq
import pyarrow as pa, jupyter_nq as nq
from jupyter_nq.testing import wait_until
"""
_LIVE = "%nq_live NQ --source replay.NQ.1min --bars 5min,30min --features sma(5),vwap --warmup NQ.1min as live"
_READ = """
def take(tape, rows):
    tables = []
    def there():
        tables.extend(found for found in [tapes[tape].read_table()] if found is not None)
        return sum(map(len, tables)) >= rows
    wait_until(there, 60)
    return tables
names = {"5min": "replay.NQ.5min.live", "30min": "replay.NQ.30min.live"}
tapes = {tape: nq.stream(name).subscribe("earliest") for tape, name in names.items()}
"""
_COMPARE = """
from jupyter_nq.bars.instruments import EQUITY, instrument
hours = instrument("NQ").regular_hours
for tape, subscription in tapes.items():
    bars = nq.resample("NQ.1min", tape)
    minutes = int(tape.removesuffix("min"))
    features = nq.Features(["sma(5)", "vwap"], calendar=EQUITY, minutes=minutes, regular_hours=hours)
    whole = features.compute(bars)
    wanted = whole[(whole["timestamp"] >= "2020-06-29T22:00Z") & (whole["timestamp"] < "2020-06-30T21:00Z")]
    found = pa.concat_tables(got[tape] + take(tape, len(wanted) - sum(map(len, got[tape])))).to_pandas()
    found.pop("flags")
    for table in (found, wanted := wanted.copy()):
        table["timestamp"] = table["timestamp"].astype("int64")
    unlike = [c for c in wanted if found[c].to_numpy().tobytes() != wanted[c].to_numpy().tobytes()]
    print(tape, len(found), list(found.columns) == list(wanted.columns), unlike, subscription.lost)
"""


@pytest.fixture
def kernels(nq_store_dir: Path, tmp_path: Path) -> Iterator[list[Kernel]]:
    """Give four kernels on one store: who replays, two who build, and one of another environment who reads."""
    write_sample(tmp_path, rows=3_000, layouts=["1min"])
    other = os.environ.get("JUPYTER_NQ_BASE_PYTHON")
    with running(nq_store_dir, tmp_path, (None, None, None, other), _SETUP) as found:
        yield found


def test_a_replayed_session_is_the_file_s_in_another_kernel(kernels: list[Kernel]) -> None:
    """Bars and features of the day bit for bit, though the kernel that built them was killed in the middle."""
    feed, first, second, reader = kernels
    assert feed.run("%nq_load NQ_1min.csv").status == "ok"
    assert feed.run("%nq_replay NQ.1min 2020-06-30 --speed 15000x --background as session").status == "ok"
    assert "replay.NQ.5min.live" in first.run(_LIVE).out
    reader.run(_READ)
    assert reader.run('got = {"5min": take("5min", 60), "30min": []}').status == "ok"
    first.manager.shutdown_kernel(now=True)
    went_on = second.run(_LIVE)
    assert "replay.NQ.30min.live" in went_on.out, went_on
    outcome = reader.run(_COMPARE)
    assert outcome.out.splitlines() == ["5min 276 True [] 0", "30min 46 True [] 0"], outcome
    assert feed.run("print(session.wait().state)").out == "done\n"
