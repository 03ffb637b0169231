"""What the children of the kill harness do with streams, and what the streams must then hold.

A name says by its number what its stream is: a tape or a log, exclusive, one whose publishers wait for the consumer
`risk`, or one that keeps so many rows. What a stream holds is where each lane's head is and what `risk` has
acknowledged; every message follows from its lane and its sequence, so whatever is kept can be checked. A step publishes
many messages, and a kill in the middle leaves any number of them. Durable streams are a kind of their own
(`durable_workloads`), with the same steps and two more.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.client.session import Session
from jupyter_nq.errors import ChecksumError, Lagged, StreamBusy, StreamFull, UnknownStream
from jupyter_nq.streams import Stream, Subscription
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.lanes import is_taken
from jupyter_nq.testing.stream_messages import SCHEMA, check_batches, check_message, message_of
from jupyter_nq.testing.workloads import Content, State, kind, workload

_SEGMENT_BYTES = 64 << 10  # 64 KiB, soon full
_SEGMENTS = 3
_DURABLE_SEGMENTS = 16  # more than a child publishes before the disk has it
_NAMED = "risk"
_ACKNOWLEDGED = 1 << 10  # added to a lane, for what its consumer has acknowledged
_ON_DISK = 1 << 11  # added to both, for what the disk has of it
_MOST_HELD = 2
_EVERYTHING = 1 << 30


@dataclass(frozen=True)
class Shape:
    """What a stream is."""

    form: str
    options: dict[str, Any]

    @property
    def gated(self) -> bool:
        """Whether publishers wait for the consumer with a name."""
        return "overflow" in self.options

    @property
    def segments(self) -> int:
        """How many segments of a lane are kept."""
        return _DURABLE_SEGMENTS if "durable" in self.options else _SEGMENTS


_SHAPES = (
    *(Shape(form, {}) for form in ("tape", "log")),
    *(Shape(form, {"exclusive": True}) for form in ("tape", "log")),
    *(Shape(form, {"overflow": "block", "block_seconds": 0.002}) for form in ("tape", "log")),
    *(Shape(form, {"retention_rows": 50}) for form in ("tape", "log")),
)


def shape_of(name: str) -> Shape:
    """Return what the stream of a name is.

    >>> shape_of("stream3").options
    {'exclusive': True}
    >>> shape_of("durable3").options
    {'exclusive': True, 'durable': True}
    """
    found = re.search(r"\d+$", name)
    shape = _SHAPES[int(found[0]) % len(_SHAPES) if found else 0]
    return replace(shape, options=shape.options | {"durable": True}) if name.startswith("durable") else shape


@dataclass(frozen=True)
class Published(Content):
    """What a stream holds: (lane, messages ever), and (1024 + lane, messages acknowledged), without zeros.

    Of a durable one also what a restart would bring back, which grows by itself: the same, each with 2048 added.
    """

    @classmethod
    def of(cls, counts: dict[int, int]) -> Published:
        """Return it from the counts."""
        return cls("stream", tuple(sorted((place, count) for place, count in counts.items() if count)))

    def moved(self, counts: dict[int, int]) -> Published:
        """Return it with other counts."""
        return Published.of({**dict(self.pieces), **counts})

    def with_acknowledged(self, heads: dict[int, int]) -> Published:
        """Return it with so many messages of each lane acknowledged."""
        return self.moved({_ACKNOWLEDGED + lane: head for lane, head in heads.items()})

    def with_disk(self, found: Published) -> Published:
        """Return it with what the disk has."""
        return self.moved({_ON_DISK + place: count for place, count in found.in_memory.pieces})

    @property
    def in_memory(self) -> Published:
        """It without what the disk has."""
        return Published.of({place: count for place, count in self.pieces if place < _ON_DISK})

    @property
    def after_restart(self) -> Published:
        """It when memory has what the disk brings back."""
        found = Published.of({place - _ON_DISK: count for place, count in self.pieces if place >= _ON_DISK})
        return found.with_disk(found)

    @property
    def heads(self) -> dict[int, int]:
        """Messages of each lane."""
        return {place: count for place, count in self.pieces if place < _ACKNOWLEDGED}

    @property
    def acknowledged(self) -> dict[int, int]:
        """Messages of each lane that were acknowledged."""
        return {place - _ACKNOWLEDGED: count for place, count in self.in_memory.pieces if place >= _ACKNOWLEDGED}

    @property
    def version(self) -> int:
        """A number that grows with whatever happens in memory."""
        return sum(count for _, count in self.in_memory.pieces)

    def may_have(self, version: int, before: State) -> bool:
        """Tell whether it may be under a version: another one when memory has something else, as the disk may."""
        there = before.content
        return isinstance(there, Published) and (version != before.version) is (self.in_memory != there.in_memory)

    def lies_between(self, before: Content | None, after: Content | None) -> bool:
        """Tell whether each count is one that there was on the way; the disk may be further, as far as memory is."""
        first = dict(before.pieces) if before else {}
        mine, last = dict(self.pieces), dict(after.pieces) if after else first
        places = {**first, **last, **mine}
        low = {place: min(first.get(place, 0), last.get(place, 0)) for place in places}
        high = {place: max(first.get(place, 0), last.get(place, 0)) for place in places}
        high |= {_ON_DISK + place: count for place, count in self.in_memory.pieces}
        return all(low[place] <= mine.get(place, 0) <= high.get(place, 0) for place in places)


# -- reading back --------------------------------------------------------------------------------
def read_stream(store: Store, name: str, _candidates: list[Content]) -> State | None:
    """Read all that a stream keeps, and see that nobody of the dead is left there.

    Raises
    ------
    ChecksumError
        Messages are torn, missing or twice; or a consumer or publisher is there that is dead.
    """
    try:
        stream = Stream(store.path / STREAMS / name)
    except UnknownStream:
        return None
    with stream:
        control = MappedControl(store.path / STREAMS / name)
        if control.closed:  # its coordinator died over dropping it, and the next one goes on
            return None
        _check_nobody_is_left(stream, control)
        found = read_kept(stream)
    return State(found.version, found, sealed=True)


def read_kept(stream: Stream) -> Published:
    """Read and check all messages that a stream keeps; returns how far it is."""
    found = published(stream)
    _check_kept(stream, found)
    _check_named(stream, found)
    return found


def stream_version(store: Store, name: str) -> int:
    """Return a number that grows with all that happens to a stream; 0 when it is not there."""
    try:
        with Stream(store.path / STREAMS / name) as stream:
            return published(stream).version
    except UnknownStream:
        return 0


def published(stream: Stream) -> Published:
    """Return what memory has of a stream."""
    counts = {lane.number: lane.head for lane in stream._control.lanes()}
    for seen in stream.consumers():
        if seen.name == _NAMED:
            counts.update({_ACKNOWLEDGED + lane: seq for lane, seq in seen.positions.items()})
    return Published.of(counts)


def _check_nobody_is_left(stream: Stream, control: MappedControl) -> None:
    left = [repr(seen) for seen in stream.consumers() if seen.pid or not seen.name]
    left += [f"a publisher of {lane}" for lane in control.lanes() if is_taken(control, lane.number)]
    if left:
        raise ChecksumError(f"{stream.name} has {'; '.join(left)}, and all were killed")


def _check_kept(stream: Stream, found: Published) -> None:
    """Read what is kept: contiguous, whole, and exactly up to the committed heads."""
    with stream.subscribe("earliest") as consumer:
        _take(stream, consumer, _EVERYTHING)
        stopped = {lane: seq for lane, seq in consumer.position.items() if seq}
        if consumer.lost or stopped != found.heads:
            raise ChecksumError(f"{stream.name}: readers stop at {stopped}, lost {consumer.lost}, of {found}")


def _check_named(stream: Stream, found: Published) -> None:
    """See that the consumer with a name goes on behind what it acknowledged, and misses what is gone, exactly."""
    if _begun(stream):
        with _named(stream) as consumer:
            _take(stream, consumer, 10, found.acknowledged)


def _begun(stream: Stream) -> bool:
    """Tell whether `risk` has a position in each lane: one that was killed before has acknowledged nothing."""
    lanes = {lane.number for lane in stream._control.lanes()}
    return any(seen.name == _NAMED and seen.positions.keys() == lanes for seen in stream.consumers())


def _take(stream: Stream, consumer: Subscription, most: int, start: dict[int, int] | None = None) -> None:
    """Read and check messages; from `start` on what is gone is told before, with its exact number."""
    if start is not None:
        _check_loss(stream, consumer, start)
    before = consumer.position
    if stream.form == "tape" and most == _EVERYTHING:
        batches = [batch for found in iter(consumer.read_batches, []) for batch in found]
        check_batches(stream.name, batches, before, consumer.position)
        return
    expected = dict(before)
    for message in consumer.get_messages(most):
        if message.sequence_number != expected.get(message.lane, 0):
            raise ChecksumError(f"{stream.name}: {message} comes where {expected} is next")
        check_message(message)
        expected[message.lane] = message.sequence_number + 1


def _check_loss(stream: Stream, consumer: Subscription, start: dict[int, int]) -> None:
    there = {lane: seq for lane, seq in consumer.position.items() if seq}
    tails = {lane.number: lane.tail for lane in stream._control.lanes()}
    gone = sum(max(0, tail - start.get(lane, 0)) for lane, tail in tails.items())
    told = 0
    try:
        consumer.get_messages(0 if not gone else 1)
    except Lagged as exc:
        told = exc.lost
    if (there, told) != (start, gone):
        raise ChecksumError(f"{stream.name}: {_NAMED} goes on at {there}, not {start}; lost {told}, not {gone}")


# -- steps ---------------------------------------------------------------------------------------
_held: list[Subscription] = []  # of a child, which dies with them; its only thread changes it


def let_go(session: Session) -> None:
    """Close what a process has of streams, as its end would."""
    session.streaming.close()
    while _held:
        _held.pop().close()


def open_stream(session: Session, name: str) -> Stream:
    """Open the stream of a name, made as its shape says."""
    shape = shape_of(name)
    schema = SCHEMA if shape.form == "tape" else None
    sizes: dict[str, Any] = {"segment_bytes": _SEGMENT_BYTES, "retention_bytes": shape.segments * _SEGMENT_BYTES}
    return session.stream(name, schema, form=shape.form, **sizes, **shape.options)


def _named(stream: Stream) -> Subscription:
    return stream.subscribe("earliest", name=_NAMED, gating=shape_of(stream.name).gated)


def there_is(before: Content | None) -> Published:
    """Return what there is, to be said before the stream is made."""
    return Published.of(dict(before.pieces) if before else {})


def burst(stream: Stream, known: Published, count: int) -> Iterator[Published]:
    """Publish messages; where the stream is full, `risk` acknowledges all there is."""
    lane = stream._writer().lane
    start = known.heads.get(lane, 0)
    after = known.moved({lane: start + count})
    yield after
    for seq in range(start, start + count):
        try:
            found = stream.publish(*message_of(stream.form, lane, seq))
        except StreamFull:
            after = after.with_acknowledged({**known.heads, lane: seq})
            yield after
            with all_acknowledged(stream):
                pass
            found = stream.publish(*message_of(stream.form, lane, seq))
        if found != seq:
            raise ChecksumError(f"{stream.name}: message {seq} of lane {lane} got the sequence {found}")


@contextlib.contextmanager
def all_acknowledged(stream: Stream) -> Iterator[None]:
    """Acknowledge all messages as `risk`, which is there during the block."""
    while _held:
        _held.pop().close()
    with _named(stream) as consumer:
        consumer.seek("latest")
        consumer.ack()
        yield


@workload("stream")
def publish(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Publish some messages in the first lane that is free, enough to begin other segments now and then."""
    yield (known := there_is(before))
    yield from burst(open_stream(session, name), known, 1 + int(80 * random.random() ** 2))


@workload("stream")
def publish_beside(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Publish from a second session while the first has its lane: in another one, or not at all if it is exclusive."""
    yield (last := there_is(before))
    stream = open_stream(session, name)
    for after in burst(stream, last, 1):
        yield (last := after)
    with Session(settings=session.settings) as other:
        beside = open_stream(other, name)
        try:
            yield from burst(beside, last, random.randint(1, 30))
        except StreamBusy:
            if "exclusive" not in shape_of(name).options:
                raise


@workload("stream")
def acknowledge(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Read on as `risk`, behind what was acknowledged, and acknowledge that."""
    yield (known := there_is(before))
    stream = open_stream(session, name)
    begun = _begun(stream)
    if not begun:  # it begins with the oldest messages, or in a lane that is new to it with the first
        first = {lane.number: lane.tail for lane in stream._control.lanes()} | known.acknowledged
        yield (known := known.moved({_ACKNOWLEDGED + lane: seq for lane, seq in first.items()}))
    with _named(stream) as consumer:
        if not begun:
            with contextlib.suppress(Lagged):
                consumer.get_messages(1)
        _take(stream, consumer, random.randint(1, 100), known.acknowledged if begun else None)
        yield known.moved({_ACKNOWLEDGED + lane: seq for lane, seq in consumer.position.items()})
        consumer.ack()


@workload("stream")
def consume(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Read a part of what is there as a consumer without a name, and leave it open, so that the kill ends it."""
    yield there_is(before)
    stream = open_stream(session, name)
    consumer = stream.subscribe("earliest", gating=shape_of(name).gated)
    _take(stream, consumer, random.randint(1, 100))
    _held[_MOST_HELD:] = []
    _held.insert(0, consumer)


@workload("stream")
def drop_stream(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Remove the stream; one that is not there is made."""
    if before is None:
        yield from publish(session, name, before, random)
        return
    yield None
    with contextlib.suppress(UnknownStream):  # the coordinator was killed behind it, and the next one was asked again
        session.drop_stream(name)


kind("stream", read_stream, stream_version, {"stream": Published})
