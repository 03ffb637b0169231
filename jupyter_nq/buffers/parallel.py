"""Work on pieces in several threads, with the results in the order of the pieces.

Copying, digests, zstd, Parquet's encoders, AES and reading a file let go of Python's lock, so threads share the work
of one object.
No more results are kept than twice the threads. When the block ends, however it ends, no thread works any more:
the files that they use may be closed.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
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
    pending: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="jupyter-nq-work") as pool:
        try:
            yield _results(pool, call, items, pending, 2 * threads)
        finally:
            for future in pending:
                future.cancel()


def _results(
    pool: ThreadPoolExecutor,
    call: Callable[[_Item], _Result],
    items: Sequence[_Item],
    pending: deque[Future[_Result]],
    ahead: int,
) -> Iterator[_Result]:
    for item in items:
        if len(pending) == ahead:
            yield pending.popleft().result()
        pending.append(pool.submit(call, item))
    while pending:
        yield pending.popleft().result()
