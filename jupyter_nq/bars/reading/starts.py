"""The stamps of a whole file, as `fast.scan` gives them, turned into clock readings and into the starts of bars.

Everything is done by kernels, in ranges of rows and several threads. What they do not settle, a date that does not
exist, an hour that a clock skips or repeats, a start that is not behind the one before, gives None: then the general
path does the same and says what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.closed import bar_starts, cut_short, phases
from jupyter_nq.bars.compiled import Kernels, processors
from jupyter_nq.bars.days import is_day
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading import clocks
from jupyter_nq.bars.reading import kernels as bits
from jupyter_nq.bars.reading.dates import MONTH_DAYS, MONTH_START
from jupyter_nq.bars.reading.fast import Scan
from jupyter_nq.bars.reading.kernels import CODES
from jupyter_nq.bars.reading.stamps import FIRST_YEAR, BadStamp, Fields, Ints, Layout
from jupyter_nq.bars.rules import NOT_POSITIVE
from jupyter_nq.bars.zones import Steps, steps

_RANGE_ROWS = 1 << 18  # 2 MiB of stamps
_EVER = 1 << 61  # seconds; beyond every clock reading, and their differences fit 64 bits
_NS = 1_000_000_000


def _practise(module: Any) -> None:
    column, none = np.zeros(2, np.int64), np.empty(0, np.int32)
    some, orders = np.zeros(2, np.int32), np.zeros(CODES, np.int8)
    module.local_of(column, orders, MONTH_START, MONTH_DAYS, FIRST_YEAR, column)
    module.certain(column, *_spans(None, 0)[:2])
    module.starts_of(column, none, some, *_spans(None, 0), column)
    small = [np.zeros(2, dtype) for dtype in ("u1", "u1", "u1", "i2", "i4")]
    module.numbers_of(column, np.zeros(CODES, np.uint8), *small)


CLOCKS = Kernels("jupyter_nq.bars.reading.clocks", _practise)
"""The compiled twin of `clocks`."""

Columns = list[npt.NDArray[Any]]


def columns_of(scan: Scan, profile: Profile, module: Any) -> Columns | None:
    """Return the columns of `BAR_SCHEMA` for the rows of a file, None when the general path must look at them.

    The numbers and flags are the scan's own arrays, and the starts lie in the memory of its stamps: it can be used
    only once.
    """
    orders = _orders(scan, profile)
    if orders is None:
        return None
    local = local_of(scan, orders, module, out=scan.stamps)
    starts = None if local is None else _starts(scan, profile, local, module)
    if starts is None:
        return None
    if scan.all_flags & NOT_POSITIVE and not profile.positive_prices:
        np.bitwise_and(scan.flags, ~np.uint32(NOT_POSITIVE), out=scan.flags)
    return [starts, *scan.columns, scan.flags]


def _orders(scan: Scan, profile: Profile) -> list[str] | None:
    """Return the profile's day order for each layout that the file has."""
    known = {layout.unordered: layout.order for layout in map(Layout.parse, profile.layouts)}
    orders = [known.get(layout.unordered) for layout in scan.layouts]
    return None if None in orders else [order for order in orders if order is not None]


def local_of(scan: Scan, orders: Sequence[str], module: Any, out: Ints | None = None) -> Ints | None:
    """Return the clock reading of each row, seconds, under a day order for each layout; None when a date is none."""
    by_code = np.zeros(CODES, np.int8)
    by_code[list(scan.codes)] = [clocks.SWAPPED if order == "mdy" else clocks.AS_WRITTEN for order in orders]
    local = np.empty_like(scan.stamps) if out is None else out

    def work(lo: int, hi: int) -> bool:
        given = (scan.stamps[lo:hi], by_code, MONTH_START, MONTH_DAYS, FIRST_YEAR, local[lo:hi])
        return bool(module.local_of(*given)[0] == hi - lo)

    return local if all(in_ranges(len(local), work)) else None


def _starts(scan: Scan, profile: Profile, local: Ints, module: Any) -> Ints | None:
    """Return the starts of the bars, ns, in the place of the clock readings."""
    if is_day(profile.minutes, profile.calendar):
        return None  # they begin with their sessions, and there are never many
    zone = None if len(scan.offset) else steps(profile.tz, int(local.min()), int(local.max()))
    short = cut_short(profile.edge, profile.minutes, profile.calendar)
    back = profile.minutes * 60 if profile.edge == "end" and not short else 0
    spans = _spans(zone, back)
    if zone is not None and not _certain(local, spans, module):
        if len(scan.nanos):
            return None  # they may decide which of two rows is the later one
        try:
            local[:] = zone.to_utc(local)
        except BadStamp:
            return None
        spans = _spans(None, back)

    def work(lo: int, hi: int) -> bool:
        nanos, offset = scan.nanos[lo:hi], scan.offset[lo:hi]
        return bool(module.starts_of(local[lo:hi], nanos, offset, *spans, local[lo:hi]) == hi - lo)

    if not all(in_ranges(len(local), work)):
        return None
    if short:
        _cut_short(profile, local)
        increasing = in_ranges(len(local), lambda lo, hi: (np.diff(local[lo : hi + 1]) > 0).all())
        return local if all(increasing) else None
    edges = np.arange(_RANGE_ROWS, len(local), _RANGE_ROWS)
    return local if (local[edges] > local[edges - 1]).all() else None


def _cut_short(profile: Profile, stamps: Ints) -> None:
    """Turn ends of bars, some of which the end of a session cut short, into their starts, ns, in place."""

    def count(lo: int, hi: int) -> Ints:
        return np.bincount(phases(stamps[lo:hi] // _NS, profile.minutes), minlength=profile.minutes * 60)

    phase = int(np.argmax(sum(in_ranges(len(stamps), count))))

    def cut(lo: int, hi: int) -> None:
        ends = stamps[lo:hi] // _NS
        starts = bar_starts(ends, profile.edge, profile.minutes, profile.calendar, phase)
        stamps[lo:hi] -= (ends - starts) * _NS

    for _ in in_ranges(len(stamps), cut):
        pass


def _certain(local: Ints, spans: tuple[Ints, Ints, Ints], module: Any) -> bool:
    """Tell whether the zone neither skips nor repeats any of the clock readings."""
    since, until, _ = spans
    if len(since) == 1:
        return True
    return all(in_ranges(len(local), lambda lo, hi: module.certain(local[lo:hi], since, until)))


def _spans(zone: Steps | None, back: int) -> tuple[Ints, Ints, Ints]:
    """Return the clock readings [since, until) of certain distances to the start of the bar, and these, seconds."""
    if zone is None:
        return np.array([-_EVER]), np.array([_EVER]), np.array([back])
    before, after = zone.offsets[:-1], zone.offsets[1:]
    since = np.concatenate([[-_EVER], zone.at + np.maximum(before, after)])
    until = np.concatenate([zone.at + np.minimum(before, after), [_EVER]])
    return since, until, zone.offsets + back


def fields_of(scan: Scan, module: Any = None) -> Fields:
    """Return the numbers of the stamps as the general path has them; numpy does it while the kernels compile."""
    ranks = np.zeros(CODES, np.uint8)
    ranks[list(scan.codes)] = range(len(scan.codes))
    module = module or CLOCKS.ready()
    columns = _numbers(scan.stamps, ranks) if module is None else _numbers_by(module, scan.stamps, ranks)
    layout, first, second, year, time = columns
    return Fields(scan.layouts, layout, first, second, year, time, scan.nanos, scan.offset)


def _numbers_by(module: Any, stamps: Ints, ranks: npt.NDArray[np.uint8]) -> Columns:
    columns: Columns = [np.empty(len(stamps), dtype) for dtype in ("u1", "u1", "u1", "i2", "i4")]

    def work(lo: int, hi: int) -> None:
        module.numbers_of(stamps[lo:hi], ranks, *(column[lo:hi] for column in columns))

    for _ in in_ranges(len(stamps), work):
        pass
    return columns


def _numbers(stamps: Ints, ranks: npt.NDArray[np.uint8]) -> Columns:
    return [
        ranks[stamps >> bits.CODE_AT],
        (stamps >> bits.FIRST_AT & ((1 << bits.FIRST_BITS) - 1)).astype(np.uint8),
        (stamps >> bits.SECOND_AT & ((1 << bits.SECOND_BITS) - 1)).astype(np.uint8),
        (stamps >> bits.YEAR_AT & ((1 << bits.YEAR_BITS) - 1)).astype(np.int16),
        (stamps & ((1 << bits.TIME_BITS) - 1)).astype(np.int32),
    ]


def in_ranges(rows: int, work: Callable[[int, int], Any]) -> Iterable[Any]:
    """Return what a function gives for ranges of rows, called in several threads where there is more than one."""
    los = range(0, rows, _RANGE_ROWS)
    his = [min(lo + _RANGE_ROWS, rows) for lo in los]
    if len(los) < 2:
        return map(work, los, his)
    with ThreadPoolExecutor(processors(), "jupyter-nq-clock") as pool:
        return list(pool.map(work, los, his))
