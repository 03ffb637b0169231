"""Whether new rows leave the reading of their file as it was found out.

What was found out about a file holds for all its rows, and each new one is evidence too: a bar in closed hours
refutes a zone, a change of clocks parts two zones that were one reading, a gap lets the order of day and month
appear in another light. Usually none of this happens, and a look at the new rows shows it. Where that look cannot
exclude it, the whole file is sniffed again, and its reading must come out the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.closed import is_closed, witness
from jupyter_nq.bars.columns import values_of
from jupyter_nq.bars.days import is_day
from jupyter_nq.bars.instruments import Instrument, instrument
from jupyter_nq.bars.loading import open_end
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.stamps import Ints, Layout
from jupyter_nq.bars.refreshing.tail import NotAppended, Tail
from jupyter_nq.bars.rules import CHECK, NOT_POSITIVE, OHLC_ORDER
from jupyter_nq.bars.sniffing.dayorder import CONTINUOUS_GAP
from jupyter_nq.bars.sniffing.dialect import HEAD_BYTES
from jupyter_nq.bars.sniffing.placing import Question
from jupyter_nq.bars.sniffing.sniff import sniff
from jupyter_nq.bars.validation.findings import findings, of_sessions_after
from jupyter_nq.bars.zones import find_zone, steps, zone_names
from jupyter_nq.errors import NQError

IMPOSSIBLE = OHLC_ORDER | NOT_POSITIVE
"""Flags of bars that cannot be real, which the evidence names."""
_SMALL_SHARE = 8  # new rows are few when there are this many times as many known ones
_FORM = ("delimiter", "header", "skip_lines", "names", "columns", "decimal", "price_scale", "contract")
_MEANING = ("tz", "edge", "minutes", "calendar", "positive_prices")
_NS = 1_000_000_000


def confirm(
    path: Path,
    profile: Profile,
    tail: Tail,
    bars: pa.Table,
    size: int,
    *,
    symbol: str,
    timeframe: str,
    given: Mapping[str, Any],
    plain: bool = False,
) -> bool:
    """Raise `NotAppended` unless a sniff of the whole file would find the reading that the known rows have.

    Parameters
    ----------
    bars, size
        The known rows, and the bytes of the file that they were read from.
    given
        The answers of the user: `tz`, `edge`, `day_first`, `profile`, `contract`.
    plain
        What this returned for the known rows, when they were the new ones.

    Returns
    -------
    Whether the new rows alone showed it. Then it need not be asked of the known ones next time either.
    """
    if _plain(profile, tail, bars, size, instrument(symbol), given, plain):
        return True
    try:
        found = sniff(path, timeframe=timeframe, symbol=symbol, **given).profile
    except NQError as exc:
        raise NotAppended("with its new rows it cannot be read as it was") from exc
    changed = [name for name in (*_FORM, *_MEANING) if getattr(found, name) != getattr(profile, name)]
    if _orders(profile).items() - _orders(found).items():
        changed.append("layouts")
    if changed:
        told = ", ".join(f"{name} {_shown(profile, name)} -> {_shown(found, name)}" for name in changed)
        raise NotAppended(f"with its new rows the whole file is read in another way: {told}")
    return False


def retold(path: Path, profile: Profile, tail: Tail, bars: pa.Table, known: Sequence[str]) -> list[str]:
    """Return the evidence of the known rows and the new ones together; `known` is that of the former."""
    fresh, before = (values_of(table, "flags", pa.uint32(), np.dtype(np.uint32)) for table in (tail.table, bars))
    broken = bool((fresh & IMPOSSIBLE).any())
    again = ("refreshed: ", "end: ", CHECK, *(["rows: "] if broken else []))
    kept = [line for line in known if not line.startswith(again)]
    if broken:
        kept += findings(path, profile, np.concatenate([before, fresh]))
    if len(fresh):
        kept.append(f"refreshed: the last {len(fresh):,} rows were read as the others, which they confirm")
    checks = [line for line in known if line.startswith(CHECK)]
    return [*kept, *open_end(path), *of_sessions_after(bars, tail.table, profile.calendar, checks)]


def _plain(
    profile: Profile, tail: Tail, bars: pa.Table, size: int, known: Instrument, given: Mapping[str, Any], before: bool
) -> bool:
    """Tell whether the new rows alone show that nothing changes."""
    rows = tail.table.num_rows
    if size < HEAD_BYTES or rows * _SMALL_SHARE > bars.num_rows:
        return False  # the form of the table, or what is usual in it, may be another one
    spacing = np.diff(tail.clock)
    uneven = np.count_nonzero(spacing % (profile.minutes * 60))
    if uneven * 2 > rows or (uneven and given.get("edge") is None):
        return False  # a bar that its session cuts short tells the edge
    if given.get("day_first") is None and _day_and_month(profile) and spacing.max(initial=0) > CONTINUOUS_GAP:
        return False
    return _placed_alike(profile, tail, bars, known, given, before)


def _placed_alike(
    profile: Profile, tail: Tail, bars: pa.Table, known: Instrument, given: Mapping[str, Any], before: bool
) -> bool:
    """Tell whether zone and edge, if they were found out, are what the new rows would give too."""
    if is_day(profile.minutes, profile.calendar):
        return False  # whether stamps are trade dates, only all of them tell
    offset = any(Layout.parse(layout).offset for layout in profile.layouts)
    zone, edge = "UTC" if offset else given.get("tz"), given.get("edge")
    question = Question(str(known), profile.minutes, known, zone, edge, carries_offset=offset)
    if (zone and edge) or not question.testable:
        return True
    if is_closed(witness(tail.utc[1:], profile.edge)).any():
        return False
    if zone:
        return before or not is_closed(_witnesses(bars, profile)).any()
    first, last = int(tail.utc[0]), int(tail.utc[-1])
    others = [] if edge else _read_alike(profile, _second(bars, 0), first)
    return all(_same_clock(profile.tz, name, first, last, apart) for name, apart in _names(profile) + others)


def _names(profile: Profile) -> list[tuple[str, int]]:
    """Return the zones that give the file's reading with its edge."""
    return [(name, 0) for name in profile.zone_names]


def _read_alike(profile: Profile, begun: int, last: int) -> list[tuple[str, int]]:
    """Return the zones that may give the same reading with the other edge, and by how many seconds they differ."""
    apart = profile.minutes * 60 if profile.edge == "end" else -profile.minutes * 60
    names = _ahead(profile.tz, apart, begun)
    return [(name, apart) for name in names if _offset(name, last) == _offset(profile.tz, last) + apart]


@lru_cache(maxsize=64)
def _ahead(tz: str, apart: int, at: int) -> tuple[str, ...]:
    """Return the zones whose clocks are this many seconds ahead of another at an instant."""
    wanted = _offset(tz, at) + apart
    return tuple(name for name in zone_names() if _offset(name, at) == wanted)


def _offset(name: str, at: int) -> float:
    found = datetime.fromtimestamp(at, find_zone(name)).utcoffset()
    return found.total_seconds() if found is not None else 0.0


def _same_clock(one: str, other: str, first: int, last: int, apart: int) -> bool:
    """Tell whether the second clock goes with the first from one instant to another, `apart` seconds ahead of it."""
    if one == other:
        return True
    a, b = steps(one, first, last), steps(other, first, last)
    return bool(np.array_equal(a.at, b.at) and np.array_equal(a.offsets + apart, b.offsets))


def _witnesses(bars: pa.Table, profile: Profile) -> Ints:
    """Return an instant of each known bar that must be open."""
    chunk = bars["timestamp"].chunk(0)
    starts = np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset : chunk.offset + len(chunk)] // _NS
    return starts if profile.edge == "start" else starts + profile.minutes * 60 - 1


def _second(bars: pa.Table, row: int) -> int:
    return int(bars["timestamp"].chunk(0)[row].value) // _NS


def _day_and_month(profile: Profile) -> bool:
    return any(order != "ymd" for order in _orders(profile).values())


def _orders(profile: Profile) -> dict[Layout, str]:
    """Return the order of day and month in each layout."""
    return {layout.unordered: layout.order for layout in map(Layout.parse, profile.layouts)}


def _shown(profile: Profile, name: str) -> str:
    value = getattr(profile, name)
    return ", ".join(value) if name == "layouts" else repr(value)
