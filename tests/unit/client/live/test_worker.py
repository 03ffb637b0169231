"""Live bars over real streams, step by step: published once, joined to what is known, and none of it lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.client.origin import Origin
from jupyter_nq.client.session import Session
from jupyter_nq.errors import InvalidArgument, LiveGap, SchemaMismatch, StreamBusy, UnknownStream
from jupyter_nq.streams import Stream
from tests.unit.client.live.clock import ManualClock
from tests.unit.client.live.feeds import (
    BARS,
    MINUTE_NS,
    OPEN_NS,
    TIMEFRAMES,
    featured,
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
_FEATURES = ["sma(5)", "rsi(3)", "vwap"]


def _past(table: pa.Table, minutes: int = 1) -> pa.Table:
    noted: pa.Table = Origin("NQ.1min", 1, "NQ", minutes, EQUITY).note(table)
    return noted


def _featured(table: pa.Table, length: int) -> pa.Table:
    return featured(table, length, _FEATURES)


# -- the bits of history ------------------------------------------------------------------------------
def test_all_lengths_and_their_features_are_those_of_the_file(session: Session) -> None:
    """From one stream, in messages of odd sizes; a clock closes the last ones."""
    send(session, _FEED.slice(0, 0))
    clock = ManualClock(OPEN_NS, begin_ns=OPEN_NS)
    live = live_of(session, clock, TIMEFRAMES, features=_FEATURES, out="NQ")
    for piece in pieces(_FEED, range(0, 1_400, 53)):
        send(session, piece)
        live.worker.step()
    clock.time_ns = _END
    live.worker.step()
    for timeframe, lane in zip(TIMEFRAMES, live.worker.lanes, strict=True):
        wanted = _featured(history(_FEED, timeframe), lane.builder.minutes)
        assert same(published(session, live.streams[timeframe]), wanted)
    assert live.status.late == live.status.gaps == live.status.incomplete == 0
    live.stop()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 2_000), max_size=12), steps=st.integers(1, 5), restart=st.integers(0, 12))
def test_neither_messages_nor_a_new_worker_show(session: Session, cuts: list[int], steps: int, restart: int) -> None:
    """Ticks cut anywhere, read some messages at a time, and a worker that another one follows: the same bars."""
    feed = ticks(_FEED.slice(0, 500))
    for name in session.streaming.names():
        session.drop_stream(name)
    send(session, feed.slice(0, 0), "feed.ticks")
    options = {"source": "feed.ticks", "features": _FEATURES, "close_after_ms": 0, "bars": ["5min", "1h"], "out": "NQ"}
    live = live_of(session, ManualClock(OPEN_NS, begin_ns=OPEN_NS), **options)
    for number, piece in enumerate(pieces(feed, cuts)):
        send(session, piece, "feed.ticks")
        if number % steps == 0:
            live.worker.step()
        if number == restart:
            live.stop()
            live = live_of(session, ManualClock(OPEN_NS, begin_ns=OPEN_NS), **options)
    live.worker.catch_up()
    live.stop()
    live = live_of(session, ManualClock(_END, begin_ns=OPEN_NS), **options)
    live.worker.catch_up()
    for timeframe, length in (("5min", 5), ("1h", 60)):
        wanted = _featured(history(_FEED.slice(0, 500), timeframe), length)
        assert same(published(session, f"NQ.{timeframe}.live"), wanted)
    live.stop()


# -- joining ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("known", [1, 203, 700])
def test_history_and_the_stream_are_joined(session: Session, known: int) -> None:
    """The stream has half an hour that history has too; the bar that history left open is completed from the stream."""
    send(session, _FEED.slice(max(0, known - 30)))
    clock = ManualClock(OPEN_NS + 1_000 * MINUTE_NS)
    live = live_of(session, clock, ["5min", "1h"], features=_FEATURES, warmup=_past(_FEED.slice(0, known)))
    live.worker.catch_up()
    clock.time_ns = _END
    live.worker.step()
    for timeframe, length in (("5min", 5), ("1h", 60)):
        whole = _featured(history(_FEED, timeframe), length)
        found = published(session, live.streams[timeframe])
        assert found.num_rows
        assert same(found, whole.slice(whole.num_rows - found.num_rows))
        before = history(_FEED.slice(0, known), timeframe).num_rows - 1
        assert found.num_rows in (whole.num_rows - before, whole.num_rows - before - 1)
    assert live.status.skipped == 2 * min(known, 30)
    live.stop()


def test_a_bar_of_history_that_is_not_over_does_not_count(session: Session) -> None:
    """A file has it before its end; by the clock it is forming."""
    send(session, _FEED)
    starts = _FEED["timestamp"].cast(pa.int64()).to_pylist()
    live = live_of(session, ManualClock(starts[99] + 1), warmup=_past(_FEED.slice(0, 100)))
    live.worker.catch_up()
    assert live.status.skipped == 99
    live.stop()


@pytest.mark.parametrize("gap", ["error", "keep"])
def test_a_hole_between_history_and_the_stream_is_never_silent(session: Session, gap: str) -> None:
    """It is an error; or, when asked for, a notice, and bars that lack rows are not published."""
    send(session, _FEED.slice(222))
    clock = ManualClock(OPEN_NS + 1_000 * MINUTE_NS)
    live = live_of(session, clock, ["5min"], warmup=_past(_FEED.slice(0, 203)), gap=gap)
    if gap == "error":
        with pytest.raises(LiveGap, match="rows are missing between 2020-06-29 01:48:00Z and 2020-06-29 02:10:00Z"):
            live.start()
        assert live.status.state == "stopped"
        with pytest.raises(LiveGap), live_of(session, clock, warmup=_past(_FEED.slice(0, 203))) as again:
            again.start()  # nor is it when the cell runs again
        live = live_of(session, clock, warmup=_past(_FEED.slice(0, 222)))
        live.worker.catch_up()
        live.stop()
        live_of(session, clock).start().stop()  # what has joined needs no history any more
        return
    live.worker.catch_up()
    found = published(session, "NQ.5min.live")
    whole = history(_FEED, "5min")
    assert found["timestamp"][0].as_py().isoformat() == "2020-06-29T02:10:00+00:00"
    assert same(found, whole.slice(whole.num_rows - found.num_rows))
    assert (live.status.gaps, live.status.incomplete) == (1, 1)
    notices = [message.data["event"] for message in session.stream("NQ.notices").subscribe("earliest").get_messages()]
    assert notices == ["source", "gap", "joined"]
    live.stop()


def test_a_pause_of_the_exchange_is_no_hole(session: Session) -> None:
    """History ends with a session, and the stream begins with the next."""
    sessions = minutes(1_500)
    day = history(sessions, "1D")
    close = int(np.searchsorted(np.asarray(sessions["timestamp"].cast(pa.int64())), day["timestamp"][1].value))
    send(session, sessions.slice(close))
    live = live_of(session, ManualClock(_END), warmup=_past(sessions.slice(0, close)))
    live.worker.catch_up()
    assert (live.status.gaps, live.status.incomplete) == (0, 0)
    live.stop()


def test_without_history_the_first_bar_that_lacks_rows_is_notpublished(session: Session) -> None:
    """Nobody knows what came before the first row; also a second worker remembers."""
    send(session, _FEED.slice(3, 20))
    for _ in range(2):
        live = live_of(session, ManualClock(OPEN_NS))
        live.worker.catch_up()
        live.stop()
    first = published(session, "NQ.5min.live")["timestamp"][0].value
    assert first == OPEN_NS + 5 * MINUTE_NS


def test_rows_that_the_source_let_go_of_are_a_hole(session: Session) -> None:
    """A worker that was away for longer than the source keeps rows is told how many are gone."""
    stream = session.stream("feed.NQ.1min", BARS, retention_bytes=1 << 17, segment_bytes=1 << 16)
    stream.publish(_FEED.slice(0, 10))
    live = live_of(session, ManualClock(OPEN_NS))
    live.worker.catch_up()
    live.stop()
    for piece in pieces(minutes(6_000).slice(10), range(0, 6_000, 400)):
        stream.publish(piece)
    again = live_of(session, ManualClock(OPEN_NS))
    with pytest.raises(LiveGap, match=r"rows are missing between .* \(\d+ messages\)"):
        again.start()


# -- a new worker -------------------------------------------------------------------------------------
def test_newer_history_fills_what_the_tape_lacks(session: Session) -> None:
    """While no worker ran the source was lost; the bars come from the history that was refreshed."""
    send(session, _FEED.slice(0, 300))
    live = live_of(session, ManualClock(OPEN_NS, begin_ns=OPEN_NS), features=_FEATURES, out="NQ")
    live.worker.catch_up()
    live.stop()
    session.drop_stream("feed.NQ.1min")
    send(session, _FEED.slice(800))
    clock = ManualClock(_END)
    live = live_of(session, clock, features=_FEATURES, warmup=_past(_FEED.slice(0, 803)))
    live.worker.catch_up()
    assert same(published(session, "NQ.5min.live"), _featured(history(_FEED, "5min"), 5))
    live.stop()


@pytest.mark.parametrize("history_rows", [0, 500])
def test_features_never_go_on_from_other_history_in_silence(session: Session, history_rows: int) -> None:
    """The first worker had history, which its tape does not have: a later one that lacks it would publish others."""
    send(session, _FEED.slice(600, 200))
    options = {"clock": ManualClock(OPEN_NS + 1_000 * MINUTE_NS), "features": ["ema(50)"]}
    live = live_of(session, warmup=_past(_FEED.slice(0, 620)), **options)
    live.worker.catch_up()
    live.stop()
    send(session, _FEED.slice(800, 300))
    with pytest.raises(LiveGap, match=r"went on from history until 2020-06-29 09:37:00Z.*Pass that history as warmup="):
        live_of(session, warmup=_past(_FEED.slice(0, history_rows)) if history_rows else None, **options)
    live = live_of(session, warmup=_past(_FEED.slice(0, 620)), **options)
    live.worker.catch_up()
    found, whole = published(session, "NQ.5min.live"), featured(history(_FEED.slice(0, 1_100), "5min"), 5, ["ema(50)"])
    first = whole["timestamp"].index(found["timestamp"][0]).as_py()
    assert found.num_rows > 60
    assert same(found, whole.slice(first, found.num_rows))
    live.stop()


def test_two_workers_do_not_build_the_same_bars(session: Session) -> None:
    """The second one is told what to do; after the first has stopped it may."""
    send(session, _FEED.slice(0, 30))
    first = live_of(session)
    with pytest.raises(StreamBusy, match="A worker builds the live bars of 'NQ' already"):
        live_of(session)
    other = live_of(session, out="mine")
    other.stop()
    first.stop()
    live_of(session).stop()


def test_the_open_bar_is_on_a_stream_of_its_own(session: Session) -> None:
    """Marked as partial, with its end; the tape of closed bars never has it."""
    send(session, _FEED.slice(0, 7))
    live = live_of(session, ManualClock(OPEN_NS, begin_ns=OPEN_NS), out="NQ")
    live.worker.catch_up()
    (row,) = session.stream(live.forming["5min"]).subscribe("earliest", conflate=True).get_messages()
    assert row.data["partial"] == 1
    assert row.data["timestamp"].value == OPEN_NS + 5 * MINUTE_NS
    assert row.data["closes"].value == OPEN_NS + 10 * MINUTE_NS
    assert row.data["close"] == _FEED["close"][6].as_py()
    assert published(session, "NQ.5min.live").num_rows == 1
    live.worker.step()
    assert session.stream(live.forming["5min"]).messages == 1, "nothing new, nothing shown"
    live.stop()


@pytest.mark.parametrize("kind", ["bars", "ticks"])
def test_feeds_that_follow_each_other_are_read_in_their_order(session: Session, kind: str) -> None:
    """A worker that comes later finds the lanes of two feeds, one of which went on where the other one had stopped."""
    feed = _FEED.slice(0, 300) if kind == "bars" else ticks(_FEED.slice(0, 300))
    name = "feed.NQ.1min" if kind == "bars" else "feed.ticks"
    send(session, feed.slice(0, 0), name)
    with session.stream(name) as first, Stream(session.store.path / STREAMS / name) as second:
        for number, piece in enumerate(pieces(feed, [100, 180, 181, 182, 230])):
            (second if number % 2 else first).publish(piece)
        assert len(first.stats()["publishers"]) == 2
    clock = ManualClock(OPEN_NS, begin_ns=OPEN_NS)
    live = live_of(session, clock, source=name, out="NQ")
    live.worker.catch_up()
    clock.time_ns = _END
    live.worker.step()
    assert (live.status.late, live.status.disordered) == (0, 0)
    assert same(published(session, "NQ.5min.live"), history(_FEED.slice(0, 300), "5min"))
    live.stop()


@pytest.mark.parametrize("cuts", [[], [2]])
def test_a_small_bar_that_begins_between_two_is_refused_in_any_message(session: Session, cuts: list[int]) -> None:
    """As in a file; also when the longer bar is open already."""
    feed = _FEED.slice(0, 3).to_pandas()
    feed.loc[2, "timestamp"] += pd.Timedelta(seconds=30)
    send(session, _FEED.slice(0, 0))
    live = live_of(session, ManualClock(OPEN_NS, begin_ns=OPEN_NS), out="NQ")
    *before, last = pieces(pa.Table.from_pandas(feed, preserve_index=False), cuts)
    for piece in before:
        send(session, piece)
        live.worker.catch_up()
    send(session, last)
    with pytest.raises(InvalidArgument, match=r"1 of \d bars start at no multiple of 1 minutes"):
        live.worker.catch_up()
    live.stop()


def test_volumes_that_no_column_holds_are_refused(session: Session) -> None:
    """In words, as in a file, though they came in two messages."""
    send(session, _FEED.slice(0, 0))
    live = live_of(session, ManualClock(OPEN_NS, begin_ns=OPEN_NS), out="NQ")
    for number in range(2):
        rows = _FEED.slice(number, 1)
        send(session, rows.set_column(5, "volume", pa.array([2**62])))
        if number:
            with pytest.raises(InvalidArgument, match="too large to be added in 64 bits"):
                live.worker.step()
        else:
            live.worker.step()
    live.stop()


# -- refusals -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"source": "nothing"}, UnknownStream, "There is no stream 'nothing'"),
        ({"bars": []}, InvalidArgument, "names no length"),
        ({"bars": ["90s"]}, ValueError, "90 seconds"),
        ({"gap": "ignore"}, InvalidArgument, "neither 'error' nor 'keep'"),
        ({"close_after_ms": 70_000}, InvalidArgument, "close_after_ms=70000"),
        ({"close_after_ms": True}, InvalidArgument, "close_after_ms=True"),
        ({"features": []}, InvalidArgument, "names no feature"),
        ({"source": "odd"}, InvalidArgument, "does not tell how long its bars are"),
        ({"source": "odd", "source_timeframe": "7min"}, InvalidArgument, "7-minute bars give no 5min bars"),
        ({"source": "loose"}, InvalidArgument, "has no columns yet"),
        ({"warmup": "NQ.1min"}, KeyError, "NQ.1min"),
        ({"warmup": _past(_FEED, 30)}, InvalidArgument, "30-minute bars give no 5min bars"),
    ],
)
def test_what_cannot_be_built_is_refused(session: Session, options: Any, error: type[Exception], says: str) -> None:
    """In words, and the name is free afterwards."""
    send(session, _FEED.slice(0, 10))
    send(session, _FEED.slice(0, 10), "odd")
    session.stream("loose").publish({"x": 1})
    with pytest.raises(error, match=says):
        live_of(session, **{"bars": ["5min"], **options})
    live_of(session).stop()


def test_history_that_ends_within_a_bar_of_the_source_is_refused(session: Session) -> None:
    """Its rows would count twice, or not at all."""
    send(session, history(_FEED, "5min").drop_columns(["flags"]), "feed.NQ.5min")
    with pytest.raises(InvalidArgument, match="history ends at 2020-06-28 22:08:00Z, within a 5-minute bar"):
        live_of(session, ManualClock(_END), source="feed.NQ.5min", warmup=_past(_FEED.slice(0, 7)))


def test_other_features_are_refused(session: Session) -> None:
    """The tape has its columns."""
    send(session, _FEED.slice(0, 10))
    live_of(session, features=_FEATURES).stop()
    with pytest.raises(SchemaMismatch, match="sma_5"):
        live_of(session)


def test_a_stream_of_bars_has_the_columns_of_history(session: Session) -> None:
    """So that the two are one table when put together."""
    send(session, _FEED.slice(0, 10))
    live = live_of(session, features="sma(2)")
    assert session.stream(live.streams["5min"]).schema == pa.schema(
        [*BAR_SCHEMA, pa.field("sma_2", pa.float64(), nullable=False)]
    )
    assert repr(live) == "<Live NQ, stopped at 2020-06-28 22:00:00Z, closed bars 0 of 5min, lag 1>"
    live.stop()
    live.stop()
