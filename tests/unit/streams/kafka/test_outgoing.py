"""From a stream to Kafka: all of it, in order, acknowledged when a broker has it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jupyter_nq.errors import BridgeFailed, StreamBusy, UnknownStream
from jupyter_nq.streams.directory import drop_stream
from jupyter_nq.streams.durable.home import settle
from jupyter_nq.streams.kafka import clients
from jupyter_nq.streams.kafka.envelope import decode
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, ticks
from tests.unit.streams.kafka.conftest import Bridges


def _sent(bridges: Bridges, count: int) -> list[Any]:
    """Return what the topic holds once it has so many messages, by partition and offset."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bridges.broker, "group.id": "test", "enable.auto.commit": False})
    there = consumer.list_topics(bridges.topic, timeout=20).topics[bridges.topic].partitions
    consumer.assign([TopicPartition(bridges.topic, one, OFFSET_BEGINNING) for one in there])
    found: list[Any] = []
    wait_until(lambda: found.extend(consumer.consume(1000, 0.1)) or len(found) >= count, 20)  # type: ignore[func-returns-value]
    consumer.close()
    return sorted(found, key=lambda one: (one.partition(), one.offset()))


@pytest.mark.parametrize("form", ["tape", "log"])
def test_all_of_a_lane_goes_into_one_partition(make: Make, bridges: Bridges, form: str) -> None:
    """In its order, with its sequences and times; of two publishers each."""
    stream, other = make(schema=SCHEMA, form=form), make()
    for number in range(50):
        stream.publish(ticks(1 + number % 3, number))
        other.publish(ticks(2, number))
    bridge = bridges.out(stream)
    wait_until(lambda: bridge.messages == 100)
    found = [(one.key(), one.partition(), decode(one.value(), one.headers())) for one in _sent(bridges, 100)]
    for lane in (0, 1):
        mine = [(partition, one) for key, partition, one in found if key == str(lane).encode()]
        assert len({partition for partition, _ in mine}) == 1
        assert [one.sequence for _, one in mine] == list(range(50))
    published = {(one.lane, one.sequence_number): one for one in stream.subscribe("earliest").get_messages(200)}
    for _, _, one in found:
        message = published[one.lane, one.sequence]
        assert (one.data.equals(message.data), one.published_ns) == (True, message.timestamp_ns)
    assert (bridge.lag, bridge.state, bridge.stats()["trouble"]) == (0, "running", None)


def test_the_next_goes_on_behind_what_was_confirmed(make: Make, bridges: Bridges) -> None:
    """Not before the first one is stopped: its name is taken."""
    stream = make()
    stream.publish(b"1")
    first = bridges.out(stream)
    wait_until(lambda: first.messages == 1)
    with pytest.raises(StreamBusy):
        bridges.out(stream)
    assert first.stop()
    assert first.stop()
    assert (first.state, first.wait(), first.error) == ("stopped", True, None)
    stream.publish(b"2")
    second = bridges.out(stream)
    wait_until(lambda: second.messages == 1)
    assert [one.value() for one in _sent(bridges, 2)] == [b"1", b"2"]


def test_a_broker_that_is_not_there(
    make: Make, bridges: Bridges, late_broker: tuple[str, Callable[[], None]], caplog: pytest.LogCaptureFixture
) -> None:
    """The bridge says so once, tries again, acknowledges nothing, and sends all when there is one."""
    address, begin = late_broker
    stream = make()
    stream.publish(b"1")
    with caplog.at_level(logging.WARNING, "jupyter_nq"):
        bridge = bridges.out(stream, config={"bootstrap.servers": address, "sasl.password": "hunter2"})
        wait_until(lambda: "refused" in str(bridge.stats()["trouble"]))
    assert (bridge.state, bridge.messages, bridge.lag) == ("waiting", 0, 1)
    assert "no broker can be reached" in bridge.stats()["trouble"]
    assert bridge.stats()["errors"] > 0
    begin()
    wait_until(lambda: bridge.messages == 1, 30)
    assert (bridge.state, bridge.lag) == ("running", 0)
    assert "hunter2" not in caplog.text + repr(bridge) + str(bridge.stats())


def test_a_broker_that_is_not_there_is_told_of_in_one_line(
    make: Make, bridges: Bridges, late_broker: tuple[str, Callable[[], None]], caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is tried: a notebook shows warnings below its cells, and librdkafka repeats itself for hours."""
    stream = make()
    stream.publish(b"1")
    with caplog.at_level(logging.WARNING, "jupyter_nq"):
        bridge = bridges.out(stream, config=late_broker[0])
        wait_until(lambda: bridge.stats()["errors"] > 5, 30)
        assert bridge.stop()
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "waits: no broker can be reached" in line
    assert line.endswith("it tries again")


def test_it_can_be_stopped_without_a_broker(
    make: Make, bridges: Bridges, late_broker: tuple[str, Callable[[], None]]
) -> None:
    """At once; what was on its way is sent by the next."""
    stream = make()
    stream.publish(b"1")
    bridge = bridges.out(stream, config=late_broker[0])
    wait_until(lambda: bridge.lag == 1 and bridge.stats()["errors"])
    assert bridge.stop(5.0)
    again = bridges.out(stream)
    wait_until(lambda: again.messages == 1)


def test_a_message_that_the_broker_refuses(make: Make, bridges: Bridges) -> None:
    """The bridge ends and says which and why; it was not acknowledged, so nothing is lost."""
    stream = make()
    stream.publish(bytes(2_000_000))
    bridge = bridges.out(stream)
    with pytest.raises(BridgeFailed, match=r"Message 0 of lane 0 .* Message size too large.*'message\.max\.bytes'"):
        bridge.wait(20)
    assert bridge.state == "failed"
    assert "too large" in bridge.stats()["trouble"]
    again = bridges.out(stream, config={"bootstrap.servers": bridges.broker, "message.max.bytes": 4_000_000})
    wait_until(lambda: again.messages == 1)


class _Refusing:
    """A producer whose broker refuses each message, and says so at the next poll."""

    def __init__(self) -> None:
        self._told: list[Any] = []

    def produce(self, *_: Any, on_delivery: Any, **_named: Any) -> None:
        """Take a message."""
        self._told.append(on_delivery)

    def poll(self, _seconds: float) -> None:
        """Say what became of it."""
        from confluent_kafka import KafkaError

        for tell in self._told:
            tell(KafkaError(KafkaError.POLICY_VIOLATION), None)
        self._told.clear()

    def purge(self) -> None:
        """Forget the rest."""


def test_what_was_not_delivered_is_not_acknowledged(
    make: Make, bridges: Bridges, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that is known before all are sent: the next bridge sends all of them."""
    stream = make()
    for number in range(20):
        stream.publish(number)
    with monkeypatch.context() as patch:
        patch.setattr(clients, "producer", lambda *_: _Refusing())
        bridge = bridges.out(stream)
        with pytest.raises(BridgeFailed, match=r"a message was not delivered: .*Policy"):
            bridge.wait(20)
    assert bridge.messages == 0
    again = bridges.out(stream)
    wait_until(lambda: again.messages == 20, 20)


def test_what_the_stream_let_go_of_is_counted(make: Make, bridges: Bridges) -> None:
    """A bridge that comes late misses it, and says how much."""
    stream = make(**SMALL)
    bridges.out(stream).stop()
    for number in range(60):
        stream.publish(bytes([number]) * 20_000)
    bridge = bridges.out(stream)
    wait_until(lambda: bridge.messages + bridge.lost == 60)
    assert bridge.lost == bridge.stats()["lost"] > 0


def test_a_stream_that_is_dropped_ends_it(make: Make, bridges: Bridges) -> None:
    """With the reason."""
    stream = make()
    bridge = bridges.out(stream)
    wait_until(lambda: bridge.state == "running")
    drop_stream(stream._control.path.parent, "s")
    with pytest.raises(UnknownStream, match="was dropped"):
        bridge.wait(20)


@pytest.mark.usefixtures("light_children")
def test_a_forked_child_leaves_it_to_the_parent(make: Make, bridges: Bridges) -> None:
    """It says that it is stopped there, its end waits for no thread, and the parent carries on."""
    stream = make()
    bridge = bridges.out(stream)
    wait_until(lambda: bridge.state == "running")

    def work(say: Callable[[Any], None]) -> None:
        bridges.running.clear()
        say([bridge.state, bridge.stop(0)])

    with Forked(work) as child:
        assert child.hear() == ["stopped", True]
        assert child.wait() == 0
    stream.publish(str(os.getpid()).encode())
    wait_until(lambda: bridge.messages == 1)


def test_it_says_how_it_is(make: Make, bridges: Bridges) -> None:
    """In one line, with both ends."""
    with bridges.out(make()) as bridge:
        wait_until(lambda: bridge.state == "running")
        assert repr(bridge) == f"<KafkaOut stream s to topic {bridges.topic}, running, 0 messages>"
    assert bridge.state == "stopped"


@pytest.mark.parametrize("form", ["tape", "log"])
def test_messages_of_two_epochs(make: Make, bridges: Bridges, form: str) -> None:
    """Each goes with its own schema, rows of a tape included."""
    stream = make(schema=pa.schema([("n", pa.int64())]), form=form)
    stream.publish({"n": 1} if form == "tape" else pa.record_batch({"n": [1]}))
    bridge = bridges.out(stream)
    wait_until(lambda: bridge.messages == 1)
    stream.evolve(pa.schema([("n", pa.int64()), ("side", pa.int8())]))
    stream.publish(
        {"n": 2, "side": 3} if form == "tape" else pa.record_batch([[2], pa.array([3], pa.int8())], stream.schema)
    )
    wait_until(lambda: bridge.messages == 2)
    found = [decode(one.value(), one.headers()).data for one in _sent(bridges, 2)]
    assert [one.to_pylist() for one in found] == [[{"n": 1}], [{"n": 2, "side": 3}]]


def test_a_durable_stream_sends_what_the_disk_has(make: Make, bridges: Bridges, tmp_path: Path) -> None:
    """Until then nothing goes, and the bridge says why: sequences that are lost with the memory come anew."""
    stream = make(durable=True)
    stream.publish(b"1")
    bridge = bridges.out(stream)
    wait_until(
        lambda: (
            "not on the disk" in (bridge.stats()["trouble"] or "") or "directory" in (bridge.stats()["trouble"] or "")
        )
    )
    assert bridge.messages == 0
    settle(stream._control, tmp_path / "disk", None)
    wait_until(lambda: bridge.messages == 1)
    assert stream.stats()["durability"][0]["durable"] == 1
    assert len(_sent(bridges, 1)) == 1
