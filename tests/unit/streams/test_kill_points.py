"""Publishers, consumers and coordinators killed at every line of the streams' code, and at every system call.

A line, because what is in a mapped file changes without a system call; a call, because the kernel may have carried one
out of which the process never heard. Whatever is left, the next ones go on: the lane is taken up behind its committed
head, consumers read exactly up to there, and nothing lies about that nobody needs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from jupyter_nq.errors import UnknownStream
from jupyter_nq.streams import Options, Stream, Subscription, make_stream
from jupyter_nq.streams.directory import drop_stream, sweep
from jupyter_nq.testing import lines, syscalls
from jupyter_nq.testing.stream_files import clean_streams, stream_leftovers
from tests.unit.streams.conftest import SCHEMA, SMALL, ticks

pytestmark = pytest.mark.usefixtures("light_children")

_EVERY_LINE = int(os.environ.get("NQ_KILL_EVERY", "8"))
_EVERY_CALL = min(_EVERY_LINE, 3)
"""A kill before every eighth line, and at every third system call; at each with 1, by hand."""
_ROWS = 1650  # so that each message begins a segment
_PACKAGE = "jupyter_nq.streams"
_OPTIONS = Options(segment_bytes=SMALL["segment_bytes"], retention_bytes=3 * SMALL["segment_bytes"])


@dataclass(frozen=True)
class Case:
    """What is there before, what is done, and what there may be afterwards."""

    prepare: Callable[[Path, pa.Schema | None], object]
    """Makes what is there; what it returns is kept while the work is done."""
    work: Callable[[Path], object]
    heads: set[int]
    """How many messages may be committed."""
    acknowledged: frozenset[int] = frozenset({0})
    """Where the consumer with a name may go on."""
    gone: bool = False
    """Whether the stream may be gone."""


def _published(count: int) -> Callable[[Path, pa.Schema | None], None]:
    def prepare(parent: Path, schema: pa.Schema | None) -> None:
        make_stream(parent, "s", schema, options=_OPTIONS)
        _publish(count)(parent)

    return prepare


def _publish(count: int) -> Callable[[Path], None]:
    def work(parent: Path) -> None:
        with Stream(parent / "s") as stream:
            for _ in range(count):
                stream.publish(ticks(_ROWS, stream.messages))

    return work


def _held(parent: Path, schema: pa.Schema | None) -> Subscription:
    """Fill the lane, and keep its oldest segment mapped."""
    _published(3)(parent, schema)
    consumer = Stream(parent / "s").subscribe("earliest", name="holder")
    consumer.get_messages(1)
    return consumer


def _acknowledge(parent: Path, schema: pa.Schema | None = None) -> None:
    with Stream(parent / "s") as stream, stream.subscribe("earliest", name="risk", gating=False) as consumer:
        consumer.get_messages(1)
        consumer.ack()


def _read(parent: Path) -> None:
    with Stream(parent / "s") as stream, stream.subscribe("earliest") as consumer:
        assert len(consumer.get_messages()) == 3


def _twice_acknowledged(parent: Path, schema: pa.Schema | None) -> None:
    _published(3)(parent, schema)
    _acknowledge(parent)


_CASES = {
    "make": Case(
        lambda parent, schema: None, lambda parent: make_stream(parent, "s", options=_OPTIONS), {0}, gone=True
    ),
    "first message": Case(_published(0), _publish(1), {0, 1}),
    "recycle": Case(_published(3), _publish(1), {3, 4}),
    "unlink": Case(_held, _publish(1), {3, 4}),
    "subscribe": Case(_published(3), _read, {3}),
    "acknowledge": Case(_published(3), _acknowledge, {3}, frozenset({0, 1})),
    "acknowledge again": Case(_twice_acknowledged, _acknowledge, {3}, frozenset({1, 2})),
    "drop": Case(_published(2), lambda parent: drop_stream(parent, "s"), {2}, gone=True),
}


@pytest.mark.parametrize(
    ("name", "form"), [*((name, "tape") for name in _CASES), ("first message", "log"), ("recycle", "log")]
)
def test_killed_before_each_line(name: str, form: str, nq_store_dir: Path) -> None:
    """Both what was there and what was to come are found, and nothing else."""
    case, schema = _CASES[name], SCHEMA if form == "tape" else None
    found = lines.lines(_prepared(case, nq_store_dir / "recorded", schema), _PACKAGE)
    start, seen = time.monotonic(), set()
    for number in _worth_it(found):
        where = nq_store_dir / str(number)
        assert lines.killed_before(_prepared(case, where, schema), _PACKAGE, number)
        seen.add(_after(case, where, found[number]))
    print(f"\n{name}: {len(found)} lines, killed before {len(_worth_it(found))}, {time.monotonic() - start:.1f} s")
    _check_outcomes(case, seen)


@pytest.mark.parametrize("name", _CASES)
def test_killed_at_each_system_call(name: str, nq_store_dir: Path) -> None:
    """The same, of a tape, where the kernel has the last word."""
    if not syscalls.available():
        pytest.skip("strace is not here, or may not attach")
    case = _CASES[name]
    found = syscalls.points(_prepared(case, nq_store_dir / "recorded", SCHEMA), nq_store_dir)
    seen = set()
    for number, point in [*enumerate(found)][::-_EVERY_CALL]:  # the last among them
        where = nq_store_dir / str(number)
        assert syscalls.killed_at(_prepared(case, where, SCHEMA), point), point
        seen.add(_after(case, where, point.line))
    print(f"\n{name}: {len(found)} system calls")
    _check_outcomes(case, seen)


def _prepared(case: Case, where: Path, schema: pa.Schema | None) -> Callable[[], None]:
    where.mkdir()
    kept = case.prepare(where, schema)

    def work() -> None:
        case.work(where)
        assert kept is kept  # what it holds is held until here

    return work


def _worth_it(found: list[str]) -> list[int]:
    """Return the place where each line runs for the first time, of every so many, and of the last that runs."""
    first = sorted(found.index(line) for line in set(found))
    return sorted({*first[::_EVERY_LINE], len(found) - 1})


def _after(case: Case, parent: Path, where: str) -> tuple[int, int]:
    """Check what a kill left, go on with it, and return how many messages there were and where `risk` goes on."""
    sweep(parent)  # as the next coordinator does
    try:
        stream = Stream(parent / "s")
    except UnknownStream:
        assert case.gone, where
        assert list(parent.iterdir()) == [], where
        return -1, 0
    head = stream.messages
    assert head in case.heads, where
    acknowledged = next((seen.positions.get(0, 0) for seen in stream.consumers() if seen.name == "risk"), 0)
    assert acknowledged in case.acknowledged, where
    _check_readers(stream, head, where)
    assert stream.publish(ticks(_ROWS, head)) == head, where
    assert stream._writer().lane == 0, where
    _check_readers(stream, head + 1, where)
    stream.close()
    clean_streams(parent)
    assert stream_leftovers(parent) == [], where
    return head, acknowledged


def _check_readers(stream: Stream, head: int, where: str) -> None:
    """Read all that is kept: whole, in order, exactly up to the head."""
    tail = max(0, head - 3)
    with stream.subscribe("earliest") as consumer:
        messages = consumer.get_messages(100)
        assert [message.sequence_number for message in messages] in (
            list(range(tail, head)),
            list(range(tail + 1, head)),  # the oldest had made room before the kill
        ), where
        for message in messages:
            assert message.data.equals(ticks(_ROWS, message.sequence_number)), where
        assert (consumer.lag, consumer.lost) == (0, 0), where


def _check_outcomes(case: Case, seen: set[tuple[int, int]]) -> None:
    """See that the kills were spread: over what was there before and what came after."""
    assert {head for head, _ in seen} == case.heads | ({-1} if case.gone else set())
    assert {acknowledged for _, acknowledged in seen} >= case.acknowledged
