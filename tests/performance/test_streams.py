"""What streams cost, beside ZeroMQ PUB/SUB over a Unix socket: publisher and consumer are two processes.

Both consumers read one value of each batch, nothing is lost, and both have been running for a while when the clock
starts: the segments of the stream are used again by then. The other peers are measured by hand, see `.ci/bench`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from jupyter_nq.streams import Options, Stream, make_stream
from jupyter_nq.testing.forked import Forked
from tests.performance.stream_lines import KEPT, SCHEMA, Line, Tape, ZmqPub, batch_of, closing

pytestmark = pytest.mark.performance

_ROUNDS = 3


def consume(line: Line, rows: tuple[int, ...], say: Callable[[object], None]) -> None:
    """Say that it is there, then read so many rows each time, one value of each batch, and say when."""
    receive = line.subscribe()
    say("ready")
    for left in rows:
        while left > 0:
            for batch in receive():
                left -= batch.num_rows
                batch.column(1)[0].as_py()
        say(time.perf_counter())


def seconds(make: type[Line], where: Path, number: int, messages: int, rows: int) -> float:
    """Return how long so many messages take from the first publish to the last read, once all is warm."""
    batch = batch_of(rows)
    warm = max(2 * KEPT, min(messages, 2 * Options.retention_bytes // batch.nbytes))
    parts = warm * rows, messages * rows
    with closing(make(where, number, batch.nbytes)) as line, Forked(lambda say: consume(line, parts, say)) as child:
        assert child.hear() == "ready"
        line.joined(1)
        line.send(batch, warm)
        child.hear()
        start = time.perf_counter()
        line.send(batch, messages)
        stop = child.hear()
        assert isinstance(stop, float)
    return stop - start


@pytest.mark.parametrize(("rows", "messages", "floor"), [(1, 30_000, 1.5), (10_000, 1_000, 0.65), (1_000_000, 10, 2.5)])
def test_messages_per_second(nq_store_dir: Path, rows: int, messages: int, floor: float) -> None:
    """Single rows, batches that fit a cache, and such that do not; half of what was measured is asserted."""
    took: dict[type[Line], list[float]] = {Tape: [], ZmqPub: []}
    for number in range(_ROUNDS + 1):
        for make, each in took.items():
            each.append(seconds(make, nq_store_dir, number, messages, rows))
    tape, peer = (statistics.median(each[1:]) for each in took.values())
    gigabytes = messages * rows * 48 / tape / 1e9
    print(
        f"\n{rows:,} rows: {messages / tape:,.0f} messages/s, {gigabytes:.2f} GB/s, {peer / tape:.1f}x ZeroMQ PUB/SUB"
    )
    assert peer > floor * tape


def test_a_waiting_consumer_costs_nothing(nq_store_dir: Path) -> None:
    """It sleeps in the system until something is published."""
    make_stream(nq_store_dir, "idle", SCHEMA)

    def wait(say: Callable[[object], None]) -> None:
        with Stream(nq_store_dir / "idle") as stream:
            reader = stream.subscribe()
            say("ready")
            reader.read_batches(3.0)
            say("done")

    with Forked(wait) as child:
        assert child.hear() == "ready"
        process = psutil.Process(child.pid)
        before = sum(process.cpu_times()[:2])
        assert child.hear() == "done"
        share = (sum(process.cpu_times()[:2]) - before) / 3.0
    print(f"\nidle consumer: {share:.3%} of a core")
    assert share < 0.005, "ten times the budget of 0.05 %"
