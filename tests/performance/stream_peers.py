"""The peers of `.ci/bench`, each as its users would have it fastest: Redis, NATS and iceoryx2.

Their servers keep everything in memory. A client that can send many messages at a time does.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from jupyter_nq.testing.waiting import wait_until
from tests.performance.stream_lines import SCHEMA, Line, Receive, decoded, encoded

_AT_ONCE = 256
_LARGEST_BYTES = 64 << 20
_PENDING_BYTES = 4 << 30
_SMALL_BYTES = 16 << 10
_SCHEMA_BYTES = 1024  # that it takes, and the end of an IPC stream


class Redis:
    """Redis Streams over a Unix socket: pipelined XADD, and XREAD of whatever is there."""

    name = "Redis Streams"

    def __init__(self, where: Path, number: int, nbytes: int) -> None:
        self._socket, self._key = str(where / "redis.sock"), f"s{number}"
        self._redis: Any = importlib.import_module("redis").Redis(unix_socket_path=self._socket)

    def subscribe(self) -> Receive:
        """Read from the first entry."""
        redis: Any = importlib.import_module("redis").Redis(unix_socket_path=self._socket)
        last = b"0"

        def receive() -> list[pa.RecordBatch]:
            nonlocal last
            entries = [entry for _, found in redis.xread({self._key: last}, _AT_ONCE, 10_000) for entry in found]
            last = entries[-1][0] if entries else last
            return [decoded(fields[b"b"]) for _, fields in entries]

        return receive

    def joined(self, consumers: int) -> None:
        """Nobody needs to be known."""

    def send(self, batch: pa.RecordBatch, count: int) -> None:
        """Add entries, many to a round trip where they are small."""
        at_once = max(1, min(_AT_ONCE, _LARGEST_BYTES // batch.nbytes // 8))
        for start in range(0, count, at_once):
            pipeline = self._redis.pipeline(transaction=False)
            for _ in range(min(at_once, count - start)):
                pipeline.xadd(self._key, {"b": encoded(batch).to_pybytes()})
            pipeline.execute()

    def close(self) -> None:
        """Remove the stream."""
        self._redis.delete(self._key)
        self._redis.close()


class Nats:
    """NATS core."""

    name = "NATS core"

    def __init__(self, where: Path, number: int, nbytes: int) -> None:
        self._url, self._subject = (where / "nats.url").read_text(), f"s{number}"
        self._loop = asyncio.new_event_loop()
        self._client = self._loop.run_until_complete(self._connected())

    async def _connected(self) -> Any:
        return await importlib.import_module("nats").connect(self._url, pending_size=_PENDING_BYTES)

    def subscribe(self) -> Receive:
        """Subscribe, with room for all."""
        loop = asyncio.new_event_loop()
        subscription = loop.run_until_complete(self._subscribed())
        return lambda: loop.run_until_complete(_received(subscription))

    async def _subscribed(self) -> Any:
        client = await self._connected()
        found = await client.subscribe(self._subject, pending_msgs_limit=-1, pending_bytes_limit=_PENDING_BYTES)
        await client.flush()
        return found

    def joined(self, consumers: int) -> None:
        """Its consumers have told the server before they said so."""

    def send(self, batch: pa.RecordBatch, count: int) -> None:
        """Publish, and flush what is buffered."""
        self._loop.run_until_complete(self._sent(batch, count))

    async def _sent(self, batch: pa.RecordBatch, count: int) -> None:
        for _ in range(count):
            await self._client.publish(self._subject, encoded(batch).to_pybytes())
        while self._client.pending_data_size:  # a flush returns before what is buffered has been written
            await self._client.flush(timeout=60)
        await self._client.flush(timeout=60)

    def close(self) -> None:
        """Disconnect."""
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


class JetStream(Nats):
    """NATS JetStream in memory: acknowledged publishes, many under way, and an ordered consumer."""

    name = "NATS JetStream"

    def __init__(self, where: Path, number: int, nbytes: int) -> None:
        super().__init__(where, number, nbytes)
        self._subject = f"j{number}"
        self._loop.run_until_complete(self._made())

    async def _made(self) -> None:
        api = importlib.import_module("nats.js.api")
        self._js = self._client.jetstream(publish_async_max_pending=_AT_ONCE)
        storage = api.StorageType.MEMORY
        await self._js.add_stream(name=self._subject, subjects=[self._subject], storage=storage)

    async def _subscribed(self) -> Any:
        js = (await self._connected()).jetstream()
        limits = {"pending_msgs_limit": -1, "pending_bytes_limit": _PENDING_BYTES}
        return await js.subscribe(self._subject, ordered_consumer=True, **limits)

    async def _sent(self, batch: pa.RecordBatch, count: int) -> None:
        for _ in range(count):
            await self._js.publish_async(self._subject, encoded(batch).to_pybytes(), wait_stall=60)
        await self._js.publish_async_completed()

    def close(self) -> None:
        """Remove the stream."""
        self._loop.run_until_complete(self._js.delete_stream(self._subject))
        super().close()


async def _received(subscription: Any) -> list[pa.RecordBatch]:
    found = [await subscription.next_msg(timeout=60)]
    while subscription.pending_msgs:
        found.append(await subscription.next_msg(timeout=60))
    return [decoded(message.data) for message in found]


class Iceoryx2:
    """iceoryx2: batches are written into loaned shared memory, and an event wakes the consumer.

    A publisher whose consumer has all of its samples waits for it.
    """

    name = "iceoryx2"

    def __init__(self, where: Path, number: int, nbytes: int) -> None:
        self._iox: Any = importlib.import_module("iceoryx2")
        self._service = f"{where.name}/{number}"
        self._publisher: Any = None
        self._notifier: Any = None

    def _services(self) -> tuple[Any, Any]:
        iox = self._iox
        iox.set_log_level(iox.LogLevel.Error)
        self._node = iox.NodeBuilder.new().create(iox.ServiceType.Ipc)
        named = self._node.service_builder(iox.ServiceName.new(self._service))
        data = (
            named.publish_subscribe(iox.Slice[ctypes.c_uint8])
            .enable_safe_overflow(False)
            .subscriber_max_buffer_size(16)
            .open_or_create()
        )
        return data, self._node.service_builder(iox.ServiceName.new(f"{self._service}/news")).event().open_or_create()

    def subscribe(self) -> Receive:
        """Listen, and take all samples that are there."""
        data, news = self._services()
        subscriber, listener = data.subscriber_builder().create(), news.listener_builder().create()

        def receive() -> Iterator[pa.RecordBatch]:
            sample = subscriber.receive()
            if sample is None:
                listener.timed_wait(self._iox.Duration.from_millis(100))
                sample = subscriber.receive()
            while sample is not None:
                yield _read(sample.payload().as_memory_view().cast("B"))
                sample.delete()
                sample = subscriber.receive()

        return receive

    def joined(self, consumers: int) -> None:
        """Begin to publish: what is made before a fork would be shared with the child."""
        data, news = self._services()
        builder = data.publisher_builder().initial_max_slice_len(1 << 16)
        builder = builder.allocation_strategy(self._iox.AllocationStrategy.PowerOfTwo)
        self._publisher = builder.backpressure_strategy(self._iox.BackpressureStrategy.RetryUntilDelivered).create()
        self._notifier = news.notifier_builder().create()
        wait_until(lambda: data.dynamic_config.number_of_subscribers == consumers)
        self._publisher.update_connections()

    def send(self, batch: pa.RecordBatch, count: int) -> None:
        """Write each batch into a loan, and notify."""
        size = pa.ipc.get_record_batch_size(batch) + _SCHEMA_BYTES
        for _ in range(count):
            while not self._loaned(batch, size).send():
                pass  # it gives up when a consumer that has just begun is slow, and says that nobody has got it
            self._notifier.notify()

    def _loaned(self, batch: pa.RecordBatch, size: int) -> Any:
        loan = self._publisher.loan_slice_uninit(size)
        _write(batch, loan.payload().as_memory_view().cast("B"))
        return loan.assume_init()

    def close(self) -> None:
        """Let go of it."""
        for part in (self._publisher, self._notifier):
            if part is not None:
                part.delete()


def _write(batch: pa.RecordBatch, memory: memoryview) -> None:
    """Write a batch into memory; a small one is faster copied than written in place, with a schema."""
    if len(memory) < _SMALL_BYTES:
        content = memoryview(encoded(batch)).cast("B")
        memory[: len(content)] = content
    else:
        with pa.ipc.new_stream(pa.FixedSizeBufferWriter(pa.py_buffer(memory)), SCHEMA) as stream:
            stream.write_batch(batch)


def _read(memory: memoryview) -> pa.RecordBatch:
    if len(memory) < _SMALL_BYTES:
        return decoded(memory)
    return pa.ipc.open_stream(pa.py_buffer(memory)).read_next_batch()


@contextlib.contextmanager
def servers(where: Path) -> Iterator[None]:
    """Run the servers of the peers below a directory."""
    with contextlib.ExitStack() as running:
        running.enter_context(_redis(where))
        running.enter_context(_nats(where))
        yield


def lines() -> Iterable[type[Line]]:
    """Return the peers that need more than a library of the test extra."""
    return (Redis, Nats, JetStream, Iceoryx2)


@contextlib.contextmanager
def _running(*command: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _redis(where: Path) -> Iterator[None]:
    path = where / "redis.sock"
    limits = ["--save", "", "--appendonly", "no", "--client-query-buffer-limit", "1gb"]
    with _running(_program("redis-server"), "--port", "0", "--unixsocket", str(path), "--dir", str(where), *limits):
        wait_until(path.exists)
        yield


@contextlib.contextmanager
def _nats(where: Path) -> Iterator[None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = where / "nats.conf"
    settings.write_text(
        f'listen: "127.0.0.1:{port}"\nmax_payload: {_LARGEST_BYTES}\nmax_pending: {_PENDING_BYTES}\n'
        f'jetstream {{ store_dir: "{where}/js", max_memory_store: {_PENDING_BYTES} }}\n'
    )
    (where / "nats.url").write_text(f"nats://127.0.0.1:{port}")
    with _running(_program("nats-server"), "-c", str(settings)):
        wait_until(lambda: _answers(port))
        yield


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is not here: .ci/bench installs it.")
    return found
