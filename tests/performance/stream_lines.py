"""Ways from a publisher to its consumers in other processes: this package's stream, and its peers in their best form.

What goes over each is a batch of a time and five prices. A line of a peer carries Arrow's IPC bytes, and its consumer
makes a batch of them without a copy, where the peer allows that. Nothing is lost on any: what may wait is not limited,
or the publisher waits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import zmq

from jupyter_nq.streams import Options, Stream, make_stream

SCHEMA = pa.schema([("ts", pa.int64()), *((name, pa.float64()) for name in "abcde")])
KEPT = 5
"""Messages that a stream of this package keeps at least, beside the default retention."""

Receive = Callable[[], Iterable[pa.RecordBatch]]


def batch_of(rows: int) -> pa.RecordBatch:
    """Return a batch of random prices."""
    random = np.random.default_rng(1)
    values = [pa.array(random.random(rows)) for _ in "abcde"]
    return pa.record_batch([pa.array(np.arange(rows)), *values], schema=SCHEMA)


def encoded(batch: pa.RecordBatch) -> pa.Buffer:
    """Return the IPC bytes of a batch, without its schema."""
    return batch.serialize()


def decoded(content: Any) -> pa.RecordBatch:
    """Return the batch of IPC bytes, a view of them."""
    return pa.ipc.read_record_batch(pa.py_buffer(content), SCHEMA)


class Line(Protocol):
    """A publisher, in the process that made it; its consumers are forked from there."""

    name: str

    def __init__(self, where: Path, number: int, nbytes: int) -> None:
        """Make line `number` below a directory, for batches of so many bytes."""

    def subscribe(self) -> Receive:
        """Begin to consume, in a child; returns what waits for batches and returns them, one or more."""

    def joined(self, consumers: int) -> None:
        """Wait until so many consumers are known, where a publisher must."""

    def send(self, batch: pa.RecordBatch, count: int) -> None:
        """Publish a batch so many times, a message each; a batch of one row in the way that is fastest for one."""

    def close(self) -> None:
        """Let go of it."""


class Tape:
    """A stream of this package."""

    name = "jupyter-nq"

    def __init__(self, where: Path, number: int, nbytes: int) -> None:
        retention = max(Options.retention_bytes, KEPT * nbytes)
        options = Options(retention, overflow="block", block_seconds=60.0)
        self._path = where / f"s{number}"
        make_stream(where, self._path.name, SCHEMA, options=options)
        self.stream = Stream(self._path)

    def subscribe(self) -> Receive:
        """Gate the publisher, so that nothing is lost."""
        reader = Stream(self._path).subscribe("earliest", gating=True)
        return lambda: reader.read_batches(10.0)

    def joined(self, consumers: int) -> None:
        """Nobody needs to be known."""

    def send(self, batch: pa.RecordBatch, count: int) -> None:
        """Publish; a row as a tuple."""
        if batch.num_rows > 1:
            for _ in range(count):
                self.stream.publish(batch)
            return
        row = tuple(column[0].as_py() for column in batch.columns)
        for _ in range(count):
            self.stream.publish_rows((row,))

    def close(self) -> None:
        """Let go of it."""
        self.stream.close()


class ZmqPub:
    """ZeroMQ PUB/SUB over a Unix socket; a subscription is known once a first message has come through."""

    name = "ZeroMQ PUB/SUB"
    _types = (zmq.XPUB, zmq.SUB)

    def __init__(self, where: Path, number: int, nbytes: int) -> None:
        self._address = f"ipc://{where}/z{number}"
        self._socket = zmq.Context.instance().socket(self._types[0])
        self._socket.setsockopt(zmq.SNDHWM, 0)
        if self._types[0] == zmq.XPUB:
            self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # each subscription comes through, not only the first
        self._socket.bind(self._address)

    def subscribe(self) -> Receive:
        """Connect."""
        socket = zmq.Context().socket(self._types[1])
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.connect(self._address)
        if self._types[1] == zmq.SUB:
            socket.subscribe(b"")
        return lambda: (decoded(socket.recv(copy=False)),)

    def joined(self, consumers: int) -> None:
        """Receive the subscriptions."""
        for _ in range(consumers):
            self._socket.recv()

    def send(self, batch: pa.RecordBatch, count: int) -> None:
        """Send without a copy."""
        for _ in range(count):
            self._socket.send(encoded(batch), copy=False)

    def close(self) -> None:
        """Let go of it."""
        self._socket.close(linger=0)


class ZmqPush(ZmqPub):
    """ZeroMQ PUSH/PULL over a Unix socket: each message goes to one consumer."""

    name = "ZeroMQ PUSH/PULL"
    _types = (zmq.PUSH, zmq.PULL)

    def joined(self, consumers: int) -> None:
        """Wait for nobody: what is sent before somebody is there stays in the queue."""


@contextlib.contextmanager
def closing(line: Line) -> Iterator[Line]:
    """Close a line at the end."""
    try:
        yield line
    finally:
        line.close()
