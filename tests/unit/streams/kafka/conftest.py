"""A broker in a process of its own, and bridges that are stopped at the end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jupyter_nq.streams import Stream
from jupyter_nq.streams.kafka import KafkaIn, KafkaOut
from jupyter_nq.streams.publisher import Publisher
from jupyter_nq.testing.child import Child
from tests.unit.streams.conftest import Make, make

__all__ = ["make"]

_BROKER = """
import logging
from confluent_kafka import Producer
mock = {"test.mock.num.brokers": 1, "bootstrap.servers": "mock"}
broker = Producer(mock, logger=logging.getLogger("quiet"))
for one in broker.list_topics(timeout=30).brokers.values():
    say(f"{one.host}:{one.port}")
input()
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """Give the address of librdkafka's mock cluster, which keeps the last 5 MB of each partition."""
    pytest.importorskip("confluent_kafka", reason='needs confluent-kafka: pip install "jupyter-nq[kafka]"')
    with Child(_BROKER) as child:
        yield child.line()


class Bridges:
    """Makes bridges between the streams of a test and one topic, and stops them."""

    def __init__(self, make: Make, broker: str) -> None:
        self._make = make
        self.broker = broker
        self.topic = f"topic-{os.urandom(4).hex()}"
        self.running: list[KafkaIn | KafkaOut] = []

    def out(self, stream: Stream, **options: Any) -> KafkaOut:
        """Carry a stream to the topic."""
        given = {"topic": self.topic, "config": self.broker, "name": "kafka.t", **options}
        self.running.append(bridge := KafkaOut(stream._control, **given))
        return bridge

    def into(self, stream: Stream, **options: Any) -> KafkaIn:
        """Carry the topic to a stream; what cannot go there goes to the stream `dead`."""
        given = {"topic": self.topic, "config": self.broker, "name": "kafka.t", **options}
        given = {"publisher": Publisher, "dead_letters": lambda: self._make("dead"), **given}
        self.running.append(bridge := KafkaIn(stream._control, **given))
        return bridge

    def send(self, *messages: tuple[bytes | None, list[tuple[str, bytes]]], key: bytes = b"0") -> None:
        """Send messages as another program does, or once more."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.broker, "linger.ms": 0})
        for value, headers in messages:
            producer.produce(self.topic, value, key=key, headers=headers)
        assert producer.flush(20) == 0


@pytest.fixture
def bridges(make: Make, broker: str) -> Iterator[Bridges]:
    """Give bridges over a topic of the test's own."""
    made = Bridges(make, broker)
    yield made
    for bridge in made.running:
        assert bridge.stop()


@pytest.fixture
def late_broker(broker: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Give an address at which nobody listens, and a function after which the broker does."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))  # and no `listen`: a connection is refused
    host, port = listening.getsockname()

    def begin() -> None:
        listening.listen()
        threading.Thread(target=_forward, args=(listening, broker), daemon=True).start()

    yield f"{host}:{port}", begin
    listening.close()


def _forward(listening: socket.socket, broker: str) -> None:
    """Lead who connects to a broker, until the listening ends."""
    host, port = broker.split(":")
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        server = socket.create_connection((host, int(port)))
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while content := source.recv(1 << 16):
            target.sendall(content)
    except OSError:
        pass
    finally:
        target.close()
        source.close()
