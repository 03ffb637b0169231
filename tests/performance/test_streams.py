"""What streams cost, beside ZeroMQ PUB/SUB over a Unix socket: publisher and consumer are two processes.

The peer sends Arrow's IPC bytes and its consumer makes a batch of them, without a limit of what may wait. Both
consumers read one value of each batch, nothing is lost, and both have been running for a while when the clock starts:
the segments of the stream are used again by then. Redis, NATS and iceoryx2 are measured by hand, see `.ci/bench`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
import zmq

from jupyter_nq.streams import Options, Stream, make_stream
from jupyter_nq.testing.forked import Forked

pytestmark = pytest.mark.performance

_SCHEMA = pa.schema([("ts", pa.int64()), *((name, pa.float64()) for name in "abcde")])
_ROUNDS = 3
_MESSAGES_KEPT = 5  # at least, beside the default retention
Consume = Callable[[Callable[[object], None]], None]


def _batch(rows: int) -> pa.RecordBatch:
    random = np.random.default_rng(1)
    values = [pa.array(random.random(rows)) for _ in "abcde"]
    return pa.record_batch([pa.array(np.arange(rows)), *values], schema=_SCHEMA)


_ROW = _batch(1)


class _Tape:
    """A stream of this package."""

    def __init__(self, where: Path, number: int, nbytes: int) -> None:
        retention = max(Options.retention_bytes, _MESSAGES_KEPT * nbytes)
        options = Options(retention, overflow="block", block_seconds=60.0)
        make_stream(where, f"s{number}", _SCHEMA, options=options)
        self._path = where / f"s{number}"
        self.stream = Stream(self._path)

    def consume(self, rows: tuple[int, ...], say: Callable[[object], None]) -> None:
        """Say that it is there, then read so many rows each time and say when."""
        with Stream(self._path) as stream:
            reader = stream.subscribe("earliest", gating=True)
            say("ready")
            for left in rows:
                while left > 0:
                    for batch in reader.read_batches(10.0):
                        left -= batch.num_rows
                        batch.column(1)[0].as_py()
                say(time.perf_counter())

    def publish(self, batch: pa.RecordBatch) -> None:
        """Publish a batch."""
        self.stream.publish(batch)

    def publish_row(self, row: tuple[Any, ...]) -> None:
        """Publish a row."""
        self.stream.publish_rows((row,))

    def close(self) -> None:
        """Let go of it."""
        self.stream.close()


class _Zmq:
    """A PUB socket; the subscription is known to it once a first message has come through."""

    def __init__(self, where: Path, number: int, nbytes: int) -> None:
        self._address = f"ipc://{where}/z{number}"
        self._socket = zmq.Context.instance().socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.bind(self._address)

    def consume(self, rows: tuple[int, ...], say: Callable[[object], None]) -> None:
        """Say that it is there, then read so many rows each time and say when."""
        socket = zmq.Context().socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.connect(self._address)
        socket.subscribe(b"")
        say("ready")
        for left in rows:
            while left > 0:
                batch = pa.ipc.read_record_batch(pa.py_buffer(socket.recv(copy=False)), _SCHEMA)
                left -= batch.num_rows
                batch.column(1)[0].as_py()
            say(time.perf_counter())

    def joined(self) -> None:
        """Wait until the consumer is known."""
        self._socket.recv()

    def publish(self, batch: pa.RecordBatch) -> None:
        """Publish a batch."""
        self._socket.send(batch.serialize(), copy=False)

    def publish_row(self, row: tuple[Any, ...]) -> None:
        """Publish a row as a batch that is there already: making it would cost more than sending it."""
        self._socket.send(_ROW.serialize(), copy=False)

    def close(self) -> None:
        """Let go of it."""
        self._socket.close(linger=0)


def _seconds(make: type[_Tape | _Zmq], where: Path, number: int, messages: int, rows: int) -> float:
    """Return how long so many messages take from the first publish to the last read."""
    batch, row = _batch(rows), (1, 2.0, 3.0, 4.0, 5.0, 6.0)
    line = make(where, number, batch.nbytes)
    warm = max(2 * _MESSAGES_KEPT, min(messages, 2 * Options.retention_bytes // batch.nbytes))

    def publish(count: int) -> None:
        for _ in range(count):
            if rows == 1:
                line.publish_row(row)
            else:
                line.publish(batch)

    with Forked(lambda say: line.consume((warm * rows, messages * rows), say)) as child:
        assert child.hear() == "ready"
        if isinstance(line, _Zmq):
            line.joined()
        publish(warm)
        child.hear()
        start = time.perf_counter()
        publish(messages)
        stop = child.hear()
        assert isinstance(stop, float)
    line.close()
    return stop - start


@pytest.mark.parametrize(("rows", "messages", "floor"), [(1, 30_000, 1.5), (10_000, 1_000, 0.65), (1_000_000, 10, 2.5)])
def test_messages_per_second(nq_store_dir: Path, rows: int, messages: int, floor: float) -> None:
    """Single rows, batches that fit a cache, and such that do not; half of what was measured is asserted."""
    took: dict[type[_Tape | _Zmq], list[float]] = {_Tape: [], _Zmq: []}
    for number in range(_ROUNDS + 1):
        for make, seconds in took.items():
            seconds.append(_seconds(make, nq_store_dir, number, messages, rows))
    tape, peer = (statistics.median(seconds[1:]) for seconds in took.values())
    gigabytes = messages * rows * 48 / tape / 1e9
    print(
        f"\n{rows:,} rows: {messages / tape:,.0f} messages/s, {gigabytes:.2f} GB/s, {peer / tape:.1f}x ZeroMQ PUB/SUB"
    )
    assert peer > floor * tape


def test_a_waiting_consumer_costs_nothing(nq_store_dir: Path) -> None:
    """It sleeps in the system until something is published."""
    make_stream(nq_store_dir, "idle", _SCHEMA)

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
