"""Rules that need the exchange's calendar: closed hours, missing sessions, wrong contracts, rolls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.rules import CLOSED_HOURS, GAP, ROLL_JUMP, WRONG_CONTRACT
from jupyter_nq.bars.sessions.completeness import Completeness
from jupyter_nq.bars.sessions.rolls import Roll, roll_evidence
from jupyter_nq.bars.sessions.thin import ThinSpan, thin_spans
from jupyter_nq.bars.specifications import QUARTERLY
from jupyter_nq.bars.validation.report import Finding
from jupyter_nq.bars.validation.row_rules import MOST_ROWS
from jupyter_nq.bars.validation.rows import Flags

_WRONG_ZONE = 0.01
_MOST_NAMED = 6


def session_findings(
    table: pa.Table, rows: Ints, found: Completeness, minutes: int, calendar: str, roll: str, flags: Flags
) -> Iterator[Finding]:
    """Apply the rules to bars in order, and set their bits.

    Parameters
    ----------
    table
        Sound bars: strictly increasing stamps, finite prices.
    rows
        Their rows in what is validated.
    found
        How complete the bars are.
    minutes, calendar
        Length of a bar, and the trading calendar.
    roll
        Rule of the instrument's roll dates; only the quarterly ones leave a jump that tells a roll.
    flags
        Of everything that is validated; the bits of these rules are set in place.
    """
    flags[rows[found.outside]] |= CLOSED_HOURS
    starts = starts_of(table)
    ends = found.gaps.last_ns if found.holidays_known else starts[:0]
    flags[rows[np.searchsorted(starts, ends)]] |= GAP
    if len(found.outside):
        share = len(found.outside) / table.num_rows
        wrong = " The zone or the edge of the stamps is wrong." if share > _WRONG_ZONE else ""
        yield Finding(
            "closed hours",
            "error" if wrong else "warning",
            len(found.outside),
            f"{len(found.outside):,} bars start in hours when {calendar} is closed.{wrong}",
            tuple(rows[found.outside[:MOST_ROWS]].tolist()),
        )
    spans = thin_spans(table, calendar)
    for span in spans:
        row = int(rows[span.first_row])
        flags[rows[span.first_row : span.last_row + 1]] |= WRONG_CONTRACT
        yield Finding("wrong contract", "error", span.last_row - span.first_row + 1, f"wrong contract: {span}", (row,))
    if found.holidays_known:
        yield from _gaps(found.missing_sessions.tolist(), found.incomplete, found.missing, spans)
    if roll == QUARTERLY and minutes < 1440:
        seen = [each for each in roll_evidence(table, calendar, roll) if each.seen]
        if seen:
            largest = sorted(seen, key=lambda each: -abs(each.sigmas))[:_MOST_NAMED]
            named = ", ".join(map(_jump, sorted(largest, key=lambda each: each.row)))
            places = tuple(int(rows[each.row]) for each in seen[:MOST_ROWS])
            flags[rows[[each.row for each in seen]]] |= ROLL_JUMP
            what = f"{len(seen)} unadjusted rolls, the largest jumps: {named}"
            yield Finding("roll jump", "warning", len(seen), what, places)


def _gaps(missing: list[object], incomplete: dict[str, int], bars: int, spans: list[ThinSpan]) -> Iterator[Finding]:
    """Name what is missing outside the spans in which hardly anybody trades, and count what is missing inside."""

    def thin(day: object) -> bool:
        return any(span.first_date <= np.datetime64(str(day)) <= span.last_date for span in spans)

    dates = [str(day) for day in missing if not thin(day)]
    if dates:
        what = f"{_sessions(dates)} without a bar: {_listed(dates)}"
        yield Finding("missing session", "warning", len(dates), what)
    short = [f"{day} ({count} bars)" for day, count in incomplete.items() if not thin(day)]
    if short:
        yield Finding("gap", "warning", len(short), f"{_sessions(short)} with missing bars: {_listed(short)}")
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
