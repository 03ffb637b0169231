"""Sample data: seeded NQ-like bars in the vendors' layouts, closed when the exchange is closed.

A walk on the tick runs through every session of the equity calendar, holidays and early closes included, five
minutes at a time; longer bars are made of the short ones, so that the files of one directory agree with each other.
The files are written as vendors write them, the damaged day-first one included: a clock in Asia/Jerusalem, and two
layouts that alternate with the day of the month. Everything is made as columns, a file's text included.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.bars.closed import EXCHANGE_ZONE
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sessions.calendar import sessions
from jupyter_nq.bars.zones import Steps, steps
from jupyter_nq.errors import ConfigError, nearest

FIRST_OPEN = 1_593_381_600
"""2020-06-28 22:00 UTC, the opening of the first session."""
DAMAGED_ZONE = "Asia/Jerusalem"

_TICK = 0.25
_DAY = 86_400
_NS = 1_000_000_000
_SESSION_MINUTES = 23 * 60
_LAST_SECOND = 7_226_582_400  # 2199-01-01: stamps reach to the end of that year
_LOW_TICKS, _BAND_TICKS = 28_000, 72_000  # prices stay between 7,000 and 25,000
_FIRST_TICKS = 39_142  # 9,785.50


@dataclass(frozen=True)
class Layout:
    """One kind of sample file."""

    file_name: str
    minutes: int
    bars_per_row: int
    """Bars for each row asked for, so that files of one call cover the same time."""
    stamps: Callable[[Ints], pa.Array]
    """Turns starts of bars (seconds UTC) into the vendor's text."""
    stamp_name: str = "Timestamp"
    earlier: float = 0.0
    """Share of sessions added before the first one."""


@dataclass(frozen=True)
class _Walk:
    """Bars of one length as columns; prices are whole ticks."""

    start: Ints
    """Seconds UTC."""
    prices: Ints
    """Open, high, low, close: shape (4, rows)."""
    volume: Ints


def write_sample(
    directory: str | os.PathLike[str],
    *,
    rows: int = 20_000,
    seed: int = 7,
    layouts: Sequence[str] | None = None,
) -> list[Path]:
    """Write sample files and return their paths; the same arguments give the same bytes.

    Parameters
    ----------
    directory
        Made when it does not exist; files of the same name are replaced.
    rows
        Rows of the 30-minute file; finer files cover the same time.
    seed
        Of the random walk.
    layouts
        Some of `LAYOUTS`: `30min` (the damaged day-first file), `5min`, `5min_extended` (the same and
        earlier sessions), `iso` (ES in ISO 8601 and UTC), `1min` (`rows` rows of one minute, for any
        size). None means all but `1min`.

    Raises
    ------
    ConfigError
        An unknown layout, no rows, or more rows than there is time before the year 2199.
    """
    wanted = [name for name in LAYOUTS if name != "1min"] if layouts is None else list(layouts)
    unknown = [name for name in wanted if name not in LAYOUTS]
    if unknown:
        raise ConfigError(
            f"unknown sample layout {unknown[0]!r}.{nearest(unknown[0], LAYOUTS)} Known: {', '.join(LAYOUTS)}."
        )
    if rows < 1:
        raise ConfigError(f"rows={rows}: a sample has at least one row.")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name in dict.fromkeys(wanted):
        path = directory / LAYOUTS[name].file_name
        _write(path, LAYOUTS[name], sample_bars(name, rows=rows, seed=seed))
        written.append(path)
    return written


def sample_bars(layout: str, *, rows: int, seed: int = 7) -> pa.Table:
    """Return the bars of one sample file as the reader must give them back.

    Columns are those of the canonical bar without `flags`; parameters as in `write_sample`.
    """
    walk = _walk(LAYOUTS[layout], rows, seed)
    prices = walk.prices * _TICK
    columns = [pa.array(walk.start * 1_000_000_000, pa.timestamp("ns", tz="UTC")), *map(pa.array, prices)]
    return pa.table([*columns, pa.array(walk.volume)], BAR_SCHEMA.remove(BAR_SCHEMA.get_field_index("flags")))


# -- the walk -----------------------------------------------------------------------------------------
def _walk(layout: Layout, rows: int, seed: int) -> _Walk:
    base = min(layout.minutes, 5)
    count = rows * layout.bars_per_row * (layout.minutes // base)
    start, opens, before = _starts(count, base, layout.earlier)
    # Earlier sessions have a seed of their own, so that they do not change the later ones.
    later = _random_bars(start[before:], base, seed)
    first = _random_bars(start[:before], base, seed + 1) if before else None
    walk = later if first is None else _joined(first, later)
    return _longer(walk, opens, layout.minutes * 60, rows) if layout.minutes > base else walk


def _starts(count: int, minutes: int, earlier: float) -> tuple[Ints, Ints, int]:
    """Return the starts of bars and the opens of their sessions, seconds UTC, and how many are before `FIRST_OPEN`.

    From it on there are `count` bars.
    """
    whole = -(-count * minutes // _SESSION_MINUTES)
    before = round(whole * earlier)
    first = FIRST_OPEN - (before * 3 // 2 + 14) * _DAY
    last = min(FIRST_OPEN + (whole * 3 // 2 + 14) * _DAY, _LAST_SECOND)
    sess = sessions(EQUITY, first * _NS, last * _NS)
    opens, closes = sess.opens // _NS, sess.closes // _NS
    now = int(np.searchsorted(opens, FIRST_OPEN))
    long = (closes - opens) // (minutes * 60)
    begin = np.cumsum(long) - long
    bars = np.arange(long.sum()) - np.repeat(begin, long)
    opens = np.repeat(opens, long)
    start = opens + bars * minutes * 60
    skipped, rows_before = int(begin[now - before]), int(begin[now] - begin[now - before])
    if len(start) < skipped + rows_before + count:
        raise ConfigError("that many rows reach past the year 2199. Ask for fewer, or for layouts=['1min'].")
    wanted = slice(skipped, skipped + rows_before + count)
    return start[wanted], opens[wanted], rows_before


def _random_bars(start: Ints, minutes: int, seed: int) -> _Walk:
    random = np.random.default_rng(seed)
    rows = len(start)
    busy = _busy(start)
    wide = 6.0 * np.sqrt(minutes) * busy
    change = np.rint(random.standard_normal(rows) * wide).astype(np.int64)
    quiet = random.random(rows) < 0.01
    change[quiet] = 0
    close = _reflected(np.cumsum(change) + _FIRST_TICKS)
    open_ = np.concatenate([[_FIRST_TICKS], close[:-1]])
    reach = np.abs(np.rint(random.standard_normal((2, rows)) * wide / 2)).astype(np.int64)
    reach[:, quiet] = 0
    open_[quiet] = close[quiet]
    high = np.maximum(open_, close) + reach[0]
    low = np.minimum(open_, close) - reach[1]
    volume = np.exp(random.normal(5.5, 0.7, rows) + 1.2 * np.log(busy * minutes)).astype(np.int64) + 1
    volume[quiet & (random.random(rows) < 0.1)] = 0
    return _Walk(start, np.stack([open_, high, low, close]), volume)


def _busy(start: Ints) -> npt.NDArray[np.float64]:
    """Return how lively each bar is: 1 at night, more in the day, most when the cash market opens."""
    hour = (start + _new_york(start).at_utc(start)) % _DAY / 3600
    day = np.where((hour >= 9.5) & (hour < 16), 2.5, 1.0)
    busy: npt.NDArray[np.float64] = day + 2.0 * np.exp(-np.square(hour - 9.75) / 0.5)
    return busy


def _new_york(start: Ints) -> Steps:
    return steps(EXCHANGE_ZONE, int(start[0]), int(start[-1]))


def _reflected(ticks: Ints) -> Ints:
    """Fold a walk into the price band, each step's size kept."""
    inside: Ints = _LOW_TICKS + np.abs((ticks - _LOW_TICKS - _BAND_TICKS) % (2 * _BAND_TICKS) - _BAND_TICKS)
    return inside


def _joined(first: _Walk, later: _Walk) -> _Walk:
    """Put earlier bars before later ones, moved so that the price runs on."""
    shift = later.prices[0, 0] - first.prices[3, -1]
    prices = np.concatenate([first.prices + shift, later.prices], axis=1)
    return _Walk(np.concatenate([first.start, later.start]), prices, np.concatenate([first.volume, later.volume]))


def _longer(walk: _Walk, opens: Ints, seconds: int, rows: int) -> _Walk:
    """Make the first `rows` bars of so many seconds, counted from the open; the last of a session may be shorter."""
    begin = opens + (walk.start - opens) // seconds * seconds
    first = np.flatnonzero(np.diff(begin, prepend=-1))
    stop = int(first[rows]) if len(first) > rows else len(begin)
    first = first[:rows]
    last = np.append(first[1:], stop) - 1
    open_, high, low, close = walk.prices[:, :stop]
    prices = [open_[first], np.maximum.reduceat(high, first), np.minimum.reduceat(low, first), close[last]]
    return _Walk(walk.start[first], np.stack(prices), np.add.reduceat(walk.volume[:stop], first))


# -- the text -------------------------------------------------------------------------------------------
def _write(path: Path, layout: Layout, bars: pa.Table) -> None:
    start = np.asarray(bars["timestamp"].combine_chunks().cast(pa.int64())) // 1_000_000_000
    ticks = [np.rint(np.asarray(bars[name]) / _TICK).astype(np.int64) for name in ("open", "high", "low", "close")]
    cells = [layout.stamps(start), *map(_price_text, ticks), bars["volume"].combine_chunks().cast(pa.string())]
    lines = pc.binary_join_element_wise(pc.binary_join_element_wise(*cells, ","), "", "\n")
    _, offsets, text = lines.buffers()
    end = np.frombuffer(offsets, np.int32)[len(lines)]
    with path.open("wb") as file:
        file.write(f"{layout.stamp_name},Open,High,Low,Close,Volume\n".encode())
        file.write(memoryview(text)[:end])


def _price_text(ticks: Ints) -> pa.Array:
    cents = pa.array(["", ".25", ".5", ".75"]).take(pa.array(ticks % 4))
    return pc.binary_join_element_wise(pa.array(ticks // 4).cast(pa.string()), cents, "")


def _by_day(start: Ints, days: Callable[[npt.NDArray[np.datetime64]], list[str]]) -> pa.Array:
    """Return the text of each row's day; `days` is asked once for every day."""
    day = start // _DAY
    first = int(day.min())
    every = np.arange(first, int(day.max()) + 1).astype("M8[D]")
    return pa.array(days(every)).take(pa.array(day - first))


def _by_minute(start: Ints, minutes: Callable[[int, int], str]) -> pa.Array:
    texts = [minutes(hour, minute) for hour in range(24) for minute in range(60)]
    return pa.array(texts).take(pa.array(start % _DAY // 60))


def _damaged(start: Ints) -> pa.Array:
    """Day first on Jerusalem's clock; a spreadsheet rewrote the dates that it could read month first."""
    local = start + steps(DAMAGED_ZONE, int(start[0]), int(start[-1])).at_utc(start)
    day_of_month = (local // _DAY).astype("M8[D]")
    rewritten = (day_of_month - day_of_month.astype("M8[M]")).astype(int) < 12
    whole = pc.binary_join_element_wise(_by_day(local, _padded), _by_minute(local, _with_seconds), " ")
    short = pc.binary_join_element_wise(_by_day(local, _unpadded), _by_minute(local, _without_seconds), " ")
    return pc.if_else(pa.array(rewritten), short, whole)


def _iso(start: Ints) -> pa.Array:
    dates = _by_day(start, lambda days: np.datetime_as_string(days).tolist())
    return pc.binary_join_element_wise(
        dates, _by_minute(start, lambda hour, minute: f"{hour:02d}:{minute:02d}:00Z"), "T"
    )


def _parts(days: npt.NDArray[np.datetime64]) -> list[tuple[int, int, int]]:
    return [(date.year, date.month, date.day) for date in days.tolist()]


def _padded(days: npt.NDArray[np.datetime64]) -> list[str]:
    return [f"{day:02d}/{month:02d}/{year}" for year, month, day in _parts(days)]


def _unpadded(days: npt.NDArray[np.datetime64]) -> list[str]:
    return [f"{day}/{month}/{year}" for year, month, day in _parts(days)]


def _with_seconds(hour: int, minute: int) -> str:
    return f"{hour:02d}:{minute:02d}:00"


def _without_seconds(hour: int, minute: int) -> str:
    return f"{hour}:{minute:02d}"


LAYOUTS: Mapping[str, Layout] = {
    "30min": Layout("NQ - 30 min - ETH.csv", 30, 1, _damaged),
    "5min": Layout("NQ - 5 min - ETH.csv", 5, 6, _damaged),
    "5min_extended": Layout("NQ - 5 min - ETH_extended.csv", 5, 6, _damaged, earlier=0.25),
    "iso": Layout("ES_30min.csv", 30, 1, _iso, stamp_name="timestamp"),
    "1min": Layout("NQ_1min.csv", 1, 1, _damaged),
}
"""The sample files by name."""
