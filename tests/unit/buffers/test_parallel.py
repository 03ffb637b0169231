"""Work in threads: results in order, few of them kept, nobody at work afterwards."""

from __future__ import annotations

import threading

import pytest

from jupyter_nq.buffers.parallel import in_order


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_results_come_in_order(count: int) -> None:
    """However many items there are."""
    with in_order(lambda n: n * n, range(count)) as results:
        assert list(results) == [n * n for n in range(count)]


def test_few_results_are_kept() -> None:
    """Who does not take results stops the work."""
    begun: list[int] = []
    with in_order(lambda n: begun.append(n), range(1000)) as results:
        next(results)
        assert len(begun) <= 1 + 2 * 4


def test_an_error_arrives_and_ends_the_work() -> None:
    """That of the first item that failed; no thread is left when the block is."""
    begun: list[int] = []

    def work(n: int) -> int:
        begun.append(n)
        if n == 3:
            raise ValueError("the third")
        return n

    with pytest.raises(ValueError, match="the third"), in_order(work, range(1000)) as results:
        list(results)
    assert len(begun) < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nq-cold")]


def test_an_error_of_the_taker_ends_the_work() -> None:
    """What it has begun is finished before the block ends, the rest is not begun."""
    done: list[int] = []

    def take_one() -> None:
        with in_order(done.append, range(1000)) as results:
            next(results)
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        take_one()
    count = len(done)
    assert count < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nq-cold")]
