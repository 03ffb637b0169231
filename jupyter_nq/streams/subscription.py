"""Reading: every consumer has a cursor of its own in each lane, and sees every message."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator

import pyarrow as pa

from jupyter_nq.buffers.values.lanes import Array
from jupyter_nq.errors import ChecksumError, InvalidArgument, Lagged, UnknownStream
from jupyter_nq.streams.consumers import Register
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.cursor import Cursor
from jupyter_nq.streams.durable.flushing import Entry, flusher
from jupyter_nq.streams.durable.keeping import Keys, no_keys
from jupyter_nq.streams.durable.positions import keep_positions
from jupyter_nq.streams.forms import Epochs, Reader, stamped
from jupyter_nq.streams.messages import Message
from jupyter_nq.streams.retention import age_ns, is_limited
from jupyter_nq.streams.starting import Start, first_of, since
from jupyter_nq.streams.waiting import Bell

EVERYTHING = 1 << 62
_AT_ONCE = 1000
_LONGEST_SECONDS = 0.5  # between two looks for an interrupt
_live: weakref.WeakSet[Subscription] = weakref.WeakSet()


class Subscription:
    """A consumer of one stream, used by one thread at a time.

    Parameters
    ----------
    control
        The stream's control file.
    start
        `latest` (what is published from now on), `earliest` (all that is kept), a sequence, a negative number (so many
        of the newest messages), a time with a zone, or a mapping of lanes to sequences.
    name
        Keeps what was acknowledged under this name: the next consumer of that name goes on there, and `start` is for
        the first.
    gating
        Whether publishers of a stream that does not drop the oldest wait for this consumer.
    conflate
        Skips to the newest message of each lane; what is skipped is not lost.
    started_ns
        When this process began.
    keys
        Gives the master keys with which a durable stream is encrypted on the disk.

    Raises
    ------
    StreamBusy
        Another consumer uses the name.
    InvalidArgument
        The start is none; or it is to gate a stream that drops the oldest messages.
    """

    def __init__(
        self,
        control: MappedControl,
        start: Start = "latest",
        *,
        name: str | None = None,
        gating: bool = False,
        conflate: bool = False,
        started_ns: int = 0,
        keys: Keys = no_keys,
    ) -> None:
        if gating and control.static.options["overflow"] == "drop_oldest":
            raise InvalidArgument(
                f"The stream {control.static.name!r} drops its oldest messages, whoever needs them: nobody gates it. "
                "Make it with overflow='block', or leave gating out."
            )
        self._control = control
        self._form = Epochs(control)
        self._conflate = conflate
        self._limited, self._age_ns = is_limited(control.static.options), age_ns(control.static.options)
        self._named = name is not None
        self._register = Register(control.path, name, gating=gating, started_ns=started_ns)
        self._kept = keep_positions(control, self._register, name, keys)
        self._finalizer = weakref.finalize(self, _end, self._register, control.space, self._kept)
        self._cursors: list[Cursor] = []
        self._owed: Lagged | None = None
        self.lost = 0
        """Messages that were gone before they could be read."""
        self._usable = True
        _live.add(self)
        try:
            self._join({} if self._register.begun else start)
        except BaseException:
            self.close()
            raise
        self._register.begin()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Subscription to {self._control.static.name}, lag {self.lag}, lost {self.lost}>"

    # -- where it is -----------------------------------------------------------------------------
    @property
    def lag(self) -> int:
        """Messages that are there and were not read."""
        return sum(cursor.lag for cursor in self._cursors)

    @property
    def position(self) -> dict[int, int]:
        """Lane -> sequence of its next message; `seek` takes it."""
        return {cursor.lane.number: cursor.seq for cursor in self._cursors}

    def seek(self, start: Start) -> None:
        """Move to another position, as `start` says; what lies between is neither read nor lost."""
        self._check_usable()
        self._join({})
        places = [first_of(self._control, self._form, cursor.lane, start) for cursor in self._cursors]
        for cursor, seq in zip(self._cursors, places, strict=True):
            cursor.seek(seq)
            self._moved(cursor)
        self._owed = None
        self._control.space.ring()

    def ack(self) -> None:
        """Keep the position under the consumer's name: all that was returned so far has been dealt with.

        Of a durable stream it is on the disk 0.2 s later, or when this is closed or the stream flushed; after a restart
        of the machine that comes first, what was acknowledged in between is read again.

        Raises
        ------
        InvalidArgument
            It has no name.
        """
        if not self._named:
            raise InvalidArgument("A consumer without a name keeps no position. Subscribe with name=.")
        self._check_usable()
        for cursor in self._cursors:
            self._register.move(cursor.lane.number, cursor.seq)
        self._control.space.ring()

    @property
    def usable(self) -> bool:
        """Tell whether it can read: not closed, and not a forked child's copy of its parent's."""
        return self._usable

    def close(self) -> None:
        """End it. Batches that were returned stay. Closing twice is fine."""
        self._usable = False
        self._finalizer()

    def part(self) -> None:
        """Leave the position to the parent, in a forked child."""
        self._usable = False
        self._finalizer.detach()
        self._register.part()

    def _check_usable(self) -> None:
        if not self._usable:
            raise InvalidArgument(
                f"This subscription to {self._control.static.name!r} is closed, or its process was forked. "
                "Subscribe again."
            )

    def _join(self, start: Start) -> None:
        """Begin in the lanes that have come into use; those that come after this consumer are read from the first."""
        for lane in self._control.lanes(len(self._cursors)):
            kept = self._register.position(lane.number)
            seq = first_of(self._control, self._form, lane, start) if kept is None else kept
            self._cursors.append(Cursor(self._control, self._form, lane, seq))
            self._register.move(lane.number, seq)

    @property
    def bell(self) -> Bell:
        """Rings when something was published to the stream."""
        return self._control.news

    # -- reading ---------------------------------------------------------------------------------
    def get_messages(self, max_messages: int = 10, timeout: float = 0.0) -> list[Message]:
        """Return the next messages, as they were published; an empty list when there are none in time.

        Of several lanes those come first that were published first, as far as they are there.

        Raises
        ------
        Lagged
            Messages were gone before they could be read; the next call goes on behind them.
        """
        found: list[Message] = []
        try:
            while len(found) < max_messages and (ready := self._ready(0.0 if found else timeout)):
                cursor, reader, _ = self._first(ready)
                found.append(reader.message(cursor.seq, cursor.lane.number))
                self._advance(cursor, cursor.seq + 1)
        except (Lagged, ChecksumError, UnknownStream) as exc:  # what was read is not lost: the next call says it
            if not found:
                raise
            # without its frames, which hold this consumer: it would keep what it maps until garbage is collected
            self._owed = exc.with_traceback(None) if isinstance(exc, Lagged) else None
        return found

    def read_batches(self, timeout: float = 0.0, max_messages: int = EVERYTHING) -> list[pa.RecordBatch]:
        """Return what is there as batches: of each lane its messages in order, on a tape joined without a copy.

        Those of one call have one schema: where the stream evolved, the next call has what follows.

        Raises
        ------
        Lagged
            As for `get_messages`.
        UnsupportedData
            A message is no batch.
        """
        found: list[pa.RecordBatch] = []
        read: list[tuple[Cursor, int]] = []
        ready = self._ready(timeout)
        epoch = min((reader.epoch for _, reader, _ in ready), default=0)
        for cursor, reader, stop in ready:
            if reader.epoch > epoch:  # in the next call: its batches have another schema
                continue
            stop = min(stop, cursor.seq + max_messages)
            max_messages -= stop - cursor.seq
            if stop > cursor.seq:
                found += reader.batches(cursor.seq, stop)
                read.append((cursor, stop))
        for cursor, stop in read:  # not before all could be read
            self._advance(cursor, stop)
        return found

    def read_as_published(self, max_messages: int = EVERYTHING) -> list[tuple[pa.RecordBatch, Array]]:
        """Return what is there as batches, those of several lanes in the order in which they were published.

        Beside each batch stands, of each row, when it was published, ns UTC. It may end before all that is there was
        returned: where a lane's segment does.

        Raises
        ------
        Lagged, UnsupportedData
            As for `read_batches`.
        """
        found: list[tuple[pa.RecordBatch, Array]] = []
        ready = self._ready(0.0)
        at = [cursor.seq for cursor, _, _ in ready]
        while ready and max_messages:
            stamps = [reader.stamp(seq) for (_, reader, _), seq in zip(ready, at, strict=True)]
            first = min(range(len(ready)), key=lambda one: (stamps[one], ready[one][0].lane.number))
            _, reader, end = ready[first]
            stop = min(end, at[first] + max_messages)
            others = stamps[:first] + stamps[first + 1 :]
            if others:
                stop = bisect_right(range(stop), min(others), at[first] + 1, stop, key=reader.stamp)
            found += stamped(reader, at[first], stop)
            max_messages -= stop - at[first]
            at[first] = stop
            if stop == end:
                break  # of what this lane has next nobody has looked whether it is there
        for (cursor, _, _), seq in zip(ready, at, strict=True):  # not before all could be read
            if seq > cursor.seq:
                self._advance(cursor, seq)
        return found

    def read_table(self, timeout: float = 0.0, max_messages: int = EVERYTHING) -> pa.Table | None:
        """Return what is there as one table, without a copy; None when there is nothing in time. As `read_batches`."""
        found = self.read_batches(timeout, max_messages)
        return pa.Table.from_batches(found) if found else None

    def __iter__(self) -> Iterator[Message]:
        """Yield each message, waiting for the next for ever; an interrupt ends it, or that the stream is dropped."""
        while True:
            yield from self.get_messages(_AT_ONCE, _LONGEST_SECONDS)

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Yield each message, waiting in a thread, so that the event loop goes on."""
        while True:
            for message in await asyncio.to_thread(self.get_messages, _AT_ONCE, _LONGEST_SECONDS):
                yield message

    def _ready(self, timeout: float) -> list[tuple[Cursor, Reader, int]]:
        """Wait until a lane has messages; returns each that has, with its reader and the sequence behind them."""
        self._check_usable()
        if self._owed is not None:
            raise self._owed_now()
        deadline = time.monotonic() + timeout if timeout else 0.0
        found = self._look()
        while not found and timeout:
            seen = self._control.news.seen()
            found = self._look()
            self._refuse_dropped(found)
            left = deadline - time.monotonic()
            if found or left <= 0:
                break
            self._control.news.wait(seen, left)
        self._refuse_dropped(found)
        return found

    def _owed_now(self) -> Lagged:
        """Return the error that a call before this one kept back.

        No frame that raises an error may have it in a variable: it would hold the frame, and with it this consumer and
        what it maps, until garbage is collected.
        """
        assert self._owed is not None
        owed, self._owed = self._owed, None
        return owed

    def _refuse_dropped(self, found: list[tuple[Cursor, Reader, int]]) -> None:
        """Say that nothing more will come, once all that is mapped has been read."""
        if not found and self._control.closed:
            raise UnknownStream(f"The stream {self._control.static.name!r} was dropped.")

    def _look(self) -> list[tuple[Cursor, Reader, int]]:
        found = []
        missed = 0
        if self._control.has_lane(len(self._cursors)):
            self._join({})
        for cursor in self._cursors:
            if cursor.lane.head <= cursor.seq:
                continue
            if self._conflate:
                self._skip(cursor)
            before = cursor.seq
            if self._limited and cursor.seq < cursor.lane.tail:
                cursor.seek(cursor.lane.tail)
            ready = cursor.available()
            if ready is not None and self._age_ns:
                ready = self._young(cursor, *ready)
            missed += cursor.seq - before
            if ready is not None:
                found.append((cursor, *ready))
        if missed and not self._conflate:
            self._tell_lost(missed)
        return found

    def _young(self, cursor: Cursor, reader: Reader, stop: int) -> tuple[Reader, int] | None:
        """Skip messages that are too old now, though nobody let go of them: their publisher may be idle, or gone."""
        oldest_ns = time.time_ns() - self._age_ns
        if reader.stamp(cursor.seq) >= oldest_ns:
            return reader, stop
        cursor.seek(max(cursor.seq, since(self._control, self._form, cursor.lane, oldest_ns)))
        return cursor.available()

    def _skip(self, cursor: Cursor) -> None:
        """Go to the newest message, and let publishers wait no longer for those before it."""
        if cursor.lane.head - 1 > cursor.seq:
            cursor.seek(cursor.lane.head - 1)
            self._moved(cursor)
            self._control.space.ring()

    def _tell_lost(self, missed: int) -> None:
        self.lost += missed
        self._register.count_lost(missed)
        for cursor in self._cursors:
            self._moved(cursor)
        raise self._lagged(missed)

    def _lagged(self, missed: int) -> Lagged:
        error = Lagged(
            f"The stream {self._control.static.name!r} let go of {missed:,} messages before this consumer read them. "
            "It goes on with the oldest that is there; read faster, or make the stream with a larger retention."
        )
        error.lost = missed
        return error

    def _first(self, ready: list[tuple[Cursor, Reader, int]]) -> tuple[Cursor, Reader, int]:
        if len(ready) == 1:
            return ready[0]
        return min(ready, key=lambda one: (one[1].stamp(one[0].seq), one[0].lane.number))

    def _advance(self, cursor: Cursor, seq: int) -> None:
        if not self._named:
            self._register.move(cursor.lane.number, seq)  # before looking: a publisher seals, and looks at this
        if cursor.advance(seq) and not self._named:
            self._control.space.ring()

    def _moved(self, cursor: Cursor) -> None:
        if not self._named:
            self._register.move(cursor.lane.number, cursor.seq)


def _end(register: Register, space: Bell, kept: Entry | None) -> None:
    """Let go of a consumer's file; publishers that waited for it wait no longer."""
    if kept is not None:
        flusher.remove(kept)
    register.close()
    space.ring()


def _part_in_child() -> None:
    for subscription in list(_live):
        subscription.part()
    _live.clear()


os.register_at_fork(after_in_child=_part_in_child)
