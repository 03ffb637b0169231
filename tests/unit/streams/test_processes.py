"""Streams between processes that are killed, and under load: nothing torn, nothing twice, every loss counted."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from jupyter_nq.errors import Lagged
from jupyter_nq.streams import Message, Stream, Subscription
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.streams.conftest import SMALL, Make

_MESSAGES = int(os.environ.get("NQ_STREAM_MESSAGES", "16000"))
"""How many the stress publishes; 3,000,000 by hand."""
_KILLS = int(os.environ.get("NQ_STREAM_KILLS", "10"))
_SCHEMA = pa.schema([("lane", pa.int64()), ("seq", pa.int64()), ("noise", pa.int64()), ("check", pa.uint64())])

pytestmark = pytest.mark.usefixtures("light_children")


def _batch(lane: int, seq: int) -> pa.RecordBatch:
    """Return a message that carries its own checksum in every row."""
    rows = 1 + (seq * 7919) % 97
    noise = np.arange(rows) * (seq + 1)
    check = xxhash.xxh3_64_intdigest(noise.tobytes() + bytes([lane]))
    columns = [np.full(rows, lane), np.full(rows, seq), noise, np.full(rows, check, np.uint64)]
    return pa.record_batch(columns, schema=_SCHEMA)


def _check(message: Message) -> None:
    batch = message.data
    noise, check = batch.column("noise").to_numpy(), batch.column("check").to_numpy()
    assert batch.num_rows == 1 + (message.sequence_number * 7919) % 97
    assert batch.column("seq")[0].as_py() == message.sequence_number
    assert (check == xxhash.xxh3_64_intdigest(noise.tobytes() + bytes([message.lane]))).all()


def _read(consumer: Subscription, expected: dict[int, int], timeout: float = 0.0) -> int:
    """Read and check what is there; returns how many messages, those that were lost included."""
    try:
        found = consumer.get_messages(500, timeout)
    except Lagged as exc:
        expected.clear()
        expected.update(consumer.position)
        return exc.lost
    for message in found:
        _check(message)
        assert message.sequence_number == expected.get(message.lane, 0)
        expected[message.lane] = message.sequence_number + 1
    return len(found)


@pytest.mark.parametrize("form", ["tape", "log"])
def test_publisher_killed_at_any_moment(make: Make, nq_store_dir: Path, form: str) -> None:
    """A consumer elsewhere sees whole messages up to the committed head, and the next publisher goes on there."""
    stream = make(schema=_SCHEMA, form=form, exclusive=True, **SMALL)

    def publish(say: Say) -> None:
        own = Stream(nq_store_dir / "s")
        seq = own.messages
        say(seq)
        while True:
            assert own.publish(_batch(0, seq)) == seq
            seq += 1

    def consume(say: Say) -> None:
        consumer = Stream(nq_store_dir / "s").subscribe("earliest")
        expected: dict[int, int] = {}
        say("ready")
        seen = 0
        while not (nq_store_dir / "stop").exists() or consumer.lag:
            seen += _read(consumer, expected, 0.05)
        say([seen, consumer.lost, consumer.position[0]])

    with Forked(consume) as reading:
        assert reading.hear() == "ready"
        head = 0
        for kill in range(_KILLS):
            with Forked(publish) as writing:
                first = writing.hear()
                assert first >= head
                wanted = first + 1 + kill * 13 % 40
                wait_until(lambda wanted=wanted: stream.messages > wanted)  # type: ignore[misc]
            head = stream.messages
        (nq_store_dir / "stop").touch()
        seen, _, position = reading.hear()
    assert seen == position == stream.messages == head
    assert sum(path.stat().st_size for path in (nq_store_dir / "s").glob("0-*")) <= SMALL["retention_bytes"]


def test_killed_consumers_are_reaped(make: Make, nq_store_dir: Path) -> None:
    """A consumer that was killed is gone; a named one stays with nobody, at what it acknowledged; neither blocks."""
    stream = make(schema=_SCHEMA, overflow="error", **SMALL)

    def consume(say: Say) -> None:
        own = Stream(nq_store_dir / "s")
        plain, named = own.subscribe("earliest", gating=True), own.subscribe("earliest", name="n")
        plain.get_messages(1)
        named.get_messages(3)
        named.ack()
        say(os.getpid())
        threading.Event().wait(60)

    for seq in range(5):
        stream.publish(_batch(0, seq))
    for _ in range(5):
        with Forked(consume) as child:
            assert child.hear() == child.pid
            assert [seen.pid for seen in stream.consumers()] == [child.pid] * 2
        assert [(seen.name, seen.pid) for seen in stream.consumers()] == [("n", 0)]
    assert stream.consumers()[0].positions == {0: 5}
    for seq in range(5, 2000):
        stream.publish(_batch(0, seq))


@pytest.mark.parametrize("form", ["tape", "log"])
def test_many_publishers_and_consumers(make: Make, nq_store_dir: Path, form: str) -> None:
    """4 publishers, 8 consumers, some slow, some killed, over many wraps: order per lane, nothing torn, losses exact.

    What each consumer read and what it was told to have lost make up all that was published since it began.
    """
    stream = make(schema=_SCHEMA, form=form, **SMALL)
    each, start = _MESSAGES // 4, time.monotonic()
    path = nq_store_dir / "s"
    readers = [_consumer(path, 4 * each, pause) for pause in (0.0, 0.0, 0.0, 0.001, 0.01, 0.03, 0.1, 0.2)]
    assert [reader.hear() for reader in readers] == [0] * 8
    writers = [Forked(lambda say: _publish_all(path, each, say)) for _ in range(4)]
    try:
        for place in (1, 4, 7):  # a fast one and two slow ones, in the middle
            wait_until(lambda place=place: stream.messages > place * each // 3, 600)  # type: ignore[misc]
            readers[place].kill()
            readers[place] = _consumer(path, 4 * each, 0.0)
        began = {place: readers[place].hear() for place in (1, 4, 7)}
        assert sorted(writer.hear(3000) for writer in writers) == [0, 1, 2, 3]
        told = [reader.hear(3000) for reader in readers]
        assert max(began.values()) > 0
    finally:
        for process in (*readers, *writers):
            process.kill()
    for place, (seen, lost, lag, position) in enumerate(told):
        assert (began.get(place, 0) + seen, lag) == (4 * each, 0)
        assert position == [[lane, each] for lane in range(4)]
        assert lost >= 0
    assert max(lost for _, lost, *_ in told) > 0
    assert stream.messages == 4 * each
    assert stream.consumers() == []
    print(f"\n{form}: {4 * each:,} messages in {time.monotonic() - start:.1f} s, lost {[lost for _, lost, *_ in told]}")


def _publish_all(path: Path, count: int, say: Say) -> None:
    """Publish so many messages, and say on which lane."""
    own = Stream(path)
    lane = own._writer().lane
    for seq in range(count):
        own.publish(_batch(lane, seq))
    say(lane)


def _consumer(path: Path, published: int, pause: float) -> Forked:
    """Read all that will be published, pausing between two reads; say where it begins, and what it read and lost."""

    def consume(say: Say) -> None:
        consumer = Stream(path).subscribe("earliest")
        expected = consumer.position
        seen = began = sum(expected.values())
        say(began)
        never = threading.Event()
        while seen < published:
            seen += _read(consumer, expected, 10.0)
            never.wait(pause)  # a slow one, not one that waits for something
        say([seen - began, consumer.lost, consumer.lag, sorted(consumer.position.items())])
        consumer.close()

    return Forked(consume)
