"""The record of what came from Kafka: it lies beside the stream, and the stream itself decides what of it is true.

Before a bridge publishes some messages it writes down which, and where its lane stood. A lane moves on by one with each
message that is published, so whoever finds the record later knows how many of them were: neither a message nor its
offset is ever without the other. `KAFKA.md` describes the file.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import xxhash

from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.layout import UNREADABLE
from jupyter_nq.buffers.locks import open_lock_file, try_flock
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError, StreamBusy
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import Lane, MappedControl
from jupyter_nq.streams.kafka.position import Entry, Position
from jupyter_nq.streams.owners import Owner, owners
from jupyter_nq.streams.reading import map_segment
from jupyter_nq.streams.rolling import segment_path

FOLDER = "kafka"
_VERSION = 1
_DIGEST_BYTES = 8


@dataclass(frozen=True)
class Begun:
    """What a bridge was about to publish."""

    lane: int
    head: int
    """Where the lane stood: sequence of the first of the entries."""
    pid: int
    started_ns: int
    """When that process began: as publisher its segments say so."""
    entries: Sequence[Entry]

    def packed(self) -> list[Any]:
        """Return it as msgpack takes it."""
        return [self.lane, self.head, self.pid, self.started_ns, [entry.packed() for entry in self.entries]]


@dataclass(frozen=True)
class Kept:
    """What a record says."""

    position: Position
    """Behind all that was settled."""
    begun: Begun | None = None


class Record:
    """The record of one bridge, which it alone may use; close it.

    Parameters
    ----------
    stream
        Directory of the stream.
    name
        Of the bridge.

    Raises
    ------
    StreamBusy
        A bridge of this name runs.
    """

    def __init__(self, stream: Path, name: str) -> None:
        folder = stream / FOLDER
        with refused(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._path = folder / f"{name}.in"
        self._fd = own(open_lock_file(folder / f"{name}.lock"))
        if not try_flock(self._fd, fcntl.LOCK_EX):
            self.close()
            raise StreamBusy(
                f"A bridge {name!r} from Kafka into the stream {stream.name!r} runs already. Stop that one, or give "
                "this one another name if it reads another topic."
            )

    def __repr__(self) -> str:
        return f"<Record {self._path}>"

    def close(self) -> None:
        """Let go of it; closing twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            disown(fd)
            os.close(fd)

    def read(self) -> Kept | None:
        """Return what it says; None when there is none.

        Raises
        ------
        ChecksumError
            It is damaged.
        """
        with refused(self._path):
            try:
                content = self._path.read_bytes()
            except FileNotFoundError:
                return None
        packed, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if digest != xxhash.xxh3_64_digest(packed):
            raise self._damaged("it differs from its digest")
        try:
            return _unpacked(packed)
        except UNREADABLE as exc:
            raise self._damaged(f"it cannot be read: {exc}") from exc

    def write(self, position: Position, begun: Begun | None = None) -> None:
        """Replace what it says, whole or not at all."""
        packed = msgpack.packb([_VERSION, position.packed(), None if begun is None else begun.packed()])
        part = self._path.with_suffix(".part")
        with refused(self._path):
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(packed + xxhash.xxh3_64_digest(packed))
            os.replace(part, self._path)

    def _damaged(self, what: str) -> ChecksumError:
        return ChecksumError(
            f"{self._path} is damaged: {what}. Remove it, and start the bridge where the stream ends: the messages of "
            "its log say in their metadata from which offset they came."
        )


def _unpacked(packed: bytes) -> Kept:
    version, position, rows = msgpack.unpackb(packed)
    if version != _VERSION:
        raise ValueError(f"its version is {version!r}, not {_VERSION}")
    if rows is None:
        return Kept(Position.unpacked(position))
    lane, head, pid, started_ns, entries = rows
    begun = Begun(lane, head, pid, started_ns, [Entry.unpacked(row) for row in entries])
    return Kept(Position.unpacked(position), begun)


def settled(kept: Kept, control: MappedControl) -> tuple[Position, bool]:
    """Return the position behind all that was published, and whether that is certain.

    It is not when another publisher took over the lane of a bridge that was killed, and the stream let go of what that
    one had begun, before the bridge was started again: then nothing of it counts as published.
    """
    begun = kept.begun
    if begun is None:
        return kept.position, True
    end = _end(control, begun)
    if end is None:
        return kept.position, False
    published = max(0, min(end - begun.head, len(begun.entries)))
    return kept.position.after(begun.entries[:published]), True


def _end(control: MappedControl, begun: Begun) -> int | None:
    """Return the sequence behind what a bridge published in its lane; None when that is not known any more."""
    lane = control.lane(begun.lane)
    head = lane.head  # before looking whose lane it is
    if (lane.get(layout.OWNER_PID), lane.get(layout.OWNER_STARTED)) == (begun.pid, begun.started_ns):
        return head
    if lane.tail > begun.head:
        return None
    found = list(_owners(control, lane))
    mine = [
        place for place, owner in enumerate(found) if (owner.pid, owner.started_ns) == (begun.pid, begun.started_ns)
    ]
    after = found[mine[-1] + 1 :] if mine else [owner for owner in found if owner.first_seq >= begun.head]
    return min([head, *(owner.first_seq for owner in after)])


def _owners(control: MappedControl, lane: Lane) -> Iterator[Owner]:
    """Yield who published to a lane, in their order, as far as its segments are there."""
    for number in range(lane.get(layout.TAIL_SEGMENT), lane.get(layout.HEAD_SEGMENT) + 1):
        path = segment_path(control.path, lane.number, number)
        found = map_segment(path, control.static.stream_id, lane.number, number)
        if found is not None:
            yield from owners(*found)
