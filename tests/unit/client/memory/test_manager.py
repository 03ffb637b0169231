"""The specification's manager over a real store."""

from __future__ import annotations

import doctest
import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import jupyter_nq as nq
from jupyter_nq.client.memory import manager as module
from jupyter_nq.client.memory.manager import MemoryManager
from jupyter_nq.client.memory.thresholds import MemoryEvent
from jupyter_nq.client.session import Session
from jupyter_nq.errors import ConfigError, InvalidArgument, StoreFull
from jupyter_nq.testing import wait_until
from tests.unit.client.memory.child import Child
from tests.unit.client.memory.samples import sample


@pytest.fixture
def manager(session: Session) -> Iterator[MemoryManager]:
    """A manager that does not watch."""
    with MemoryManager(enable_monitoring=False, session=session) as opened:
        yield opened


def test_examples(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of the docstring holds, through the process's own session."""
    nq.disconnect()
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    assert doctest.testmod(module).failed == 0
    nq.disconnect()


def test_the_signature_is_the_specification_s() -> None:
    """In its order, with more behind."""
    order = ["shared_pool_size_gb", "enable_monitoring", "monitoring_interval"]
    assert list(inspect.signature(MemoryManager).parameters)[:3] == order


def test_two_processes_share(nq_store_dir: Path, manager: MemoryManager) -> None:
    """What a manager stores, another's retrieves; both are listed with what they have for themselves."""
    code = """
with MemoryManager(session=session) as manager:
    say(manager.retrieve_data("nq_data")["close"].sum(), manager.retrieve_data("absent"))
    manager.store_data("result", {"mean": 1.0})
    input()
    say(manager.get_memory_report()["shared_pool"]["objects"])
    input()
"""
    assert manager.store_data("nq_data", pd.DataFrame({"close": np.ones(1000)}))
    with Child(nq_store_dir, code) as child:
        assert child.line() == "1000.0 None"
        child.tell()
        assert child.line() == "1"
        assert manager.retrieve_data("result") == {"mean": 1.0}
        kernels = {kernel["pid"]: kernel for kernel in manager.get_memory_report()["kernels"]}
        assert set(kernels) == {os.getpid(), child.pid}
        assert all(kernel["private_bytes"] > 1 << 20 for kernel in kernels.values())


def test_the_report(manager: MemoryManager, session: Session) -> None:
    """The keys that the page names, with figures that agree with each other, as JSON."""
    manager.store_data("a", np.zeros(1 << 17))
    found = json.loads(json.dumps(manager.get_memory_report()))
    system = found["system_memory"]
    assert 0 < system["usage_percent"] < 100
    assert system["available_gb"] + system["used_gb"] == pytest.approx(system["total_gb"])
    assert found["shared_pool"]["objects"] == 1
    assert found["shared_pool"]["store_used_bytes"] == session.status().pool_used_bytes
    assert (found["monitoring"], found["optimization_level"]) == (False, "balanced")
    assert (found["events"], found["actions"]) == ([], [])
    assert found["forecast"] == {
        "seconds": None,
        "bytes_per_second": None,
        "why": "0 samples are too few; 6 are needed",
    }


def test_optimising_is_told(manager: MemoryManager) -> None:
    """In what it returns, in the actions, and among the events."""
    manager.set_optimization_level(1)
    done = manager.optimize_memory()
    assert str(done).startswith("conservative: ")
    found = manager.get_memory_report()
    assert [(action["level"], action["why"]) for action in found["actions"]] == [("conservative", "it was asked for")]
    assert found["events"][0]["done"] == str(done)
    manager.set_optimization_level("off")
    assert manager.optimize_memory().freed_bytes == 0
    with pytest.raises(InvalidArgument, match="The levels are"):
        manager.set_optimization_level("max")
    assert manager.get_memory_report()["optimization_level"] == "off"


def test_the_watch_rings_for_the_real_pool(nq_tmpfs: Any) -> None:
    """A pool that fills up calls back from the thread, and is relieved as the level allows."""
    with (
        Session(nq_tmpfs("16m")) as session,
        MemoryManager(monitoring_interval=0.1, optimization_level="conservative", session=session) as manager,
    ):
        rang: list[MemoryEvent] = []
        manager.add_threshold("pool", 0.5, rang.append)
        gone = manager.add_threshold("pool", 0.1, lambda event: pytest.fail("it was removed"))
        manager.remove_threshold(gone)
        limit = session.status().pool_limit_bytes
        manager.store_data("most", np.zeros(int(0.97 * limit) // 8 - 1024))
        wait_until(lambda: rang)
        assert rang[0].metric == "pool"
        assert rang[0].value is not None
        assert rang[0].value > 0.95
        wait_until(lambda: manager.get_memory_report()["actions"])
        action = manager.get_memory_report()["actions"][0]
        assert action["why"] == "pool is 97% full, relief is due from 95%"
        assert action["level"] == "conservative"
        held = manager.retrieve_data("most")
        with pytest.raises(StoreFull, match="most version 1"):
            manager.store_data("more", np.zeros(limit // 16))
        del held


def test_pressure_is_relieved_at_most_once_per_interval(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """On samples made by hand: what is full and what was done is told; a relief that fails is told, and waits too."""
    full = iter([sample(at, pool=950) for at in (0, 4, 5, 9, 15, 16)])
    monkeypatch.setattr(module, "take", lambda session: next(full))
    freed = iter([100, None, 100])

    def collect() -> Any:
        found = next(freed)
        if found is None:
            raise StoreFull("the disk is full")
        return SimpleNamespace(objects=1, bytes=found)

    monkeypatch.setattr(session, "gc", collect, raising=False)
    manager = MemoryManager(enable_monitoring=False, session=session)
    for _ in range(5):
        manager._watch.tick()
    events = manager._watch.events()
    assert [(event.at.second, event.metric, event.value, event.threshold) for event in events] == [
        (0, "pool", 0.95, 0.9),
        (5, "pool", 0.95, 0.9),
        (15, "pool", 0.95, 0.9),
    ]
    assert "100 B of the pool (1 object)" in events[0].done
    assert events[1].done == "relief failed: the disk is full"
    assert {event.why for event in events} == {"pool is 95% full, relief is due from 90%"}
    assert len(manager.get_memory_report()["actions"]) == 2


def test_cleaning_up_twice_is_fine(session: Session) -> None:
    """The watch ends, what was stored stays, and the manager can be used on."""
    manager = MemoryManager(monitoring_interval=0.1, session=session)
    manager.store_data("a", 1)
    assert repr(manager) == f"<MemoryManager of {session.store.path}, balanced, watching>"
    manager.cleanup()
    manager.cleanup()
    assert repr(manager).endswith("balanced, not watching>")
    assert manager.retrieve_data("a") == 1
    assert manager.store_data("b", 2)
    assert manager.pool.clear() == 2


def test_a_forked_child_works(session: Session) -> None:
    """It shares and reports over a line of its own, does not watch, and cleans up; the parent watches on."""
    with MemoryManager(monitoring_interval=0.1, session=session) as manager:
        manager.store_data("ours", np.arange(10.0))
        pid = os.fork()
        if pid == 0:
            try:
                found = manager.get_memory_report()
                right = not found["monitoring"] and manager.retrieve_data("ours")[9] == 9.0
                manager.store_data("child", {"right": bool(right)})
                manager.cleanup()
                manager.cleanup()
                os._exit(0 if right else 1)
            except BaseException:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert manager.retrieve_data("child") == {"right": True}
        assert manager.get_memory_report()["monitoring"]


def test_the_configuration(session: Session, tmp_path: Path) -> None:
    """A section among others, the section itself, or a file; what is passed wins."""
    given: dict[str, Any] = {"shared_pool_size_gb": 0.5, "enable_monitoring": False, "eviction_policy": "lfu"}
    path = tmp_path / "config.yaml"
    path.write_text(
        "memory_management:\n  shared_pool_size_gb: 0.5\n  enable_monitoring: false\n  eviction_policy: lfu\n"
    )
    for config in ({"memory_management": given, "scalability": {}}, given, path):
        stats = MemoryManager(config=config, session=session).get_memory_report()["shared_pool"]
        assert (stats["limit_bytes"], stats["eviction_policy"]) == (1 << 29, "lfu")
    other = {**given, "optimization_level": 3, "monitoring_interval": 1}
    manager = MemoryManager(2.0, eviction_policy="fifo", config=other, session=session)
    found = manager.get_memory_report()
    assert (found["shared_pool"]["limit_bytes"], found["optimization_level"]) == (2 << 30, "aggressive")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"config": {"memory_management": {"shared_pool_gb": 1}}}, "Did you mean 'shared_pool_size_gb'"),
        ({"config": {"memory_management": 4}}, "it holds shared_pool_size_gb"),
        ({"config": "absent.yaml"}, "is no file"),
        ({"enable_monitoring": "yes"}, "neither True nor False"),
        ({"monitoring_interval": 0}, r"0\.1 or more"),
        ({"monitoring_interval": float("nan")}, r"0\.1 or more"),
        ({"shared_pool_size_gb": 0}, "above 0"),
    ],
)
def test_wrong_configurations(session: Session, options: dict[str, Any], match: str) -> None:
    """Are refused, with what to write instead, and no thread is left."""
    with pytest.raises(ConfigError, match=match):
        MemoryManager(session=session, **options)
