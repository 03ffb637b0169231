"""Rules that need the exchange's calendar: closed hours, missing sessions, wrong contracts, rolls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.rules import CLOSED_HOURS, GAP, ROLL_JUMP, WRONG_CONTRACT, Severity
from jupyter_nq.bars.sessions.completeness import Completeness
from jupyter_nq.bars.sessions.rolls import Roll, roll_evidence
from jupyter_nq.bars.sessions.thin import ThinSpan
from jupyter_nq.bars.specifications import QUARTERLY
from jupyter_nq.bars.validation.misplaced import misplaced
from jupyter_nq.bars.validation.report import Finding
from jupyter_nq.bars.validation.row_rules import first_of
from jupyter_nq.bars.validation.rows import Flags
from jupyter_nq.sizes import counted

_MOST_NAMED = 6


def stamp_findings(
    starts: Ints, rows: Ints, found: Completeness, spans: list[ThinSpan], minutes: int, flags: Flags
) -> Iterator[Finding]:
    """Apply the rules that need nothing but when bars start, and set their bits.

    Parameters
    ----------
    starts, rows
        Starts of bars, ns UTC, strictly increasing, and their rows in what is validated; -1 for a row that cannot be
        read, and still shows that no bar is missing there.
    found
        How complete they are.
    spans
        Where hardly anybody trades.
    minutes
        Length of a bar.
    flags
        Of everything that is validated; the bits of these rules are set in place.
    """
    outside = _read(rows[found.outside])
    flags[outside] |= CLOSED_HOURS
    if len(outside):
        wrong = misplaced(starts, found.outside, minutes, found.calendar)
        bars = f"{len(outside):,} bars start" if len(outside) > 1 else "1 bar starts"
        what = f"{bars} in hours when {found.calendar} is closed{wrong and '. ' + wrong}"
        severity: Severity = "error" if wrong else "warning"
        yield Finding("closed hours", severity, len(outside), what, first_of(outside), all_rows=outside)
    if found.holidays_known:
        after = _read(rows[np.searchsorted(starts, found.gaps.last_ns)])
        flags[after] |= GAP
        yield from _gaps(found.missing_sessions.tolist(), found.incomplete, found.missing, spans, after)


def _read(rows: Ints) -> Ints:
    return rows[rows >= 0]


def price_findings(
    table: pa.Table, rows: Ints, spans: list[ThinSpan], minutes: int, calendar: str, roll: str, flags: Flags
) -> Iterator[Finding]:
    """Do the same with the rules that need prices or volumes; `table` has the bars of `rows`, all of them sound.

    `roll` is the rule of the instrument's roll dates; only the quarterly ones leave a jump that tells a roll.
    """
    for span in spans:
        every = rows[span.first_row : span.last_row + 1]
        flags[every] |= WRONG_CONTRACT
        what = f"wrong contract: {span}"
        yield Finding("wrong contract", "error", len(every), what, first_of(every[:1]), all_rows=every)
    if roll == QUARTERLY and minutes < 1440:
        seen = [each for each in roll_evidence(table, calendar, roll) if each.seen]
        if seen:
            largest = sorted(seen, key=lambda each: -abs(each.sigmas))[:_MOST_NAMED]
            named = ", ".join(map(_jump, sorted(largest, key=lambda each: each.row)))
            every = rows[[each.row for each in seen]]
            flags[every] |= ROLL_JUMP
            what = f"{len(seen)} unadjusted rolls, the largest jumps: {named}"
            yield Finding("roll jump", "warning", len(seen), what, first_of(every), all_rows=every)


def _gaps(
    missing: list[object], incomplete: dict[str, int], bars: int, spans: list[ThinSpan], after: Ints
) -> Iterator[Finding]:
    """Name what is missing outside the spans in which hardly anybody trades, and count what is missing inside."""

    def thin(day: object) -> bool:
        return any(span.first_date <= np.datetime64(str(day)) <= span.last_date for span in spans)

    dates = [str(day) for day in missing if not thin(day)]
    if dates:
        what = f"{_sessions(dates)} without a bar: {_listed(dates)}"
        yield Finding("missing session", "warning", len(dates), what)
    short = [f"{day} ({count} bars)" for day, count in incomplete.items() if not thin(day)]
    if short:
        what = f"{_sessions(short)} with missing bars: {_listed(short)}"
        yield Finding("gap", "warning", len(short), what, all_rows=after)
    elif len(after):
        what = f"{counted(len(after), 'bar')} behind what is missing"
        yield Finding("gap", "note", len(after), what, first_of(after), all_rows=after)
    inside = bars - sum(count for day, count in incomplete.items() if not thin(day))
    if spans and inside:
        what = f"{inside:,} bars are missing in the wrong contract and in whole sessions"
        yield Finding("hole", "note", inside, what)


def _jump(roll: Roll) -> str:
    return f"{roll.trade_date} {roll.jump_points:+,.2f} ({roll.jump_percent:+.2f} %)"


def _sessions(items: list[str]) -> str:
    return f"{len(items):,} session{'s' if len(items) > 1 else ''}"


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - _MOST_NAMED} more" if len(items) > _MOST_NAMED else ""
    return ", ".join(items[:_MOST_NAMED]) + more
