"""What loading says of bars that cannot be real, or are another contract's: a sentence each, with lines or dates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.blocks import lines_of
from jupyter_nq.bars.rules import CHECK, NOT_POSITIVE, OHLC_ORDER
from jupyter_nq.bars.sessions.calendar import CALENDARS, sessions
from jupyter_nq.bars.sessions.thin import can_tell, thin_spans

_IMPOSSIBLE = {
    OHLC_ORDER: "a high or low that does not contain open and close",
    NOT_POSITIVE: "a price of zero or below",
}
_MOST_LINES = 3
_RECENT_NS = 120 * 86_400 * 1_000_000_000  # some eighty sessions; forty are needed


def findings(path: Path, profile: Profile, flags: npt.NDArray[Any]) -> tuple[str, ...]:
    """Return a sentence for every rule that bars break and no real bar can: how many, and in which lines."""
    return findings_in(flags, lambda rows: [number for number, _ in lines_of(path, profile, rows)], "line")


def findings_in(flags: npt.NDArray[Any], places: Callable[[list[int]], list[int]], what: str) -> tuple[str, ...]:
    """Do what `findings` does; `places` gives the numbers of rows in a source that counts in `what`: line or row."""
    found = []
    for flag, broken in _IMPOSSIBLE.items():
        rows = np.flatnonzero(flags & flag)
        if len(rows):
            numbers = [f"{number}" for number in places(rows[:_MOST_LINES].tolist())]
            bars = f"{len(rows):,} bars have" if len(rows) > 1 else "1 bar has"
            more = len(rows) > len(numbers)
            first = f"first in {what}s" if more else f"in {what}s" if len(rows) > 1 else f"in {what}"
            found.append(f"rows: {bars} {broken}, {first} {_listed(numbers)}; flag {flag}")
    return tuple(found)


def of_sessions(table: pa.Table, calendar: str | None) -> tuple[str, ...]:
    """Return a sentence for what the calendar shows at once: bars in closed hours, and spans of a wrong contract.

    `validate` says more. Nothing is said where the sessions of the instrument are not known.
    """
    starts = starts_of(table)
    if calendar not in CALENDARS or not len(starts):
        return ()
    counts = sessions(calendar, int(starts[0]), int(starts[-1])).counts(starts)
    closed = int(counts[::2].sum())
    told = [f"{closed:,} of {len(starts):,} bars start in hours when {calendar} is closed"] if closed else []
    told += [f"wrong contract from {span}" for span in thin_spans(table, calendar)]
    return tuple(f"{CHECK}{sentence}" for sentence in told)


def of_sessions_after(old: pa.Table, new: pa.Table, calendar: str | None, known: Sequence[str]) -> tuple[str, ...]:
    """Return what `of_sessions` tells of bars and new ones behind them together; `known` is what it told of the old.

    When it told nothing, a collapse can only begin with the new bars or shortly before them, and what is usual there
    the sessions before them tell: so usually some months are looked at, not all years.
    """
    starts = starts_of(old)
    recent = int(np.searchsorted(starts, starts_of(new)[0] - _RECENT_NS)) if new.num_rows and len(starts) else 0
    enough = not known and recent and calendar in CALENDARS and can_tell(starts[recent:], calendar)
    if enough and not of_sessions(pa.concat_tables([old.slice(recent), new]), calendar):
        return ()
    return of_sessions(pa.concat_tables([old, new]), calendar)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
