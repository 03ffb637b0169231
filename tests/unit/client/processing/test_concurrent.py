"""Chunks in several workers: order, errors, cancelling, interrupts and killed workers, in threads and in processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.client.processing import concurrent
from jupyter_nq.client.processing.concurrent import process_concurrent
from jupyter_nq.client.processing.workers import Workers
from jupyter_nq.errors import ChunkFailed, InvalidArgument, ProcessingCancelled
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.child import Child

pytestmark = pytest.mark.usefixtures("light_children")
_BOTH = pytest.mark.parametrize("mode", ["threads", "processes"])


@_BOTH
def test_results_come_in_order(mode: str) -> None:
    """Whichever is done first; a lambda is enough, and a closure over what is here."""
    factor = 3
    assert process_concurrent(range(20), lambda x: x * factor, 2, mode) == [3 * x for x in range(20)]
    assert process_concurrent(iter([]), lambda x: x, 2, mode) == []


@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_as_map_does(chunks: list[int], workers: int) -> None:
    """Any chunks, any number of workers."""
    assert process_concurrent(chunks, lambda x: -x, workers) == [-x for x in chunks]


def test_several_work_at_the_same_time() -> None:
    """Both wait for each other, which one alone would do for ever."""
    together = threading.Barrier(2, timeout=20)
    assert sorted(process_concurrent([1, 2], lambda _: together.wait(), 2)) == [0, 1]


def test_processes_are_others() -> None:
    """And frames, arrays and results of any kind go there and back."""
    frames = [pd.DataFrame({"x": np.arange(n + 1.0)}) for n in range(5)]
    found = process_concurrent(frames, lambda frame: (os.getpid(), frame * 2), 2, "processes")
    assert os.getpid() not in {pid for pid, _ in found}
    for frame, (_, doubled) in zip(frames, found, strict=True):
        pd.testing.assert_frame_equal(doubled, frame * 2)


@_BOTH
def test_few_chunks_are_taken_ahead(mode: str) -> None:
    """Of a generator never more than two for each worker that no result is there for."""
    done: list[int] = []
    ahead: list[int] = []

    def chunks() -> Iterator[int]:
        for number in range(40):
            ahead.append(number - (done[-1] if done else 0))
            yield number

    process_concurrent(chunks(), abs, 2, mode, on_progress=lambda count, _: done.append(count))
    assert max(ahead) <= 4
    assert done == sorted(set(done))
    assert done[-1] == 40


@_BOTH
def test_an_error_names_its_chunk(mode: str) -> None:
    """With the error as its cause; nothing more is begun, and the generator is closed."""
    taken: list[int] = []
    closed: list[bool] = []

    def chunks() -> Iterator[np.ndarray[Any, Any]]:
        try:
            for number in range(1000):
                taken.append(number)
                yield np.full(3, number)
        finally:
            closed.append(True)

    def fn(chunk: np.ndarray[Any, Any]) -> int:
        if chunk[0] == 5:
            raise ZeroDivisionError("no bars")
        return int(chunk[0])

    with pytest.raises(ChunkFailed, match=r"Chunk 5 \(ndarray of 3\) failed: ZeroDivisionError: no bars") as caught:
        process_concurrent(chunks(), fn, 2, mode)
    assert (caught.value.number, type(caught.value.__cause__)) == (5, ZeroDivisionError)
    assert (len(taken) < 20, closed) == (True, [True])


def test_an_error_of_the_chunks_is_theirs() -> None:
    """It comes as it is."""

    def chunks() -> Iterator[int]:
        yield 1
        raise KeyError("NQ")

    with pytest.raises(KeyError, match="NQ"):
        process_concurrent(chunks(), abs)


def test_what_cannot_be_pickled_names_its_chunk() -> None:
    """On the way there and on the way back."""
    with pytest.raises(ChunkFailed, match="Chunk 1 "):
        process_concurrent([1, lambda: 2], repr, 2, "processes")
    with pytest.raises(ChunkFailed, match="Chunk 0 "):
        process_concurrent([1], lambda x: lambda: x, 2, "processes")


class _AsksForMore(Exception):
    """Cannot be made of its text alone, as unpickling would."""

    def __init__(self, bar: int, price: float) -> None:
        super().__init__(f"bar {bar} at {price}")


class _ReadsBadly:
    """Is pickled, and cannot be unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("x",)


def test_what_cannot_be_unpickled_says_so() -> None:
    """An error comes as text with its traceback, a result as an error: neither passes for a killed worker."""

    def fail(number: int) -> int:
        if number == 3:
            raise _AsksForMore(7, 0.5)
        return number

    with pytest.raises(ChunkFailed, match=r"Chunk 3 \(3\) failed: RuntimeError: _AsksForMore: bar 7 at 0.5") as caught:
        process_concurrent(range(50), fail, 2, "processes")
    assert "raise _AsksForMore(7, 0.5)" in str(caught.value.__cause__.__cause__)  # type: ignore[union-attr]
    with pytest.raises(ChunkFailed, match=r"Chunk 0 .* cannot be unpickled: ValueError: invalid literal"):
        process_concurrent([1], lambda _: _ReadsBadly(), 2, "processes")


@pytest.mark.parametrize("how", [signal.SIGKILL, None])
def test_a_worker_that_is_killed_names_its_chunk(how: signal.Signals | None) -> None:
    """By a signal, or an exit that nobody expects; the others are ended, none is left."""

    def fn(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), how) if how else os._exit(7)
        return number

    with pytest.raises(ChunkFailed, match=r"Chunk 3 \(3\) failed: its worker process was killed") as caught:
        process_concurrent(range(50), fn, 2, "processes")
    assert caught.value.number == 3


@_BOTH
def test_it_can_be_cancelled(mode: str, tmp_path: Path) -> None:
    """By an event, while all workers are busy; processes are gone then."""
    cancel, free = threading.Event(), threading.Event()

    def fn(number: int) -> None:
        (tmp_path / str(os.getpid())).touch()
        free.wait(30)

    waiting = threading.Thread(target=lambda: wait_until(lambda: any(tmp_path.iterdir())) and cancel.set())
    waiting.start()
    with pytest.raises(ProcessingCancelled, match="cancelled when 0 results"):
        process_concurrent(range(9), fn, 2, mode, cancel=cancel)
    free.set()
    waiting.join()
    if mode == "processes":
        assert not any(_runs(int(path.name)) for path in tmp_path.iterdir())


_INTERRUPTED = """
import os, threading
import jupyter_nq as nq
def fn(number):
    os.write(1, b"%d\\n" % os.getpid())  # in one piece, whoever else writes
    threading.Event().wait(60)
try:
    nq.process_concurrent(range(9), fn, 2, sys.argv[1])
except KeyboardInterrupt:
    say("interrupted")
if sys.argv[1] == "threads":
    os._exit(0)
"""


@_BOTH
def test_an_interrupt_ends_it_at_once(mode: str) -> None:
    """It is raised in the cell; worker processes are gone, and said nothing about it."""
    with Child(_INTERRUPTED, mode) as child:
        pids = {int(child.line()) for _ in range(2)}
        os.kill(child.pid, signal.SIGINT)
        assert child.line() == "interrupted"
        assert child.wait() == 0
    assert not any(_runs(pid) for pid in pids)


_INTERRUPTED_FORK = """
import os, signal, threading
import jupyter_nq as nq
os.register_at_fork(before=lambda: signal.raise_signal(signal.SIGINT))  # IPython's hook waits for a thread there
handler = signal.getsignal(signal.SIGINT)
try:
    nq.process_concurrent(range(9), lambda number: threading.Event().wait(60), 2, "processes")
except KeyboardInterrupt:
    say("interrupted", signal.getsignal(signal.SIGINT) is handler)
"""


def test_an_interrupt_in_a_fork_is_not_lost() -> None:
    """Python prints what a hook of the fork raises, and goes on; the interrupt comes when the workers are there."""
    with Child(_INTERRUPTED_FORK) as child:
        assert child.line() == "interrupted True"
        assert child.wait() == 0


_INTERRUPTED_START = """
import signal, threading
import jupyter_nq as nq
def interrupted(line):
    free, left = threading.Event(), [line]
    def trace(frame, event, _):
        if not frame.f_code.co_filename.endswith("threading.py"):
            return None
        if event == "line":
            left[0] -= 1
            if not left[0]:
                signal.raise_signal(signal.SIGINT)
        return trace
    sys.settrace(trace)
    try:
        nq.process_concurrent(range(9), lambda number: free.wait(60), 2, "threads")
    except KeyboardInterrupt:
        return "interrupted"
    except RuntimeError as exc:
        return f"{exc} at line {line}"
    finally:
        sys.settrace(None)
        free.set()
say({interrupted(line) for line in range(1, 200)})
"""


def test_an_interrupt_while_threads_start_is_an_interrupt() -> None:
    """Wherever it comes: the locks of Python's threads are not made for it, and would raise something else."""
    with Child(_INTERRUPTED_START) as child:
        assert child.line() == "{'interrupted'}"


def test_workers_die_with_their_parent() -> None:
    """Also when that is killed: there are no orphans."""
    with Child(_INTERRUPTED, "processes") as child:
        pids = {int(child.line()) for _ in range(2)}
        child.kill()
        wait_until(lambda: not any(_runs(pid) for pid in pids))


def test_workers_end_with_their_work() -> None:
    """None is left when all is done."""
    workers = Workers(abs, 2)
    assert workers.submit(0, -1).result() == 1
    assert len(workers.pids()) == 2
    workers.close()
    assert not any(_runs(pid) for pid in workers.pids())
    assert repr(workers) == f"<Workers {workers.pids()}>"


def test_progress_is_told_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the callback with the total when it is known, and on a line where a notebook has one."""
    shown: list[Any] = []

    class Line:
        def __init__(self, label: str) -> None:
            shown.append(label)

        def __enter__(self) -> Any:
            return shown.append

        def __exit__(self, *_: object) -> None:
            shown.append("closed")

    monkeypatch.setattr(concurrent, "display", Line)
    told: list[tuple[int, int | None]] = []
    process_concurrent([1, 2], abs, 1, on_progress=lambda *args: told.append(args))
    assert (shown[0], shown[-2:], told[-1]) == ("2 chunks", [1.0, "closed"], (2, 2))
    told.clear()
    process_concurrent(iter([1, 2]), abs, 1, on_progress=lambda *args: told.append(args))
    assert (told[-1], len(shown)) == ((2, None), len(shown))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "thread"}, r"none of threads, processes\. Did you mean 'threads'"),
        ({"workers": 0}, "give 1 or more"),
        ({"workers": 1.5}, "give 1 or more"),
        ({"fn": 7}, "fn=7 cannot be called"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], says: str) -> None:
    """Before a chunk is taken."""
    with pytest.raises(InvalidArgument, match=says):
        process_concurrent(iter([1]), **{"fn": abs, **options})


def _runs(pid: int) -> bool:
    """Tell whether a process is there; one that has ended and was not waited for is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
