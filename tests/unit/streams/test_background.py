"""Callbacks on a stream: pausing, batches, what was lost, a stream that is dropped, and a callback that is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.errors import InvalidArgument
from jupyter_nq.streams.background import Listener
from jupyter_nq.streams.directory import drop_stream
from jupyter_nq.testing import wait_until
from tests.unit.streams.conftest import SCHEMA, SMALL, Make


def test_a_paused_listener_reads_nothing(make: Make) -> None:
    """Another goes on meanwhile; resumed, it is called with what came."""
    stream = make()
    seen: list[Any] = []
    others: list[Any] = []
    made: list[Listener] = []

    def once(message: Any) -> None:
        seen.append(message.data)
        made[0].pause()  # in the thread itself, so that it is not reading just now

    made.append(stream.on_message(once))
    other = stream.on_message(lambda message: others.append(message.data))
    stream.publish(0)
    wait_until(lambda: others == [0])
    stream.publish(1)
    wait_until(lambda: others == [0, 1])
    assert (seen, made[0].lag) == ([0], 1)
    assert repr(made[0]) == "<Listener paused, 1 call, 0 errors, lost 0>"
    made[0].resume()
    wait_until(lambda: seen == [0, 1])
    for listener in (*made, other):
        listener.stop()
    assert (other.stopped, other.lag, other.trouble) == (True, 0, None)


def test_what_a_listener_lost_is_counted(make: Make) -> None:
    """Each message was handed over or is counted as lost, and it slows nobody."""
    stream = make(**SMALL)
    made: list[Listener] = []
    made.append(stream.on_message(lambda message: made[0].pause() if message.data == b"first" else None))
    listener = made[0]
    stream.publish(b"first")
    wait_until(lambda: "paused, 1 call" in repr(listener))
    for _ in range(100):
        stream.publish(bytes(10_000))
    listener.resume()
    wait_until(lambda: listener.calls + listener.lost == 101)
    assert listener.lost > 0
    listener.stop()


def test_batches_have_all_rows(make: Make) -> None:
    """However many messages they were published in."""
    stream = make(schema=SCHEMA)
    stream.publish_rows((seq, 1.5, 1) for seq in range(1_000))
    rows: list[int] = []
    listener = stream.on_message(lambda batch: rows.append(batch.num_rows), start="earliest", batches=True)
    wait_until(lambda: sum(rows) == 1_000)
    assert len(rows) < 10
    listener.stop()


def test_a_listener_says_why_it_ended(make: Make, nq_store_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its stream was dropped; stopping it then is fine."""
    stream = make()
    listener = stream.on_message(print)
    drop_stream(nq_store_dir, "s")
    wait_until(lambda: listener.stopped)
    assert repr(listener) == "<Listener stopped, 0 calls, 0 errors, lost 0: The stream 's' was dropped.>"
    assert "The stream 's' was dropped." in caplog.text
    listener.stop()


def test_a_callback_that_is_none_takes_no_name(make: Make) -> None:
    """Though somebody keeps the error, as a notebook does."""
    stream = make()
    with pytest.raises(InvalidArgument, match="'check' cannot be called") as kept:
        stream.on_message("check", name="risk")  # type: ignore[arg-type]
    stream.subscribe(name="risk").close()
    assert kept.tb is not None
