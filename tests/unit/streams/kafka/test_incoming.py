"""From Kafka to a stream: each message once, and of what is left out the number and the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jupyter_nq.errors import BridgeFailed, InvalidArgument, InvalidName, SchemaMismatch, StreamBusy, UnknownStream
from jupyter_nq.streams import Stream
from jupyter_nq.streams.directory import drop_stream
from jupyter_nq.streams.kafka.envelope import encode
from jupyter_nq.streams.messages import Message
from jupyter_nq.testing import wait_until
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, ticks
from tests.unit.streams.kafka.conftest import Bridges

_ID = "c" * 32


def _message(sequence: int, data: Any = None, lane: int = 0) -> tuple[bytes, list[tuple[str, bytes]]]:
    data = str(sequence).encode() if data is None else data
    sent = encode(Message(data, {}, 7, sequence, lane, "far"), _ID, None, tape=False)
    return sent.value, sent.headers


def _data(stream: Stream) -> list[Any]:
    return [message.data for message in stream.subscribe("earliest").get_messages(10_000)]


@pytest.mark.parametrize("form", ["tape", "log"])
def test_a_stream_arrives_as_it_was(make: Make, bridges: Bridges, form: str) -> None:
    """Rows, batches and categories, in order, by way of two bridges."""
    near, far = make(schema=SCHEMA, form=form), make("far", schema=SCHEMA, form=form)
    row = {"ts": ticks(1)["ts"][0].as_py(), "price": 1.5, "size": 3}
    sent = [ticks(1 + number % 5, number) for number in range(60)]
    for batch in sent:
        near.publish(batch)
    if form == "tape":
        near.publish(row)
    count = near.messages
    bridges.out(near)
    bridge = bridges.into(far)
    wait_until(lambda: bridge.messages == count)
    found = _data(far)
    assert [one for one in found[:60] if not one.equals(sent[found.index(one)])] == []
    assert found[60:] == ([row] if form == "tape" else [])
    wait_until(lambda: bridge.lag == 0)
    assert (bridge.state, bridge.bytes > 0, bridge.dead_letters) == ("running", True, 0)


def test_a_log_says_where_its_messages_come_from(make: Make, bridges: Bridges) -> None:
    """Beside the metadata that they had."""
    near, far = make(), make("far")
    near.publish({"a": 1}, {"model": 7})
    bridges.out(near)
    bridge = bridges.into(far)
    wait_until(lambda: bridge.messages == 1)
    (message,) = far.subscribe("earliest").get_messages()
    source = message.metadata["kafka"]
    assert (message.data, message.metadata["model"]) == ({"a": 1}, 7)
    assert (source["topic"], source["offset"], source["stream"]) == (bridges.topic, 0, "s")
    assert (source["lane"], source["sequence"]) == (0, 0)


def test_80_what_comes_again_is_left_out_and_counted(make: Make, bridges: Bridges) -> None:
    """Case 80: also when it comes after a restart of the bridge; of another lane it is another message."""
    far = make("far")
    bridges.send(*(_message(number) for number in (0, 1, 1, 2, 0)), _message(1, lane=5))
    first = bridges.into(far)
    wait_until(lambda: first.messages + first.replayed == 6)
    assert (first.messages, first.replayed, first.old, first.missing) == (4, 2, 0, 0)
    first.stop()
    bridges.send(*(_message(number) for number in (2, 3)))
    second = bridges.into(far)
    wait_until(lambda: second.messages + second.replayed == 2)
    assert (second.messages, second.replayed) == (1, 1)
    assert sorted(_data(far)) == [b"0", b"1", b"1", b"2", b"3"]


def test_81_old_messages_are_rejected_and_counted(make: Make, bridges: Bridges) -> None:
    """Case 81: they were missed when later ones came, and would break the order."""
    far = make("far")
    bridges.send(*(_message(number) for number in (3, 6, 5, 4, 2, 6, 7)))
    bridge = bridges.into(far)
    wait_until(lambda: bridge.messages + bridge.replayed + bridge.old == 7)
    assert (bridge.messages, bridge.missing, bridge.old, bridge.replayed) == (3, 2, 3, 1)
    assert _data(far) == [b"3", b"6", b"7"]
    assert bridge.stats()["old"] == 3


def test_what_is_no_message_goes_to_the_dead_letters(make: Make, bridges: Bridges) -> None:
    """As it came, with where and why; the others go on."""
    far = make("far")
    broken = [(name, b"x" if name == "nq.kind" else value) for name, value in _message(1)[1]]
    bridges.send(_message(0), (b"hello", []), (b"broken", broken), _message(1))
    bridge = bridges.into(far)
    wait_until(lambda: bridge.messages == 2)
    assert _data(far) == [b"0", b"1"]
    assert bridge.stats()["dead_letters"] == 2
    hello, other = make("dead").subscribe("earliest").get_messages()
    assert (hello.data, other.data) == (b"hello", b"broken")
    assert "no stream sent it" in hello.metadata["why"]
    assert "unknown kind" in other.metadata["why"]
    assert (hello.metadata["topic"], hello.metadata["offset"], hello.metadata["key"]) == (bridges.topic, 1, b"0")
    assert ["nq.kind", b"x"] in other.metadata["headers"]


def test_dead_letters_take_messages_with_headers_of_any_size(make: Make, bridges: Bridges) -> None:
    """Their names and contents are cut, and so is why: none stops the bridge."""
    far = make("far")
    huge = "n" * 400_000
    bridges.send((b"hello", [(huge, b"v"), *[("x", b"")] * 100]), _message(0))
    bridge = bridges.into(far)
    wait_until(lambda: bridge.messages == 1)
    (letter,) = make("dead").subscribe("earliest").get_messages()
    assert letter.metadata["headers"][0] == ["n" * 256, b"v"]
    assert len(letter.metadata["headers"]) == 64


def test_what_the_stream_never_takes_goes_there_too(make: Make, bridges: Bridges) -> None:
    """Of a tape all that is no row, and what is larger than the stream."""
    far = make("far", schema=SCHEMA, **SMALL)
    bridges.send(_message(0, ticks(1)), _message(1), _message(2, ticks(20_000)), _message(3, ticks(1)))
    bridge = bridges.into(far)
    wait_until(lambda: bridge.messages == 2)
    assert (far.messages, bridge.dead_letters, bridge.lag) == (2, 2, 0)
    whys = [one.metadata["why"] for one in make("dead").subscribe("earliest").get_messages()]
    assert ["A tape takes rows" in whys[0], "keeps 262,144" in whys[1]] == [True, True]


def test_another_schema_ends_the_bridge(make: Make, bridges: Bridges) -> None:
    """Nothing behind it is read; the message is there for the next bridge, into a stream that takes it."""
    far = make("far", schema=SCHEMA)
    bridges.send(_message(0, ticks(1)), _message(1, ticks(1).select(["price"])), _message(2, ticks(1)))
    bridge = bridges.into(far)
    with pytest.raises(SchemaMismatch, match="'far' has ts"):
        bridge.wait(20)
    assert (bridge.state, far.messages) == ("failed", 1)
    again = bridges.into(far)
    with pytest.raises(SchemaMismatch):
        again.wait(20)
    assert (far.messages, again.replayed) == (1, 0)


@pytest.mark.parametrize(("foreign", "value", "expected"), [("json", b'{"p": 1}', {"p": 1}), ("bytes", b"raw", b"raw")])
def test_messages_of_other_programs(make: Make, bridges: Bridges, foreign: str, value: bytes, expected: Any) -> None:
    """Each once by its offset, beside those of streams."""
    far = make("far")
    bridges.send((value, []), _message(0), (value, []))
    first = bridges.into(far, foreign=foreign)
    wait_until(lambda: first.messages == 3)
    first.stop()
    bridges.send((value, []))
    second = bridges.into(far, foreign=foreign)
    wait_until(lambda: second.messages == 1)
    assert _data(far) == [expected, b"0", expected, expected]


def test_a_topic_that_comes_later(make: Make, bridges: Bridges) -> None:
    """The bridge waits for it, and says so; it reads it from the beginning."""
    bridge = bridges.into(make("far"))
    wait_until(lambda: "no topic" in str(bridge.stats()["trouble"]))
    assert bridge.state == "waiting"
    bridges.send(_message(0))
    wait_until(lambda: bridge.messages == 1, 20)
    assert bridge.state == "running"


def test_a_broker_that_comes_later(make: Make, bridges: Bridges, late_broker: tuple[str, Callable[[], None]]) -> None:
    """The same; a stop does not wait for it."""
    address, begin = late_broker
    bridges.send(_message(0))
    stopped = bridges.into(make("far"), config=address)
    wait_until(lambda: "no broker" in str(stopped.stats()["trouble"]))
    assert stopped.stop(5.0)
    bridge = bridges.into(make("far"), config=address)
    wait_until(lambda: bridge.errors > 0)
    begin()
    wait_until(lambda: bridge.messages == 1, 30)


def test_the_newest_only(make: Make, bridges: Bridges) -> None:
    """What was there before is neither read nor missing."""
    bridges.send(_message(0))
    bridge = bridges.into(make("far"), start="latest")
    wait_until(lambda: bridge.state == "running")
    sent = 0

    def arrived() -> bool:
        nonlocal sent
        bridges.send(_message(sent := sent + 1))  # it may not have looked where the end is
        return bridge.messages > 0

    wait_until(arrived)
    assert (bridge.missing, b"0" in _data(make("far"))) == (0, False)


def test_a_full_stream_holds_the_bridge_up(make: Make, bridges: Bridges) -> None:
    """It says why, and goes on when the consumer has read."""
    far = make("far", overflow="error", **SMALL)
    reader = far.subscribe("earliest", gating=True)
    bridges.send(*(_message(number, bytes([number]) * 20_000) for number in range(40)))
    bridge = bridges.into(far)
    wait_until(lambda: bridge.state == "waiting" and "is full" in str(bridge.stats()["trouble"]))
    got: list[bytes] = []
    wait_until(lambda: got.extend(one.data for one in reader.get_messages(100)) or len(got) == 40, 20)  # type: ignore[func-returns-value]
    assert got == [bytes([number]) * 20_000 for number in range(40)]
    assert bridge.state == "running"


def test_a_stream_is_not_read_into_itself(make: Make, bridges: Bridges) -> None:
    """Its messages would go round for ever."""
    stream = make()
    stream.publish(b"x")
    bridges.out(stream)
    with pytest.raises(BridgeFailed, match=r"go round for ever\. Read it into another stream"):
        bridges.into(stream).wait(20)
    assert stream.messages == 1


@pytest.mark.parametrize("idle", [True, False])
def test_a_stream_that_is_dropped_ends_it(make: Make, bridges: Bridges, idle: bool) -> None:
    """With the reason, whether there are messages or none."""
    far = make("far")
    bridges.send(_message(0))
    bridge = bridges.into(far)
    wait_until(lambda: bridge.messages == 1)
    drop_stream(far._control.path.parent, "far")
    if not idle:
        bridges.send(_message(1))
    with pytest.raises(UnknownStream, match="was dropped"):
        bridge.wait(20)
    assert "was dropped" in bridge.stats()["trouble"]


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"start": "newest"}, InvalidArgument, "none of earliest, latest"),
        ({"foreign": "csv"}, InvalidArgument, "none of json, bytes, arrow"),
        ({"name": "../x"}, InvalidName, "not a dataset name"),
        ({"config": ""}, InvalidArgument, "names no brokers"),
        ({"config": {"bootstrap.servers": "h:1", "nothing": 1}}, InvalidArgument, "config is refused: No such"),
    ],
)
def test_bad_arguments(make: Make, bridges: Bridges, options: dict[str, Any], error: type, says: str) -> None:
    """Refused before anything runs; the name stays free."""
    far = make("far")
    with pytest.raises(error, match=says):
        bridges.into(far, **options)
    first = bridges.into(far)
    with pytest.raises(StreamBusy, match="runs already"):
        bridges.into(far)
    assert repr(first).startswith(f"<KafkaIn topic {bridges.topic} to stream far, ")
