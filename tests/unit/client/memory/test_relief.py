"""What each level does, on a session that only counts, and when relief is due, on a clock made by hand."""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.buffers.cgroups import Cgroup
from jupyter_nq.client.memory.levels import level_of
from jupyter_nq.client.memory.relief import Pressure, relieve
from jupyter_nq.client.records import Stored
from tests.unit.client.memory.samples import sample


@dataclass(frozen=True)
class Freed:
    """What a collection freed."""

    objects: int
    bytes: int


@dataclass
class Counting:
    """A session that counts what it is asked for."""

    asked: list[Any] = field(default_factory=list)

    def gc(self) -> Freed:
        """Free 100 bytes."""
        self.asked.append("gc")
        return Freed(2, 100)

    def spill(self, *names: str, bytes: int | None = None) -> list[Stored]:
        """Write one dataset."""
        self.asked.append(("spill", names, bytes))
        return [Stored("cold", 3, 10, 4096)]


@pytest.mark.parametrize(
    ("level", "asked"),
    [("off", []), ("conservative", []), ("balanced", ["gc"]), ("aggressive", ["gc", ("spill", (), None)])],
)
def test_a_level_does_what_it_may(level: str, asked: list[Any]) -> None:
    """And no more than that."""
    session = Counting()
    found = relieve(session, level_of(level), "it was asked for")
    assert session.asked == asked
    assert (found.level, found.why) == (level, "it was asked for")
    assert found.pool_bytes == (100 if "gc" in asked else 0)
    assert found.spilled_bytes == (4096 if level == "aggressive" else 0)


def test_only_what_must_go_is_spilled() -> None:
    """What the collection frees is taken off, and nothing is spilled when it is enough."""
    session = Counting()
    relieve(session, level_of("aggressive"), "", spill_bytes=150)
    relieve(session, level_of("aggressive"), "", spill_bytes=100)
    assert session.asked == ["gc", ("spill", (), 50), "gc"]


def test_garbage_is_collected() -> None:
    """A cycle that nobody needs is gone afterwards."""
    gc.collect()
    gc.disable()
    try:
        cycle: list[Any] = []
        cycle.append(cycle)
        del cycle
        assert relieve(Counting(), level_of("conservative"), "").collected_objects >= 1
    finally:
        gc.enable()


def test_a_relief_says_what_came_of_it() -> None:
    """In a line, and as plain values."""
    found = relieve(Counting(), level_of("aggressive"), "why")
    found = replace(found, private_bytes=1 << 20, collected_objects=1, seconds=0.002)
    assert str(found) == (
        "aggressive: 1.0 MiB of this process (1 Python object), 100 B of the pool (2 objects), "
        "4.0 KiB to disk (1 dataset) in 2 ms"
    )
    row = json.loads(json.dumps(found.row()))
    assert (row["why"], row["spilled"], row["pool_bytes"]) == ("why", ["cold"], 100)
    assert found.freed_bytes == (1 << 20) + 100 + 4096


def test_relief_is_due_from_the_mark_of_the_level() -> None:
    """With what is full, and how much must go to be clearly below."""
    balanced, aggressive = level_of("balanced"), level_of("aggressive")
    assert Pressure(5).need(sample(pool=899), balanced) is None
    need = Pressure(5).need(sample(pool=900, system=950), balanced)
    assert need is not None
    assert (need.metric, need.value, need.mark, need.excess_bytes) == ("pool", 0.9, 0.9, 50)
    assert need.why == "pool is 90% full, relief is due from 90%"
    early = Pressure(5).need(sample(pool=850), aggressive)
    assert early is not None
    assert early.excess_bytes == 100
    assert Pressure(5).need(sample(pool=1_000), level_of("off")) is None
    assert Pressure(5).need(sample(pool=None, system=950), balanced) is not None
    tight = replace(sample(), cgroup=Cgroup(Path("/x"), 1_000, 990, 0))
    need = Pressure(5).need(tight, balanced)
    assert need is not None
    assert need.metric == "cgroup"


def test_relief_is_not_due_again_within_the_interval() -> None:
    """However often one looks."""
    pressure, level = Pressure(5.0), level_of("balanced")
    assert pressure.need(sample(0.0, pool=1_000), level)
    pressure.relieved(0.0, 100, 100)
    assert [pressure.need(sample(at, pool=1_000), level) is not None for at in (0.1, 4.9, 5.0)] == [False, False, True]


def test_relief_that_is_of_no_use_is_tried_more_rarely() -> None:
    """Twice the pause each time, up to a limit; at its usual pace again as soon as it helps."""
    pressure, level = Pressure(1.0), level_of("balanced")
    at, pauses = 0.0, []
    for _ in range(9):
        pressure.relieved(at, 1, 100)
        due = next(s for s in range(1, 100) if pressure.need(sample(at + s, pool=1_000), level))
        pauses.append(due)
        at += due
    assert pauses == [2, 4, 8, 16, 32, 64, 64, 64, 64]
    pressure.relieved(at, 50, 100)
    assert pressure.need(sample(at + 1, pool=1_000), level)
