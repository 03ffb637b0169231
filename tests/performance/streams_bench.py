"""The rows about streams of the design's budgets, side by side with their peers: `.ci/bench`, or by hand

    python -m tests.performance.streams_bench

in an environment that has this package with its test and bench extras, and `redis-server`. What stands in one table was
measured in turns, and medians are shown. A consumer is another process, and reads one value of each batch.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from jupyter_nq.streams import Options
from jupyter_nq.testing.forked import Forked
from tests.performance import stream_peers
from tests.performance.stream_lines import KEPT, Line, Tape, ZmqPub, ZmqPush, batch_of, closing
from tests.performance.test_streams import consume, seconds

ROUNDS = 3
CONSUMERS = 8
REPLAYED = 300_000
IDLE_SECONDS = 3.0
PACE_SECONDS = 0.002

Makers = tuple[type[Line], ...]


def in_turns(makers: Makers, measure: Callable[[type[Line], int], float], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median of what is measured for each line, after a round that is not counted."""
    found: dict[str, list[float]] = {make.name: [] for make in makers}
    for number in range(rounds + 1):
        for make in makers:
            found[make.name].append(measure(make, number))
    return {name: statistics.median(values[1:]) for name, values in found.items()}


def show(title: str, found: dict[str, float], unit: str, *, less_is_better: bool = False) -> None:
    """Print a table: each line's figure, and how many times as good as it this package is."""
    print(f"\n{title}")
    own = found[Tape.name]
    for name, value in found.items():
        ratio = value / own if less_is_better else own / value
        print(f"  {name:<20} {value:14,.2f} {unit:<12} {ratio:8.2f}x", flush=True)


def latency_us(make: type[Line], where: Path, number: int, messages: int = 500) -> float:
    """Return the median time from a row's publishing to its being read, at 500 rows a second.

    A stream of this package is given the row's values; a peer, which carries bytes, a batch of them.
    """
    row = batch_of(1)
    prices = [column[0].as_py() for column in row.columns[1:]]

    def listen(line: Line, say: Callable[[object], None]) -> None:
        receive, took = line.subscribe(), []
        say("ready")
        while len(took) < messages:  # rows that came while it was slow may be in one batch
            took += [time.perf_counter_ns() - stamp for batch in receive() for stamp in batch.column(0).to_pylist()]
        say(statistics.median(took) / 1e3)

    with closing(make(where, number, row.nbytes)) as line, Forked(lambda say: listen(line, say)) as child:
        child.hear()
        line.joined(1)
        for _ in range(messages):
            time.sleep(PACE_SECONDS)
            stamp = time.perf_counter_ns()
            if isinstance(line, Tape):
                line.stream.publish_rows(((stamp, *prices),))
            else:
                line.send(pa.record_batch([pa.array([stamp]), *row.columns[1:]], schema=row.schema), 1)
        return float(child.hear())


def aggregate_gigabytes(make: type[Line], where: Path, number: int, rows: int = 10_000, messages: int = 300) -> float:
    """Return what eight consumers read of one publisher, all together, in GB/s."""
    batch = batch_of(rows)
    warm = max(2 * KEPT, 2 * Options.retention_bytes // batch.nbytes)
    parts = warm * rows, messages * rows
    with closing(make(where, number, batch.nbytes)) as line:
        children = [Forked(lambda say: consume(line, parts, say)) for _ in range(CONSUMERS)]
        try:
            _hear(children)
            line.joined(CONSUMERS)
            line.send(batch, warm)
            _hear(children)
            start = time.perf_counter()
            line.send(batch, messages)
            return CONSUMERS * messages * batch.nbytes / (max(_hear(children)) - start) / 1e9
        finally:
            for child in children:
                child.kill()


def _hear(children: Iterable[Forked]) -> list[Any]:
    return [child.hear() for child in children]


def replay_ms(make: type[Line], where: Path, number: int) -> float:
    """Return how long a consumer that comes late takes to have all rows, which were published one by one."""
    row = batch_of(1)

    def read(line: Line, say: Callable[[object], None]) -> None:
        start, left, receive = time.perf_counter(), REPLAYED, line.subscribe()
        while left > 0:
            for batch in receive():
                left -= batch.num_rows
                batch.column(1)[0].as_py()
        say((time.perf_counter() - start) * 1e3)

    with closing(make(where, number, row.nbytes)) as line:
        line.send(row, REPLAYED)
        with Forked(lambda say: read(line, say)) as child:
            return float(child.hear())


def idle_percent(make: type[Line], where: Path, number: int) -> float:
    """Return the share of a core that a waiting consumer takes."""

    def wait(line: Line, say: Callable[[object], None]) -> None:
        receive = line.subscribe()
        say("ready")
        while True:
            list(receive())

    with closing(make(where, number, 48)) as line, Forked(lambda say: wait(line, say)) as child:
        child.hear()
        line.joined(1)
        process = psutil.Process(child.pid)
        before = sum(process.cpu_times()[:2])
        time.sleep(IDLE_SECONDS)
        return (sum(process.cpu_times()[:2]) - before) / IDLE_SECONDS * 100


def measure(where: Path) -> None:
    """Print all tables."""
    everybody: Makers = (Tape, ZmqPub, ZmqPush, *stream_peers.lines())
    for rows, messages in ((1, 30_000), (10_000, 1_000), (1_000_000, 10)):
        nbytes = 48 * rows * messages

        def rate(make: type[Line], number: int, rows: int = rows, messages: int = messages) -> float:
            return 1 / seconds(make, where, 1000 + rows + number, messages, rows)

        found = in_turns(everybody, rate)
        scale, unit = (messages, "messages/s") if rows == 1 else (nbytes / 1e9, "GB/s")
        show(f"{rows:,} rows a message", {name: value * scale for name, value in found.items()}, unit)
    found = in_turns(everybody, lambda make, number: latency_us(make, where, 100 + number))
    show("one row, from publish to read", found, "us", less_is_better=True)
    shared = tuple(make for make in everybody if make is not ZmqPush)
    found = in_turns(shared, lambda make, number: aggregate_gigabytes(make, where, 200 + number))
    show(f"{CONSUMERS} consumers of 10,000 rows a message", found, "GB/s")
    keeping = (Tape, stream_peers.Redis, stream_peers.JetStream)
    found = in_turns(keeping, lambda make, number: replay_ms(make, where, 300 + number), rounds=1)
    show(f"replay of {REPLAYED:,} rows", found, "ms", less_is_better=True)
    print("\na waiting consumer")
    for make in everybody:
        print(f"  {make.name:<20} {idle_percent(make, where, 400):14.3f} % of a core", flush=True)


def main() -> None:
    """Measure in a directory of shared memory, which goes afterwards."""
    if not Path("/dev/shm").is_dir():
        sys.exit("There is no /dev/shm here.")
    with tempfile.TemporaryDirectory(prefix="nqb-", dir="/dev/shm") as where, stream_peers.servers(Path(where)):
        measure(Path(where))


if __name__ == "__main__":
    main()
