"""What `force=True` does when a pool's own limit is reached: it writes to the disk, by the pool's policy."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from jupyter_nq.client.memory.pool import SharedMemoryPool
from jupyter_nq.client.session import Session
from jupyter_nq.errors import StoreFull

ROWS = 30_000
"""Of float64: four such arrays fit into 1 MiB, five do not."""


def _small(session: Session, policy: str = "lru") -> SharedMemoryPool:
    """Return a pool of 1 MiB with a, b, c and d, of which a was used."""
    pool = SharedMemoryPool((1 << 20) / (1 << 30), policy, session=session)
    for name in "abcd":
        pool.store(name, np.zeros(ROWS))
    assert pool.retrieve("a").sum() == 0
    return pool


def _on_disk(session: Session) -> list[str]:
    return [row.name for row in session.ls() if not row.bytes]


@pytest.mark.parametrize(("policy", "first"), [("lru", "b"), ("lfu", "b"), ("fifo", "a")])
def test_the_policy_says_what_goes(session: Session, policy: str, first: str) -> None:
    """As much as makes room, and it is counted."""
    pool = _small(session, policy)
    assert pool.store("e", np.zeros(ROWS), force=True)
    assert _on_disk(session) == [first]
    stats = pool.get_stats()
    assert (stats["evictions"], stats["objects"], stats["spilled_objects"]) == (1, 5, 1)
    assert stats["bytes"] <= stats["limit_bytes"]


def test_without_force_nothing_goes(session: Session) -> None:
    """The error says that it could."""
    pool = _small(session)
    with pytest.raises(StoreFull, match="pass force=True"):
        pool.store("e", np.zeros(ROWS))
    assert _on_disk(session) == []


def test_what_is_held_or_pinned_stays(session: Session) -> None:
    """The next goes instead; when none can go, the error says why, and nothing is stored."""
    pool = _small(session)
    held = session.get("b", as_="numpy")
    assert pool.store("e", np.zeros(ROWS), force=True)
    assert _on_disk(session) == ["c"]
    _pin(session, "ade")
    with pytest.raises(StoreFull, match="Somebody holds or has pinned what is left"):
        pool.store("f", np.zeros(ROWS), force=True)
    assert not pool.exists("f")
    del held


def _pin(session: Session, names: Iterable[str]) -> None:
    for name in names:
        session.pin(name)


def test_what_others_put_on_the_disk_is_not_counted(session: Session) -> None:
    """Room that the store made counts for the pool too, and what comes back counts again."""
    pool = _small(session)
    session.spill("c", "d")
    assert pool.store("e", np.zeros(ROWS))
    assert pool.get_stats()["spilled_objects"] == 2
    assert pool.retrieve("c").sum() == 0
    assert pool.get_stats()["spilled_objects"] == 1


def test_what_is_larger_than_the_limit_evicts_nothing(session: Session) -> None:
    """It would be in vain."""
    with pytest.raises(StoreFull, match="Make a pool with a larger size"):
        _small(session).store("e", np.zeros(1 << 18), force=True)
    assert _on_disk(session) == []
