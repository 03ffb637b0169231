"""Publishing: write behind the head, then move the head. No other process takes part.

What the stream keeps is bounded. When it is full the oldest segment goes (`drop_oldest`); or the publisher waits until
every consumer that gates has read it (`block`), gives the message up (`drop_new`) or refuses it (`error`).
"""

from __future__ import annotations

import functools
import mmap
import os
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jupyter_nq.buffers.layout import PAGE
from jupyter_nq.errors import InvalidArgument, StreamFull, UnknownStream
from jupyter_nq.streams import layout
from jupyter_nq.streams.consumers import Seen, in_the_way
from jupyter_nq.streams.control import Lane, MappedControl
from jupyter_nq.streams.durable.flushing import Entry, flusher
from jupyter_nq.streams.durable.keeping import Keys, keep_lane, no_keys, wait_for_disk
from jupyter_nq.streams.epochs import check_epoch
from jupyter_nq.streams.forms import Epochs, Form, Writer, form_of
from jupyter_nq.streams.lanes import Claim
from jupyter_nq.streams.layout import Segment
from jupyter_nq.streams.owners import Owner, go_on
from jupyter_nq.streams.retention import Limits, is_limited
from jupyter_nq.streams.rolling import Rolling
from jupyter_nq.streams.schema import remove_drafts
from jupyter_nq.streams.tape import TapeWriter

_MESSAGES = 16
"""That a segment has room for, if the retention still is as many as `_LEAST_SEGMENTS`."""
_LEAST_SEGMENTS = 4
POLICIES = ("drop_oldest", "block", "drop_new", "error")


_live: weakref.WeakSet[Publisher] = weakref.WeakSet()


class Publisher:
    """One writer of a stream; threads may share it.

    Parameters
    ----------
    control
        The stream's control file.
    started_ns
        When this process began.
    keys
        Gives the master keys with which a durable stream is encrypted on the disk.

    Raises
    ------
    StreamBusy
        The stream takes no further publisher.
    """

    def __init__(self, control: MappedControl, started_ns: int = 0, keys: Keys = no_keys) -> None:
        # _lock guards all that follows: the lane, its segments, and the head that this process alone moves.
        self._control = control
        self._epoch = control.epoch
        self._form: Form = form_of(control, self._epoch)
        self._epochs = Epochs(control)
        self._lock = threading.Lock()
        self._started_ns = started_ns
        options = control.static.options
        self._segment_bytes: int = options["segment_bytes"] // PAGE * PAGE
        self._retention_bytes: int = options["retention_bytes"]
        self._overflow: str = options["overflow"]
        self._block_seconds: float = options["block_seconds"]
        self._words = control.words
        self._ring = control.news.ring
        self._writer: Writer | None = None
        self._claim: Claim | None = Claim(control, started_ns)
        try:
            self._adopt(self._claim.lane)
        except BaseException:
            self._claim.close()
            raise
        self._kept = keep_lane(control, self._claim.lane, keys)
        self._finalizer = weakref.finalize(self, _give_back, self._claim, self._rolling, self._kept)
        _live.add(self)
        self.dropped = 0
        """Messages that found no room, of a stream that drops new ones."""

    def __repr__(self) -> str:
        state = f"lane {self.lane}, {self._head} messages" if self.usable else "closed"
        return f"<Publisher of {self._control.static.name}, {state}>"

    def _adopt(self, lane: Lane) -> None:
        """Go on where the lane's last publisher stopped."""
        control = self._control
        may_go = functools.partial(_may_go, control.path, lane.number, self._overflow)
        self._rolling = Rolling(control.path, control.static.stream_id, lane, self._retention_bytes, may_go)
        remove_drafts(control.path)
        self._place = layout.lane_word(lane.number)
        self._head = lane.head
        try:
            self._stamp_ns = self._rolling.newest_stamp_ns(self._epochs)
            self._go_on()
            limited = is_limited(control.static.options)
            self._limits = Limits(control, self._epochs, lane, self._rolling) if limited else None
        except BaseException:
            self._rolling.close()
            raise

    def _go_on(self) -> None:
        """Write on in the newest segment of the lane, unless it has ended, or is of another epoch."""
        newest = self._rolling.unfinished()
        if newest is None or newest[1].epoch != self._epoch:
            return
        if go_on(newest[0], Owner(self._head, os.getpid(), self._started_ns)):
            self._writer = self._form.resumed(*newest, self._head)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def usable(self) -> bool:
        """Tell whether it can publish: not closed, and not a forked child's copy of its parent's."""
        return self._claim is not None

    @property
    def lane(self) -> int:
        """Number of its lane."""
        return self._open().lane.number

    def publish_row(self, values: Sequence[Any], epoch: int | None = None) -> int | None:
        """Publish one row of a tape, its values in the order of the columns; returns the message's sequence.

        Plain numbers are fastest: a time as an integer in the unit of its column.

        Parameters
        ----------
        values
            As many as columns.
        epoch
            That of the schema which they were made for; None takes them for the schema of now.

        Raises
        ------
        SchemaMismatch
            As for `publish`; or the stream has evolved since that epoch.
        """
        if self._words[layout.CLOSED]:
            self._refuse_dropped()
        if self._words[layout.EPOCH] != self._epoch:
            self._enter_epoch()
        if epoch is not None and epoch != self._epoch:
            check_epoch(self._control, epoch)
        with self._lock:
            writer, stamp_ns = self._writer, self._now()
            try:
                done = type(writer) is TapeWriter and writer.write_row(values, stamp_ns, self._head)
            except (TypeError, ValueError):
                done = False  # perhaps Arrow can convert it
            if done:
                self._stamp_ns = stamp_ns
                seq = self._head
                self._head = self._words[self._place] = seq + 1
                if self._limits is not None:
                    self._limits.apply(stamp_ns)
        if not done:
            return self.publish(tuple(values), epoch=epoch)
        self._ring()
        return seq

    def publish(self, data: Any, metadata: Any = None, *, epoch: int | None = None) -> int | None:
        """Publish one message; returns its sequence, None when it was dropped.

        Parameters
        ----------
        data, metadata
            As the form of the stream takes them.
        epoch
            That of the schema for which a row without names was made; None takes it for the schema of now.

        Raises
        ------
        SchemaMismatch, UnsupportedData
            It is not what the stream takes. Nothing was published.
        StreamFull
            It found no room.
        """
        if self._words[layout.CLOSED]:
            self._refuse_dropped()
        if self._words[layout.EPOCH] != self._epoch:
            self._enter_epoch()
        if isinstance(data, (tuple, list)):
            check_epoch(self._control, epoch)
        form = self._form
        item = form.item(data, metadata)
        with self._lock:
            if form is not self._form:  # another thread found that the stream has evolved
                item = self._form.item(data, metadata)
            writer, stamp_ns = self._writer, self._now()
            done = writer is not None and writer.write(item, stamp_ns, self._head)
            if not done and not self._begin(item, stamp_ns):
                return None
            self._stamp_ns = stamp_ns
            seq = self._head
            self._head = self._words[self._place] = seq + 1
            if self._limits is not None:
                self._limits.apply(stamp_ns)
        self._ring()
        return seq

    def _enter_epoch(self) -> None:
        """Go on with the schema that the stream has now, in another segment."""
        with self._lock:
            epoch = self._control.epoch
            self._form, self._writer, self._epoch = form_of(self._control, epoch), None, epoch

    def close(self) -> None:
        """Give the lane back; what was published stays. Closing twice is fine."""
        with self._lock:
            if self._claim is not None:
                self._writer = self._claim = None
                self._finalizer()

    def part(self) -> None:
        """Leave the lane to the parent, in a forked child; its segments are the parent's too."""
        self._lock = threading.Lock()
        claim, self._claim, self._writer = self._claim, None, None
        self._finalizer.detach()
        if claim is not None:
            _give_back(claim, self._rolling, None)  # descriptors that lead to /dev/null by now

    def _now(self) -> int:
        """Return the time of a message: of one lane it never goes back, whatever the clock does."""
        now_ns = time.time_ns()
        return now_ns if now_ns > self._stamp_ns else self._stamp_ns

    def _refuse_dropped(self) -> None:
        self.close()
        raise UnknownStream(f"The stream {self._control.static.name!r} was dropped. Make it again: nq.stream(name).")

    def _open(self) -> Claim:
        if self._claim is None:
            raise InvalidArgument(f"The publisher of {self._control.static.name!r} is closed. Make another.")
        return self._claim

    # -- the next segment ------------------------------------------------------------------------
    def _begin(self, item: Any, stamp_ns: int) -> bool:
        """Begin another segment, and write the message there; False when it is dropped."""
        lane = self._open().lane
        segment = self._segment(lane.number, lane.get(layout.HEAD_SEGMENT) + 1, item)
        mapped = self._memory(segment)
        if mapped is None:
            self.dropped += 1
            return False
        self._writer = self._form.writer(mapped, segment)
        written = self._writer.write(item, stamp_ns, self._head)
        assert written, "a segment has room for the message that it was made for"
        return True

    def _memory(self, segment: Segment) -> mmap.mmap | None:
        """Return the memory of another segment, when there is room; None when new messages are dropped."""
        self._let_disk_have(segment.file_bytes)
        deadline = time.monotonic() + self._block_seconds
        while (mapped := self._try(segment)) is None:
            if self._overflow == "drop_new":
                return None
            seen = self._control.space.seen()
            if (mapped := self._try(segment)) is not None:
                break
            self._wait_for_room(seen, deadline)
        return mapped

    def _let_disk_have(self, wanted: int) -> None:
        """Wait, of a durable stream, until the disk has what is about to leave memory, as long as it takes any."""
        if self._kept is None:
            return
        lane = self._open().lane
        flusher.hurry()
        wait_for_disk(self._kept, lane, self._rolling.leaving(wanted), self._block_seconds)

    def _try(self, segment: Segment) -> mmap.mmap | None:
        before, self._writer = self._writer, None  # an interrupt must not leave the one of a segment that has ended
        mapped = self._rolling.begin(segment)
        if mapped is None:
            self._writer = before
        return mapped

    def _segment(self, lane: int, number: int, item: Any) -> Segment:
        name, needed = self._control.static.name, self._form.segment_bytes(item)
        if 2 * needed > self._retention_bytes:
            raise StreamFull(
                f"A message takes {needed:,} bytes; the stream {name!r} keeps {self._retention_bytes:,} of each "
                "publisher, and at least two messages. Publish smaller ones, or make it with a larger retention."
            )
        self._grow(needed)
        nbytes = max(self._segment_bytes, needed)
        identity = os.getpid(), self._started_ns, time.time_ns(), self._epoch
        slots, rows = self._form.sizes(nbytes)
        static = self._control.static
        return Segment(static.stream_id, lane, number, self._head, static.form, slots, rows, nbytes, *identity)

    def _grow(self, message_bytes: int) -> None:
        """Make segments that have room for several messages of a size: beginning one costs as much as copying 1 MiB.

        They have room for whole messages, so that the retention keeps about as many as if each had its own. They never
        become smaller again, so that each can be written anew.
        """
        content = message_bytes - 2 * PAGE  # at least: the header has a page, and the last one may be nearly empty
        if _MESSAGES * content > self._segment_bytes:
            count = min(_MESSAGES, self._retention_bytes // (_LEAST_SEGMENTS * message_bytes))
            self._segment_bytes = max(self._segment_bytes, count * message_bytes)

    def _wait_for_room(self, seen: int, deadline: float) -> None:
        left = deadline - time.monotonic()
        if self._overflow == "error" or left <= 0:
            lane, end = self._open().lane.number, self._rolling.oldest_end()
            slow = ", ".join(_called(found) for found in in_the_way(self._control.path, lane, end))
            waited = "" if self._overflow == "error" else f" after {self._block_seconds:g} s"
            raise StreamFull(
                f"The stream {self._control.static.name!r} is full{waited}: {slow or 'a consumer'} has not read its "
                "oldest messages. Let it read, close it, or make the stream with a larger retention."
            )
        self._control.space.wait(seen, left)


def _may_go(stream: Path, lane: int, overflow: str, end: int) -> bool:
    """Tell whether nobody needs the messages of a lane before a sequence."""
    return overflow == "drop_oldest" or not in_the_way(stream, lane, end)


def _give_back(claim: Claim, rolling: Rolling, kept: Entry | None) -> None:
    if kept is not None:
        flusher.remove(kept)
    rolling.close()
    claim.close()


def _called(seen: Seen) -> str:
    who = f"the consumer {seen.name!r}" if seen.name else "a consumer"
    return f"{who} (pid {seen.pid})" if seen.pid else who


def _part_in_child() -> None:
    for publisher in list(_live):
        publisher.part()
    _live.clear()


os.register_at_fork(after_in_child=_part_in_child)
