"""Many chunks, one function, several workers: results in order, memory for a few chunks, and an end without remains."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import GeneratorType
from typing import Any, Protocol

from jupyter_nq.bars.compiled import processors
from jupyter_nq.client.processing.workers import Workers, interrupt_waits
from jupyter_nq.errors import ChunkFailed, InvalidArgument, ProcessingCancelled, nearest
from jupyter_nq.sizes import shortened

MODES = ("threads", "processes")
_AHEAD = 2
"""Chunks for each worker that are taken before their results are."""
_LOOK_SECONDS = 0.05
"""Between two looks whether it is cancelled."""
_SHOWN = 60

Tell = Callable[[int, int | None], object]
Line = AbstractContextManager[Callable[[float], object]]

display: Callable[[str], Line] | None = None
"""Makes a line that shows a fraction, set by the IPython extension; None shows nothing."""


@dataclass(frozen=True)
class _Pending:
    """A chunk that is being worked on."""

    number: int
    described: str
    future: Future[Any]


class _Pool(Protocol):
    """Who does the work."""

    def submit(self, number: int, chunk: Any) -> Future[Any]:
        """Have a chunk worked on."""

    def at_work(self) -> list[int]:
        """Return the numbers of the chunks on which workers died."""

    def has_dead(self) -> bool:
        """Tell whether a worker died; the pool breaks for a result that cannot be read, too."""

    def close(self) -> None:
        """End when the work is done."""

    def end(self) -> None:
        """End now."""


class _Threads:
    """Threads that call one function; one that is in a call cannot be ended, and ends after it."""

    def __init__(self, fn: Callable[[Any], Any], count: int) -> None:
        self._fn = fn
        self._pool = ThreadPoolExecutor(count, "jupyter-nq-chunks")

    def submit(self, _number: int, chunk: Any) -> Future[Any]:
        with interrupt_waits():
            return self._pool.submit(self._fn, chunk)

    def at_work(self) -> list[int]:
        return []

    def has_dead(self) -> bool:
        return False

    def close(self) -> None:
        self._pool.shutdown()

    def end(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def process_concurrent(
    chunks: Iterable[Any],
    fn: Callable[[Any], Any],
    workers: int | None = None,
    mode: str = "threads",
    *,
    on_progress: Tell | None = None,
    cancel: threading.Event | None = None,
) -> list[Any]:
    """Call a function with each chunk, several at the same time, and return the results in the order of the chunks.

    Parameters
    ----------
    chunks
        Taken as workers become free: of a generator (`nq.iterate`) no more than two for each are in memory.
    fn
        Called with a chunk. Any function of a notebook will do in both modes.
    workers
        How many work at the same time; None takes the processors.
    mode
        "threads" for what releases the interpreter lock (numpy, Arrow, files). "processes" for Python code: forked from
        this one, so they see its variables; a chunk and its result are pickled between a process and its own children.
        Let chunks be names and rows, and `fn` call `nq.get`, and no data is copied. What a library's own threads hold,
        such as a client of Kafka, does not work in a forked process.
    on_progress
        Called in this thread with how many chunks are done, and how many there are, None when that is not known.
    cancel
        Set by another thread to end it.

    Raises
    ------
    ChunkFailed
        `fn` failed, the cause, or its worker was killed: with the chunk's number. No further chunk is begun.
    ProcessingCancelled
        By `cancel`. As with an interrupt, processes are killed at once, and a thread ends after its call.
    InvalidArgument

    >>> process_concurrent([[1, 2], [3]], sum)
    [3, 3]
    """
    pool = _pool(fn, workers, mode)
    total = len(chunks) if isinstance(chunks, Sized) else None
    with _told(on_progress, total) as tell:
        try:
            found = _in_order(pool, chunks, _AHEAD * (workers or processors()), tell, cancel)
        except BaseException:
            pool.end()
            raise
        pool.close()
        return found


def _pool(fn: Callable[[Any], Any], workers: int | None, mode: str) -> _Pool:
    if mode not in MODES:
        raise InvalidArgument(f"mode={mode!r} is none of {', '.join(MODES)}.{nearest(str(mode), MODES)}")
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise InvalidArgument(f"workers={workers!r} is no number of workers: give 1 or more.")
    if not callable(fn):
        raise InvalidArgument(f"fn={fn!r} cannot be called.")
    count = workers or processors()
    if mode == "threads":
        return _Threads(fn, count)
    if not hasattr(os, "fork"):
        raise InvalidArgument("mode='processes' needs a system that forks. Use threads here.")
    return Workers(fn, count)


def _told(on_progress: Tell | None, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
    """Return what is called with how many chunks are done: it tells the caller, and shows it."""
    line: Line = nullcontext(lambda _: None)
    if display is not None and total:
        line = display(f"{total:,} chunks")
    return _Told(line, on_progress, total)


class _Told(AbstractContextManager[Callable[[int], None]]):
    """Tells a callback, and a line while it lasts."""

    def __init__(self, line: Line, on_progress: Tell | None, total: int | None) -> None:
        self._line, self._on_progress, self._total = line, on_progress, total

    def __enter__(self) -> Callable[[int], None]:
        self._show = self._line.__enter__()
        return self._tell

    def __exit__(self, *error: Any) -> None:
        self._line.__exit__(*error)

    def _tell(self, done: int) -> None:
        if self._total:
            self._show(done / self._total)
        if self._on_progress is not None:
            self._on_progress(done, self._total)


def _in_order(
    pool: _Pool, chunks: Iterable[Any], window: int, tell: Callable[[int], None], cancel: threading.Event | None
) -> list[Any]:
    """Work on chunks, at most so many at the same time that were not collected; returns the results in order."""
    results: list[Any] = []
    pending: deque[_Pending] = deque()
    iterator = iter(chunks)
    told = 0
    try:
        while _fill(pool, pending, iterator, window, len(results)):
            _wait(pending, cancel, len(results))
            _check(pool, pending)
            while pending and pending[0].future.done():
                results.append(pending.popleft().future.result())
            done = len(results) + sum(one.future.done() for one in pending)
            if done != told:
                tell(told := done)
    finally:
        if isinstance(iterator, GeneratorType):
            iterator.close()  # what it has open is not left to the collection of garbage
    return results


def _fill(pool: _Pool, pending: deque[_Pending], iterator: Iterator[Any], window: int, collected: int) -> bool:
    """Begin as many chunks as may be; False when there is nothing more to wait for."""
    while len(pending) < window:
        try:
            chunk = next(iterator)
        except StopIteration:
            break
        number = collected + len(pending)
        try:
            future = pool.submit(number, chunk)
        except BrokenExecutor as exc:
            future = Future()
            future.set_exception(exc)
        pending.append(_Pending(number, _described(chunk), future))
    return bool(pending)


def _wait(pending: Iterable[_Pending], cancel: threading.Event | None, collected: int) -> None:
    """Wait until a chunk is done, or it is cancelled."""
    running = [one.future for one in pending if not one.future.done()]
    while cancel is None or not cancel.is_set():
        done, _ = wait(running, None if cancel is None else _LOOK_SECONDS, FIRST_COMPLETED)
        if done or not running:
            return
    raise ProcessingCancelled(f"It was cancelled when {collected:,} results were there.")


def _check(pool: _Pool, pending: Iterable[_Pending]) -> None:
    """Raise what went wrong first, in the order of the chunks."""
    for one in pending:
        error = one.future.exception() if one.future.done() else None
        if isinstance(error, BrokenExecutor):
            raise _killed(pool, pending, one, error) from error
        if error is not None:
            raise _failed(one, f"{type(error).__name__}: {error}") from error


def _killed(pool: _Pool, pending: Iterable[_Pending], first: _Pending, error: BrokenExecutor) -> ChunkFailed:
    """Return the error of a chunk whose worker was killed: by an exit, the system for want of memory, or a person.

    Or of one whose result arrived and could not be read; then the pool says why.
    """
    if error.__cause__ is not None and not pool.has_dead():
        *_, why = str(error.__cause__).strip("\n'\" ").splitlines()
        return _failed(first, f"a result cannot be unpickled: {why}")
    numbers = pool.at_work()
    found = next((one for one in pending if one.number in numbers), first)
    return _failed(found, "its worker process was killed")


def _failed(one: _Pending, why: str) -> ChunkFailed:
    error = ChunkFailed(f"Chunk {one.number} ({one.described}) failed: {why}")
    error.number = one.number
    return error


def _described(chunk: Any) -> str:
    """Return a few words for a chunk: its type and length, of short values the value.

    >>> _described([1, 2]), _described("NQ")
    ('list of 2', "'NQ'")
    """
    if isinstance(chunk, Sized) and not isinstance(chunk, (str, bytes)):
        return f"{type(chunk).__name__} of {len(chunk):,}"
    return shortened(repr(chunk[:_SHOWN] if isinstance(chunk, (str, bytes)) else chunk), _SHOWN)
