"""Live bars in a thread of their own: they come by themselves, end when they are told, and say why when they fail."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from jupyter_nq.client.live.clocks import SystemClock
from jupyter_nq.client.live.live import Live, running, stopped_line, unstopped
from jupyter_nq.client.live.starting import live
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import LiveGap
from jupyter_nq.streams import Stream
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.client.live.clock import ManualClock
from tests.unit.client.live.feeds import BARS, MINUTE_NS, SECOND_NS, TICKS, history, minutes, published, same, ticks

_FEED = minutes(120)
_OPEN = 1_593_381_600 * SECOND_NS


def _started(session: Session) -> Live:
    session.stream("feed.ticks", TICKS)
    clock = ManualClock(_OPEN, begin_ns=_OPEN)
    return live(session, "NQ", "feed.ticks", ["5min"], close_after_ms=0, clock=clock, out="NQ")


def test_bars_come_by_themselves(session: Session) -> None:
    """What is published is built without a call, until it is stopped."""
    with _started(session) as bars:
        assert running() == [bars]
        session.stream("feed.ticks").publish(ticks(_FEED))
        whole = history(_FEED, "5min")
        wait_until(lambda: bars.status.bars["5min"] == whole.num_rows - 1)
        assert same(published(session, "NQ.5min.live"), whole.slice(0, whole.num_rows - 1))
        assert str(bars.status).startswith("running at 2020-06-28 22:00:00Z, closed bars 23 of 5min")
    assert bars.status.state == "stopped"
    assert running() == []
    assert stopped_line(bars, bars.stop()) == "NQ is stopped: 23 closed bars; its streams stay"


@pytest.mark.usefixtures("disk")
def test_a_durable_feed_that_only_the_disk_has(nq_store_dir: Path) -> None:
    """After a restart of the machine bars are built of what the feed published before, also when it evolved."""
    settings = Settings(store_dir=str(nq_store_dir))
    with Session(settings=settings) as session:
        feed = session.stream("feed.ticks", TICKS, durable=True)
        feed.publish(ticks(_FEED[:60]))
        wider = (rows := ticks(_FEED[60:])).append_column("venue", pa.array([1] * len(rows), pa.int8()))
        feed.evolve(feed.schema.append(wider.schema.field("venue")))
        feed.publish(wider)
        feed.flush(10)
    shutil.rmtree(nq_store_dir)
    with Session(settings=settings) as session:
        clock = ManualClock(_OPEN, begin_ns=_OPEN)
        whole = history(_FEED, "5min")
        with live(session, "NQ", "feed.ticks", ["5min"], close_after_ms=0, clock=clock, out="NQ") as bars:
            wait_until(lambda: bars.status.bars["5min"] == whole.num_rows - 1)
            assert same(published(session, "NQ.5min.live"), whole.slice(0, whole.num_rows - 1))


def test_the_clock_closes_a_bar_while_nothing_comes(session: Session) -> None:
    """By the system's clock, which the worker waits for."""
    session.stream("feed.ticks", TICKS).publish(ticks(_FEED.slice(0, 2)))
    times = iter([_OPEN, _OPEN, _OPEN])
    clock = SystemClock(lambda: next(times, _OPEN + 5 * MINUTE_NS))
    with live(session, "NQ", "feed.ticks", ["1min", "5min"], close_after_ms=0, clock=clock) as bars:
        wait_until(lambda: bars.status.bars["5min"] == 1)
    assert same(published(session, "NQ.5min.live"), history(_FEED.slice(0, 2), "5min"))


def test_a_worker_that_fails_says_why(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """The source was dropped: it is logged once, and in the status."""
    bars = _started(session)
    with caplog.at_level(logging.WARNING, "jupyter_nq"):
        session.drop_stream("feed.ticks")
        wait_until(lambda: bars.status.state == "failed")
    assert bars.status.error == "The stream 'feed.ticks' was dropped."
    assert "live bars of NQ have ended" in caplog.text
    assert "failed at" in repr(bars)
    bars.stop()


def test_a_worker_that_meets_what_nobody_foresaw_has_failed_too(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status does not say that somebody stopped it."""
    bars = _started(session)

    def step() -> bool:
        raise RuntimeError("what is this")

    monkeypatch.setattr(bars.worker, "step", step)
    wait_until(lambda: bars.status.state == "failed")
    assert bars.status.error == "what is this"
    bars.stop()


def test_a_forked_child_builds_nothing(session: Session) -> None:
    """It says so, may stop its copy, and the parent's goes on."""
    with _started(session) as bars:

        def look(say: Say) -> None:
            say(bars.status.state)
            bars.stop()
            say(bars.status.state)

        with Forked(look) as child:
            assert [child.hear(), child.hear()] == ["stopped", "stopped"]
            assert child.wait() == 0
        session.stream("feed.ticks").publish(ticks(_FEED))
        wait_until(lambda: bars.status.bars["5min"] == 23)


def test_a_closed_session_ends_the_work(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """The next bars find no way out; nothing waits for them."""
    bars = _started(session)
    stream = session.stream("feed.ticks")
    stream.publish(ticks(_FEED.slice(0, 8)))
    wait_until(lambda: bars.status.bars["5min"] == 1)
    held = Stream(session.store.path / "streams" / "feed.ticks")
    session.close()
    with caplog.at_level(logging.WARNING, "jupyter_nq"):
        held.publish(ticks(_FEED.slice(8, 8)))
        wait_until(lambda: bars.status.state == "failed")
    held.close()
    bars.stop()
    assert "live bars of NQ have ended" in caplog.text


def test_a_hole_ends_the_work(session: Session) -> None:
    """Where it comes while the worker runs, the status has it; nothing that lacks rows was published."""
    stream = session.stream("feed.NQ.1min", BARS, retention_bytes=1 << 17, segment_bytes=1 << 16)
    stream.publish(_FEED.slice(0, 10))
    held = threading.Event()
    clock = _Held(_OPEN, held)
    bars = live(session, "NQ", "feed.NQ.1min", ["5min"], clock=clock)
    clock.armed = True
    stream.publish(_FEED.slice(10, 1))
    wait_until(clock.waits.is_set)
    many = minutes(6_000)
    for first in range(11, 5_000, 400):
        stream.publish(many.slice(first, 400))
    held.set()
    wait_until(lambda: bars.status.state == "failed")
    assert bars.status.error is not None
    assert bars.status.error.startswith("rows are missing between")
    bars.stop()
    with pytest.raises(LiveGap):
        live(session, "NQ", "feed.NQ.1min", ["5min"], clock=ManualClock(_OPEN))


class _Held(ManualClock):
    """A clock that lets its worker wait, so that rows go by."""

    def __init__(self, time_ns: int, go: threading.Event) -> None:
        super().__init__(time_ns)
        self.armed = False
        self.waits = threading.Event()
        self._go = go

    def now_ns(self) -> int:
        if self.armed:
            self.waits.set()
            self._go.wait(60)
        return super().now_ns()


def test_a_worker_that_failed_makes_way_for_the_next(session: Session) -> None:
    """The cell that began it may run again, when the feed is back: nobody has to stop what has ended."""
    first = _started(session)
    session.drop_stream("feed.ticks")
    wait_until(lambda: first.status.state == "failed")
    assert unstopped() == [first]
    with _started(session) as second:
        assert unstopped() == [second]
        assert first.stop().state == "failed"
        assert second.status.state == "running"
