"""Publishing what came from Kafka, each message once: written down before, settled by where the lane stands after."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from jupyter_nq.errors import NQError, StreamFull, UnknownStream, UnsupportedData
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.kafka.position import Entry, Position
from jupyter_nq.streams.kafka.record import Begun, Record, settled
from jupyter_nq.streams.publisher import Publisher

_log = logging.getLogger("jupyter_nq")

MakePublisher = Callable[[MappedControl, int], Publisher]
"""Makes a publisher of a stream, for a process that began at a time in nanoseconds."""


@dataclass(frozen=True)
class Planned:
    """A new message, before it is published."""

    entry: Entry
    data: Any
    metadata: dict[str, Any] | None
    raw: Any = None
    """As Kafka has it."""


class Delivery:
    """A lane of a stream, and the record of what one bridge published there. Used by one thread at a time.

    Parameters
    ----------
    control
        The stream's.
    name
        Of the bridge.
    publisher
        Gives it a lane of its own.
    blocked
        Called with why the stream takes nothing now, and waits a moment; with None when it does again. False when the
        bridge is to stop.

    Raises
    ------
    StreamBusy
        A bridge of this name runs, or no lane is free.
    ChecksumError
        The record is damaged.
    """

    def __init__(
        self, control: MappedControl, name: str, publisher: MakePublisher, blocked: Callable[[str | None], bool]
    ) -> None:
        self._control = control
        self._blocked = blocked
        self._record = Record(control.path, name)
        try:
            self.position = self._settle()
            self._started_ns = int(psutil.Process().create_time() * 1e9)
            self._publisher = publisher(control, self._started_ns)
        except BaseException:
            self._record.close()
            raise
        self._lane = control.lane(self._publisher.lane)
        self.done = 0
        """How many messages the last `publish` published."""

    def __repr__(self) -> str:
        return f"<Delivery to {self._control.static.name} at {self.position!r}>"

    def _settle(self) -> Position:
        """Return where the last bridge of this name stopped, and write that down before anything else happens."""
        kept = self._record.read()
        if kept is None:
            return Position()
        position, certain = settled(kept, self._control)
        if not certain and kept.begun is not None:
            _log.warning(
                "The last %d messages from Kafka may be in the stream %r twice: the bridge was killed, another "
                "publisher took over its lane, and the stream let go of what it had published.",
                len(kept.begun.entries),
                self._control.static.name,
            )
        self._record.write(position)
        return position

    def publish(self, planned: Sequence[Planned]) -> NQError | None:
        """Publish messages; returns why the one behind those that are `done` never can be, None when all are.

        Raises
        ------
        SchemaMismatch, UnknownStream
            The bridge cannot go on. What was published before is settled.
        """
        self.check()
        before = self._lane.head
        entries = [one.entry for one in planned]
        begun = Begun(self._lane.number, before, os.getpid(), self._started_ns, entries)
        self._record.write(self.position, begun)
        try:
            return self._publish_all(planned)
        finally:
            self.done = self._lane.head - before
            self.position = self.position.after(entries[: self.done])
            if self.done < len(entries):
                self._write()

    def check(self) -> None:
        """Raise `UnknownStream` when the stream was dropped."""
        if self._control.closed:
            raise UnknownStream(
                f"The stream {self._control.static.name!r} was dropped. Make it again: nq.stream(name)."
            )

    def pass_by(self, entry: Entry) -> None:
        """Go on behind a message that is in the stream of dead letters."""
        self.position.pass_by(entry)

    def close(self) -> None:
        """Keep the position, and give back the lane. Closing twice is fine."""
        if self._publisher.usable:
            self._write()
            self._publisher.close()
        self._record.close()

    def _write(self) -> None:
        if not self._control.closed:  # its directory goes
            self._record.write(self.position)

    def _publish_all(self, planned: Sequence[Planned]) -> NQError | None:
        for one in planned:
            try:
                if not self._publish(one):
                    return None
            except UnsupportedData as exc:
                return exc
        return None

    def _publish(self, one: Planned) -> bool:
        """Publish a message, as soon as there is room for it; False when the bridge is to stop."""
        waited = False
        while True:
            try:
                if self._publisher.publish(one.data, one.metadata) is not None:
                    return not waited or self._blocked(None)
                full = f"the stream {self._control.static.name!r} is full"
            except StreamFull as exc:
                if self._control.static.options["overflow"] == "drop_oldest":  # then it is too large, for ever
                    raise UnsupportedData(str(exc)) from exc
                full = str(exc)
            waited = True
            if not self._blocked(full):
                return False
