"""Bridges of a session: by names, with memory that counts, a stream of dead letters, and an end with the process."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

import jupyter_nq as nq
from jupyter_nq.client.session import Session
from jupyter_nq.client.streams.bridging import kafka_in, kafka_out
from jupyter_nq.errors import InvalidArgument, InvalidName, StoreFull, UnknownStream
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.child import Child
from tests.unit.client.small import MIB, small_session
from tests.unit.streams.kafka.conftest import broker

__all__ = ["broker"]

_NOWHERE = "127.0.0.1:1"


@pytest.fixture
def topic() -> str:
    """A topic of the test's own."""
    return f"desk-{os.urandom(4).hex()}"


@pytest.fixture(autouse=True)
def _with_library() -> None:
    pytest.importorskip("confluent_kafka", reason='needs confluent-kafka: pip install "jupyter-nq[kafka]"')


def test_a_stream_is_mirrored(session: Session, broker: str, topic: str) -> None:
    """By names or handles; the target is made, with a lane for the bridge beside that of the session."""
    stream = session.stream("signals")
    stream.publish(frame := pd.DataFrame({"x": [1.0, 2.0]}), {"model": "v7"})
    mirror = session.stream("mirror")
    mirror.publish(b"mine")
    with kafka_out(session, stream, topic, broker), kafka_in(session, topic, "mirror", broker) as bridge:
        wait_until(lambda: bridge.messages == 1)
        mirror.publish(b"mine too")
    assert [publisher["messages"] for publisher in mirror.stats()["publishers"]] == [2]
    found = [one for one in mirror.subscribe("earliest").get_messages() if one.lane]
    pd.testing.assert_frame_equal(found[0].data, frame)
    assert (found[0].metadata["model"], found[0].metadata["kafka"]["stream"]) == ("v7", "signals")
    assert [seen.name for seen in stream.consumers()] == [f"kafka.{topic}"]


def test_dead_letters_have_a_stream(session: Session, broker: str, topic: str) -> None:
    """Which is made with the first."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": broker})
    producer.produce(topic, b"hello")
    assert producer.flush(20) == 0
    with kafka_in(session, topic, "far", broker) as bridge:
        wait_until(lambda: bridge.dead_letters == 1)
    (letter,) = session.streaming.existing("far.dead-letters").subscribe("earliest").get_messages()
    assert (letter.data, letter.metadata["topic"]) == (b"hello", topic)


def test_bad_arguments_are_refused(session: Session) -> None:
    """Before a thread begins; a stream that is misspelt comes with the nearest."""
    session.stream("signals")
    with pytest.raises(UnknownStream, match="Did you mean 'signals'"):
        kafka_out(session, "signal", "t", _NOWHERE)
    with pytest.raises(InvalidArgument, match="topic='' is no name of a topic"):
        kafka_out(session, "signals", "", _NOWHERE)
    with pytest.raises(InvalidName):
        kafka_in(session, "t", "../signals", _NOWHERE)
    with pytest.raises(InvalidName):
        kafka_out(session, "signals", "t", _NOWHERE, name="a/b")


def test_its_lane_counts_as_memory(nq_store_dir: Path, disk: Path) -> None:
    """A full store refuses the bridge, and leaves its name free."""
    with small_session(nq_store_dir, pool_bytes=8 * MIB) as session:
        session.stream("s", retention_bytes=4 * MIB, segment_bytes=1 * MIB)
        kafka_in(session, "t", "s", _NOWHERE, name="a").stop()
        session.stream("other", retention_bytes=6 * MIB, segment_bytes=1 * MIB)
        with pytest.raises(StoreFull):
            kafka_in(session, "t", "other", _NOWHERE, name="b")


_ENDS = """
import jupyter_nq as nq
nq.connect(sys.argv[1])
nq.stream("s").publish(b"x")
bridge = nq.kafka_out("s", "t", "127.0.0.1:1")
say(bridge.state)
"""


def test_it_ends_with_its_process(nq_store_dir: Path) -> None:
    """A script that is done does not wait for a broker."""
    with Child(_ENDS, str(nq_store_dir)) as child:
        assert child.line() == "waiting"
        assert child.wait() == 0


def test_they_are_public() -> None:
    """With the session left out of their arguments."""
    assert "session" not in str(nq.kafka_in.__signature__) + str(nq.kafka_out.__signature__)  # type: ignore[attr-defined]
