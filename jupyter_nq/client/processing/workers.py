"""Worker processes for a function of a notebook: forked, so that it needs not be importable, and ended without remains.

A forked worker has all that its parent had, the function included, which therefore is never pickled; chunks and results
are, between a process and its own children. What a worker is busy with stands in memory that both share, so that the
chunk is known when a worker is killed.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from multiprocessing.context import ForkContext, ForkProcess
from multiprocessing.reduction import ForkingPickler
from multiprocessing.sharedctypes import RawArray
from typing import Any

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_IDLE = -1


class Workers:
    """Processes that call one function; the first submission forks them all.

    Parameters
    ----------
    fn
        What they call.
    count
        How many there are.
    """

    def __init__(self, fn: Callable[[Any], Any], count: int) -> None:
        self._busy = RawArray("q", [_IDLE] * count)  # one word for each worker, written by it alone
        self._context = _Context()
        arguments = (fn, self._busy, multiprocessing.get_context("fork").Value("i", 0), os.getpid())
        self._pool = ProcessPoolExecutor(count, mp_context=self._context, initializer=_begin, initargs=arguments)

    def __repr__(self) -> str:
        return f"<Workers {self.pids()}>"

    def pids(self) -> list[int]:
        """Return their process ids."""
        return [process.pid for process in self._context.made if process.pid is not None]

    def submit(self, number: int, chunk: Any) -> Future[Any]:
        """Have one of them call the function with a chunk."""
        forks = not self._context.made
        with interrupt_waits() if forks else nullcontext(), warnings.catch_warnings():
            # Python 3.12 warns of every fork beside threads, which a notebook always has: nothing of what those
            # threads hold is used in a worker, but for libraries that say that they stand a fork.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            return self._pool.submit(_work, number, chunk)

    def at_work(self) -> list[int]:
        """Return the numbers of the chunks on which workers died, or were at work when one did."""
        dead = [number for number, has_died in zip(self._busy, self._died(), strict=True) if has_died]
        return sorted(number for number in dead or self._busy if number != _IDLE)

    def has_dead(self) -> bool:
        """Tell whether one of them died."""
        return any(self._died())

    def _died(self) -> list[bool]:
        """Tell of each, once all have ended, whether it died: the pool ends the others with SIGTERM."""
        for process in self._context.made:
            process.join(_JOIN_SECONDS)
        return [process.exitcode not in (None, 0, -signal.SIGTERM) for process in self._context.made]

    def close(self) -> None:
        """End them when they have done their work."""
        self._pool.shutdown()

    def end(self) -> None:
        """End them at once, whatever they do."""
        for process in self._context.made:
            process.kill()
        self._pool.shutdown(cancel_futures=True)


_JOIN_SECONDS = 5.0


@contextmanager
def interrupt_waits() -> Iterator[None]:
    """Keep an interrupt until a fork is over, or a thread has begun.

    Python only prints what a hook of a fork raises, and goes on; IPython has such a hook, which waits for a thread, and
    so has the logging of Python. A pool of threads that is interrupted over a start may not know that thread.
    """
    former = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(former):
        yield
        return
    came = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: came.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
    if came.is_set():
        signal.raise_signal(signal.SIGINT)


class _Context(ForkContext):
    """Forks, and remembers what it forked."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[ForkProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> ForkProcess:  # type: ignore[override]  # noqa: N802  # its name
        process = ForkProcess(*args, **kwargs)
        self.made.append(process)
        return process


# In a worker: the function, and its place in the shared words.
_fn: Callable[[Any], Any] = repr
_busy: Any = None
_place = 0


def _begin(fn: Callable[[Any], Any], busy: Any, count: Any, parent: int) -> None:
    """Prepare a worker: an interrupt is the parent's to handle, and a worker does not outlive that."""
    global _fn, _busy, _place
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    with count.get_lock():
        _place = count.value
        count.value += 1
    _fn, _busy = fn, busy


def _work(number: int, chunk: Any) -> Any:
    _busy[_place] = number
    try:
        return _fn(chunk)
    except Exception as exc:
        if _can_travel(exc):
            raise
        raise RuntimeError(f"{type(exc).__name__}: {exc}") from exc
    finally:
        _busy[_place] = _IDLE


def _can_travel(error: Exception) -> bool:
    """Tell whether an exception arrives in the parent; one that does not would break the pool there.

    Many cannot be made again: those whose class asks for more than a text.
    """
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # whatever its class does
        return False
    return True
