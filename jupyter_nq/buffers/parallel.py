"""Work on pieces in several threads, with the results in the order of the pieces.

Copying, digests, zstd, Parquet's encoders, AES and reading a file let go of Python's lock, so threads share the work
of one object.
No more results are kept than twice the threads. When the block ends, however it ends, no thread works any more:
the files that they use may be closed.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_PAUSE_SECONDS = 0.001
_MOST_THREADS = 4  # one disk, or one memory bus, feeds them all


def most_threads() -> int:
    """Return how many threads work on one object here."""
    return min(_MOST_THREADS, len(os.sched_getaffinity(0)))


@contextlib.contextmanager
def in_order(call: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[Iterator[_Result]]:
    """Give the results of `call` for each item, in the order of the items."""
    threads = min(most_threads(), len(items))
    if threads < 2:
        yield map(call, items)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="jupyter-nq-work")
    calls = _Calls(call)
    try:
        yield _results(pool, calls, items, 2 * threads)
    finally:
        _end(pool, calls)


class _Calls(Generic[_Item, _Result]):
    """A function, and who is in it.

    It has a count of its own because a pool does not know a thread whose start was interrupted.
    """

    def __init__(self, call: Callable[[_Item], _Result]) -> None:
        # _under_way and _over are the mutable state; each change is one atomic operation. A thread first says that it
        # is there, then looks whether all is over; who ends it does the same in the other order.
        self._call = call
        self._under_way: set[object] = set()
        self._over = False

    def __call__(self, item: _Item) -> _Result:
        mine = object()
        self._under_way.add(mine)
        try:
            if self._over:
                raise CancelledError
            return self._call(item)
        finally:
            self._under_way.discard(mine)

    def finish(self) -> None:
        """Let no call begin any more, and wait for those that did."""
        self._over = True
        while self._under_way:
            threading.Event().wait(_PAUSE_SECONDS)


def _end(pool: ThreadPoolExecutor, calls: _Calls[_Item, _Result]) -> None:
    """Wait until no thread works, whoever interrupts the waiting; the interrupt is raised afterwards.

    A thread that went on would write through a descriptor that is closed, or is another file's by now.
    """
    interrupt: BaseException | None = None
    while True:
        try:
            calls.finish()
            pool.shutdown(wait=True, cancel_futures=True)
            break
        except BaseException as exc:
            interrupt = exc
    if interrupt is not None:
        raise interrupt


def _results(
    pool: ThreadPoolExecutor,
    call: Callable[[_Item], _Result],
    items: Sequence[_Item],
    ahead: int,
) -> Iterator[_Result]:
    pending: deque[Future[_Result]] = deque()
    for i, item in enumerate(items):
        if len(pending) == ahead:
            yield pending.popleft().result()
        try:
            pending.append(pool.submit(call, item))
        except RuntimeError:  # the interpreter is ending, and starts no thread any more: the rest is done here
            while pending:
                yield pending.popleft().result()
            yield from map(call, items[i:])
            return
    while pending:
        yield pending.popleft().result()
