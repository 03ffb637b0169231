"""Placing stamps on UTC block by block, with the same result as placing the whole column at once.

Only one thing needs more than the row itself: the hour that a clock repeats, whose rows are told apart by
their order. Rows of such an hour are held back until it is over or the clock has been seen to jump back;
they strictly increase, so that with stamps of whole seconds there are no more of them than the hour has seconds. After
the jump the two rows around it are kept and put before the next block, so that its rows are found to lie behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.closed import bar_starts
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.dates import local_seconds
from jupyter_nq.bars.reading.stamps import BadStamp, Fields, Ints, Layout, StampScanner
from jupyter_nq.bars.zones import Steps, goes_back, steps

Columns = list[npt.NDArray[Any]]

_YEAR = 366 * 86_400
_NS = 1_000_000_000
_NONE: Ints = np.empty(0, np.int64)


class UnknownLayout(BadStamp):
    """A stamp in a layout that the profile does not have."""


def scanned(stamps: pa.Array) -> Fields:
    """Return the fields of one block of stamps; raises `BadStamp` with its row in the block."""
    scanner = StampScanner()
    scanner.add(stamps)
    return scanner.fields()


def clock_seconds(profile: Profile, fields: Fields) -> Ints:
    """Return the clock reading of each stamp in seconds; raises `BadStamp`."""
    known = {layout.unordered: layout.order for layout in map(Layout.parse, profile.layouts)}
    orders = []
    for index, layout in enumerate(fields.layouts):
        order = known.get(layout.unordered)
        if order is None:
            listed = ", ".join(profile.layouts)
            row = int(np.argmax(fields.layout == index))
            raise UnknownLayout(row, f"the stamp is in none of the profile's layouts {listed}")
        orders.append(order)
    return local_seconds(fields, orders)


class Placer:
    """Turns fields of stamps into starts of bars, block by block. Used by one thread.

    Parameters
    ----------
    phase
        Where the grid of end-stamped bars lies, as `closed.phases` counts it; None when bars are not cut short.
    inside
        Whether the first block does not begin with the file's first row. Rows at its beginning that lie in a
        repeated hour are left out then, because what would tell them apart came before.
    first
        Clock reading of the file's first row, seconds; None takes it from the first block.
    """

    def __init__(
        self, profile: Profile, phase: int | None = None, *, inside: bool = False, first: int | None = None
    ) -> None:
        self._profile = profile
        self._phase = phase
        self._skipping = inside
        self._first = first
        self._zone: Steps | None = None
        self._until = 0
        self._offsets: bool | None = None
        self._context = self._local = _NONE
        self._context_nanos = _NONE
        self._held: Columns = []
        self.rows = 0
        """Rows taken."""
        self.placed = 0
        """Rows given out or left out; those between are held back."""

    @property
    def waiting(self) -> Ints:
        """Clock readings of the rows that are held back, seconds."""
        return self._local

    def add(self, fields: Fields, columns: Columns) -> tuple[Ints, Columns]:
        """Take a block, and return the starts of all bars that are certain (ns UTC), and their columns.

        Raises `BadStamp`, whose row counts from the first block's.
        """
        if not len(fields.layout):
            return _NONE, columns
        try:
            self._check_offsets(fields)
            local = clock_seconds(self._profile, fields)
        except UnknownLayout as bad:
            raise UnknownLayout(self.rows + bad.row, bad.reason) from bad
        except BadStamp as bad:
            raise BadStamp(self.rows + bad.row, bad.reason) from bad
        nanos = fields.nanos.astype(np.int64) if len(fields.nanos) else np.zeros(len(local), np.int64)
        self.rows += len(local)
        if len(fields.offset):
            return self._given(local - fields.offset, [nanos, *columns])
        return self._placed(local, [nanos, *columns], last=False)

    def finish(self) -> tuple[Ints, Columns]:
        """Return what was held back; raises `BadStamp` when its order does not tell which hour is meant."""
        if not self._held:
            return _NONE, []
        return self._placed(_NONE, [column[:0] for column in self._held], last=True)

    def _check_offsets(self, fields: Fields) -> None:
        carrying = bool(len(fields.offset))
        if self._offsets is None:
            self._offsets = carrying
        elif self._offsets != carrying:
            raise BadStamp(0, "some stamps carry an offset from UTC, others do not")

    def _placed(self, local: Ints, columns: Columns, *, last: bool) -> tuple[Ints, Columns]:
        if self._held:
            local = np.concatenate([self._local, local])
            columns = [np.concatenate(both) for both in zip(self._held, columns, strict=True)]
        zone = self._zone_of(local)
        if self._skipping:
            local, columns = self._behind(zone, local, columns)
        before = len(self._context)
        whole, nanos = np.concatenate([self._context, local]), np.concatenate([self._context_nanos, columns[0]])
        context, held = (slice(0), 0) if last else _undecided(zone, whole, nanos)
        sure = len(local) - held
        try:
            utc = zone.to_utc(whole[: before + sure], nanos[: before + sure])[before:]
        except BadStamp as bad:
            raise BadStamp(self.placed + bad.row - before, bad.reason) from bad
        self._context, self._context_nanos = whole[context].copy(), nanos[context].copy()
        self._local, self._held = local[sure:].copy(), [column[sure:].copy() for column in columns] if held else []
        return self._given(utc, [column[:sure] for column in columns])

    def _given(self, utc: Ints, columns: Columns) -> tuple[Ints, Columns]:
        profile, (nanos, *rest) = self._profile, columns
        starts = bar_starts(utc, profile.edge, profile.minutes, profile.calendar, self._phase) * _NS + nanos
        self.placed += len(starts)
        return starts, rest

    def _behind(self, zone: Steps, local: Ints, columns: Columns) -> tuple[Ints, Columns]:
        """Leave out the rows up to the first that is not in a repeated hour."""
        _, twice = zone.doubtful(local)
        count = len(local) if twice.all() else int(np.argmin(twice))
        self._skipping = count == len(local)
        self.placed += count
        return local[count:], [column[count:] for column in columns]

    def _zone_of(self, local: Ints) -> Steps:
        """Return the steps of the zone: its changes are looked for from the file's first row, a year ahead."""
        if len(local) and (self._zone is None or local.max() > self._until or local.min() < (self._first or 0)):
            self._first = min(int(local.min()) if self._first is None else self._first, int(local.min()))
            self._until = max(self._until, int(local.max()) + _YEAR)
            self._zone = steps(self._profile.tz, self._first, self._until)
        return self._zone or steps(self._profile.tz, 0, 0)


def _undecided(zone: Steps, local: Ints, nanos: Ints) -> tuple[slice, int]:
    """Return the two rows around a jump back in the hour that the last rows lie in, or how many rows to hold back."""
    _, twice = zone.doubtful(local)
    if not len(local) or not twice[-1]:
        return slice(0), 0
    run = len(local) - _trailing(twice)
    back = run + np.flatnonzero(goes_back(local[run:], nanos[run:]))
    return (slice(back[0], back[0] + 2), 0) if len(back) else (slice(0), len(local) - run)


def _trailing(mask: Sequence[bool] | npt.NDArray[np.bool_]) -> int:
    backward = np.asarray(mask)[::-1]
    return len(backward) if backward.all() else int(np.argmin(backward))
