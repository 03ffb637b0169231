"""Work in threads: results in order, few of them kept, nobody at work afterwards."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from jupyter_nq.buffers.parallel import in_order
from jupyter_nq.testing import Child, wait_until


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
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jupyter-nq-work")]


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
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jupyter-nq-work")]


def _is_in(thread: threading.Thread, function: str) -> bool:
    """Tell whether a thread is in a function."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None


def test_whoever_interrupts_twice_waits_for_the_threads() -> None:
    """An impatient second Ctrl-C leaves no thread that writes to a file which is closed behind the block."""
    main, at_work, twice = threading.main_thread(), threading.Event(), threading.Event()
    seen: list[int] = []
    under_way: set[int] = set()

    def work(n: int) -> None:
        under_way.add(n)
        at_work.set()
        twice.wait()
        under_way.discard(n)

    def interrupt(number: int, _frame: object) -> None:
        seen.append(number)
        if len(seen) == 2:
            twice.set()
        raise KeyboardInterrupt

    def press() -> None:
        at_work.wait()
        signal.pthread_kill(main.ident or 0, signal.SIGINT)
        wait_until(lambda: _is_in(main, "finish"))
        signal.pthread_kill(main.ident or 0, signal.SIGINT)

    before = signal.signal(signal.SIGINT, interrupt)
    user = threading.Thread(target=press)
    user.start()
    try:
        with pytest.raises(KeyboardInterrupt), in_order(work, range(8)) as results:
            list(results)
        assert len(seen) == 2
        assert not under_way
    finally:
        signal.signal(signal.SIGINT, before)
        twice.set()
        user.join()


def test_an_interpreter_that_ends_works_without_threads() -> None:
    """What is saved in an `atexit` function is saved, in order."""
    code = """
import atexit, operator
from jupyter_nq.buffers.parallel import in_order
def last():
    with in_order(operator.neg, range(5)) as results:
        say(*results)
atexit.register(last)
"""
    with Child(code) as child:
        assert child.line() == "0 -1 -2 -3 -4"
        assert child.wait() == 0
