"""`nq.live`: from what a notebook asks for to a worker over the streams of its session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_nq.bars.features.pipeline import Features
from jupyter_nq.bars.instruments import Instrument, instrument
from jupyter_nq.bars.sessions.calendar import CALENDARS
from jupyter_nq.bars.timeframe import Timeframe, parse_timeframe
from jupyter_nq.client.bars.timeframes import bars_of, without_sessions
from jupyter_nq.client.live.builder import BarBuilder
from jupyter_nq.client.live.clocks import Clock, ReplayClock, SystemClock
from jupyter_nq.client.live.joining import Past
from jupyter_nq.client.live.live import Live
from jupyter_nq.client.live.names import CLOCK, is_sandboxed, out_of
from jupyter_nq.client.live.outputs import Journal, Output
from jupyter_nq.client.live.rows import is_ticks
from jupyter_nq.client.live.worker import GAPS, Lane, Worker
from jupyter_nq.errors import InvalidArgument, UnknownTimeframe

if TYPE_CHECKING:
    from jupyter_nq.client.bars.featured import Wanted
    from jupyter_nq.client.session import Session
    from jupyter_nq.streams import Stream

_TICKS_WAIT_MS, _BARS_WAIT_MS = 500, 5_000
_LONGEST_WAIT_MS = 60_000


@dataclass(frozen=True)
class _Plan:
    """What is to be built."""

    known: Instrument
    source: Stream
    source_minutes: int
    """0 for ticks."""
    timeframes: tuple[Timeframe, ...]
    close_after_ns: int
    out: str
    gap: str


def live(
    session: Session,
    symbol: str,
    source: str,
    bars: str | Sequence[str] = ("5min",),
    *,
    features: Wanted | None = None,
    warmup: Any = None,
    out: str | None = None,
    close_after_ms: int | None = None,
    gap: str = "error",
    source_timeframe: str | None = None,
    clock: Clock | None = None,
) -> Live:
    """Build bars from a stream of ticks or small bars, in a thread of this process, and publish them as they close.

    They are the bars of the session's clock that a file of the same rows has, bit for bit. A bar is closed when its end
    has passed, also without a trade; where nothing is traded there is no bar. What is closed never changes.

    Parameters
    ----------
    symbol
        Instrument, which says when its sessions are.
    source
        Name of a stream. Its columns decide: timestamp, price, volume are ticks; timestamp (start of bar), open, high,
        low, close, volume and perhaps flags are bars. One under `replay.` has the clock of its replay.
    bars
        Lengths, such as ["5min", "30min"]; multiples of the source's.
    features
        True for the usual features, or a list such as ["sma(20)", "rsi(14)"]: columns beside the bars.
    warmup
        Bars that came before: name of a dataset, or a frame or table, none longer than the shortest of `bars`. Features
        go on from them, rows of the source that they hold are skipped, and the bar that they leave open is completed.
    out
        What the names of the streams begin with; None takes the symbol, behind the prefix of a replay. `NQ.5min.live`
        has closed bars, `NQ.5min.forming` the open one, `NQ.late` rows that were set aside, `NQ.notices` what is
        missing.
    close_after_ms
        How long after its end a bar waits for rows that are under way, at most 60,000; None takes 500 for ticks and
        5,000 for bars. It is the delay of the feed: a row that comes later is late.
    gap
        "error" raises `LiveGap` where rows are missing between what is known and the source; "keep" writes a notice,
        and publishes no bar that lacks rows.
    source_timeframe
        Length of the bars of a source whose name does not end with it, as `feed.NQ.1min` does.
    clock
        What tells the time; None takes the machine's, or the replay's.

    Returns
    -------
    Live
        With `status`, `late`, `streams` and `stop`.

    Raises
    ------
    UnknownStream, UnknownInstrument, UnknownDataset
        No such source, instrument or history.
    InvalidArgument, UnknownTimeframe, ConfigError, SchemaMismatch
        It cannot be built so; or the streams are there with other features.
    StreamBusy
        A worker builds the bars of this `out` already.
    LiveGap
        Rows are missing.
    """
    told: dict[str, Any] = {"features": features, "warmup": warmup, "out": out, "close_after_ms": close_after_ms}
    told |= {"gap": gap, "source_timeframe": source_timeframe, "clock": clock}
    return prepared(session, symbol, source, bars, **told).start()


def prepared(
    session: Session,
    symbol: str,
    source: str,
    bars: str | Sequence[str],
    *,
    features: Wanted | None = None,
    warmup: Any = None,
    clock: Clock | None = None,
    **options: Any,
) -> Live:
    """Return live bars that have joined what is known, and were not started; parameters and errors as for `live`."""
    control = session.streaming.control(source)
    plan = _plan(session, symbol, source, bars, **options)
    sandboxed = is_sandboxed(source)
    opened: list[Any] = []
    try:
        time = clock or (ReplayClock(session.streaming.existing(source + CLOCK)) if sandboxed else SystemClock())
        opened.append(time)
        past = _past(session, warmup, plan, time)
        opened.append(journal := Journal(session, plan.out, control.static.stream_id, sandboxed=sandboxed))
        lanes = [Lane(_builder(plan, each), _output(session, plan, each, features)) for each in plan.timeframes]
        opened += [lane.output for lane in lanes]
        gating = sandboxed and control.static.options["overflow"] != "drop_oldest"
        name = f"{plan.out}.live"
        told = plan.source_minutes, plan.known.calendar, lanes, journal, time
        opened.append(worker := Worker(plan.source, name, *told, gating=gating, gap=plan.gap))  # type: ignore[arg-type]
        worker.begin(past)
        return Live(plan.out, worker, time)
    except BaseException:
        for one in opened:
            one.close()
        raise


def _plan(
    session: Session,
    symbol: str,
    source: str,
    bars: str | Sequence[str],
    *,
    out: str | None = None,
    close_after_ms: int | None = None,
    gap: str = "error",
    source_timeframe: str | None = None,
) -> _Plan:
    known = instrument(symbol)
    if known.calendar not in CALENDARS:
        raise without_sessions(known.symbol)
    if gap not in GAPS:
        raise InvalidArgument(f"gap={gap!r} is neither 'error' nor 'keep'.")
    stream = session.streaming.existing(source)
    if stream.schema is None:
        raise InvalidArgument(f"the stream {source!r} has no columns yet. Make it with a schema, as README.md shows.")
    minutes = 0 if is_ticks(stream.schema, source) else _source_minutes(source, source_timeframe)
    timeframes = [parse_timeframe(each) for each in ([bars] if isinstance(bars, str) else bars)]
    if not timeframes:
        raise InvalidArgument("bars= names no length. Pass for example ['5min', '30min'].")
    each = {timeframe.minutes: timeframe for timeframe in timeframes}
    wait_ms = _wait_ms(close_after_ms, minutes)
    return _Plan(
        known, stream, minutes, tuple(each.values()), wait_ms * 1_000_000, out_of(out, known.symbol, source), gap
    )


def _source_minutes(source: str, given: str | None) -> int:
    try:
        return parse_timeframe(source.rpartition(".")[2] if given is None else given).minutes
    except UnknownTimeframe as exc:
        if given is not None:
            raise
        raise InvalidArgument(
            f"the name of the stream {source!r} does not tell how long its bars are. Pass source_timeframe='1min'."
        ) from exc


def _wait_ms(given: int | None, source_minutes: int) -> int:
    if given is None:
        return _BARS_WAIT_MS if source_minutes else _TICKS_WAIT_MS
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= _LONGEST_WAIT_MS:
        raise InvalidArgument(
            f"close_after_ms={given!r} is no whole number of milliseconds from 0 to {_LONGEST_WAIT_MS:,}."
        )
    return given


def _past(session: Session, warmup: Any, plan: _Plan, clock: Clock) -> Past:
    timed = None if warmup is None else bars_of(session, warmup, symbol=plan.known.symbol)[0]
    now_ns = clock.begin_ns if clock.begin_ns is not None else clock.now_ns()
    calendar = str(plan.known.calendar)
    return Past(timed, calendar, now_ns, plan.source_minutes, over=clock.begin_ns is not None)


def _builder(plan: _Plan, timeframe: Timeframe) -> BarBuilder:
    return BarBuilder(
        timeframe.minutes,
        source_minutes=plan.source_minutes,
        calendar=str(plan.known.calendar),
        close_after_ns=plan.close_after_ns,
    )


def _output(session: Session, plan: _Plan, timeframe: Timeframe, wanted: Wanted | None) -> Output:
    if wanted is None:
        return Output(session, plan.out, timeframe.minutes, None)
    if wanted is not True and not wanted:
        raise InvalidArgument(f"features={wanted!r} names no feature. Leave it out, or pass True for the usual ones.")
    features = Features(
        None if wanted is True else wanted,
        calendar=plan.known.calendar,
        minutes=timeframe.minutes,
        regular_hours=plan.known.regular_hours,
    )
    return Output(session, plan.out, timeframe.minutes, features)
