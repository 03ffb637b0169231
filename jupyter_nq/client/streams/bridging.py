"""Bridges between the streams of a session and Kafka; see `streams/kafka`."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Mapping
from typing import Any

from jupyter_nq.client.session import Session
from jupyter_nq.errors import InvalidArgument
from jupyter_nq.streams import Stream
from jupyter_nq.streams.kafka import KafkaIn, KafkaOut
from jupyter_nq.streams.kafka.clients import library
from jupyter_nq.streams.kafka.dead_letters import RETENTION_BYTES
from jupyter_nq.streams.starting import Start

_running: weakref.WeakSet[KafkaIn | KafkaOut] = weakref.WeakSet()


def kafka_out(
    session: Session,
    stream: str | Stream,
    topic: str,
    config: Mapping[str, Any] | str,
    *,
    name: str | None = None,
    start: Start = "earliest",
    gating: bool = False,
) -> KafkaOut:
    """Carry a stream to a topic of Kafka, in a thread of this process, until it is stopped.

    A message counts as carried when a broker has confirmed it. Whoever starts the same bridge again, here or elsewhere,
    goes on behind those; what was on its way when it died is sent once more, and `kafka_in` leaves it out.

    Parameters
    ----------
    stream
        A stream that is there, or its name.
    topic
        Each message goes there as `jupyter_nq/streams/kafka/KAFKA.md` says: columns as Arrow has them, with stream,
        lane, sequence, time and schema as headers; all of a lane into one partition, in its order.
    config
        The brokers, "host:9092", or a dict of librdkafka's settings with `bootstrap.servers`. Passwords are in no log.
    name
        Of the consumer that the bridge is in the stream; None takes `kafka.` and the topic.
    start
        Where the first bridge of this name begins, as `Stream.subscribe` says.
    gating
        Whether publishers of a stream that does not drop the oldest wait for it.

    Returns
    -------
    KafkaOut
        With `stats()`, `state`, `stop()`, and `wait()`, which raises why it ended by itself.

    Raises
    ------
    UnknownStream, StreamBusy, InvalidArgument, InvalidName, MissingLibrary
    """
    library()
    control = session.streaming.control(_name(stream))
    told: dict[str, Any] = {"name": _bridge_name(name, topic), "start": start, "gating": gating}
    bridge = KafkaOut(control, _topic(topic), config, keys=session.streaming.lasting.keys, **told)
    _running.add(bridge)
    return bridge


def kafka_in(
    session: Session,
    topic: str,
    stream: str | Stream,
    config: Mapping[str, Any] | str,
    *,
    name: str | None = None,
    start: str = "earliest",
    foreign: str | None = None,
) -> KafkaIn:
    """Carry a topic of Kafka to a stream, in a thread of this process, until it is stopped.

    Each message is published once, whoever is killed meanwhile: how far the topic was read is kept beside the stream.
    What comes again, or behind later ones, is left out and counted. What is no message goes to the stream
    `STREAM.dead-letters`, with why in its metadata.

    Parameters
    ----------
    topic
        What `kafka_out` fills, or another program.
    stream
        A stream or its name; made, as a log, unless it is there. Make it with a schema for a tape. The metadata of
        messages of a log say under "kafka" where they came from.
    config
        As of `kafka_out`.
    name, start
        Under which is kept how far it has read, `kafka.` and the topic; "earliest" or "latest", of what was never read.
    foreign
        What the values of other programs are: "json", "bytes", or "arrow" (a stream of its IPC format). None takes only
        what `kafka_out` sent.

    Raises
    ------
    StreamBusy
        A bridge of this name reads into the stream.
    InvalidArgument, InvalidName, MissingLibrary, StoreFull, ChecksumError
    """
    library()
    session.stream(called := _name(stream))
    control = session.streaming.control(called)
    own: dict[str, Any] = {
        "publisher": session.streaming.own_publisher,
        "dead_letters": lambda: session.stream(f"{called}.dead-letters", retention_bytes=RETENTION_BYTES),
    }
    told: dict[str, Any] = {"name": _bridge_name(name, topic), "start": start, "foreign": foreign}
    bridge = KafkaIn(control, _topic(topic), config, **own, **told)
    _running.add(bridge)
    return bridge


def _name(stream: str | Stream) -> str:
    return stream.name if isinstance(stream, Stream) else stream


def _topic(topic: str) -> str:
    if not isinstance(topic, str) or not topic:
        raise InvalidArgument(f"topic={topic!r} is no name of a topic.")
    return topic


def _bridge_name(name: str | None, topic: str) -> str:
    return f"kafka.{topic}" if name is None else name


def _stop_all() -> None:
    """End what runs while this process can still confirm and keep what it has carried."""
    for bridge in list(_running):
        bridge.stop()


atexit.register(_stop_all)
