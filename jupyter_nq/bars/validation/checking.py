"""Applying all rules to one series, and doing with its bars what was asked for.

The order matters once: bars that are to be sorted are sorted first, so that copies that lay apart lie side by side
and are found. Everything else is found in the bars as they came, and taken out at the end, all at once; a rule
about neighbours does not see a bar differently because its neighbour is to be dropped. What is left is looked at
once more for one thing: whether it is in order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.instruments import instrument
from jupyter_nq.bars.reading.lenient import Bad
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.rules import BACKWARDS, MISSING_STAMP, NOT_FINITE, RULES, SEVERITIES, VOLUME, Action
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sessions.calendar import CALENDARS
from jupyter_nq.bars.sessions.completeness import completeness
from jupyter_nq.bars.sessions.thin import thin_spans
from jupyter_nq.bars.validation.actions import actions_of, check_quarantine
from jupyter_nq.bars.validation.outcome import Outcome, Texts
from jupyter_nq.bars.validation.own_rules import CustomRule, OwnRule, own_rules
from jupyter_nq.bars.validation.report import Finding, Report
from jupyter_nq.bars.validation.row_rules import finding, first_of, row_findings, row_flags
from jupyter_nq.bars.validation.rows import Flags
from jupyter_nq.bars.validation.series import NO_STAMP, Series, series_of
from jupyter_nq.bars.validation.session_rules import price_findings, stamp_findings


@dataclass(frozen=True)
class Wanted:
    """What a caller asks of a validation, beside what the bars are."""

    rules: Mapping[str, OwnRule]
    actions: Mapping[str, Action]
    quarantine: str | os.PathLike[str] | None = None
    adjusted: bool = False


def wanted_of(
    rules: Mapping[str, CustomRule] | None = None,
    actions: Mapping[str, str] | None = None,
    quarantine: str | os.PathLike[str] | None = None,
    adjusted: bool = False,
    source: Path | None = None,
) -> Wanted:
    """Return what is asked for, when it can be done; nothing is read or changed yet.

    Raises
    ------
    InvalidArgument
        A rule or action that cannot be, or a quarantine file that is something else.
    """
    own = own_rules(rules)
    todo = actions_of(actions, own, quarantine)
    if quarantine is not None:
        check_quarantine(quarantine, source)
    return Wanted(own, todo, quarantine, adjusted)


@dataclass(frozen=True)
class Subject:
    """Bars to be validated, and where they come from."""

    name: str
    table: pa.Table
    minutes: int | None
    symbol: str | None
    rows: Ints | None = None
    """The row of the source of each bar; None when they are the same."""
    bad: tuple[Bad, ...] = ()
    """Rows of the source that are no bars."""
    path: Path | None = None
    """The source, when it has lines."""
    texts: Texts | None = None
    """Gives line and text of rows of the source, in its order, when it has lines."""
    lines: Callable[[Ints], Ints] | None = None
    """Gives the lines alone, of increasing rows."""
    bad_starts: Ints | None = None
    """Starts, ns UTC, of rows that are no bars and have a stamp: none is missing there."""
    notices: tuple[str, ...] = ()
    """What is to be known of how it was read."""


def checked(subject: Subject, wanted: Wanted) -> Report:
    """Return the report on bars, and do what is wanted with them."""
    todo = wanted.actions
    known = instrument(subject.symbol) if subject.symbol is not None else None
    table = subject.table
    series = series_of(table, subject.minutes, known.calendar if known else None, known)
    places = np.arange(len(series)) if subject.rows is None else subject.rows
    findings: list[Finding] = []
    if todo.get("backwards") == "repair":
        order = np.argsort(series.starts, kind="stable")
        back = finding("backwards", "error", row_flags(series) & BACKWARDS != 0, RULES["backwards"].what)
        findings += [_located(each, places, "repair") for each in (back,) if each is not None]
        table, places = table.take(pa.array(order)), places[order]
        series = series_of(table, series.minutes, series.calendar, known)
    flags = row_flags(series, adjusted=wanted.adjusted)
    statistics = _statistics(series)
    of_sessions = list(_sessions(series, flags, subject.bad_starts, statistics))
    own = {name: rule.mask(table, series) for name, rule in wanted.rules.items()}
    outcome = Outcome(table, places, flags, own, todo)
    of_own = (finding(rule.name, rule.severity, own[name], rule.what) for name, rule in wanted.rules.items())
    for each in chain(row_findings(series, flags), of_sessions, of_own):
        if each is not None:
            findings.append(_located(each, places, outcome.action_on(each)))
    findings += _unreadable(subject.bad, todo)
    findings += outcome.left_wrong(findings)
    findings.sort(key=lambda each: SEVERITIES.index(each.severity))
    if subject.bad:
        statistics["unreadable"] = len(subject.bad)
    moved = 0
    if wanted.quarantine is not None:
        moved = outcome.write_quarantine(wanted.quarantine, subject.bad, subject.texts, subject.path)
    named = _with_lines(findings, subject)
    skipped = _not_checked(series, known is None, wanted.adjusted)
    result = outcome.result if todo else None
    return Report(subject.name, len(series), named, statistics, skipped, result, moved, subject.notices)


# -- findings ---------------------------------------------------------------------------------------
def _located(found: Finding, places: Ints, action: Action) -> Finding:
    """Return a finding with the rows of the source, all of them only when something was done with them."""
    rows = tuple(int(places[row]) for row in found.rows)
    done = replace(found, rows=rows, action=action)
    return replace(done, all_rows=np.sort(places[found.all_rows if done.handled else []]))


def _unreadable(bad: tuple[Bad, ...], todo: Mapping[str, Action]) -> Iterator[Finding]:
    by_rule: dict[str, list[Bad]] = {}
    for each in bad:
        by_rule.setdefault(each.rule, []).append(each)
    for rule, found in by_rule.items():
        what = f"{len(found):,} row{'s' if len(found) > 1 else ''} that cannot be read ({rule}): {found[0].reason}"
        rows = np.array([each.row for each in found], np.int64)
        yield Finding(rule, "error", len(found), what, first_of(rows), (), todo.get(rule, "keep"), rows)


def _sessions(series: Series, flags: Flags, bad_starts: Ints | None, statistics: dict[str, Any]) -> Iterator[Finding]:
    """Yield what the calendar shows, and set the bits; nothing when length or calendar are not known."""
    if series.minutes is None or series.calendar not in CALENDARS:
        return
    stamped = _in_order(series.starts, flags & MISSING_STAMP == 0)
    starts, rows = _with_bad(series.starts[stamped], stamped, bad_starts)
    if not len(rows):
        return
    sound_rows = _in_order(series.starts, flags & (MISSING_STAMP | NOT_FINITE | VOLUME) == 0)
    sound = _bars(series, flags, sound_rows)
    complete = completeness(starts, series.minutes, series.calendar)
    statistics["sessions"] = complete.summary()
    spans = thin_spans(sound, series.calendar)
    yield from stamp_findings(starts, rows, complete, spans, series.minutes, flags)
    roll = series.instrument.roll if series.instrument else ""
    yield from price_findings(sound, sound_rows, spans, series.minutes, series.calendar, roll, flags)


def _in_order(starts: Ints, wanted: npt.NDArray[np.bool_]) -> Ints:
    """Return rows by their stamp, each stamp once."""
    rows = np.flatnonzero(wanted)
    _, first = np.unique(starts[rows], return_index=True)
    return rows[first]


def _with_bad(starts: Ints, rows: Ints, bad_starts: Ints | None) -> tuple[Ints, Ints]:
    """Return starts and rows with those of rows that are no bars among them, whose row is -1."""
    if bad_starts is None:
        return starts, rows
    both, first = np.unique(np.concatenate([starts, bad_starts]), return_index=True)
    return both, np.concatenate([rows, np.full(len(bad_starts), -1)])[first]


def _bars(series: Series, flags: Flags, rows: Ints) -> pa.Table:
    """Return bars that can be real as a table."""
    columns: list[npt.NDArray[Any]] = [values[rows] for values in (series.starts, *series.prices)]
    columns += [series.volume[rows].astype(np.int64), flags[rows]]
    arrays = [pa.array(values).cast(each.type) for values, each in zip(columns, BAR_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=BAR_SCHEMA)


def _not_checked(series: Series, unknown: bool, adjusted: bool) -> tuple[str, ...]:
    skipped = []
    if unknown:
        skipped.append("prices off the tick, and prices of zero or below, because the instrument is not known")
    elif adjusted:
        skipped.append("prices off the tick, because the prices are adjusted")
    if series.minutes is None or series.calendar not in CALENDARS:
        what = "length of the bars" if series.minutes is None else "trading calendar"
        skipped.append(f"sessions, gaps, contracts and rolls, because the {what} is not known")
    return tuple(skipped)


def _statistics(series: Series) -> dict[str, Any]:
    """Return what the report tells about the bars as a whole; a value that does not exist is None."""
    stamps = series.starts[series.starts != NO_STAMP]
    closes = series.close[np.isfinite(series.close)]
    volume = series.volume[np.isfinite(series.volume)]
    with np.errstate(over="ignore"):
        total = float(volume.sum())

    def at(ns: Any) -> str:
        return str(np.datetime64(int(ns), "ns").astype("datetime64[s]")) + "Z"

    return {
        "rows": len(series),
        "first": at(stamps.min()) if len(stamps) else None,
        "last": at(stamps.max()) if len(stamps) else None,
        "lowest_close": float(closes.min()) if len(closes) else None,
        "highest_close": float(closes.max()) if len(closes) else None,
        "total_volume": total if len(volume) and np.isfinite(total) else None,
    }


def _with_lines(findings: list[Finding], subject: Subject) -> tuple[Finding, ...]:
    """Return findings with the lines of their rows, when the source has lines."""
    if subject.lines is None:
        return tuple(findings)
    first = [np.array(each.rows, np.int64) for each in findings]
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *first, *(each.all_rows for each in findings)]))
    lines = subject.lines(rows) if len(rows) else rows

    def of(some: Any) -> Ints:
        found: Ints = lines[np.searchsorted(rows, np.asarray(some, np.int64))]
        return found

    return tuple(replace(f, lines=tuple(of(f.rows).tolist()), all_lines=of(f.all_rows)) for f in findings)
