"""Publishing what came from Kafka: each once, whatever is refused, full or stopped in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.errors import SchemaMismatch, StreamBusy, StreamFull, UnsupportedData
from jupyter_nq.streams import Stream
from jupyter_nq.streams.kafka.delivery import Delivery, Planned
from jupyter_nq.streams.kafka.position import Entry
from jupyter_nq.streams.publisher import Publisher
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, ticks

_ORIGIN = ("a" * 32, 0)


def _plan(*data: Any) -> list[Planned]:
    return [Planned(Entry(0, number + 1, _ORIGIN, number), one, None) for number, one in enumerate(data)]


def _delivery(stream: Stream, blocked: Any = None) -> Delivery:
    return Delivery(stream._control, "kafka.t", Publisher, blocked or (lambda _why: False))


def test_messages_are_published_and_counted(make: Make) -> None:
    """The next of its name goes on behind them."""
    stream = make()
    delivery = _delivery(stream)
    assert delivery.publish(_plan(b"a", b"b")) is None
    assert (delivery.done, delivery.position.offsets) == (2, {0: 2})
    delivery.pass_by(Entry(0, 5))
    delivery.close()
    delivery.close()
    again = _delivery(stream)
    assert again.position.offsets == {0: 5}
    again.close()
    assert [one.data for one in stream.get_messages()] == [b"a", b"b"]


def test_its_lane_is_its_own(make: Make) -> None:
    """Whoever else publishes has another one, so the lane moves with its messages alone."""
    stream = make()
    stream.publish(b"mine")
    delivery = _delivery(stream)
    stream.publish(b"mine too")
    delivery.publish(_plan(b"a"))
    stream.publish(b"and mine")
    delivery.publish([Planned(Entry(0, 2, _ORIGIN, 1), b"b", None)])
    assert [lane.head for lane in stream._control.lanes()] == [3, 2]
    with pytest.raises(StreamBusy, match="runs already"):
        _delivery(stream)
    delivery.close()


def test_what_the_stream_never_takes_is_returned(make: Make) -> None:
    """Those before it are published and settled, those behind it are left."""
    stream = make(schema=SCHEMA)
    delivery = _delivery(stream)
    refused = delivery.publish(_plan(ticks(2), b"no row", ticks(3)))
    assert isinstance(refused, UnsupportedData)
    assert (delivery.done, delivery.position.offsets, stream.messages) == (1, {0: 1}, 1)
    delivery.close()


def test_another_schema_ends_it(make: Make) -> None:
    """What was published before stays settled."""
    stream = make(schema=SCHEMA)
    delivery = _delivery(stream)
    with pytest.raises(SchemaMismatch):
        delivery.publish(_plan(ticks(2), ticks(2).select(["price"])))
    delivery.close()
    again = _delivery(stream)
    assert again.position.offsets == {0: 1}
    again.close()


@pytest.mark.parametrize("overflow", ["drop_new", "error", "block"])
def test_a_full_stream_holds_it_up(make: Make, overflow: str) -> None:
    """It waits for whom the stream waits, says so, and loses nothing, also where a publisher would drop."""
    stream = make(overflow=overflow, block_seconds=0.0, **SMALL)
    reader = stream.subscribe("earliest", gating=True)
    said: list[str | None] = []
    got: list[bytes] = []

    def read(why: str | None) -> bool:
        said.append(why)
        got.extend(message.data for message in reader.get_messages(1000))
        return True

    sent = [bytes([number]) * 20_000 for number in range(40)]
    delivery = _delivery(stream, read)
    assert delivery.publish(_plan(*sent)) is None
    assert (said.count(None) > 0, "is full" in str(said[0])) == (True, True)
    assert [*got, *(message.data for message in reader.get_messages(1000))] == sent
    delivery.close()


def test_a_stop_leaves_what_is_not_published(make: Make) -> None:
    """The next one publishes it."""
    stream = make(overflow="error", **SMALL)
    reader = stream.subscribe("earliest", gating=True)
    delivery = _delivery(stream)
    plan = _plan(*(bytes([number]) * 20_000 for number in range(40)))
    assert delivery.publish(plan) is None
    assert 0 < delivery.done < 40
    assert delivery.position.offsets == {0: delivery.done}
    reader.close()
    assert delivery.publish(plan[delivery.done :]) is None
    assert delivery.position.offsets == {0: 40}
    delivery.close()


def test_a_message_that_is_too_large_for_ever(make: Make) -> None:
    """It is refused at once, where nothing but its size can be the matter."""
    stream = make(**SMALL)
    delivery = _delivery(stream)
    refused = delivery.publish(_plan(b"a", bytes(300_000), b"b"))
    assert "keeps 262,144 of each" in str(refused)
    assert isinstance(refused.__cause__, StreamFull)  # type: ignore[union-attr]
    delivery.close()


@pytest.mark.usefixtures("light_children")
@pytest.mark.parametrize("at", range(4))
def test_killed_between_two_messages(make: Make, nq_store_dir: Path, at: int) -> None:
    """Its lane says which of those it had begun are there: the next goes on behind them."""
    stream = make()

    def work(_say: Say) -> None:
        class Dying(Publisher):
            def publish(self, data: Any, metadata: Any = None) -> int | None:
                if data == bytes([at]):
                    os_kill()
                return super().publish(data, metadata)

        Delivery(Stream(nq_store_dir / "s")._control, "kafka.t", Dying, lambda _: False).publish(plan)

    plan = _plan(*(bytes([number]) for number in range(4)))
    with Forked(work) as child:
        assert child.wait() == -9
    delivery = _delivery(stream)
    assert delivery.position.offsets == ({0: at} if at else {})
    assert delivery.publish(plan[at:]) is None
    delivery.close()
    assert [one.data for one in stream.get_messages()] == [bytes([number]) for number in range(4)]


def os_kill() -> None:
    """End this process as a crash would."""
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
