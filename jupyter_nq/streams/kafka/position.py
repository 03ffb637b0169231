"""How far a topic has been read: the next offset of each partition, and of each lane the messages that were taken.

What a broker delivers again, a sender that died sends again. Such a message is known by stream, lane and sequence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

_MOST_GAPS = 64
"""Gaps of a lane that are remembered, the newest: only to call a late message by its name."""

_MOST_LANES = 4096
"""Lanes that are remembered, those of which something came last: there may be new ones for ever."""

Origin = tuple[str, int]
"""Id of a stream, and a lane of it."""


class Verdict(Enum):
    """What a message is to somebody who has read so far."""

    NEW = "new"
    REPLAYED = "replayed"
    """It was taken before."""
    OLD = "old"
    """It was never taken, and later ones were."""


@dataclass(frozen=True)
class Entry:
    """A message on its way into a stream."""

    partition: int
    offset: int
    """Behind it: where reading goes on."""
    origin: Origin | None = None
    """None for a message that no stream sent."""
    sequence: int = 0

    def packed(self) -> list[Any]:
        """Return it as msgpack takes it."""
        return [self.partition, self.offset, *(self.origin or (None, 0)), self.sequence]

    @classmethod
    def unpacked(cls, row: list[Any]) -> Entry:
        """Return what was packed."""
        partition, offset, stream_id, lane, sequence = row
        return cls(partition, offset, None if stream_id is None else (stream_id, lane), sequence)


@dataclass
class Taken:
    """What was taken of one lane."""

    first: int
    """Sequence of the first message."""
    next: int
    """Sequence behind the last."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Sequences between the two that never came, from and to before."""

    def judge(self, sequence: int) -> Verdict:
        """Return what a message is."""
        if sequence >= self.next:
            return Verdict.NEW
        known = sequence >= self.first and not any(start <= sequence < stop for start, stop in self.gaps)
        return Verdict.REPLAYED if known else Verdict.OLD

    def take(self, sequence: int) -> int:
        """Take a new message; returns how many are missing before it."""
        missing = sequence - self.next
        if missing:
            self.gaps = [*self.gaps, (self.next, sequence)][-_MOST_GAPS:]
        self.next = sequence + 1
        return missing


class Position:
    """How far a topic has been read; used by one thread."""

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}
        """Partition -> offset of its next message."""
        self.taken: dict[Origin, Taken] = {}
        """What was taken of each lane, the one of which something came last at the end."""

    def __repr__(self) -> str:
        return f"<Position in {len(self.offsets)} partitions, of {len(self.taken)} lanes>"

    def judge(self, entry: Entry) -> Verdict:
        """Return what a message is to who has read so far."""
        taken = None if entry.origin is None else self.taken.get(entry.origin)
        return Verdict.NEW if taken is None else taken.judge(entry.sequence)

    def take(self, entry: Entry) -> int:
        """Count a new message as taken; returns how many of its lane are missing before it."""
        self.offsets[entry.partition] = entry.offset
        if entry.origin is None:
            return 0
        taken = self.taken.pop(entry.origin, None) or Taken(entry.sequence, entry.sequence)
        self.taken[entry.origin] = taken  # the last of all
        if len(self.taken) > _MOST_LANES:
            del self.taken[next(iter(self.taken))]
        return taken.take(entry.sequence)

    def pass_by(self, entry: Entry) -> None:
        """Go on behind a message that was not taken."""
        self.offsets[entry.partition] = entry.offset

    def after(self, entries: Iterable[Entry]) -> Position:
        """Return another position, behind new messages."""
        found = Position.unpacked(self.packed())
        for entry in entries:
            found.take(entry)
        return found

    def packed(self) -> list[Any]:
        """Return it as msgpack takes it."""
        taken = [[*origin, lane.first, lane.next, lane.gaps] for origin, lane in self.taken.items()]
        return [list(self.offsets.items()), taken]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> Position:
        """Return what was packed."""
        found = cls()
        found.offsets = dict(packed[0])
        for stream_id, lane, first, following, gaps in packed[1]:
            found.taken[stream_id, lane] = Taken(first, following, [(start, stop) for start, stop in gaps])
        return found
