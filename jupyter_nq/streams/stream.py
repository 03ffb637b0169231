"""One stream as a notebook holds it: publishing, reading what came since the handle was made, and its figures."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from jupyter_nq.errors import InvalidArgument, NQError
from jupyter_nq.sizes import counted
from jupyter_nq.streams import layout
from jupyter_nq.streams.background import Listener, background
from jupyter_nq.streams.consumers import Seen, consumers
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.durable.durability import is_durable
from jupyter_nq.streams.durable.keeping import Keys, flush, keep_schemas, no_keys
from jupyter_nq.streams.epochs import evolve
from jupyter_nq.streams.figures import figures
from jupyter_nq.streams.forms import form_of
from jupyter_nq.streams.messages import Message
from jupyter_nq.streams.publisher import Publisher
from jupyter_nq.streams.recent import published_within
from jupyter_nq.streams.starting import Start
from jupyter_nq.streams.subscription import Subscription

_live: weakref.WeakSet[Stream] = weakref.WeakSet()


class Stream:
    """A stream, open for publishing and reading; threads may share it.

    Parameters
    ----------
    path
        Its directory.
    publisher
        Gives the process's publisher of a stream; None makes one for this handle.
    started_ns
        When this process began.
    keys
        Gives the master keys with which a durable stream is encrypted on the disk.

    Raises
    ------
    UnknownStream, ChecksumError
    """

    def __init__(
        self,
        path: Path,
        publisher: Callable[[MappedControl], Publisher] | None = None,
        started_ns: int = 0,
        keys: Keys = no_keys,
    ) -> None:
        # _lock guards _publisher, which is made when it is first needed, and _closed; _reading guards _own, and is held
        # while that waits for messages, which other threads may publish here.
        self._control = MappedControl(path)
        self._epoch = self._control.epoch
        self._started_ns = started_ns
        self._keys = keys
        self._missed = {lane.number: lane.get(layout.MISSED) for lane in self._control.lanes()}
        self._since = {lane.number: lane.head for lane in self._control.lanes()}
        self._part()
        _live.add(self)
        self._publisher: Publisher | None = None
        self._find_publisher = publisher or (lambda control: Publisher(control, started_ns, keys))
        self._shares_publisher = publisher is not None
        self._own: Subscription | None = None
        self._closed = False
        self.name = self._control.static.name
        self.form = self._control.static.form
        """`tape` or `log`."""

    def __repr__(self) -> str:
        return f"<Stream {self.name}, a {self.form}, {self.messages:,} messages>"

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _part(self) -> None:
        """Take locks of its own, in a forked child: a thread of the parent may hold the other ones."""
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    @property
    def schema(self) -> pa.Schema | None:
        """Arrow schema of its batches; None for a log that has none yet."""
        return form_of(self._control).known()

    @property
    def epoch(self) -> int:
        """Which schema the stream has now: 0 is the first, and each that followed one more."""
        return self._control.epoch

    def evolve(self, schema: pa.Schema) -> int:
        """Give the stream another schema; returns the number of its epoch, that of now when it has this schema.

        What was published before keeps its schema, and consumers read it first. Publishers go on with data of the new
        schema; those of the old one are refused, and rows without names by every handle that was opened before.

        Parameters
        ----------
        schema
            Arrow schema; of a tape, columns of a fixed width.

        Raises
        ------
        InvalidArgument, UnsupportedData
            The schema has no columns, or some that a tape does not take.
        UnknownStream
            The stream was dropped.
        NotDurable, StoreError
            The disk of a durable stream refuses; in memory the stream has evolved.
        """
        self._check_open()
        self._epoch = evolve(self._control, schema)
        keep_schemas(self._control, self._keys)
        return self._epoch

    @property
    def messages(self) -> int:
        """How many were ever published."""
        return sum(lane.head for lane in self._control.lanes())

    # -- publishing ------------------------------------------------------------------------------
    def publish(self, data: Any, metadata: Any = None) -> int | None:
        """Publish one message for every consumer; returns its sequence, None when it was dropped.

        Parameters
        ----------
        data
            Of a tape: a frame, an Arrow batch or table, a dict of columns, or one row as a tuple or dict. Of a log any
            of these, bytes, or what JSON can express.
        metadata
            Of a log: a dict that goes with it.

        Raises
        ------
        SchemaMismatch, UnsupportedData
            It is not what the stream takes; nothing was published.
        StreamFull
            There is no room for it.
        StreamBusy
            The stream takes no further publisher.
        """
        return self._writer().publish(data, metadata, epoch=self._epoch)

    def publish_rows(self, rows: Iterable[Sequence[Any]]) -> int:
        """Publish rows of a tape, each a message of its own; returns how many.

        Raises
        ------
        SchemaMismatch, StreamFull
            At the first row that does not fit, or finds no room. A note of the error says how many were published.
        """
        publish, count = self._writer().publish_row, 0
        try:
            for row in rows:
                count += publish(row, self._epoch) is not None
        except NQError as exc:
            exc.add_note(f"{counted(count, 'row')} before it {'was' if count == 1 else 'were'} published.")
            raise
        return count

    @property
    def durable(self) -> bool:
        """Tell whether it was made to outlive the machine."""
        return is_durable(self._control)

    def flush(self, timeout: float | None = None) -> None:
        """Return when the disk has all that was published before, by whom ever: then it outlives the machine.

        What named consumers of this process acknowledged is there then, too. Without it the disk has what was published
        0.2 s later, or when a segment is full.

        Parameters
        ----------
        timeout
            Seconds; None waits as long as it takes, also for a publisher elsewhere that is stopped.

        Raises
        ------
        NotDurable
            The disk refuses, or has not all of it in time; or messages left memory before the disk had them, which is
            said once. Publishing goes on in memory, and the disk gets what is there as soon as it takes it.
        InvalidArgument
            The stream is not durable.
        """
        if not self.durable:
            raise InvalidArgument(f"The stream {self.name!r} is not durable: it was made without durable=True.")
        flush(self._control, self._keys, timeout, self._missed)

    def _writer(self) -> Publisher:
        publisher = self._publisher
        if publisher is not None and publisher.usable:
            return publisher
        with self._lock:
            self._check_open()
            if self._publisher is None or not self._publisher.usable:
                self._publisher = self._find_publisher(self._control)
            return self._publisher

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidArgument(f"The stream {self.name!r} is closed here. Open it again with nq.stream.")

    # -- reading ---------------------------------------------------------------------------------
    def subscribe(
        self, start: Start = "latest", *, name: str | None = None, gating: bool = False, conflate: bool = False
    ) -> Subscription:
        """Return a consumer of its own; see `Subscription`."""
        self._check_open()
        return Subscription(
            self._control,
            start,
            name=name,
            gating=gating,
            conflate=conflate,
            started_ns=self._started_ns,
            keys=self._keys,
        )

    def on_message(
        self,
        callback: Callable[[Any], object],
        *,
        start: Start = "latest",
        batches: bool = False,
        name: str | None = None,
        gating: bool = False,
        conflate: bool = False,
    ) -> Listener:
        """Have a callback called for each message from now on, in a thread that runs while cells run.

        Parameters
        ----------
        callback
            Called with each `Message`; with `batches` with Arrow batches, on a tape as few as there can be. What it
            raises is logged once of its kind, counted, and ends nothing.
        start, name, gating, conflate
            As for `subscribe`.

        Returns
        -------
        Listener
            With `pause`, `resume`, `stop`, and how often it was called, failed and lost messages.
        """
        subscription = self.subscribe(start, name=name, gating=gating, conflate=conflate)
        return background.add(self.name, subscription, callback, batches=batches)

    def get_messages(self, max_messages: int = 10, timeout: float = 0.0) -> list[Message]:
        """Return the next messages since this handle was made, those that it published itself included."""
        with self._reading:
            if self._own is None or not self._own.usable:
                self._own = self.subscribe(self._since)
            return self._own.get_messages(max_messages, timeout)

    # -- figures ---------------------------------------------------------------------------------
    def consumers(self) -> list[Seen]:
        """Return who reads it, each with its positions."""
        return list(consumers(self._control.path))

    def stats(self) -> dict[str, Any]:
        """Return its figures: messages ever and kept, publishers, and consumers with their lag and what they lost.

        `durability` has of each lane how many messages the disk has, how many it never got, and why it refuses.
        """
        return figures(self._control)

    def published_within(self, seconds: float) -> int:
        """Return how many messages were published in the last seconds, of those that are kept."""
        return published_within(self._control, seconds)

    def close(self) -> None:
        """Stop publishing and reading here; the stream and its messages stay. Closing twice is fine."""
        with self._lock:
            self._closed = True
            if self._publisher is not None and not self._shares_publisher:
                self._publisher.close()
            self._publisher = None
        if self._own is not None:
            self._own.close()


def _part_in_child() -> None:
    for stream in list(_live):
        stream._part()


os.register_at_fork(after_in_child=_part_in_child)
