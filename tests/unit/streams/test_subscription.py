"""Consumers: lanes, losses, held batches, names, conflating, and forked children."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.errors import InvalidArgument, Lagged, StreamBusy, UnknownStream, UnsupportedData
from jupyter_nq.streams import Stream, Subscription
from jupyter_nq.streams.directory import drop_stream
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, sequences, ticks


def _fill(stream: Stream, messages: int) -> None:
    """Publish so many messages of 1,000 rows: three or four fill a small segment of a tape."""
    for number in range(messages):
        stream.publish(ticks(1000, number))


def _told(subscription: Subscription) -> int:
    with pytest.raises(Lagged, match=r"let go of .* messages before this consumer read them") as caught:
        subscription.get_messages()
    return caught.value.lost


def test_lanes_are_merged_by_time(make: Make) -> None:
    """Messages of two publishers come in the order in which they were published."""
    first, second = make(), make()
    consumer = first.subscribe("earliest")
    for number in range(6):
        (second if number % 3 else first).publish(number)
    found = consumer.get_messages()
    assert [message.data for message in found] == list(range(6))
    assert [message.lane for message in found] == [0, 1, 1, 0, 1, 1]
    assert [message.timestamp_ns for message in found] == sorted(message.timestamp_ns for message in found)


@pytest.mark.parametrize("form", ["tape", "log"])
@pytest.mark.parametrize("at_once", [1, 2, 1_000])
def test_batches_of_lanes_are_merged_by_time(make: Make, form: str, at_once: int) -> None:
    """Over many segments, a lane that one publisher leaves and takes up again: the rows come as they were published."""
    first, second = (make(schema=SCHEMA, form=form, segment_bytes=64 << 10) for _ in range(2))
    consumer = first.subscribe("earliest")
    order = [0] * 9 + [1] * 20 + [0, 1, 1, 0] + [0] * 9
    for number, lane in enumerate(order):
        (second if lane else first).publish(ticks(700, number))
    found: list[int] = []
    published: list[int] = []
    while batches := consumer.read_as_published(at_once):
        found += [stamp for batch, _ in batches for stamp in batch["ts"].cast(pa.int64()).to_pylist()[::700]]
        assert all(batch.num_rows == len(stamps) for batch, stamps in batches)
        published += [stamp for _, stamps in batches for stamp in stamps.tolist()]
    told = [message.timestamp_ns for message in first.subscribe("earliest").get_messages(1_000)]
    assert published == [stamp for stamp in told for _ in range(700)]
    assert [stamp % 1_000_003 for stamp in found] == list(range(len(order)))
    assert (consumer.lag, consumer.lost) == (0, 0)


def test_publisher_that_comes_later_is_read_from_its_first(make: Make) -> None:
    """A consumer that is there sees all of a publisher that comes after it."""
    first, second = make(), make()
    consumer = first.subscribe()
    second.publish("a")
    first.publish("b")
    assert sorted(message.data for message in consumer.get_messages()) == ["a", "b"]


@pytest.mark.parametrize("form", ["tape", "log"])
def test_loss_is_told_once_and_exactly(make: Make, form: str) -> None:
    """Who falls behind is told how many messages are gone, once, and goes on with the oldest that is there."""
    stream = make(schema=SCHEMA, form=form, **SMALL)
    consumer = stream.subscribe("earliest")
    _fill(stream, 100)
    lost = _told(consumer)
    found = sequences(consumer.get_messages(1000))
    assert found == list(range(lost, 100))
    assert (consumer.lost, consumer.lag) == (lost, 0)
    assert stream.stats()["consumers"][0]["lost"] == lost


def test_what_was_read_before_a_loss_is_returned(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that finds messages gone in its middle returns what it has; the next one tells of the loss."""
    stream = make(schema=SCHEMA, **SMALL)
    consumer = stream.subscribe("earliest")
    _fill(stream, 3)
    advance = consumer._advance

    def slow(*args: object) -> None:
        advance(*args)  # type: ignore[arg-type]
        _fill(stream, 100)

    monkeypatch.setattr(consumer, "_advance", slow)
    before = sequences(consumer.get_messages(20))
    monkeypatch.undo()
    lost = _told(consumer)
    after = sequences(consumer.get_messages(1000))
    assert before == list(range(len(before)))
    assert len(before) > 0
    assert after == list(range(len(before) + lost, stream.messages))


@pytest.mark.parametrize("told", [False, True])
def test_a_loss_holds_no_consumer(make: Make, monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    """A consumer that nobody holds any more is gone at once, with what it maps, whether it told of a loss or not."""
    stream = make(schema=SCHEMA, **SMALL)

    def owing() -> weakref.ref[Subscription]:
        consumer = stream.subscribe("earliest")
        _fill(stream, 3)
        monkeypatch.setattr(consumer, "_first", lambda ready: (_fill(stream, 100), ready[0])[1])
        assert len(consumer.get_messages(20)) > 0
        monkeypatch.undo()
        assert consumer.lost > 0
        if told:
            lost = 0
            try:  # pytest.raises would hold the frames itself
                consumer.get_messages()
            except Lagged as exc:
                lost = exc.lost
            assert lost == consumer.lost
        return weakref.ref(consumer)

    gc.disable()
    try:
        assert owing()() is None
    finally:
        gc.enable()
    assert stream.consumers() == []


def test_batches_of_one_lane_are_not_lost_with_another(make: Make) -> None:
    """When a lane has a message that is no batch, nothing of the other lanes is passed over."""
    first, second = make(), make()
    first.publish(ticks(3))
    second.publish("text")
    consumer = first.subscribe("earliest")
    with pytest.raises(UnsupportedData, match="is no batch"):
        consumer.read_batches()
    assert len(consumer.get_messages()) == 2


@pytest.mark.parametrize("form", ["tape", "log"])
def test_held_batches_stay(make: Make, form: str) -> None:
    """A batch that is held keeps its bytes while its segment goes and 50 others are written."""
    stream = make(schema=SCHEMA, form=form, **SMALL)
    consumer = stream.subscribe("earliest")
    _fill(stream, 3)
    held = consumer.read_batches() + [message.data for message in stream.subscribe("earliest").get_messages()]
    copies = [batch.to_pydict() for batch in held]
    path = stream._control.path / "0-1"
    assert path.exists()
    _fill(stream, 200)
    assert not path.exists()
    assert [batch.to_pydict() for batch in held] == copies


@pytest.mark.parametrize("form", ["tape", "log"])
def test_what_is_read_cannot_be_written(make: Make, form: str) -> None:
    """The memory of a message is the stream's, and read-only."""
    stream = make(schema=SCHEMA, form=form)
    stream.publish(ticks(10))
    (batch,) = stream.subscribe("earliest").read_batches()
    values = batch.column("price").to_numpy()
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        np.frombuffer(batch.column("price").buffers()[1])[0] = 1.0


def test_tape_joins_messages_without_a_copy(make: Make) -> None:
    """All rows of a segment come as one batch, whose columns lie in one mapping."""
    stream = make(schema=SCHEMA)
    stream.publish_rows((seq, seq / 2, seq) for seq in range(1000))
    (batch,) = stream.subscribe("earliest").read_batches()
    assert batch.column("size").to_pylist() == list(range(1000))
    places = [column.buffers()[1].address for column in batch.columns]
    assert max(places) - min(places) < 8 << 20


def test_name_goes_on_where_it_was_acknowledged(make: Make) -> None:
    """A named consumer gets again what it did not acknowledge, and nothing that it did."""
    stream = make()
    first = stream.subscribe("earliest", name="risk")
    for number in range(6):
        stream.publish(number)
    first.get_messages(2)
    first.ack()
    first.get_messages(2)
    first.close()
    again = stream.subscribe("latest", name="risk")
    assert sequences(again.get_messages()) == [2, 3, 4, 5]


def test_name_misses_no_publisher_that_came_meanwhile(make: Make) -> None:
    """A publisher that came while a named consumer was away is read from its first message."""
    stream, other = make(), make()
    stream.publish("a")
    stream.subscribe("latest", name="risk").close()
    other.publish("b")
    assert [message.data for message in stream.subscribe("latest", name="risk").get_messages()] == ["b"]


def test_name_has_one_consumer(make: Make) -> None:
    """A second consumer of a name is refused, also while the first is only looked at; a closed one is none."""
    stream = make()
    first = stream.subscribe(name="risk")
    with pytest.raises(StreamBusy, match=rf"'risk' of the stream 's' is there, of process {os.getpid()}\."):
        stream.subscribe(name="risk")
    first.close()
    stream.subscribe(name="risk").close()


def test_ack_needs_a_name(make: Make) -> None:
    """A consumer without a name keeps no position, and says so."""
    with pytest.raises(InvalidArgument, match="Subscribe with name="):
        make().subscribe().ack()


def test_conflating_consumer_gets_the_newest(make: Make) -> None:
    """It skips to the newest message of each lane, and nothing of that counts as lost, however much went."""
    stream = make(schema=SCHEMA, **SMALL)
    consumer = stream.subscribe("earliest", conflate=True)
    _fill(stream, 100)
    assert sequences(consumer.get_messages()) == [99]
    assert consumer.get_messages() == []
    _fill(stream, 100)
    (batch,) = consumer.read_batches()
    assert batch.equals(ticks(1000, 99))
    assert (consumer.lost, consumer.lag) == (0, 0)


def test_seek_moves_anywhere(make: Make) -> None:
    """A consumer may go back and forth; what it passes over is neither read nor lost."""
    stream = make()
    consumer = stream.subscribe()
    for number in range(10):
        stream.publish(number)
    consumer.seek(-3)
    assert sequences(consumer.get_messages()) == [7, 8, 9]
    consumer.seek({0: 2})
    assert sequences(consumer.get_messages(2)) == [2, 3]
    consumer.seek("latest")
    assert (consumer.lag, consumer.lost, consumer.position) == (0, 0, {0: 10})
    with pytest.raises(InvalidArgument, match=r"start='earlyest'.* a datetime with a zone.* Did you mean 'earliest'\?"):
        stream.subscribe("earlyest")
    with pytest.raises(InvalidArgument, match="start='newest'"):
        consumer.seek("newest")


def test_waiting_ends_with_a_message(make: Make) -> None:
    """A consumer that waits gets the message as soon as it is there."""
    stream = make()
    consumer = stream.subscribe()
    found: list[int] = []
    waiter = threading.Thread(target=lambda: found.extend(sequences(consumer.get_messages(timeout=60))))
    waiter.start()
    wait_until(lambda: stream._control.words[33])  # it says that it waits
    stream.publish("x")
    waiter.join(30)
    assert found == [0]


def test_timeout_returns_nothing(make: Make) -> None:
    """Nothing comes: the list is empty after the time."""
    consumer = make().subscribe()
    assert consumer.get_messages(timeout=0.01) == []
    assert consumer.read_batches(timeout=0.01) == []


def test_closed_consumer_says_so(make: Make) -> None:
    """Closing twice is fine; reading, seeking and acknowledging after it are refused; `with` closes too."""
    stream = make()
    with stream.subscribe("earliest", name="n") as consumer:
        assert consumer.usable
    consumer.close()
    for use in (consumer.get_messages, consumer.read_batches, consumer.ack, lambda: consumer.seek("latest")):
        with pytest.raises(InvalidArgument, match=r"closed|Subscribe again"):
            use()
    assert "Subscription to s" in repr(consumer)


def test_forgotten_consumer_is_gone(make: Make) -> None:
    """A consumer that nobody holds any more leaves no file, lock or descriptor."""
    stream = make(overflow="block")
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    consumer: Subscription | None = stream.subscribe(gating=True)
    assert len(stream.consumers()) == 1
    assert consumer is not None
    consumer = None
    gc.collect()
    assert stream.consumers() == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_child_does_not_move_its_parents_position(make: Make) -> None:
    """A forked child must subscribe anew; the parent's position, file and lock are left alone."""
    stream = make()
    consumer = stream.subscribe("earliest")
    stream.publish("x")

    def child(say: Say) -> None:
        try:
            consumer.get_messages()
        except InvalidArgument as exc:
            say(str(exc))
        consumer.close()
        say(sequences(stream.subscribe("earliest").get_messages()))

    with Forked(child) as forked:
        refusal, own = forked.rest()
    assert "its process was forked" in refusal
    assert own == [0]
    assert [seen.pid for seen in stream.consumers()] == [os.getpid()]
    assert sequences(consumer.get_messages()) == [0]


def test_child_keeps_no_name_of_a_parent_that_died(make: Make, nq_store_dir: Path) -> None:
    """A child that lives on holds neither the names nor the lane of the process that it was forked from."""
    make(overflow="block")

    def parent(say: Say) -> None:
        stream = Stream(nq_store_dir / "s")
        kept = stream.subscribe(name="risk"), stream.subscribe(gating=True)
        stream.publish("x")
        child = os.fork()
        if child == 0:
            threading.Event().wait(60)
        say([child, len(kept)])

    with Forked(parent) as forked:
        child, _ = forked.hear()
        os.kill(forked.pid, signal.SIGKILL)
        forked.wait()
        try:
            stream = make()
            # the parent may die before its child has come to let go
            wait_until(lambda: [(seen.name, seen.pid) for seen in stream.consumers()] == [("risk", 0)])
            assert stream.publish("y") == 1
            stream.subscribe(name="risk").close()
        finally:
            os.kill(child, signal.SIGKILL)


def test_nobody_gates_a_stream_that_drops_the_oldest(make: Make) -> None:
    """It would be told that publishers wait for it, and they would not."""
    stream = make()
    with pytest.raises(InvalidArgument, match=r"nobody gates it\. Make it with overflow='block'"):
        stream.subscribe(gating=True)
    assert stream.consumers() == []


def test_a_reader_of_a_dropped_stream_reads_what_it_has_mapped(make: Make, nq_store_dir: Path) -> None:
    """And is told then that the stream was dropped, whatever it had not mapped yet."""
    stream = make(**SMALL)
    reader = stream.subscribe()
    for number in range(4):
        stream.publish(bytes(20_000 + number))
    assert len(reader.get_messages(1)) == 1
    drop_stream(nq_store_dir, "s")
    assert len(reader.get_messages()) >= 1
    with pytest.raises(UnknownStream, match="was dropped"):
        reader.get_messages(timeout=10)
