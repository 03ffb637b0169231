"""Nine real kernels on one stream: one publishes, all others read, one of them in a cell that blocks."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jupyter_nq.testing import wait_until
from tests.integration.lone_kernel import SECONDS, Kernel, Outcome, running

_KERNELS = 9
_MESSAGES = 200
_BLOCKED_SECONDS = float(os.environ.get("NQ_BLOCKED_SECONDS", "5"))
"""How long a cell of one consumer blocks; 60 by hand."""
_FRAME = "import pandas as pd\nframe = pd.DataFrame({'seq': [0], 'price': [1.5]})"
_PUBLISH = f"""
import time
import jupyter_nq as nq
stream, slowest = nq.stream("ticks"), 0.0
for seq in range(1, {_MESSAGES}):
    start = time.monotonic()
    stream.publish(pd.DataFrame({{'seq': [seq] * (1 + seq % 5), 'price': 1.5}}))
    slowest = max(slowest, time.monotonic() - start)
print(f"{{slowest:.3f}}")
"""
_READ = f"""
numbers = [m.data["seq"].iloc[0] for m in ticks.get_messages(10**6, timeout={SECONDS})]
while len(numbers) < {_MESSAGES}:
    numbers += [m.data["seq"].iloc[0] for m in ticks.get_messages(10**6, timeout={SECONDS})]
print(numbers == list(range({_MESSAGES})), ticks.lost)
"""
_BLOCK = (
    f"""
import pathlib, threading
pathlib.Path("blocked").touch()
threading.Event().wait({_BLOCKED_SECONDS})
"""
    + _READ
)


@pytest.fixture
def kernels(nq_store_dir: Path, tmp_path: Path) -> Iterator[list[Kernel]]:
    """Give nine kernels on one store; the last one of another environment, when the variable names one."""
    another = os.environ.get("JUPYTER_NQ_BASE_PYTHON")
    with running(nq_store_dir, tmp_path, [None] * (_KERNELS - 1) + [another]) as started:
        yield started


def _run(kernel: Kernel, code: str) -> Outcome:
    """Run code in a thread of its own, and close the event loop that the client made there."""
    try:
        return kernel.run(code, seconds=_BLOCKED_SECONDS + SECONDS)
    finally:
        asyncio.get_event_loop_policy().get_event_loop().close()


def test_eight_kernels_read_what_a_ninth_publishes_and_one_that_blocks_costs_nobody_anything(
    kernels: list[Kernel], tmp_path: Path
) -> None:
    """Through magics and calls: each has every message, in order, and who was blocked lost none."""
    publisher, blocked, *others = kernels
    publisher.run(_FRAME)
    assert "message 0, 1 row" in publisher.run("%nq_publish ticks frame").out
    for consumer in (blocked, *others):
        assert "ticks reads ticks, 1 message there" in consumer.run("%nq_subscribe ticks --start earliest").out
    with ThreadPoolExecutor(len(kernels)) as pool:
        waiting = pool.submit(_run, blocked, _BLOCK)
        wait_until((tmp_path / "blocked").exists, SECONDS, "the cell that blocks")
        start = time.monotonic()
        published = pool.submit(_run, publisher, _PUBLISH)
        read = [pool.submit(_run, consumer, _READ) for consumer in others]
        outcomes = [one.result() for one in read]
        took = time.monotonic() - start
        said = published.result()
        assert said.status == "ok", said.tracebacks
        outcomes.append(waiting.result())
    assert [outcome.out for outcome in outcomes] == ["True 0\n"] * (_KERNELS - 1), outcomes
    (table,) = publisher.run("%nq_streams").results
    assert table["text/plain"].count("(pid ") == _KERNELS
    print(
        f"\n{_MESSAGES} frames read by {len(others)} kernels after {took:.1f} s, beside one blocked for "
        f"{_BLOCKED_SECONDS:g} s; the slowest was published in {said.out.strip()} s"
    )
