"""Limits by rows and by age: exact by message, for readers and publishers, of idle streams too."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from jupyter_nq.errors import InvalidArgument, Lagged
from jupyter_nq.streams import Options, Stream, layout
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, sequences, ticks

_NS = 1_000_000_000
FORMS = pytest.mark.parametrize("form", ["tape", "log"])


class _Clock:
    """Time that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ns = 1_700_000_000 * _NS
        monkeypatch.setattr(time, "time_ns", lambda: self.ns)

    def pass_seconds(self, seconds: float) -> None:
        self.ns += int(seconds * _NS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """Give a clock that stands still."""
    return _Clock(monkeypatch)


def _kept(stream: Stream) -> list[int]:
    return sequences(stream.subscribe("earliest").get_messages(1_000_000))


def _expected_tail(sizes: list[int], limit: int) -> int:
    """Return the oldest message that a list model keeps."""
    tail = 0
    while tail < len(sizes) - 1 and sum(sizes[tail:]) > limit:
        tail += 1
    return tail


# -- rows -----------------------------------------------------------------------------------------
@FORMS
def test_rows_are_kept_to_the_message(make: Make, form: str) -> None:
    """After each message of any size the tail is where a list model has it, over many segments."""
    stream, random = make(schema=SCHEMA, form=form, retention_rows=1000, **SMALL), Random(3)
    sizes: list[int] = []
    for _ in range(300):
        sizes.append(random.choice([1, 3, 50, 400]))
        stream.publish(ticks(sizes[-1]))
        assert stream._control.lane(0).tail == _expected_tail(sizes, 1000)
    assert _kept(stream) == list(range(_expected_tail(sizes, 1000), 300))
    assert stream.stats()["kept"] == len(_kept(stream))


def test_memory_may_be_the_tighter_limit(make: Make) -> None:
    """Segments that go because memory is full are counted out: the limit holds as soon as it is the tighter one."""
    stream = make(schema=SCHEMA, retention_rows=8000, **SMALL)
    for _ in range(60):
        stream.publish(ticks(500))
    big = stream._control.lane(0).tail
    for _ in range(20_000):
        stream.publish_rows([(1, 2.0, 3)])
    lane = stream._control.lane(0)
    assert lane.tail > big
    assert lane.head - lane.tail <= 8000


def test_a_message_without_columns_counts_as_a_row(make: Make) -> None:
    """JSON and bytes, among batches; the newest message stays whatever it has."""
    stream = make(retention_rows=5)
    for data in ({"a": 1}, b"x", {"a": 2}, b"y", {"a": 3}, {"a": 4}):
        stream.publish(data)
    assert _kept(stream) == [1, 2, 3, 4, 5]
    stream.publish(ticks(3))
    assert _kept(stream) == [4, 5, 6]
    stream.publish(ticks(100))
    assert _kept(stream) == [7]


def test_segments_go_when_they_are_whole_behind_the_limit(make: Make) -> None:
    """Memory is free long before it is full."""
    stream = make(schema=SCHEMA, retention_rows=10, segment_bytes=64 << 10, retention_bytes=4 << 20)
    for _ in range(300):
        stream.publish(ticks(100))
    lane = stream._control.lane(0)
    assert lane.get(layout.HEAD_SEGMENT) > 5
    assert lane.get(layout.HEAD_SEGMENT) - lane.get(layout.TAIL_SEGMENT) <= 1
    assert len(list((stream._control.path).glob("0-*"))) <= 2


def test_a_reader_is_told_exactly_what_it_missed(make: Make) -> None:
    """The limit moves past it within a segment: `Lagged` once, with the count."""
    stream = make(schema=SCHEMA, retention_rows=10)
    reader = stream.subscribe("earliest")
    stream.publish_rows([(n, 1.0, 1) for n in range(5)])
    assert len(reader.get_messages(2)) == 2
    stream.publish_rows([(n, 1.0, 1) for n in range(20)])
    with pytest.raises(Lagged) as lagged:
        reader.get_messages(100)
    assert lagged.value.lost == 13
    assert sequences(reader.get_messages(100)) == list(range(15, 25))
    assert sequences(stream.subscribe(-100).get_messages(100)) == list(range(15, 25))


@FORMS
def test_the_next_publisher_keeps_to_the_limit(make: Make, form: str) -> None:
    """It counts what its lane has, and goes on."""
    stream = make(schema=SCHEMA, form=form, retention_rows=100)
    sizes = [30, 30, 30]
    for size in sizes:
        stream.publish(ticks(size))
    stream.close()
    again = make(schema=SCHEMA, form=form)
    for size in (5, 20, 40):
        again.publish(ticks(size))
        sizes.append(size)
        assert again._control.lane(0).tail == _expected_tail(sizes, 100)


# -- age ------------------------------------------------------------------------------------------
@FORMS
def test_an_idle_stream_shows_nothing_that_is_too_old(make: Make, clock: _Clock, form: str) -> None:
    """Nobody publishes, nobody looks after it: whoever reads sees what is young enough, to the nanosecond."""
    stream = make(schema=SCHEMA, form=form, retention_seconds=10.0)
    for _ in range(20):
        stream.publish(ticks(1))
        clock.pass_seconds(1)
    clock.ns -= 1 * _NS  # the last one is of now
    assert _kept(stream) == list(range(9, 20))
    assert stream.stats()["kept"] == 11
    clock.ns += 1
    assert _kept(stream) == list(range(10, 20))
    assert sequences(stream.subscribe(-15).get_messages(100)) == list(range(10, 20))
    assert sequences(stream.subscribe(datetime(2020, 1, 1, tzinfo=UTC)).get_messages(100)) == list(range(10, 20))
    clock.pass_seconds(100)
    assert (_kept(stream), stream.stats()["kept"]) == ([], 0)


def test_a_reader_that_waits_too_long_is_told(make: Make, clock: _Clock) -> None:
    """What became too old before it was read is missed, and counted."""
    stream = make(schema=SCHEMA, retention_seconds=10)
    reader = stream.subscribe("earliest")
    for _ in range(4):
        stream.publish(ticks(1))
        clock.pass_seconds(4)
    with pytest.raises(Lagged) as lagged:
        reader.get_messages(100)
    assert lagged.value.lost == 2
    assert sequences(reader.get_messages(100)) == [2, 3]


def test_the_publisher_lets_go_of_what_is_too_old(make: Make, clock: _Clock) -> None:
    """With the next message the tail moves, and segments behind it go."""
    stream = make(schema=SCHEMA, retention_seconds=60, segment_bytes=64 << 10, retention_bytes=4 << 20)
    for _ in range(10):
        stream.publish(ticks(500))
    clock.pass_seconds(61)
    stream.publish(ticks(1))
    lane = stream._control.lane(0)
    assert (lane.tail, lane.head) == (10, 11)
    assert lane.get(layout.HEAD_SEGMENT) - lane.get(layout.TAIL_SEGMENT) <= 1


# -- options --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"retention_rows": -1}, "retention_rows=-1 is no number of rows"),
        ({"retention_seconds": float("nan")}, "retention_seconds=nan is no number of seconds"),
        ({"retention_rows": 5, "overflow": "block"}, "a limit lets go of messages, whoever needs them"),
    ],
)
def test_limits_that_cannot_be_are_refused(make: Make, options: dict[str, Any], says: str) -> None:
    """No number, or a stream that is to wait for its consumers."""
    with pytest.raises(InvalidArgument, match=says):
        Options(**options).check()
