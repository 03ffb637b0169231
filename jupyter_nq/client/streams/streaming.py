"""The streams of a session: opened by name, with one publisher for each, whose memory the coordinator has promised."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jupyter_nq.buffers import Store, check_name
from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.buffers.drafts import schema_of
from jupyter_nq.client.cold.spilling import Spilling
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.streams.lasting import Lasting
from jupyter_nq.errors import ChecksumError, InvalidArgument, SchemaMismatch, UnknownStream
from jupyter_nq.streams import Stream
from jupyter_nq.streams.columns import check_same
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.directory import names, open_control
from jupyter_nq.streams.publisher import Publisher


@dataclass(frozen=True)
class Listed:
    """One stream, as `nq.list_streams` has it."""

    name: str
    form: str
    """`tape` or `log`."""
    messages: int
    """Ever published."""
    kept: int
    """Messages that are still there."""
    publishers: tuple[int, ...]
    """Pids."""
    consumers: tuple[str, ...]
    """Names, or pids of those that have none."""
    lag: int
    """Of the consumer that is furthest behind, in messages."""
    lost: int
    """Messages that consumers missed, all of them together."""
    retention_bytes: int
    """What each publisher may have in memory."""
    rate: int | None = 0
    """Messages that were published in the last second, of those that are kept; None when their times are damaged."""
    consumer_pids: tuple[int, ...] = ()
    """Pids of the consumers, in the order of `consumers`; 0 for a name that nobody uses now."""


class Streaming:
    """What a session does with streams.

    Parameters
    ----------
    store, channel, spilling
        The session's.
    """

    def __init__(self, store: Store, channel: Channel, spilling: Spilling) -> None:
        # _lock guards _publishers: by the id of the stream, so that one that was made anew has another.
        self._parent = store.path / STREAMS
        self._channel = channel
        self._room = spilling.room
        self.lasting = Lasting(store, channel, spilling)
        self._lock = threading.Lock()
        self._publishers: dict[str, Publisher] = {}

    def __repr__(self) -> str:
        return f"<Streaming in {self._parent}, {len(self._publishers)} publishers>"

    def open(
        self,
        name: str,
        schema: pa.Schema | Mapping[str, Any] | None,
        form: str | None,
        options: Mapping[str, Any],
        *,
        evolve: bool = False,
    ) -> Stream:
        """Open a stream, made unless it is there; with `evolve` one that is there gets the schema."""
        check_name(name, "stream")
        schema = _schema(schema)
        self.lasting.bring_back(name)
        if evolve and schema is not None and (self._parent / name).is_dir():
            stream = self.open(name, None, form, options)
            stream.evolve(schema)
            return stream
        if not (self._parent / name).is_dir() or schema is not None or form is not None or options:
            self.lasting.prepare(options)
            told = None if schema is None else schema.serialize().to_pybytes()
            made = self._channel.request("stream", name=name, schema=told, form=form, options=dict(options))
            _check_alike(made, schema, form, options)
        return self._opened(name)

    def existing(self, name: str) -> Stream:
        """Open a stream that is there; `UnknownStream` with the nearest names when there is none."""
        self.control(name)
        return self._stream(name)

    def control(self, name: str) -> MappedControl:
        """Return the control file of a stream that is there, back from the disk; `UnknownStream` when there is none."""
        self.lasting.bring_back(name)
        found = open_control(self._parent, name)
        self.lasting.settle(found)
        return found

    def _opened(self, name: str) -> Stream:
        self.lasting.settle(MappedControl(self._parent / name))
        return self._stream(name)

    def _stream(self, name: str) -> Stream:
        return Stream(self._parent / name, publisher=self._publisher, keys=self.lasting.keys)

    def names(self) -> list[str]:
        """Return the names of the streams, those included that only the disk has; no coordinator is asked."""
        return sorted({*names(self._parent), *self.lasting.away()})

    def listed(self) -> list[Listed]:
        """Return the streams of the store by name; the coordinator is asked for those that come back from the disk."""
        self.lasting.bring_all_back()
        found = []
        for name in names(self._parent):
            try:
                with Stream(self._parent / name) as stream:
                    found.append(_row(stream))
            except UnknownStream:  # it is being dropped
                continue
        return found

    def drop(self, name: str) -> int:
        """Remove a stream for everybody; returns how many messages were ever published."""
        if name in self.lasting.away():
            return self.lasting.drop(name)
        dropped: int = self._channel.request("drop_stream", name=name)["messages"]
        return dropped

    def close(self) -> None:
        """Give back the lanes of this process."""
        with self._lock:
            for publisher in self._publishers.values():
                publisher.close()
            self._publishers.clear()

    def own_publisher(self, control: MappedControl, started_ns: int) -> Publisher:
        """Return another publisher of a stream than all others here, with room for what it keeps; close it."""
        return self._room.for_lane(control.static.name, lambda: Publisher(control, started_ns, self.lasting.keys))

    def _publisher(self, control: MappedControl) -> Publisher:
        """Return this process's publisher of a stream, with room for what it keeps."""
        static = control.static
        with self._lock:
            found = self._publishers.get(static.stream_id)
            if found is None or not found.usable:
                found = self._room.for_lane(static.name, lambda: Publisher(control, keys=self.lasting.keys))
                self._publishers[static.stream_id] = found
            return found


def _schema(given: Any) -> pa.Schema | None:
    """Return a schema from what somebody may write for one."""
    if given is None or isinstance(given, pa.Schema):
        return given
    if not isinstance(given, Mapping):
        raise InvalidArgument(f"schema={given!r} is none. Write {{'price': 'float64'}}, or a pyarrow.schema.")
    return schema_of(given)


def _check_alike(
    made: Mapping[str, Any], schema: pa.Schema | None, form: str | None, options: Mapping[str, Any]
) -> None:
    """Refuse to open a stream as another than it is; raises `SchemaMismatch`, `InvalidArgument`."""
    name = made["name"]
    if schema is not None and made["schema"] is None:
        raise SchemaMismatch(
            f"The stream {name!r} is there, without a schema: a log of messages of any kind. Open it without one, or "
            "drop it first (nq.drop_stream)."
        )
    if schema is not None:
        check_same(pa.ipc.read_schema(pa.py_buffer(made["schema"])), schema, name)
    told = {"form": form, **options} if form is not None else dict(options)
    there = {"form": made["form"], **made["options"]}
    other = [f"{key}={there.get(key)!r}, not {value!r}" for key, value in told.items() if there.get(key) != value]
    if other:
        raise InvalidArgument(
            f"The stream {name!r} is there, with {'; '.join(other)}. Drop it first (nq.drop_stream), or leave that out."
        )


def _row(stream: Stream) -> Listed:
    stats = stream.stats()
    consumers = stats["consumers"]
    return Listed(
        stream.name,
        stream.form,
        stats["messages"],
        stats["kept"],
        tuple(publisher["pid"] for publisher in stats["publishers"]),
        tuple(consumer["name"] or str(consumer["pid"]) for consumer in consumers),
        max((consumer["lag"] for consumer in consumers), default=0),
        sum(consumer["lost"] for consumer in consumers),
        stats["retention_bytes"],
        _rate(stream),
        tuple(consumer["pid"] for consumer in consumers),
    )


def _rate(stream: Stream) -> int | None:
    """Return the messages of the last second; a stream that is damaged is listed all the same."""
    try:
        return stream.published_within(1.0)
    except ChecksumError:
        return None
