"""Which zones and edges leave no bar in closed hours, grouped by the reading in UTC that they give.

A file's stamps are counted once into a table of (week, quarter hour of the week). In a week in which a
zone's offset does not change, its bars in closed hours are one cell of that table's product with the
exchange's closed hours shifted by every possible offset, so six hundred zones cost little more than
one, whatever the number of rows. Only a week in which a candidate's clock changes is looked at row by
row.

Names are not answers: a short file leaves dozens of zone names that all give the same instants, and an
hourly bar stamped at its end in one zone is the bar stamped at its start in the next, unless a session cuts it
short. What counts is the start of every bar in UTC. One reading is an answer, whatever its names; two are a question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import gcd
from typing import cast

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars import closed
from jupyter_nq.bars.closed import SLOT_SECONDS, SLOTS, WEEK_SECONDS, WEEK_START
from jupyter_nq.bars.reading.stamps import BadStamp, Ints
from jupyter_nq.bars.sniffing.cuts import is_explained, on_one_grid
from jupyter_nq.bars.sniffing.local import Local
from jupyter_nq.bars.zones import FAMILIAR, Steps, find_zone, offset_label, same_zone, steps

_FIRST_OFFSET, _LAST_OFFSET = -12 * 3600, 14 * 3600
_OFFSETS = np.arange(_FIRST_OFFSET, _LAST_OFFSET + 1, SLOT_SECONDS)
_EPOCH = datetime(1970, 1, 1)
_WEEKS_AT_ONCE = 64  # 1 MiB of running sums
_ROWS_AT_ONCE = 1 << 15  # 256 KiB of readings


@dataclass(frozen=True)
class Candidate:
    """One reading of a file in UTC, and everything that would give it."""

    tz: str
    """The name that stands for all."""
    edge: str
    names: tuple[str, ...]
    """Every zone name that gives this reading with this edge."""
    offsets: tuple[int, ...]
    """The distinct offsets in the span, seconds east of UTC, in order of appearance."""
    first_start: int
    """Start of the first bar, seconds UTC."""
    reading: tuple[_Shifts, bool]
    """Equal exactly when the starts of all bars are: the seconds from stamps to starts, and whether some are cut."""
    other: str = ""
    """The other edge, and a zone, that give the very same reading; empty when none does."""

    @property
    def decided(self) -> bool:
        """Whether only one zone remains, links to it aside."""
        return same_zone(self.names)

    @property
    def cut(self) -> bool:
        """Whether stamps are ends, and a session cuts some bars short."""
        return self.reading[1]

    @property
    def label(self) -> str:
        """The offset over the span, `UTC+2/UTC+3`."""
        return "/".join(offset_label(offset) for offset in self.offsets)


class Weeks:
    """The stamps of a file, counted by week and quarter hour, for one edge."""

    def __init__(self, local: Local, edge: str) -> None:
        self.local = local
        self.edge = edge
        self._back = int(-closed.witness(np.zeros(1, np.int64), edge)[0])
        first, last = ((reading - self._back - WEEK_START) // WEEK_SECONDS for reading in (local.low, local.high))
        count = last - first + 1
        self._starts = (np.arange(count + 1) + first) * WEEK_SECONDS + WEEK_START
        hits = local.per_slot(int(self._starts[0]) + self._back, SLOT_SECONDS, count * SLOTS).reshape(count, SLOTS)
        self._clock = [_EPOCH + timedelta(seconds=int(start)) for start in self._starts]
        self._used = np.flatnonzero(hits.any(axis=1))
        self._closed = _closed_by_offset(hits[self._used], self._starts[self._used])

    @classmethod
    def of(cls, local: Local, edge: str) -> Weeks:
        """Return the weeks of readings, counted once for each edge."""
        if edge not in local.memo:
            local.memo[edge] = cls(local, edge)
        return cast(Weeks, local.memo[edge])

    def fits(self, name: str) -> bool:
        """Return whether the zone leaves no bar in closed hours and no stamp in a skipped hour."""
        return self.count(name, stop_at_first=True) == 0

    def count(self, name: str, *, stop_at_first: bool = False) -> int:
        """Return the number of bars in closed or skipped hours under a zone."""
        zone = find_zone(name)
        total = 0
        changing = []
        for row, week in enumerate(self._used):
            before, after = zone.utcoffset(self._clock[week]), zone.utcoffset(self._clock[week + 1])
            if before != after:
                changing.append(int(week))
                continue
            seconds = int(before.total_seconds()) if before is not None else 0
            outside = seconds % SLOT_SECONDS or not _FIRST_OFFSET <= seconds <= _LAST_OFFSET
            total += 1 if outside else int(self._closed[row, (seconds - _FIRST_OFFSET) // SLOT_SECONDS])
            if total and stop_at_first:
                return total
        return total + sum(self._count_rows(name, local) for local in self._readings(changing))

    def _readings(self, weeks: Sequence[int]) -> Iterator[Ints]:
        """Yield the readings of some weeks, several together as long as they are few."""
        some: list[Ints] = []
        for week in weeks:
            start, end = (int(at) + self._back for at in self._starts[week : week + 2])
            some.append(self.local.between(start, end))
            if week == weeks[-1] or sum(map(len, some)) >= _ROWS_AT_ONCE:
                yield np.concatenate(some)
                some.clear()

    def _count_rows(self, name: str, local: Ints) -> int:
        zone = steps(name, int(local.min()), int(local.max()))
        skipped, _ = zone.doubtful(local)
        utc = local - zone.offsets[np.searchsorted(zone.local_breaks(), local, side="right")]
        bad: npt.NDArray[np.bool_] = skipped | closed.is_closed(closed.witness(utc, self.edge))
        return int(bad.sum())


def _closed_by_offset(hits: npt.NDArray[np.int32], starts: Ints) -> npt.NDArray[np.int64]:
    """Return the bars in closed hours, shape (weeks, offsets).

    New York changes its clock on Sunday mornings only, inside the weekend that cuts the weeks, so one
    offset of New York holds for all bars of a week.
    """
    middle = starts + WEEK_SECONDS // 2
    new_york = steps(closed.EXCHANGE_ZONE, int(middle[0]), int(middle[-1])).at_utc(middle)
    since = middle >= closed.EARLY_CLOSE_SINCE
    result = np.zeros((len(hits), len(_OFFSETS)), np.int64)
    for exchange_offset in np.unique(new_york):
        shift = (exchange_offset - _OFFSETS) // SLOT_SECONDS
        for mask, era in ((closed.CLOSED, since), (closed.CLOSED_LATE, ~since)):
            rows = np.flatnonzero((new_york == exchange_offset) & era)
            for at in range(0, len(rows), _WEEKS_AT_ONCE):
                some = rows[at : at + _WEEKS_AT_ONCE]
                result[some] = _hits_in(hits[some], mask, shift)
    return result


def _hits_in(hits: npt.NDArray[np.int32], mask: npt.NDArray[np.bool_], shift: Ints) -> npt.NDArray[np.int64]:
    """Return the sums of `hits` where the mask is set, for the mask moved back by each shift; the week is a circle."""
    running = np.cumsum(np.pad(np.tile(hits, 2), ((0, 0), (1, 0))), axis=1, dtype=np.int64)
    turns = np.flatnonzero(np.diff(mask, prepend=mask[-1]))  # closed from one turn to the next, open to the one after
    if not mask[turns[0]]:
        turns = np.roll(turns, 1)
    total = np.zeros((len(hits), len(shift)), np.int64)
    for start, end in turns.reshape(-1, 2):
        begin = (start - shift) % SLOTS
        total += running[:, begin + (end - start) % SLOTS] - running[:, begin]
    return total


def search(
    local: Local, minutes: int, edges: Iterable[str], names: Sequence[str], calendar: str | None = None
) -> list[Candidate]:
    """Return the readings under which no bar lies in closed hours, the familiar zones first.

    Parameters
    ----------
    local
        Clock readings.
    minutes
        Length of a bar.
    edges, names
        What to try. Of two edges that give one reading, the start stands for it, unless only the end has
        a familiar zone.
    calendar
        Whose sessions may cut bars short, so that the two edges are two readings; None for none.
    """
    groups: dict[_Shifts, _ByEdge] = {}
    for edge in edges:
        weeks = Weeks.of(local, edge)
        back = _back(edge, minutes)
        for name in filter(weeks.fits, names):
            shifts = _shifts(steps(name, local.low, local.high), local, back)
            groups.setdefault(shifts, {}).setdefault(edge, []).append(name)
    found = []
    for shifts, by_edge in groups.items():
        start, cut = local.at(0) - shifts[0][1], _first_if_cut(local, by_edge, shifts, minutes, calendar)
        apart = [by_edge] if cut is None else [{edge: of_edge} for edge, of_edge in by_edge.items()]
        starts = [start if cut is None or "start" in part else cut for part in apart]
        found += [
            _candidate(part, minutes, first, (shifts, cut is not None and "end" in part))
            for part, first in zip(apart, starts, strict=True)
        ]
    return found


def _back(edge: str, minutes: int) -> int:
    """Return the seconds from a stamp back to its bar's start."""
    return minutes * 60 if edge == "end" else 0


_Shifts = tuple[tuple[int, int], ...]
_ByEdge = dict[str, list[str]]


def _shifts(zone: Steps, local: Local, back: int) -> _Shifts:
    """Return the seconds from a stamp to its bar's start in UTC as (first row, seconds), as if no bar were cut."""
    starts = [0, *local.reached(zone.local_breaks().tolist())]
    ends = [*starts[1:], len(local)]
    runs: list[tuple[int, int]] = []
    for start, end, offset in zip(starts, ends, zone.offsets.tolist(), strict=True):
        if start < end and (not runs or runs[-1][1] != offset + back):
            runs.append((start, offset + back))
    return tuple(runs)


def _first_if_cut(local: Local, by_edge: _ByEdge, shifts: _Shifts, minutes: int, calendar: str | None) -> int | None:
    """Return where the first bar starts when stamps are ends and a session cuts some bars short, None if none is."""
    step = minutes * 60
    whole = 3600 % step == 0 and len({shift % step for _, shift in shifts}) == 1
    if "end" not in by_edge or (whole and on_one_grid(local, minutes)):
        return None
    utc = instants(local.whole(), by_edge["end"][0])
    if utc is None:
        return None
    starts = closed.bar_starts(utc, "end", minutes, calendar)
    return int(starts[0]) if (starts != utc - step).any() else None


def instants(local: Ints, name: str) -> Ints | None:
    """Return clock readings in seconds UTC, None when the zone skips one, or repeats one in doubtful order."""
    try:
        return steps(name, int(local.min()), int(local.max())).to_utc(local)
    except BadStamp:
        return None


def _candidate(by_edge: _ByEdge, minutes: int, first_start: int, reading: tuple[_Shifts, bool]) -> Candidate:
    edge = min(by_edge, key=lambda edge: by_edge[edge][0] not in FAMILIAR)
    offsets = tuple(dict.fromkeys(shift - _back(edge, minutes) for _, shift in reading[0]))
    other = next((f"the {e} in {names[0]}" for e, names in by_edge.items() if e != edge), "")
    return Candidate(by_edge[edge][0], edge, tuple(by_edge[edge]), offsets, first_start, reading, other)


def explained(found: Sequence[Candidate], local: Local, minutes: int, calendar: str) -> list[Candidate]:
    """Return the candidates that explain every stamp off the grid of the bars, see `cuts`, or all when none does."""
    if len(found) < 2 or on_one_grid(local, minutes):
        return list(found)
    whole = local.whole()
    placed = [(candidate, instants(whole, candidate.tz)) for candidate in found]
    kept = [c for c, utc in placed if utc is not None and is_explained(utc, c.edge, minutes, calendar)]
    return kept or list(found)


def on_grid(found: Sequence[Candidate], local: Local, minutes: int) -> list[Candidate]:
    """Return the candidates whose bars begin on the exchange's half hours, or all when none does.

    Sessions open at full and half hours, so the usual bar begins at a multiple of its length from one, or
    of half an hour when it is longer. This tells apart zones that differ by a quarter of an hour, which
    thirty-minute bars are too coarse to show in closed hours.
    """
    grid = gcd(minutes, 30) * 60
    usual = local.usual_phase(grid)
    aligned = [c for c in found if all((usual - offset) % grid == 0 for offset in c.offsets)]
    return aligned or list(found)


def fewest_closed(local: Local, edges: Iterable[str], names: Sequence[str] = FAMILIAR) -> list[tuple[int, str, str]]:
    """Return (bars in closed hours, zone name, edge) for the given zones, fewest first."""
    counts = [(weeks.count(name), name, edge) for edge in edges for weeks in [Weeks.of(local, edge)] for name in names]
    return sorted(counts, key=lambda found: found[0])
