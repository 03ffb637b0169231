"""What the memory classes cost: the pool beside the session that it works through, and a look of the watch."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.client.memory.pool import SharedMemoryPool
from jupyter_nq.client.memory.sampling import take
from jupyter_nq.client.session import Session
from tests.performance.measuring import medians

pytestmark = pytest.mark.performance

INTERVAL_SECONDS = 5.0  # of the watch, unless it is told otherwise


def test_the_pool_beside_its_session(nq_store_dir: Path) -> None:
    """Prints the ratios of store to put at 64 MiB, and of retrieve to get, measured in turns."""
    data = np.zeros(8 << 20)
    with Session(nq_store_dir) as session:
        pool = SharedMemoryPool(session=session)
        written = medians({"put": lambda: session.put("put", data), "store": lambda: pool.store("stored", data)}, 9)
        read = medians(
            {"get": lambda: session.get("stored", as_="numpy"), "retrieve": lambda: pool.retrieve("stored")}, 300
        )
    stored, retrieved = written["store"] / written["put"], read["retrieve"] / read["get"]
    print()
    print(f"store ÷ put, 64 MiB: {stored:.2f} ({written['store'] * 1e3:.0f} ms)")
    print(f"retrieve ÷ get:      {retrieved:.2f} ({read['retrieve'] * 1e6:.0f} us)")
    assert stored < 2
    assert retrieved < 3


def test_a_look_of_the_watch(nq_store_dir: Path) -> None:
    """Prints the CPU time of a sample, coordinator included, in a small store and in one of 500 datasets."""
    with Session(nq_store_dir) as session:
        small = medians({"sample": lambda: take(session)}, 200, time.process_time)["sample"]
        for number in range(500):
            session.put(f"dataset{number}", number)
        large = medians({"sample": lambda: take(session)}, 100, time.process_time)["sample"]
    print()
    print(f"a sample of an empty store:   {small * 1e3:.2f} ms, {small / INTERVAL_SECONDS:.3%} of a core")
    print(f"a sample with 500 datasets:   {large * 1e3:.2f} ms, {large / INTERVAL_SECONDS:.3%} of a core")
    assert large / INTERVAL_SECONDS < 0.005
