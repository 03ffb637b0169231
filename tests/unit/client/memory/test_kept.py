"""What a pool stored, and what goes first."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

from jupyter_nq.client.memory import kept as module
from jupyter_nq.client.memory.kept import Kept
from jupyter_nq.errors import InvalidArgument


def test_examples() -> None:
    """The example of the docstring holds."""
    assert doctest.testmod(module).failed == 0


def filled(policy: str) -> Kept:
    """Return a, b and c of 10 bytes each; a was used twice, then c once."""
    kept = Kept(policy)
    for name in "abc":
        kept.add(name, f"id-{name}", 10)
    for name in "aac":
        kept.use(name)
    kept.use("foreign")
    return kept


@pytest.mark.parametrize(("policy", "order"), [("lru", "bac"), ("lfu", "bca"), ("fifo", "abc")])
def test_policies(policy: str, order: str) -> None:
    """Least recently used, least often used, or first stored goes first."""
    assert "".join(item.name for item in filled(policy).items()) == order


def test_storing_again_begins_anew() -> None:
    """A name that is stored again is the youngest, with no uses."""
    kept = filled("fifo")
    kept.add("a", "id-2", 30)
    assert [item.name for item in kept.items()] == ["b", "c", "a"]
    assert kept.items()[-1].uses == 0
    assert (kept.bytes(), kept.bytes(without="a")) == (50, 20)


def test_what_is_on_disk_takes_no_memory() -> None:
    """Until it is asked for again."""
    kept = filled("lru")
    kept.spilled("a")
    kept.spilled("foreign")
    assert kept.bytes() == 20
    kept.use("a")
    assert kept.bytes() == 30


def test_what_is_gone_is_forgotten() -> None:
    """Dropped, and replaced by somebody else."""
    kept = filled("lru")
    kept.keep_only({"a": "id-a", "b": "another"})
    kept.remove("nothing")
    assert [item.name for item in kept.items()] == ["a"]


@pytest.mark.parametrize("policy", ["LRU", "", None, 3, ["lru"]])
def test_unknown_policies(policy: Any) -> None:
    """All of them are named."""
    with pytest.raises(InvalidArgument, match="is none of lru, lfu, fifo"):
        Kept(policy)
