"""A slow reader of text tables of bars: one row after the other, with Python's own numbers, dates and zones.

It shares nothing with the package's readers but the profile and the table of the exchange's sessions. Its rules are
those that the package documents:

- A file is UTF-8 text, with or without a byte order mark. `\n`, `\r\n` and `\r` end a line, empty lines are no rows.
- A cell may stand in double quotes; a quote in it is written twice, and it ends in its own line. In any other place
  a quote is a character like others.
- A price is a decimal number, with an exponent or without, and finite as a double. A volume is a whole number from 0
  up that fits into 64 bits, as does the sum of two; it may be written with a point or an exponent of up to three
  digits. Blanks around a number do not count.
- A stamp is in a layout of the profile; days, months and hours may have one digit. All stamps carry a distance from
  UTC, or none. Years are from 1970 to 2199.
- Rows of an hour that a clock repeats are of its first pass up to the first row that is not behind the row before it.
- Starts of bars strictly increase. Those of days whose sessions are known are the opens of these.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import MAX_PREC, Decimal, localcontext
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.sessions.calendar import sessions

_PRICE = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_VOLUME = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_UNITS = {"s": (9, 10), "ms": (12, 13), "us": (15, 16), "ns": (18, 19)}
_LONGEST_STAMP = 48
_DAY_MINUTES = 1440
_NEW_YORK = ZoneInfo("America/New_York")
ZERO_VOLUME, FLAT, OHLC_ORDER, NOT_POSITIVE = 1, 2, 4, 8


class Refused(Exception):
    """The file, or a row of it, is not what the profile says."""


@dataclass(frozen=True)
class Clock:
    """A stamp as it is written."""

    day: date
    seconds: int
    nanos: int
    offset: int | None
    """Seconds east of UTC, None when the stamp does not say it."""

    @property
    def reading(self) -> int:
        """Seconds on the clock since 1970."""
        return (self.day - date(1970, 1, 1)).days * 86_400 + self.seconds


@dataclass(frozen=True)
class Row:
    """A row before its stamp has a place in UTC."""

    clock: Clock
    prices: tuple[float, float, float, float]
    volume: int


Bar = tuple[int, float, float, float, float, int, int]
"""Start in ns UTC, open, high, low, close, volume, flags."""


def read(data: bytes, profile: Profile) -> list[Bar]:
    """Return the bars of a file; raises `Refused`."""
    rows = [row_of(line, profile) for line in data_lines(data, profile)]
    if not rows:
        raise Refused("no rows")
    starts = starts_of(rows, profile)
    if any(after <= before for before, after in pairwise(starts)):
        raise Refused("the stamps do not increase")
    return [(start, *row.prices, row.volume, _flags(row, profile)) for start, row in zip(starts, rows, strict=True)]


def data_lines(data: bytes, profile: Profile) -> Iterator[bytes]:
    """Yield the lines of the rows."""
    text = data.removeprefix(b"\xef\xbb\xbf")
    return (line for line in re.split(rb"\r\n|\n|\r", text)[profile.skip_lines :] if line)


def row_of(line: bytes, profile: Profile) -> Row:
    """Return one row; raises `Refused`."""
    cells = cells_of(line, profile.delimiter.encode())
    if len(cells) != len(profile.names):
        raise Refused(f"{len(cells)} cells, not {len(profile.names)}")

    def texts(role: str) -> list[str]:
        found = [cells[profile.names.index(name)] for name in profile.columns[role]]
        try:
            return [cell.decode("utf-8") for cell in found]
        except UnicodeDecodeError as exc:
            raise Refused("not UTF-8") from exc

    clock = clock_of(" ".join(texts("timestamp")), profile.layouts)
    prices = [price_of(texts(role)[0], profile.decimal) for role in ("open", "high", "low", "close")]
    volume = sum(volume_of(text) for text in texts("volume"))
    if volume >= 1 << 63:
        raise Refused("the sum of two volumes is too large")
    return Row(clock, (prices[0], prices[1], prices[2], prices[3]), volume)


def cells_of(line: bytes, delimiter: bytes) -> list[bytes]:
    """Return the cells of a line, without their quotes; raises `Refused`."""
    cells, rest = [], line
    while True:
        if rest.startswith(b'"'):
            match = re.match(rb'"((?:[^"]|"")*)"(?!")', rest, re.DOTALL)
            if match is None:
                raise Refused("a quote is not closed")
            cell, rest = match[1].replace(b'""', b'"'), rest[match.end() :]
            if rest and not rest.startswith(delimiter):
                raise Refused("text behind a closing quote")
        else:
            cell = rest.split(delimiter, 1)[0]
            rest = rest[len(cell) :]
        cells.append(cell)
        if not rest:
            return cells
        rest = rest.removeprefix(delimiter)


def price_of(cell: str, decimal: str) -> float:
    """Return a price; raises `Refused`."""
    text = cell.strip(" \t")
    if decimal != ".":
        text = text.replace(".", "?").replace(decimal, ".")
    if not _PRICE.fullmatch(text):
        raise Refused(f"{cell!r} is not a price")
    price = float(text)
    if not math.isfinite(price):
        raise Refused(f"{cell!r} is not finite")
    return price


def volume_of(cell: str) -> int:
    """Return a volume; raises `Refused`."""
    text = cell.strip(" \t")
    if not _VOLUME.fullmatch(text):
        raise Refused(f"{cell!r} is not a volume")
    with localcontext(prec=MAX_PREC):
        value = Decimal(text)
        volume = int(value) if value < 1 << 63 else -1
        if volume < 0 or value != volume:
            raise Refused(f"{cell!r} is not a volume")
    return volume


# -- stamps ---------------------------------------------------------------------------------------------------------
def clock_of(text: str, layouts: tuple[str, ...]) -> Clock:
    """Return a stamp's clock by the only layout that it has; raises `Refused`."""
    if len(text.encode()) > _LONGEST_STAMP:
        raise Refused("the stamp is too long")
    for label in layouts:
        if label.startswith("epoch"):
            if (found := _since_1970(text, label.removeprefix("epoch "))) is not None:
                return found
        elif match := pattern_of(label).fullmatch(text):
            return _clock(match)
    raise Refused(f"{text!r} is in none of the layouts")


@cache
def pattern_of(label: str) -> re.Pattern[str]:
    """Return the expression for the stamps of a layout that is written as in a profile, `DD/MM/YYYY HH:MM`."""
    date_part, join, time_part = re.fullmatch(r"([^ TH]+)(?:([ T])(H.*))?", label).groups()  # type: ignore[union-attr]
    if date_part == "YYYYMMDD":
        expression = r"(?P<Y>\d{4})(?P<M>\d\d)(?P<D>\d\d)"
    else:
        expression = re.sub(r"D+", r"(?P<D>\\d{1,2})", re.sub(r"M+", r"(?P<M>\\d{1,2})", re.escape(date_part)))
        expression = expression.replace("YYYY", r"(?P<Y>\d{4})").replace("YY", r"(?P<Y>\d\d)")
    if join:
        colon = ":" if ":" in time_part else ""
        expression += (" +" if join == " " else "T") + rf"(?P<h>\d{{1,2}}){colon}(?P<m>\d\d)"
        expression += rf"{colon}(?P<s>\d\d)" if "SS" in time_part else ""
        expression += r"\.(?P<f>\d{1,9})" if ".f" in time_part else ""
        expression += r" ?(?P<half>[AaPp])[Mm]" if " AM" in time_part else ""
        expression += r" ?(?P<z>Z|[+-]\d\d(:?\d\d)?)" if time_part.endswith("Z") else ""
    return re.compile(rf" *{expression} *", re.ASCII)


def _clock(match: re.Match[str]) -> Clock:
    parts = match.groupdict()
    year = int(parts["Y"]) + (2000 if len(parts["Y"]) == 2 else 0)
    hour, minute, second = (int(parts.get(name) or 0) for name in "hms")
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            raise Refused("no such hour of twelve")
        hour = hour % 12 + (12 if half in "Pp" else 0)
    if not 1970 <= year <= 2199 or hour > 23 or minute > 59 or second > 59:
        raise Refused("no such year or time")
    try:
        day = date(year, int(parts["M"]), int(parts["D"]))
    except ValueError as exc:
        raise Refused(str(exc)) from exc
    nanos = int((parts.get("f") or "0").ljust(9, "0"))
    return Clock(day, hour * 3600 + minute * 60 + second, nanos, _offset(parts.get("z")))


def _offset(text: str | None) -> int | None:
    if text is None or text == "Z":
        return None if text is None else 0
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 14 or minutes > 59:
        raise Refused("no such offset")
    return (-1 if text[0] == "-" else 1) * (hours * 3600 + minutes * 60)


def _since_1970(text: str, unit: str) -> Clock | None:
    digits = text.strip(" ")
    if not re.fullmatch(r"[0-9]+", digits) or len(digits) not in _UNITS[unit]:
        return None
    seconds, rest = divmod(int(digits) * 10 ** (9 - 3 * list(_UNITS).index(unit)), 10**9)
    days, clock = divmod(seconds, 86_400)
    day = date(1970, 1, 1) + timedelta(days)
    if day.year > 2199:
        raise Refused("no such year")
    return Clock(day, clock, rest, 0)


# -- places in UTC --------------------------------------------------------------------------------------------------
def starts_of(rows: list[Row], profile: Profile) -> list[int]:
    """Return the start of each bar in ns UTC; raises `Refused`."""
    clocks = [row.clock for row in rows]
    if len({clock.offset is None for clock in clocks}) > 1:
        raise Refused("some stamps carry an offset, others do not")
    if clocks[0].offset is not None:
        utc = [clock.reading - (clock.offset or 0) for clock in clocks]
    else:
        utc = _placed(clocks, ZoneInfo(profile.tz))
    if profile.calendar is not None and profile.minutes == _DAY_MINUTES:
        starts = [_session_open(at, profile) for at in utc]
    else:
        starts = utc if profile.edge == "start" else _before_ends(utc, profile)
    return [start * 10**9 + clock.nanos for start, clock in zip(starts, clocks, strict=True)]


def _placed(clocks: list[Clock], zone: ZoneInfo) -> list[int]:
    """Return instants of clock readings, those of a repeated hour by their order."""
    utc: list[int] = []
    later, before = False, None
    waiting = False
    for clock in clocks:
        first, second = (_instant(clock.reading, zone, fold) for fold in (0, 1))
        shown = [at for at in (first, second) if _reading(at, zone) == clock.reading]
        if not shown:
            raise Refused("the clocks went forward over a stamp")
        if first == second:
            if waiting and not later:
                raise Refused("an hour that comes twice, without a second pass")
            later, before, waiting = False, None, False
            utc.append(first)
            continue
        now = (clock.reading, clock.nanos)
        later = later or (before is not None and now <= before)
        before, waiting = now, True
        utc.append(second if later else first)
    if waiting and not later:
        raise Refused("an hour that comes twice, without a second pass")
    return utc


def _instant(reading: int, zone: ZoneInfo, fold: int) -> int:
    local = datetime(1970, 1, 1) + timedelta(seconds=reading)
    return round(local.replace(tzinfo=zone, fold=fold).timestamp())


def _reading(utc: int, zone: ZoneInfo) -> int:
    local = datetime.fromtimestamp(utc, zone).replace(tzinfo=UTC)
    return round(local.timestamp())


def _session_open(at: int, profile: Profile) -> int:
    """Return the start of a day's bar: the open of its session, when its stamp is an end, or New York's midnight."""
    opens = _opens(str(profile.calendar))
    if profile.edge == "end":
        before = [start for start, _ in opens[max(bisect_left(opens, (at, 0)) - 1, 0) :][:1] if start < at]
        return before[0] if before else at - 86_400
    inside = [
        start for start, stop in opens[max(bisect_right(opens, (at, 1 << 60)) - 1, 0) :][:1] if start <= at < stop
    ]
    return inside[0] if inside and _reading(at, _NEW_YORK) % 86_400 == 0 else at


@cache
def _opens(calendar: str) -> list[tuple[int, int]]:
    """Return open and close of every session of the calendar, seconds UTC."""
    known = sessions(calendar, 0, 7_258_118_400 * 10**9)
    return [
        (start // 10**9, stop // 10**9) for start, stop in zip(known.opens.tolist(), known.closes.tolist(), strict=True)
    ]


def _before_ends(utc: list[int], profile: Profile) -> list[int]:
    """Return the starts of bars from their ends; a session's end cuts its last bar short."""
    step = profile.minutes * 60
    if profile.calendar is None or profile.minutes > _DAY_MINUTES:
        return [end - step for end in utc]
    phases = [(_reading(end, _NEW_YORK) - 18 * 3600) % 86_400 % step for end in utc]
    counts = Counter(phases)
    grid = min(counts, key=lambda phase: (-counts[phase], phase))
    return [end - ((phase - grid) % step or step) for end, phase in zip(utc, phases, strict=True)]


def _flags(row: Row, profile: Profile) -> int:
    open_, high, low, close = row.prices
    flags = ZERO_VOLUME if row.volume == 0 else 0
    flags |= FLAT if open_ == high == low == close else 0
    flags |= OHLC_ORDER if high < max(open_, close) or low > min(open_, close) else 0
    return flags | (NOT_POSITIVE if profile.positive_prices and min(row.prices) <= 0 else 0)
