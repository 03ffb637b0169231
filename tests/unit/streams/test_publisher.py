"""Publishers: sequences that go on, policies when the stream is full, interrupts, and forked children."""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import linecache
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd
import pytest

from jupyter_nq.errors import InvalidArgument, SchemaMismatch, StreamBusy, StreamFull, UnsupportedData
from jupyter_nq.streams import Stream
from jupyter_nq.streams.publisher import Publisher
from jupyter_nq.streams.waiting import Bell
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, sequences, ticks, until_full


@pytest.mark.parametrize("form", ["tape", "log"])
def test_next_publisher_goes_on(make: Make, form: str) -> None:
    """A publisher that closed leaves its lane; the next has the next sequence, and no earlier time."""
    stream = make(schema=SCHEMA, form=form)
    for number in range(5):
        with Publisher(stream._control) as publisher:
            assert publisher.publish(ticks(10, number)) == number
            assert publisher.lane == 0
        publisher.close()
    found = stream.subscribe("earliest").get_messages()
    assert [message.data.equals(ticks(10, number)) for number, message in enumerate(found)] == [True] * 5
    assert sorted(message.timestamp_ns for message in found) == [message.timestamp_ns for message in found]


def test_time_never_goes_back(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is set back an hour: later messages have the time of the one before, also of the next publisher."""
    stream = make()
    stream.publish("a")
    monkeypatch.setattr("time.time_ns", lambda: 1)
    stream.publish("b")
    Publisher(stream._control).publish("c")
    stream.close()
    Publisher(stream._control).publish("d")
    times = {message.data: message.timestamp_ns for message in make().subscribe("earliest").get_messages()}
    assert times["a"] == times["b"] == times["d"]
    assert times["c"] == 1


def test_drop_new_counts_what_it_drops(make: Make) -> None:
    """What finds no room gets no sequence, is counted, and leaves no gap."""
    stream = make(schema=SCHEMA, overflow="drop_new", **SMALL)
    consumer = stream.subscribe(gating=True)
    kept = until_full(stream)
    assert stream.publish(ticks(1000)) is None
    assert stream._writer().dropped == 2
    assert sequences(consumer.get_messages(1000)) == list(range(kept))
    assert stream.publish(ticks(1000)) == kept


def test_rows_that_are_dropped_do_not_count(make: Make) -> None:
    """Rows on a full tape that drops new ones: the return value says how many found room."""
    stream = make(schema=SCHEMA, overflow="drop_new", **SMALL)
    consumer = stream.subscribe(gating=True)
    count = stream.publish_rows((seq, 0.5, 1) for seq in range(12_000))
    assert 0 < count < 12_000
    assert sum(batch.num_rows for _ in range(9) for batch in consumer.read_batches()) == count


def test_error_names_who_is_in_the_way(make: Make) -> None:
    """A full stream that refuses says which consumers have not read."""
    stream = make(schema=SCHEMA, overflow="error", **SMALL)
    consumer = stream.subscribe(gating=True, name="risk")
    until_full(stream)
    with pytest.raises(StreamFull, match=rf"the consumer 'risk' \(pid {os.getpid()}\) has not read"):
        stream.publish(ticks(1000))
    consumer.close()
    with pytest.raises(StreamFull, match="the consumer 'risk' has not read"):
        stream.publish(ticks(1000))


def test_block_gives_up_in_time(make: Make) -> None:
    """A publisher that waits for a consumer gives up after its time, and says how long that was."""
    stream = make(schema=SCHEMA, overflow="block", block_seconds=0.01, **SMALL)
    consumer = stream.subscribe(gating=True)
    kept = until_full(stream)
    with pytest.raises(StreamFull, match=r"full after 0\.01 s: a consumer"):
        stream.publish(ticks(1000))
    consumer.get_messages(1000)
    assert stream.publish(ticks(1000)) == kept


@pytest.mark.parametrize("how", ["reads", "acknowledges", "seeks", "closes", "conflates"])
def test_block_waits_for_a_gating_consumer(make: Make, how: str) -> None:
    """A publisher that waits goes on as soon as the consumer reads, acknowledges, skips or leaves."""
    stream = make(schema=SCHEMA, overflow="block", block_seconds=60.0, **SMALL)
    named = "n" if how == "acknowledges" else None
    consumer = stream.subscribe(gating=True, name=named, conflate=how == "conflates")
    writer = threading.Thread(target=lambda: [stream.publish(ticks(1000)) for _ in range(16)])
    writer.start()
    while writer.is_alive():
        if how == "seeks":
            consumer.seek("latest")
        elif how == "closes":
            consumer.close()
        else:
            consumer.get_messages(timeout=0.01)
        if named:
            consumer.ack()
    assert stream.messages == 16
    assert consumer.lost == 0


def test_consumer_that_does_not_gate_holds_nobody_up(make: Make) -> None:
    """Only consumers that asked for it are waited for."""
    stream = make(schema=SCHEMA, overflow="error", **SMALL)
    stream.subscribe()
    assert [stream.publish(ticks(1000)) for _ in range(100)] == list(range(100))


def test_exclusive_stream_has_one_publisher(make: Make) -> None:
    """A second publisher is refused with the first one's process, until that has closed."""
    stream = make(exclusive=True)
    stream.publish("a")
    with pytest.raises(StreamBusy, match=f"exclusive, and process {os.getpid()} publishes"):
        make().publish("b")
    stream.close()
    assert make().publish("b") == 1


@pytest.mark.parametrize("row", [(1, 2.0), (1, 2.0, 3, 4), (1, "x", 3), (1, 2.0, 1.5), (1, 2.0, 2**40)])
def test_row_that_does_not_fit_is_refused(make: Make, row: tuple[Any, ...]) -> None:
    """A row of another length or type is refused, and the next one is whole."""
    stream = make(schema=SCHEMA)
    stream.publish_rows([(1, 0.5, 1)])
    with pytest.raises(SchemaMismatch, match="stream 's'"):
        stream.publish_rows([row])
    stream.publish_rows([(2, 1.5, 2)])
    assert [message.data["size"] for message in stream.get_messages()] == [1, 2]


def test_rows_before_one_that_does_not_fit_are_counted(make: Make) -> None:
    """They are published, and the error says how many."""
    stream = make(schema=SCHEMA)
    with pytest.raises(SchemaMismatch) as caught:
        stream.publish_rows([(seq, 1.5, 1) for seq in range(1_234)] + [(1, "far too much", 1)])
    assert caught.value.__notes__ == ["1,234 rows before it were published."]
    assert stream.stats()["messages"] == 1_234
    with pytest.raises(SchemaMismatch) as caught:
        stream.publish_rows([(0, 1.5, 1), (1, "far too much", 1)])
    assert caught.value.__notes__ == ["1 row before it was published."]


@pytest.mark.parametrize("data", [(1, None, 2), {"ts": 1, "price": None, "size": 2}])
def test_tape_takes_no_null(make: Make, data: Any) -> None:
    """A null on a tape is refused with what to do, also in a row."""
    with pytest.raises(UnsupportedData, match="Column 'price' has 1 nulls"):
        make(schema=SCHEMA).publish(data)


def test_tape_takes_no_metadata(make: Make) -> None:
    """Metadata on a tape are refused, not dropped."""
    with pytest.raises(UnsupportedData, match="make a log"):
        make(schema=SCHEMA).publish(ticks(1), {"a": 1})


class _Interrupting:
    """Raises KeyboardInterrupt at the n-th line that is run in the streams package.

    Not at a `with`, nor at the `pass` in one: a tracer would raise between its body and its end, or before its end is
    in force, where the interpreter takes no interrupt.
    """

    def __init__(self, lines: int) -> None:
        self.left = lines

    def __call__(self, frame: FrameType, event: str, _arg: object) -> Any:
        path = frame.f_code.co_filename
        if "jupyter_nq/streams/" not in path:
            return None
        if event == "line" and not linecache.getline(path, frame.f_lineno).lstrip().startswith(("with ", "pass")):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("form", ["tape", "log"])
def test_interrupt_anywhere_tears_nothing(make: Make, form: str) -> None:
    """Ctrl-C at any line of publishing: what is read is what was published, in order, and memory stays bounded."""
    stream = make(schema=SCHEMA, form=form, **SMALL)
    consumer = stream.subscribe("earliest")
    fds = len(os.listdir("/proc/self/fd"))
    before = sys.gettrace()
    value = 0
    for lines in range(1, 160):
        for kind in range(5):
            value += 1
            data = ticks(900, value) if kind < 4 or form == "log" else (value, 0.0, 0)
            publish = stream.publish if kind < 4 or form == "log" else stream._writer().publish_row
            sys.settrace(_Interrupting(lines) if kind == 3 else before)
            with contextlib.suppress(KeyboardInterrupt):
                try:
                    publish(data)
                finally:
                    sys.settrace(before)
        found = consumer.get_messages(100)
        assert [m.sequence_number for m in found] == list(range(found[0].sequence_number, stream.messages))
        seen = [m.data["ts"].value if isinstance(m.data, dict) else m.data.column(0)[0].value for m in found]
        assert seen == sorted(set(seen))
        assert {1 if isinstance(m.data, dict) else m.data.num_rows for m in found} <= {1, 900}
        assert seen[-1] == value
        used = sum(path.stat().st_size for path in stream._control.path.glob("0-*"))
        assert used <= SMALL["retention_bytes"]
    assert consumer.lost == 0
    found = []
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= fds + 40  # of 159 interrupts few hit just after an open


def test_child_does_not_write_to_its_parents_lane(make: Make) -> None:
    """A forked child gets a lane of its own, and the publisher that it inherited says that it is closed."""
    stream = make()
    publisher = stream._writer()
    stream.publish("parent")

    def child(say: Say) -> None:
        try:
            publisher.publish("torn")
        except InvalidArgument as exc:
            say(str(exc))
        publisher.close()
        say([stream.publish("child"), stream._writer().lane])

    with Forked(child) as forked:
        refusal, place = forked.rest()
    assert "closed" in refusal
    assert place == [0, 1]
    assert stream.publish("parent") == 1
    assert stream.messages == 3


def test_child_of_a_busy_parent_can_publish(make: Make) -> None:
    """Threads publish and read while the process forks: the child is not stuck on a lock of theirs."""
    stream = make()
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            stream.publish("x")

    def reading() -> None:
        while not stop.is_set():
            stream.get_messages(timeout=0.01)

    threads = [threading.Thread(target=work) for work in (busy, busy, reading)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            with Forked(lambda say: say(stream.publish("child"))) as forked:
                assert isinstance(forked.hear(20), int)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_forgotten_publisher_gives_its_lane_back(make: Make) -> None:
    """A publisher that nobody holds any more leaves its lane to the next."""
    stream = make(exclusive=True)
    Publisher(stream._control).publish("a")
    gc.collect()
    assert Publisher(stream._control).publish("b") == 1


def test_interrupt_while_waiting_for_room(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the wait for a slow consumer, and the stream goes on."""
    stream = make(schema=SCHEMA, overflow="block", block_seconds=60.0, **SMALL)
    consumer = stream.subscribe(gating=True)
    waits = Bell.wait

    def wait(bell: Bell, seen: int, seconds: float) -> None:
        threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        waits(bell, seen, seconds)

    monkeypatch.setattr(Bell, "wait", wait)  # an interrupt that comes elsewhere may meet a finalizer, which drops it
    with pytest.raises(KeyboardInterrupt):
        until_full(stream)
    kept = stream.messages
    consumer.seek("latest")
    assert stream.publish(ticks(1000)) == kept


def test_nothing_is_left_of_a_thousand_handles(make: Make, nq_store_dir: Path) -> None:
    """Opening, publishing, reading and closing a thousand times leaves no descriptor, mapping or file."""
    make(**SMALL)

    def once() -> None:
        with Stream(nq_store_dir / "s") as stream, stream.subscribe() as consumer:
            stream.publish(bytes(9000))  # so that all the segments that there may be are soon there
            assert len(consumer.get_messages()) == 1

    def held() -> tuple[int, int, int]:
        gc.collect()
        maps = Path("/proc/self/maps").read_text().count(str(nq_store_dir))
        return len(os.listdir("/proc/self/fd")), maps, len(list(nq_store_dir.rglob("*")))

    for _ in range(40):
        once()
    before = held()
    for _ in range(1000):
        once()
    assert held() == before


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ((1, "dear", 3), r"price is double, not 'dear'"),
        (("soon", 1.0, 3), r"ts is timestamp\[ns, tz=UTC\], not 'soon'"),
        ((1, 1.0, 2**70), r"size is int32, not 1180591620717411303424"),
        ((1, [1.0], 3), r"price is double, not \[1\.0\]"),
        ((dt.datetime(2024, 6, 12, 9, 30), 1.0, 3), r"ts has a zone, datetime.datetime\(2024, 6, 12, 9, 30\) has none"),
        ((pd.Timestamp("2024-06-12 09:30"), 1.0, 3), r"ts has a zone, Timestamp\('2024-06-12 09:30:00'\) has none"),
    ],
)
def test_a_row_that_does_not_fit_names_its_column(make: Make, row: tuple[Any, ...], says: str) -> None:
    """And its value: a time without a zone is refused, as it is in a frame, instead of being taken for UTC."""
    stream = make(schema=SCHEMA)
    with pytest.raises(SchemaMismatch, match=says):
        stream.publish_rows([row])
    assert stream.publish_rows([(dt.datetime(2024, 6, 12, 9, 30, tzinfo=dt.UTC), 1.0, 3)]) == 1
