"""What `force=True` asks of a session when room is needed; the session only drops what it is to write to disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jupyter_nq.client.memory.pool import SharedMemoryPool
from jupyter_nq.client.records import Stored
from jupyter_nq.client.session import Session
from jupyter_nq.errors import StoreFull

ROWS = 30_000
"""Of float64: four such arrays fit into 1 MiB, five do not."""


@dataclass
class Disk:
    """Stands for gc and spill of a session: what it is asked for, and what it cannot write because it is held."""

    session: Session
    held: set[str] = field(default_factory=set)
    asked: list[Any] = field(default_factory=list)

    def gc(self) -> Any:
        """Free nothing."""
        self.asked.append("gc")
        return SimpleNamespace(objects=0, bytes=0)

    def spill(self, *names: str, bytes: int | None = None) -> list[Stored]:
        """Drop the named datasets, or all, but what is held."""
        self.asked.append(names or bytes)
        rows = [row for row in self.session.ls() if (not names or row.name in names) and row.name not in self.held]
        for row in rows:
            self.session.drop(row.name)
        return [Stored(row.name, row.version, row.rows, row.bytes) for row in rows]


@pytest.fixture
def disk(session: Session, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The session's own gc and spill are replaced."""
    found = Disk(session)
    monkeypatch.setattr(session, "gc", found.gc, raising=False)
    monkeypatch.setattr(session, "spill", found.spill, raising=False)
    return found


def small(session: Session, policy: str = "lru") -> SharedMemoryPool:
    """Return a pool of 1 MiB with a, b, c and d, of which a was used."""
    pool = SharedMemoryPool((1 << 20) / (1 << 30), policy, session=session)
    for name in "abcd":
        pool.store(name, np.zeros(ROWS))
    pool.retrieve("a")
    return pool


@pytest.mark.parametrize(("policy", "first"), [("lru", "b"), ("lfu", "b"), ("fifo", "a")])
def test_the_policy_says_what_goes(session: Session, disk: Disk, policy: str, first: str) -> None:
    """As much as makes room, and it is counted."""
    pool = small(session, policy)
    assert pool.store("e", np.zeros(ROWS), force=True)
    assert disk.asked == [(first,)]
    assert pool.get_stats()["evictions"] == 1
    assert {row.name for row in session.ls()} == set("abcde") - {first}


def test_without_force_nothing_goes(session: Session, disk: Disk) -> None:
    """The error says that it could."""
    pool = small(session)
    with pytest.raises(StoreFull, match="pass force=True"):
        pool.store("e", np.zeros(ROWS))
    assert disk.asked == []


def test_what_is_held_stays(session: Session, disk: Disk) -> None:
    """The next goes instead; when none can go, the error says why, and nothing is stored."""
    pool = small(session)
    disk.held = {"b"}
    assert pool.store("e", np.zeros(ROWS), force=True)
    assert disk.asked == [("b",), ("c",)]
    disk.held = set("abcdefg")
    with pytest.raises(StoreFull, match="Somebody holds or has pinned what is left"):
        pool.store("f", np.zeros(ROWS), force=True)
    assert not pool.exists("f")


def test_what_is_larger_than_the_limit_evicts_nothing(session: Session, disk: Disk) -> None:
    """It would be in vain."""
    with pytest.raises(StoreFull, match="Make a pool with a larger size"):
        small(session).store("e", np.zeros(1 << 18), force=True)
    assert disk.asked == []
