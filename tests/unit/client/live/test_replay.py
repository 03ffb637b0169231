"""A recorded session replayed live: the same bars and features as the file, bit for bit, and only in the sandbox."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.resample import resample
from jupyter_nq.bars.sample import write_sample
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.client.live import recorded, starting
from jupyter_nq.client.live.replay import Replay, speed_of
from jupyter_nq.client.live.script import script_of
from jupyter_nq.client.session import Session
from jupyter_nq.errors import ChecksumError, InvalidArgument, StreamBusy, UnknownStream
from jupyter_nq.testing import wait_until
from tests.unit.client.child import session_child
from tests.unit.client.live.feeds import SECOND_NS, TIMEFRAMES, featured, history, minutes, published, same, ticks

_FEED = minutes(3_000)
_OPEN = 1_593_381_600 * SECOND_NS
_FEATURES = ["sma(20)", "rsi(14)", "macd(12,26,9)", "vwap", "atr(14)"]
_LENGTHS = dict(zip(TIMEFRAMES, (1, 5, 15, 30, 60, 120, 240, 1440), strict=True))


def _replay(session: Session, source: Any = None, day: str = "2020-06-30", **options: Any) -> Replay:
    told = {"symbol": "NQ", "timeframe": "1min", **options}
    return recorded.replay(session, _FEED if source is None else source, day, **told)


def _of_day(bars: pa.Table, day: str) -> pa.Table:
    script = script_of(bars, day, minutes=1, calendar=EQUITY, speed=1)
    starts = np.asarray(bars["timestamp"].cast(pa.int64()))
    return bars.filter(pa.array((starts >= script.begin_ns) & (starts < script.close_ns)))


@pytest.mark.parametrize("kind", ["bars", "ticks"])
@pytest.mark.parametrize("first", ["live", "replay"])
def test_a_replayed_session_gives_the_bars_of_the_file(session: Session, kind: str, first: str) -> None:
    """All lengths with features that go on from the day before, whether the worker comes before the rows or behind."""
    feed = _FEED if kind == "bars" else ticks(_FEED)
    noted = resample(_FEED, "1min", minutes=1, calendar=EQUITY)
    name = f"replay.NQ.{'1min' if kind == 'bars' else 'ticks'}"
    options = {"warmup": session_note(noted), "features": _FEATURES}
    if first == "replay":
        replay = _replay(session, feed).wait()
        live = starting.live(session, "NQ", name, TIMEFRAMES, **options)
    else:
        replay = _replay(session, feed, speed=100_000)
        live = starting.live(session, "NQ", name, TIMEFRAMES, **options)
        replay.wait()
    wait_until(lambda: live.status.bars["1D"] == 1 and live.status.lag == 0)
    for timeframe in TIMEFRAMES:
        whole = featured(history(_FEED, timeframe), _LENGTHS[timeframe], _FEATURES)
        wanted = _of_day(whole, "2020-06-30")
        wait_until(lambda t=timeframe, w=wanted: live.status.bars[t] == w.num_rows)  # type: ignore[misc]
        assert same(published(session, live.streams[timeframe]), wanted)
    assert (live.late, live.status.gaps, live.status.incomplete) == (0, 0, 0)
    assert replay.state == "done"
    live.stop()


def session_note(bars: pa.Table, minutes: int = 1) -> pa.Table:
    """Return bars that say what they are."""
    from jupyter_nq.client.origin import Origin

    noted: pa.Table = Origin("NQ.1min", 1, "NQ", minutes, EQUITY).note(bars)
    return noted


def test_a_real_session_replayed_gives_the_bars_of_the_real_file(session: Session, real_file: Path) -> None:
    """Thirty minutes and longer, the usual features, warmed by all before."""
    session.map(real_file, "30min", symbol="NQ").handle.close()
    lengths = {"30min": 30, "1h": 60, "3h": 180, "1D": 1440}
    for day in ("2022-03-15", "2023-11-24", "2024-06-12"):
        with recorded.replay(session, "NQ.30min", day) as replay:
            live = starting.live(session, "NQ", replay.name, list(lengths), features=True, warmup="NQ.30min")
            replay.wait()
            with live:
                wait_until(lambda r=replay, v=live: v.status.bars["1D"] == 1 and r.state == "done")  # type: ignore[misc]
        table = session.view(session.open("NQ.30min"), "arrow", columns=published(session, replay.name).column_names)
        for timeframe, length in lengths.items():
            bars = resample(table, timeframe, minutes=30, calendar=EQUITY)
            wanted = _of_day(featured(bars, length, None), day)
            assert same(published(session, f"replay.NQ.{timeframe}.live"), wanted)


def test_bars_of_a_loaded_file_are_replayed_with_their_flags(session: Session, tmp_path: Path) -> None:
    """The stream has the columns of history."""
    (path,) = write_sample(tmp_path / "one", rows=3_000, layouts=["1min"])
    replay = recorded.replay(session, path, "2020-06-29").wait()
    assert replay.name == "replay.NQ.1min"
    found = published(session, "replay.NQ.1min")
    wanted = _of_day(session.load(path, columns=found.column_names, as_="arrow"), "2020-06-29")
    assert found.equals(wanted.replace_schema_metadata(None))
    again = recorded.replay(session, "NQ.1min", "2020-06-29", prefix="replay.mine").wait()
    assert published(session, "replay.mine.NQ.1min").equals(found)
    assert repr(again).startswith("<Replay replay.mine.NQ.1min, done at 2020-06-29 21:01:00Z, 100%,")


def test_a_second_replay_begins_with_a_clean_sandbox(session: Session) -> None:
    """The bars of the first are gone with its rows, other streams there stay."""
    session.stream("replay.NQ.signals").publish({"x": 1})
    for day in ("2020-06-29", "2020-06-30", "2020-06-30"):
        _replay(session, day=day).wait()
        with starting.live(session, "NQ", "replay.NQ.1min", ["1h"]):
            wanted = _of_day(history(_FEED, "1h"), day)
            assert same(published(session, "replay.NQ.1h.live"), wanted)
    assert session.stream("replay.NQ.signals").messages == 1


def test_a_replay_takes_no_live_name_and_no_live_bars_leave_it(session: Session) -> None:
    """Nothing is made when it is refused."""
    with pytest.raises(InvalidArgument, match="no sandbox"):
        _replay(session, prefix="feed")
    assert session.list_streams() == []
    _replay(session).wait()
    with pytest.raises(InvalidArgument, match="stays in its sandbox"):
        starting.live(session, "NQ", "replay.NQ.1min", ["1h"], out="NQ")
    assert {listed.name for listed in session.list_streams()} == {"replay.NQ.1min", "replay.NQ.1min.clock"}


@pytest.mark.parametrize("end", ["1min", "1h.live"])
def test_no_link_leads_a_replay_to_a_live_stream(session: Session, end: str) -> None:
    """Nothing is published there, and the live stream is not dropped with the sandbox."""
    with session.stream(f"NQ.{end}", BAR_SCHEMA) as live:
        live.publish(history(_FEED, "1h").slice(0, 3))
    (session.store.path / STREAMS / f"replay.NQ.{end}").symlink_to(f"NQ.{end}")
    with pytest.raises(ChecksumError, match=f"is the stream 'NQ.{end}', which was linked or moved there"):
        _replay_and_build(session)
    assert published(session, f"NQ.{end}").num_rows == 3
    assert session.stream(f"NQ.{end}").publish(history(_FEED, "1h").slice(3, 1)) is not None


def _replay_and_build(session: Session) -> None:
    replay = _replay(session).wait()
    starting.live(session, "NQ", replay.name, ["1h"])


def test_a_replay_waits_for_who_gates_and_can_be_stopped(session: Session) -> None:
    """It says for whom; stopped, its clock stands still, and its rows stay."""
    replay = _replay(session, ticks(_FEED), day="2020-06-29", retention_bytes=1 << 17, speed=1e-6)
    wait_until(lambda: replay.rows == 1)  # the tick of the open; the next would be due in days
    replay.stop()
    assert (replay.state, replay.rows) == ("stopped", 1)
    session.drop_stream("replay.NQ.ticks")
    script = script_of(ticks(_FEED), "2020-06-29", minutes=0, calendar=EQUITY, speed=math.inf)
    options: dict[str, Any] = {"overflow": "block", "block_seconds": 0.0, "retention_bytes": 1 << 17}
    rows = session.stream("replay.NQ.ticks", script.rows.schema, segment_bytes=1 << 16, **options)
    clock = session.stream("replay.NQ.ticks.clock")
    reader = rows.subscribe("earliest", name="slow", gating=True)
    with Replay(script, rows, clock, math.inf).start() as waiting:
        wait_until(lambda: waiting.state.startswith("waits: The stream 'replay.NQ.ticks' is full"))
        assert "'slow'" in waiting.state
        before = waiting.rows
        reader.read_table()
        reader.ack()
        wait_until(lambda: waiting.rows > before)
    assert waiting.state == "stopped"
    assert not waiting.running


def test_two_replays_under_one_name_are_refused(session: Session) -> None:
    """Here, and in another process; another prefix is fine."""
    session.put("day", _FEED)
    with _replay(session, speed=1):
        with pytest.raises(StreamBusy, match=r"feeds 'replay\.NQ\.1min' already, here"):
            _replay(session)
        _replay(session, prefix="replay.b").wait()
        with session_child(
            session.store.path,
            "from jupyter_nq.client.live.recorded import replay\n"
            "try:\n    replay(session, session.get('day', as_='arrow'), '2020-06-30', symbol='NQ', timeframe='1min')\n"
            "except Exception as exc:\n    say(type(exc).__name__, exc)\n",
        ) as child:
            assert child.line().startswith("StreamBusy A replay feeds 'replay.NQ.1min' already, by process")
    _replay(session).wait()


def test_the_speed_says_when_each_step_comes(session: Session) -> None:
    """A minute of the session each second at 60x; nothing waits for what is overdue."""
    script = script_of(_FEED, "2020-06-29", minutes=1, calendar=EQUITY, speed=60)
    rows, clock = (
        session.stream("replay.a", script.rows.schema),
        session.stream("replay.a.clock", recorded.CLOCK_SCHEMA),
    )
    waited, time = [], [0.0]

    def pause(seconds: float) -> bool:
        waited.append(seconds)
        time[0] += seconds
        return False

    replay = Replay(script, rows, clock, 60.0, pause=pause, monotonic=lambda: time[0]).start().wait()
    assert replay.state == "done"
    assert waited[0] == 0.0
    assert waited[1:] == pytest.approx([1.0] * (len(waited) - 1))
    assert time[0] == pytest.approx(23 * 60 + 1)


@pytest.mark.parametrize("speed", ["fast", 0, -1, "0x", math.inf, math.nan, True, None])
def test_a_speed_that_is_none_is_refused(speed: Any) -> None:
    """With what it may be."""
    with pytest.raises(InvalidArgument, match="neither 'max' nor a speed"):
        speed_of(speed)


def test_progress_is_told_while_it_runs(session: Session) -> None:
    """What the callback raises ends the waiting, not the replay."""
    told: list[float] = []

    def interrupted(share: float) -> None:
        told.append(share)
        raise KeyboardInterrupt

    with _replay(session, speed=1) as replay:
        with pytest.raises(KeyboardInterrupt):
            replay.wait(interrupted)
        assert replay.running
    assert 0 <= told[0] < 0.01


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        (_FEED, {"timeframe": None}, "do not tell how long they are"),
        (_FEED, {"symbol": None}, "instrument of the bars is not known"),
        (session_note(_FEED), {"timeframe": "5min"}, "NQ.1min has 1-minute bars, not 5min"),
        ([1, 2], {}, "list is no file, dataset, frame or table"),
    ],
)
def test_what_cannot_be_replayed_is_refused(session: Session, source: Any, options: dict[str, Any], says: str) -> None:
    """Nothing is made."""
    with pytest.raises(InvalidArgument, match=says):
        _replay(session, source, **options)
    assert session.list_streams() == []


def test_a_clock_without_a_time_is_no_replay(session: Session) -> None:
    """Nor is a sandboxed stream without a clock."""
    stream = session.stream("replay.NQ.1min", _FEED.schema)
    stream.publish(_FEED.slice(0, 5))
    with pytest.raises(UnknownStream, match=r"replay\.NQ\.1min\.clock"):
        starting.live(session, "NQ", "replay.NQ.1min")
    session.stream("replay.NQ.1min.clock", recorded.CLOCK_SCHEMA)
    with pytest.raises(UnknownStream, match="has no time"):
        starting.live(session, "NQ", "replay.NQ.1min")


def test_the_thread_of_a_replay_ends_with_it(session: Session) -> None:
    """None is left behind, of the worker neither."""
    with _replay(session) as replay, starting.live(session, "NQ", replay.name, ["1h"]) as live:
        replay.wait()
        assert live.status.state == "running"
    names = {thread.name for thread in threading.enumerate()}
    assert not {name for name in names if name.startswith(("jupyter-nq-live", "jupyter-nq-replay"))}
