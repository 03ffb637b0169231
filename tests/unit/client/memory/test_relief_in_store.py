"""Relief that the store itself gives: old versions freed, and datasets written to disk and had back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jupyter_nq.client.memory.manager import MemoryManager
from jupyter_nq.client.memory.pool import SharedMemoryPool
from jupyter_nq.client.session import Session
from jupyter_nq.testing import wait_until
from tests.unit.client.memory.child import Child


def test_a_balanced_manager_has_the_store_collected(session: Session) -> None:
    """It is asked, and says what came of it; what has a name stays."""
    with MemoryManager(enable_monitoring=False, session=session) as manager:
        manager.store_data("a", np.zeros(1 << 17))
        done = manager.optimize_memory()
        assert (done.level, done.spilled) == ("balanced", ())
        assert done.pool_bytes >= 0
        assert manager.retrieve_data("a").sum() == 0.0


def test_an_aggressive_manager_writes_to_disk_what_nobody_holds(session: Session) -> None:
    """What is held stays in memory, and the rest comes back as it was."""
    with MemoryManager(enable_monitoring=False, optimization_level="aggressive", session=session) as manager:
        manager.store_data("cold", np.arange(1 << 17))
        manager.store_data("held", np.arange(1 << 17))
        view = manager.retrieve_data("held")
        before = session.status().pool_used_bytes
        done = manager.optimize_memory()
        assert [stored.name for stored in done.spilled] == ["cold"]
        assert done.spilled_bytes >= 1 << 20
        wait_until(lambda: session.status().pool_used_bytes <= before - (1 << 20))
        np.testing.assert_array_equal(manager.retrieve_data("cold"), np.arange(1 << 17))
        assert view[5] == 5


def test_room_is_made_in_a_full_store(nq_tmpfs: Any) -> None:
    """What another process stored goes to disk, and that process has it back."""
    where: Path = nq_tmpfs("16m")
    code = """
pool.store("theirs", np.arange(500_000))
say("stored")
input()
say(int(pool.retrieve("theirs").sum()))
"""
    with Session(where) as session, Child(where, code) as child:
        pool = SharedMemoryPool(session=session)
        assert child.line() == "stored"
        pool.store("mine", np.zeros(500_000))
        assert pool.store("more", np.zeros(800_000))
        assert sum(row.bytes == 0 for row in session.ls()) >= 1
        pool.remove("more")
        child.tell()
        assert child.line() == str(sum(range(500_000)))
        assert pool.retrieve("mine").sum() == 0.0


def test_a_pool_with_a_limit_of_its_own_spills(session: Session) -> None:
    """By its policy; the spilled dataset is in the figures, and has its bytes again when it is back."""
    pool = SharedMemoryPool((1 << 20) / (1 << 30), session=session)
    for name in "abcd":
        pool.store(name, np.zeros(30_000))
    pool.retrieve("a")
    pool.store("e", np.zeros(30_000), force=True)
    stats = pool.get_stats()
    assert (stats["objects"], stats["spilled_objects"], stats["evictions"]) == (5, 1, 1)
    assert pool.exists("b")
    assert pool.retrieve("b").sum() == 0.0
    assert pool.get_stats()["spilled_objects"] == 0


def test_pressure_is_relieved_unasked(nq_tmpfs: Any) -> None:
    """A pool above the mark of the level is below it soon, with a record of what was done and why."""
    with (
        Session(nq_tmpfs("16m")) as session,
        MemoryManager(monitoring_interval=0.1, optimization_level="aggressive", session=session) as manager,
    ):
        limit = session.status().pool_limit_bytes
        for name in "abc":
            manager.store_data(name, np.zeros(int(0.28 * limit) // 8))
        wait_until(lambda: manager.get_memory_report()["actions"])
        action = manager.get_memory_report()["actions"][0]
        assert action["why"].endswith("relief is due from 80%")
        assert action["spilled"]
        wait_until(lambda: session.status().pool_used_bytes < 0.8 * limit)
        assert all(manager.retrieve_data(name).sum() == 0.0 for name in "abc")
