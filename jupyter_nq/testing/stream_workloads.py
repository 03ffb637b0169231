"""What the children of the kill harness do with streams, and what the streams must then hold.

A name says by its number what its stream is: a tape or a log, exclusive, one whose publishers wait for the consumer
`risk`, or one that keeps so many rows. What a stream holds is where each lane's head is and what `risk` has
acknowledged; every message follows from its lane and its sequence, so whatever is kept can be checked. A step publishes
many messages, and a kill in the middle leaves any number of them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
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
_NAMED = "risk"
_ACKNOWLEDGED = 1 << 10  # added to a lane, for what its consumer has acknowledged
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
    """
    found = re.search(r"\d+$", name)
    return _SHAPES[int(found[0]) % len(_SHAPES) if found else 0]


@dataclass(frozen=True)
class Published(Content):
    """What a stream holds: (lane, messages ever), and (1024 + lane, messages acknowledged), without zeros."""

    @classmethod
    def of(cls, counts: dict[int, int]) -> Published:
        """Return it from the counts."""
        return cls("stream", tuple(sorted((place, count) for place, count in counts.items() if count)))

    def moved(self, counts: dict[int, int]) -> Published:
        """Return it with other counts."""
        return Published.of({**dict(self.pieces), **counts})

    @property
    def heads(self) -> dict[int, int]:
        """Messages of each lane."""
        return {place: count for place, count in self.pieces if place < _ACKNOWLEDGED}

    @property
    def acknowledged(self) -> dict[int, int]:
        """Messages of each lane that were acknowledged."""
        return {place - _ACKNOWLEDGED: count for place, count in self.pieces if place >= _ACKNOWLEDGED}

    @property
    def version(self) -> int:
        """A number that grows with whatever happens."""
        return sum(count for _, count in self.pieces)

    def lies_between(self, before: Content | None, after: Content | None) -> bool:
        """Tell whether each count is one that there was on the way."""
        low = dict(before.pieces) if before else {}
        high, mine = dict(after.pieces) if after else low, dict(self.pieces)
        return all(low.get(place, 0) <= mine.get(place, 0) <= high.get(place, 0) for place in {**low, **high, **mine})


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
        found = _published(stream)
        _check_nobody_is_left(stream, control)
        _check_kept(stream, found)
        _check_named(stream, found)
    return State(found.version, found, sealed=True)


def stream_version(store: Store, name: str) -> int:
    """Return a number that grows with all that happens to a stream; 0 when it is not there."""
    try:
        with Stream(store.path / STREAMS / name) as stream:
            return _published(stream).version
    except UnknownStream:
        return 0


def _published(stream: Stream) -> Published:
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


def _open(session: Session, name: str) -> Stream:
    shape = shape_of(name)
    schema = SCHEMA if shape.form == "tape" else None
    sizes: dict[str, Any] = {"segment_bytes": _SEGMENT_BYTES, "retention_bytes": 3 * _SEGMENT_BYTES}
    return session.stream(name, schema, form=shape.form, **sizes, **shape.options)


def _named(stream: Stream) -> Subscription:
    return stream.subscribe("earliest", name=_NAMED, gating=shape_of(stream.name).gated)


def _known(before: Content | None) -> Published:
    """Return what there is, to be said before the stream is made."""
    return Published.of(dict(before.pieces) if before else {})


def _burst(stream: Stream, known: Published, count: int) -> Iterator[Published]:
    """Publish messages; where the stream is full, `risk` acknowledges all there is."""
    lane = stream._writer().lane
    start = known.heads.get(lane, 0)
    after = known.moved({lane: start + count})
    yield after
    for seq in range(start, start + count):
        try:
            found = stream.publish(*message_of(stream.form, lane, seq))
        except StreamFull:
            heads = {**known.heads, lane: seq}
            after = after.moved({_ACKNOWLEDGED + number: head for number, head in heads.items()})
            yield after
            _acknowledge_all(stream)
            found = stream.publish(*message_of(stream.form, lane, seq))
        if found != seq:
            raise ChecksumError(f"{stream.name}: message {seq} of lane {lane} got the sequence {found}")


def _acknowledge_all(stream: Stream) -> None:
    while _held:
        _held.pop().close()
    with _named(stream) as consumer:
        consumer.seek("latest")
        consumer.ack()


@workload("stream")
def publish(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Publish some messages in the first lane that is free, enough to begin other segments now and then."""
    yield (known := _known(before))
    yield from _burst(_open(session, name), known, 1 + int(80 * random.random() ** 2))


@workload("stream")
def publish_beside(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Publish from a second session while the first has its lane: in another one, or not at all if it is exclusive."""
    yield (last := _known(before))
    stream = _open(session, name)
    for after in _burst(stream, last, 1):
        yield (last := after)
    with Session(settings=session.settings) as other:
        beside = _open(other, name)
        try:
            yield from _burst(beside, last, random.randint(1, 30))
        except StreamBusy:
            if "exclusive" not in shape_of(name).options:
                raise


@workload("stream")
def acknowledge(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Read on as `risk`, behind what was acknowledged, and acknowledge that."""
    yield (known := _known(before))
    stream = _open(session, name)
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
    yield _known(before)
    stream = _open(session, name)
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
