"""What is late, and what is ahead: rows of bars that are closed, wrong stamps, workers and clocks that are behind."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.client.live import worker
from jupyter_nq.client.session import Session
from tests.unit.client.live.clock import ManualClock
from tests.unit.client.live.feeds import (
    MINUTE_NS,
    OPEN_NS,
    TICKS,
    history,
    live_of,
    minutes,
    pieces,
    published,
    same,
    send,
    ticks,
)

_FEED = minutes(1_500)
_END = OPEN_NS + 72 * 60 * MINUTE_NS


# -- what is set aside --------------------------------------------------------------------------------
def test_late_ticks_are_counted_and_published_and_change_nothing(session: Session) -> None:
    """Each with the length whose bar was closed."""
    feed = ticks(_FEED.slice(0, 40))
    send(session, feed, "feed.ticks")
    live = live_of(session, None, ["1min", "1D"], source="feed.ticks", close_after_ms=0)
    live.worker.catch_up()
    before = published(session, "NQ.1min.live")
    send(session, feed.slice(8, 2), "feed.ticks")
    live.worker.catch_up()
    assert live.late == 2
    (message,) = session.stream("NQ.late").subscribe("earliest").get_messages()
    assert message.metadata == {"reason": "late", "timeframe": "1min"}
    assert message.data["close"].to_pylist() == feed["price"][8:10].to_pylist()
    assert published(session, "NQ.1min.live").equals(before)
    live.stop()


def test_one_wrong_stamp_makes_nothing_late(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """A tick of tomorrow is set aside with its reason; the bars are those of all others."""
    feed = ticks(_FEED.slice(0, 40))
    stamps = np.asarray(feed["timestamp"].cast(pa.int64())).copy()
    stamps[30] += 24 * 60 * MINUTE_NS
    wrong = feed.set_column(0, feed.schema.field(0), pa.array(stamps, feed.schema.field(0).type))
    others = pa.concat_tables([feed.slice(0, 30), feed.slice(31)])
    clock = ManualClock(OPEN_NS, latest=OPEN_NS + 60 * MINUTE_NS)
    for name, rows in (("wrong", wrong), ("right", others)):
        send(session, rows, f"feed.{name}")
        live = live_of(session, clock, ["5min"], source=f"feed.{name}", out=name, close_after_ms=0)
        live.worker.catch_up()
        assert live.status.ahead == (name == "wrong")
        assert ("ahead of the clock 1" in str(live.status)) == (name == "wrong")
        live.stop()
    assert same(published(session, "wrong.5min.live"), published(session, "right.5min.live"))
    assert sum("is ahead of the clock" in told for told in caplog.messages) == 1
    (message,) = session.stream("wrong.late").subscribe("earliest").get_messages()
    assert message.metadata == {"reason": "ahead of the clock", "timeframe": None}
    assert message.data["close"].to_pylist() == [feed["price"][30].as_py()]


def test_a_worker_that_begins_while_the_clock_is_behind_takes_what_follows(session: Session) -> None:
    """The clock was set back an hour before it began: the bars that the one before published say how late it is."""
    feed = _FEED.slice(0, 80)
    newest_ns = feed["timestamp"][-1].value
    for rows, latest in ((feed.slice(0, 50), newest_ns), (feed.slice(50), newest_ns - 60 * MINUTE_NS)):
        send(session, rows)
        live = live_of(session, ManualClock(OPEN_NS, latest=latest), out="NQ")
        live.worker.catch_up()
        assert live.status.ahead == 0
        live.stop()
    assert same(published(session, "NQ.5min.live"), history(feed, "5min"))


def test_a_wrong_stamp_is_known_by_who_reads_it_late(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that begins when the wrong instant has passed sets the row aside, as one that was there would have."""
    feed = ticks(_FEED.slice(0, 80))
    stamps = np.asarray(feed["timestamp"].cast(pa.int64())).copy()
    moments = stamps.copy()
    stamps[30] += 100 * MINUTE_NS
    wrong = feed.set_column(0, feed.schema.field(0), pa.array(stamps, feed.schema.field(0).type))
    with monkeypatch.context() as patch, session.stream("feed.NQ.1min", TICKS) as stream:
        for place, moment in enumerate(moments.tolist()):
            patch.setattr("time.time_ns", lambda now=moment: now)
            stream.publish(wrong.slice(place, 1))
    late_ns = int(stamps.max()) + 60 * MINUTE_NS
    live = live_of(session, ManualClock(late_ns, latest=late_ns), out="NQ")
    live.worker.catch_up()
    assert (live.status.ahead, live.status.late) == (1, 0)


def test_a_worker_that_is_behind_makes_nothing_late(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock all bars are over, yet the rows are there and count, however few it reads at a time."""
    monkeypatch.setattr(worker, "_AT_ONCE", 3)
    for piece in pieces(_FEED, range(0, 1_500, 50)):
        send(session, piece)
    live = live_of(session, ManualClock(_END))
    live.worker.catch_up()
    assert live.late == 0
    assert published(session, "NQ.5min.live").num_rows == history(_FEED, "5min").num_rows
    live.stop()


def test_a_clock_that_ran_ahead_and_is_set_back_makes_no_more_late(session: Session) -> None:
    """What it closed stays closed; bars that were not there yet are built when their rows come."""
    feed = ticks(_FEED.slice(0, 60))
    send(session, feed.slice(0, 40), "feed.ticks")
    clock = ManualClock(OPEN_NS, begin_ns=OPEN_NS)
    live = live_of(session, clock, ["5min"], source="feed.ticks", close_after_ms=0, out="NQ")
    live.worker.catch_up()
    clock.time_ns = OPEN_NS + 180 * MINUTE_NS
    live.worker.step()
    closed = published(session, "NQ.5min.live")
    clock.time_ns = OPEN_NS + 12 * MINUTE_NS
    send(session, feed.slice(40), "feed.ticks")
    live.worker.catch_up()
    clock.time_ns = _END
    live.worker.step()
    whole, found = history(_FEED.slice(0, 60), "5min"), published(session, "NQ.5min.live")
    assert same(found.slice(0, closed.num_rows), closed)
    assert same(found.slice(closed.num_rows), whole.slice(closed.num_rows))
    assert live.late == int((np.asarray(feed["timestamp"].cast(pa.int64()))[40:] < OPEN_NS + 15 * MINUTE_NS).sum())
    live.stop()
