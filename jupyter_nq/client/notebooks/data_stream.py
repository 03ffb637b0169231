"""The specification's stream handle, over a stream of the store: it reads what came since it was made."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from jupyter_nq.client.notebooks.arrays import as_message, as_published
from jupyter_nq.errors import InvalidArgument, nearest
from jupyter_nq.streams import Stream
from jupyter_nq.streams.background import Listener
from jupyter_nq.streams.messages import Message

Callback = Callable[[Message], object]


class DataStreamType(enum.Enum):
    """What a stream is for: told in its figures, and otherwise the same to every stream."""

    MARKET_DATA = "market_data"
    FEATURES = "features"
    SIGNALS = "signals"
    EXECUTION = "execution"
    RISK_METRICS = "risk_metrics"
    PERFORMANCE = "performance"
    CONTROL = "control"


class StreamStatus(enum.Enum):
    """What a handle does with its callbacks."""

    ACTIVE = "active"
    PAUSED = "paused"
    STOPPED = "stopped"


class DataStream:
    """One handle of a stream; threads may share it.

    Parameters
    ----------
    stream
        The stream, opened for this handle alone.
    stream_type
        What it is for: a `DataStreamType`, or its name or value.
    consumers
        The notebooks for which it is meant. Every notebook can read it.
    """

    def __init__(self, stream: Stream, stream_type: DataStreamType | str, consumers: Iterable[str] = ()) -> None:
        # _lock guards _listeners and status.
        self._stream = stream
        self.stream_type = checked_type(stream_type)
        self.consumers = _names(consumers)
        self._lock = threading.Lock()
        self._listeners: dict[Callback, Listener] = {}
        self.status = StreamStatus.ACTIVE

    def __repr__(self) -> str:
        return f"<DataStream {self.stream_id}, {self.stream_type.value}, {self.status.value}>"

    def __enter__(self) -> DataStream:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def stream_id(self) -> str:
        """Name of the stream: `nq.stream` opens it by that."""
        return self._stream.name

    def publish(self, data: Any, metadata: Mapping[str, Any] | None = None) -> int | None:
        """Publish one message for every consumer; returns its sequence, None when the stream dropped it.

        Parameters
        ----------
        data
            A frame, an Arrow table or a dict of columns, which are views for their readers; an array, a tensor, bytes,
            or what JSON has, which are copied.
        metadata
            A dict that goes with it, for example `{"timestamp": time.time()}`.

        Raises
        ------
        SchemaMismatch, UnsupportedData, InvalidArgument, StreamFull, StreamBusy, UnknownStream
        """
        return self._stream.publish(*as_message(data, metadata))

    def get_messages(self, max_messages: int = 10, timeout: float = 0.0) -> list[Message]:
        """Return the next messages since this handle was made, its own included; none is there, none is returned.

        Parameters
        ----------
        max_messages
            At most so many.
        timeout
            Seconds to wait for the first.

        Returns
        -------
        list of Message
            With `data`, `metadata`, `timestamp`, `sequence_number` and `stream_id`.

        Raises
        ------
        Lagged
            Messages were gone before they were read; it says how many, once, and the next call goes on.
        """
        return [as_published(message) for message in self._stream.get_messages(max_messages, timeout)]

    def subscribe(self, callback: Callback) -> Listener:
        """Have a callback called with each message from now on, in a thread that runs while cells run."""
        with self._lock:
            self._check_running()
            if callback in self._listeners:
                return self._listeners[callback]
            listener = self._stream.on_message(partial(self._call, callback))
            if self.status is StreamStatus.PAUSED:
                listener.pause()
            self._listeners[callback] = listener
            return listener

    def _call(self, callback: Callback, message: Message) -> None:
        """Hand a message on; as a method it keeps the handle while somebody is called back."""
        callback(as_published(message))

    def unsubscribe(self, callback: Callback) -> None:
        """Call it no longer; `InvalidArgument` when it is not subscribed."""
        with self._lock:
            listener = self._listeners.pop(callback, None)
        if listener is None:
            raise InvalidArgument(f"{callback!r} is not subscribed to the stream {self.stream_id!r} here.")
        listener.stop()

    def pause(self) -> None:
        """Call nobody back until `resume`; messages wait in the stream, and publishing and `get_messages` go on."""
        self._turn(StreamStatus.PAUSED, Listener.pause)

    def resume(self) -> None:
        """Call back again, beginning with the messages that waited."""
        self._turn(StreamStatus.ACTIVE, Listener.resume)

    def stop(self) -> None:
        """End this handle and its callbacks; the stream and its messages stay. Stopping twice is fine."""
        with self._lock:
            self.status = StreamStatus.STOPPED
            listeners = list(self._listeners.values())
            self._listeners.clear()
        for listener in listeners:
            listener.stop()
        self._stream.close()

    def get_stats(self) -> dict[str, Any]:
        """Return the figures of the stream, with what this handle says of it."""
        with self._lock:
            own = {"callbacks": len(self._listeners), "status": self.status.value}
        told = {"stream_type": self.stream_type.value, "meant_for": list(self.consumers)}
        return {**self._stream.stats(), **told, **own}

    def _turn(self, status: StreamStatus, act: Callable[[Listener], None]) -> None:
        with self._lock:
            self._check_running()
            self.status = status
            for listener in self._listeners.values():
                act(listener)

    def _check_running(self) -> None:
        if self.status is StreamStatus.STOPPED:
            raise InvalidArgument(f"This handle of the stream {self.stream_id!r} is stopped. Make another.")


def checked_type(given: DataStreamType | str) -> DataStreamType:
    """Return the type that somebody names; `InvalidArgument` with the nearest."""
    if isinstance(given, DataStreamType):
        return given
    known = {name: kind for kind in DataStreamType for name in (kind.name, kind.value)}
    if given not in known:
        values = [kind.name for kind in DataStreamType]
        raise InvalidArgument(
            f"There is no stream type {given!r}.{nearest(str(given), known)} The types are: {', '.join(values)}."
        )
    return known[given]


def _names(consumers: Iterable[str]) -> tuple[str, ...]:
    found = (consumers,) if isinstance(consumers, str) else tuple(consumers)
    if not all(isinstance(name, str) for name in found):
        raise InvalidArgument(
            f"consumers={consumers!r} are no names of notebooks. Write for example ['risk_management']."
        )
    return found
