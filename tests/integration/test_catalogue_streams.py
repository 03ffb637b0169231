"""What must happen to streams when something goes wrong, case by case, with real processes and sessions.

The numbers are those of the project's catalogue of cases. 80 and 81, about messages that are published once more, are
the Kafka bridge's (`tests/unit/streams/kafka`); 90 is the browser's (`tests/e2e`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from jupyter_nq import testing
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import SchemaMismatch, StreamBusy
from jupyter_nq.streams import Stream
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked, Say

pytestmark = pytest.mark.usefixtures("light_children")

_SCHEMA = pa.schema([("seq", pa.int64()), ("price", pa.float64())])
_SMALL = {"segment_bytes": 64 << 10, "retention_bytes": 256 << 10}
_CLIENTS = 64
_STOPPED_SECONDS = float(os.environ.get("NQ_STOPPED_SECONDS", "1"))
"""How long a client is stopped at least; 60 by hand."""
_RECONNECT_SECONDS = 5.0

_PRELUDE = """
import time
import pyarrow as pa
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import NQError
session = Session(settings=Settings(store_dir=sys.argv[1], connect_seconds=20, spill_bytes=0))
"""


class Child(testing.Child):
    """A process with a `session` on the store."""

    def __init__(self, store_dir: Path, code: str) -> None:
        super().__init__(_PRELUDE + code, str(store_dir))


@pytest.fixture
def session(nq_store_dir: Path) -> Iterator[Session]:
    """A session that hosts the coordinator of an empty store."""
    with Session(settings=Settings(store_dir=str(nq_store_dir), connect_seconds=20, spill_bytes=0)) as opened:
        yield opened


def _batch(seq: int, rows: int = 100) -> pa.RecordBatch:
    return pa.record_batch([np.full(rows, seq), np.arange(float(rows))], schema=_SCHEMA)


def _numbers(messages: list[Any]) -> list[int]:
    return [message.sequence_number for message in messages]


@pytest.mark.parametrize(
    ("moment", "there"),
    [
        ("from jupyter_nq.streams.log import LogWriter as W; W.write, was = lambda *a: was(*a) and die(), W.write", 1),
        ("s._writer()._ring = die", 2),
    ],
    ids=["written and not committed", "committed and nobody woken"],
)
def test_79_a_publisher_killed_in_the_middle_leaves_a_whole_message_or_none(
    session: Session, moment: str, there: int
) -> None:
    """Readers end at the committed head, and the next publisher goes on there."""
    stream = session.stream("a")
    reader = stream.subscribe("earliest")
    with Child(session.store.path, f"s = session.stream('a'); s.publish('first'); {moment}; s.publish('x')") as child:
        assert child.wait() == -9
    assert [message.data for message in reader.get_messages(9)] == ["first", "x"][:there]
    assert stream.publish("next") == there
    assert [message.data for message in reader.get_messages(9)] == ["next"]


def test_82_of_two_publishers_of_an_exclusive_stream_the_second_is_refused(session: Session) -> None:
    """With the first one's process; when that is killed the second takes over behind its messages."""
    stream = session.stream("a", exclusive=True)
    with Child(session.store.path, "say(session.stream('a').publish('first')); input()") as first:
        assert first.line() == "0"
        with pytest.raises(StreamBusy, match=f"exclusive, and process {first.pid} publishes"):
            stream.publish("second")
        assert session.list_streams()[0].publishers == (first.pid,)
        first.kill()
    assert stream.publish("second") == 1
    assert [message.data for message in stream.subscribe("earliest").get_messages()] == ["first", "second"]


def test_83_a_slow_consumer_costs_bounded_memory_and_learns_exactly_what_it_missed(session: Session) -> None:
    """It is told once, and goes on with the oldest message that is there."""
    stream = session.stream("a", _SCHEMA, **_SMALL)
    code = """
s = session.stream('a')
reader = s.subscribe('earliest')
say(len(reader.get_messages(1)))
input()
told = []
read = 1
while reader.lag:
    try:
        read += len(reader.get_messages(100))
    except NQError as exc:
        told.append(exc.lost)
say(len(told), read, told[0], reader.lost, session.list_streams()[0].lost)
"""
    stream.publish(_batch(0))
    with Child(session.store.path, code) as slow:
        assert slow.line() == "1"
        for seq in range(1, 2000):
            stream.publish(_batch(seq))
        assert session.store.stream_bytes() < _SMALL["retention_bytes"] + _SMALL["segment_bytes"]
        slow.tell()
        times, read, lost, *counted = map(int, slow.line().split())
        assert (times, counted) == (1, [lost, lost])
        assert read + lost == 2000
        assert read > stream.stats()["kept"]  # it had its first segment mapped


def test_84_another_schema_is_refused_with_both(session: Session) -> None:
    """By who publishes it and by who opens the stream with it; the stream stays as it was, and works."""
    stream = session.stream("a", _SCHEMA)
    stream.publish(_batch(0))
    code = """
for wrong in (lambda: session.stream('a').publish(pa.table({'seq': [1], 'price': ['x']})),
              lambda: session.stream('a', pa.schema([('seq', pa.int64())]))):
    try:
        wrong()
    except NQError as exc:
        say(type(exc).__name__, exc)
"""
    with Child(session.store.path, code) as child:
        for has in ("price string", "seq int64"):
            said = child.line()
            assert said.startswith(SchemaMismatch.__name__)
            assert "price double" in said
            assert has in said
    assert stream.publish(_batch(1)) == 1


@pytest.mark.parametrize("hours", [-1, 1], ids=["85 back", "86 forward"])
def test_85_86_a_clock_that_jumps_an_hour_changes_no_order_and_expires_nothing(session: Session, hours: int) -> None:
    """Sequences and times of a lane go on, waits take as long as they say, and all consumers and messages are there."""
    stream = session.stream("a", overflow="block", block_seconds=0.2, **_SMALL)
    stream.publish("before")
    reader = stream.subscribe("earliest", name="risk", gating=True)
    stream.close()
    session.streaming.close()  # so that the child has the same lane
    code = f"""
real = time.time_ns
time.time_ns = lambda: real() + {hours * 3600 * 10**9}
s = session.stream('a')
s.publish('after')
start = time.monotonic()
try:
    for _ in range(99):
        s.publish(bytes(30_000))
except NQError as exc:
    say(type(exc).__name__, 0.2 <= time.monotonic() - start < 20)
say([row.kept == row.messages > 5 for row in session.list_streams()], session.list_streams()[0].consumers)
"""
    with Child(session.store.path, code) as child:
        assert child.line() == "StreamFull True"
        assert child.line() == "[True] ('risk',)"
        assert child.wait() == 0
    messages = reader.get_messages(1000)
    assert _numbers(messages) == list(range(len(messages)))
    times = [message.timestamp_ns for message in messages]
    assert times == sorted(times)
    since = datetime.now(UTC) + timedelta(hours=hours, minutes=-5)
    assert len(session.stream("a").subscribe(since).get_messages(1000)) == len(messages) - (hours > 0)


@pytest.mark.parametrize("how", ["by its name", "from its sequence"])
def test_87_a_kernel_that_was_killed_subscribes_again_where_it_was(session: Session, how: str) -> None:
    """Behind what it acknowledged, or at the position that it wrote down: nothing is missing or comes twice."""
    stream = session.stream("a")
    for number in range(10):
        stream.publish(number)
    start = "'earliest', name='risk'" if how == "by its name" else "int(input())"
    code = f"""
import json
reader = session.stream('a').subscribe({start})
say(json.dumps([message.data for message in reader.get_messages(4)]))
if {how == "by its name"}:
    reader.ack()
reader.get_messages(1)  # read, and not acknowledged
say(reader.position[0] - 1)
input()
"""
    read, position = [], "0"
    for _ in range(2):
        with Child(session.store.path, code) as kernel:
            if how != "by its name":
                kernel.tell(position)
            read.append(kernel.line())
            position = kernel.line()
            kernel.kill()
    assert read == ["[0, 1, 2, 3]", "[4, 5, 6, 7]"]
    assert position == "8"


def test_88_streams_go_on_without_their_coordinator_and_control_is_back_in_five_seconds(nq_store_dir: Path) -> None:
    """It is killed under a publisher and a reader; listing, making and dropping streams work again by themselves."""
    with Child(nq_store_dir, "session.stream('a').publish('host'); say('up'); input()") as host:
        assert host.line() == "up"
        with Session(settings=Settings(store_dir=str(nq_store_dir), connect_seconds=20, spill_bytes=0)) as session:
            assert session.status().host_pid == host.pid
            stream = session.stream("a")
            reader = stream.subscribe("earliest")
            stream.publish(b"before")
            host.kill()
            start = time.monotonic()
            for number in range(1000):
                stream.publish(number)
            assert len(reader.get_messages(2000)) == 1002
            without = time.monotonic() - start
            start = time.monotonic()
            assert session.stream("b").publish("x") == 0
            assert session.drop_stream("b") == 1
            assert [row.name for row in session.list_streams()] == ["a"]
            back = time.monotonic() - start
            assert session.status().host_pid != host.pid
    print(f"\n1,000 messages published and read in {without:.3f} s without a coordinator; control back in {back:.3f} s")
    assert back < _RECONNECT_SECONDS


@pytest.mark.parametrize("who", ["publisher", "consumer"])
def test_89_a_client_that_is_stopped_holds_nobody_up(session: Session, who: str) -> None:
    """The others publish, read, make and drop meanwhile; the one that was stopped goes on, and knows what it missed."""
    stream = session.stream("a", _SCHEMA, **_SMALL)
    stream.publish(_batch(0))
    code = f"""
s = session.stream('a')
reader = s.subscribe('earliest')
if {who == "publisher"}:
    s.publish(pa.table({{'seq': [0], 'price': [1.0]}}).cast(s.schema))
say('ready')
input()
lost = read = 0
while reader.lag:
    try:
        read += len(reader.get_messages(1000))
    except NQError as exc:
        lost += exc.lost
say(read + lost, lost == reader.lost > 0)
"""
    with Child(session.store.path, code) as stopped:
        assert stopped.line() == "ready"
        os.kill(stopped.pid, signal.SIGSTOP)
        beside, count, slowest = stream.subscribe(), 1, 0.0
        until = time.monotonic() + _STOPPED_SECONDS
        while time.monotonic() < until or count < 2000:
            start = time.monotonic()
            stream.publish(_batch(count))
            assert len(beside.get_messages()) == 1
            slowest = max(slowest, time.monotonic() - start)
            count += 1
        assert session.stream("b").publish("x") == 0
        session.drop_stream("b")
        assert len(session.list_streams()[0].publishers) == (2 if who == "publisher" else 1)
        os.kill(stopped.pid, signal.SIGCONT)
        stopped.tell()
        assert stopped.line() == f"{count + (who == 'publisher')} True"
    print(f"\n{count:,} messages beside a stopped {who}, the slowest took {1e3 * slowest:.1f} ms")


def _digest(path: Path, count: int, say: Say) -> None:
    """Say that it is there, then the digest of so many messages."""
    reader = Stream(path).subscribe("earliest")
    say("ready")
    state = xxhash.xxh3_128()
    read = 0
    while read < count:
        for message in reader.get_messages(count - read, 60):
            state.update(str(message.sequence_number).encode() + message.data.column(1).to_numpy().tobytes())
            read += 1
    say([state.hexdigest(), reader.lost])


@pytest.mark.parametrize("stuck", [False, True], ids=["91 all read", "92 one is stuck"])
def test_91_92_sixty_four_consumers_have_the_same_digest(session: Session, stuck: bool) -> None:
    """Each of them reads everything; one more that is stopped, and holds what it maps, changes nothing for them."""
    stream = session.stream("a", _SCHEMA)
    path, count = session.store.path / "streams" / "a", 300
    clients = [Forked(lambda say: _digest(path, count, say)) for _ in range(_CLIENTS + stuck)]
    try:
        assert [client.hear() for client in clients] == ["ready"] * len(clients)
        if stuck:
            os.kill(clients[0].pid, signal.SIGSTOP)
        start = time.monotonic()
        for seq in range(count):
            stream.publish(_batch(seq))
        published = time.monotonic() - start
        told = [client.hear() for client in clients[stuck:]]
        took = time.monotonic() - start
        assert len({digest for digest, _ in told}) == 1
        assert [lost for _, lost in told] == [0] * _CLIENTS
        if stuck:
            os.kill(clients[0].pid, signal.SIGCONT)
            assert clients[0].hear() == told[0]
    finally:
        for client in clients:
            client.kill()
    wait_until(lambda: stream.consumers() == [], message="the consumers to be reaped")
    print(f"\n{count} messages published in {published:.3f} s, read by all {len(told)} after {took:.3f} s")


def test_who_publishes_and_reads_is_known_by_process(session: Session) -> None:
    """The pids that a stream shows are those which the coordinator sees at the other end of its socket."""
    session.put("x", np.ones(10))
    code = """
held = session.get('x')
s = session.stream('a')
s.publish(1)
reader = s.subscribe()
session.ls()
say('up')
input()
"""
    with Child(session.store.path, code) as one:
        assert one.line() == "up"
        (row,) = session.list_streams()
        assert (row.publishers, row.consumers) == ((one.pid,), (str(one.pid),))
        wait_until(lambda: [holder.pid for holder in session.ls()[0].holders] == [one.pid], message="its hold")
        one.kill()
    (row,) = session.list_streams()
    assert (row.publishers, row.consumers) == ((), ())
