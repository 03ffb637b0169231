"""Applying all rules to one series, and doing with its bars what was asked for.

The order matters once: bars that are to be sorted are sorted first, so that copies that lay apart lie side by side
and are found. Everything else is found in the bars as they came, and taken out at the end, all at once; a rule
about neighbours does not see a bar differently because its neighbour is to be dropped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.instruments import instrument
from jupyter_nq.bars.reading.lenient import Bad
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.rules import BACKWARDS, MISSING_STAMP, NOT_FINITE, RULES, VOLUME, Action
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.bars.sessions.calendar import CALENDARS
from jupyter_nq.bars.sessions.completeness import completeness
from jupyter_nq.bars.validation.actions import actions_of, names_of, shown, taken_out, write_quarantine
from jupyter_nq.bars.validation.expressions import broken_by
from jupyter_nq.bars.validation.report import SEVERITIES, Finding, Report
from jupyter_nq.bars.validation.row_rules import MOST_ROWS, Mask, finding, row_findings, row_flags
from jupyter_nq.bars.validation.rows import Flags
from jupyter_nq.bars.validation.series import NO_STAMP, Series, series_of
from jupyter_nq.bars.validation.session_rules import session_findings
from jupyter_nq.errors import InvalidArgument

CustomRule = str | Callable[[pa.Table], Any]
"""An expression over the columns, see `expressions`, or a function from the table to a mask; true is broken."""
Texts = Callable[[list[int]], list[tuple[int, str]]]


@dataclass(frozen=True)
class Wanted:
    """What a caller asks of a validation, beside what the bars are."""

    rules: Mapping[str, CustomRule]
    """Rules of one's own by name."""
    actions: Mapping[str, str]
    quarantine: str | os.PathLike[str] | None = None
    adjusted: bool = False


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


def checked(subject: Subject, wanted: Wanted) -> Report:
    """Return the report on bars, and do what is wanted with them."""
    todo = actions_of(wanted.actions, wanted.rules, wanted.quarantine)
    known = instrument(subject.symbol) if subject.symbol is not None else None
    table = subject.table
    series = series_of(table, subject.minutes, known.calendar if known else None, known)
    places = np.arange(len(series)) if subject.rows is None else subject.rows
    findings: list[Finding] = []
    if todo.get("backwards") == "repair":
        order = np.argsort(series.starts, kind="stable")
        back = row_flags(series) & BACKWARDS != 0
        findings += _located([finding("backwards", "error", back, RULES["backwards"].what)], places)
        table, places = table.take(pa.array(order)), places[order]
        series = series_of(table, series.minutes, series.calendar, known)
    flags = row_flags(series, adjusted=wanted.adjusted)
    statistics = _statistics(series)
    inner: list[Finding | None] = list(row_findings(series, flags))
    inner += _sessions(series, flags, statistics)
    own = {name: _mask(name, rule, table, series) for name, rule in wanted.rules.items()}
    inner += [finding(name, "warning", own[name], _said(name, rule)) for name, rule in wanted.rules.items()]
    findings += [*_located(inner, places), *_unreadable(subject.bad)]
    findings = [replace(each, action=todo.get(each.rule, each.action)) for each in findings]
    findings.sort(key=lambda each: SEVERITIES.index(each.severity))
    if subject.bad:
        statistics["unreadable"] = len(subject.bad)
    result = _result(table, flags, own, todo) if todo else None
    moved = _quarantined(subject, wanted, todo, table, places, flags, own)
    lines = _lines(subject, findings)
    named = [replace(each, lines=tuple(lines[row] for row in each.rows if row in lines)) for each in findings]
    skipped = _not_checked(series, known is None, wanted.adjusted)
    return Report(subject.name, len(series), tuple(named), statistics, skipped, result, moved)


# -- findings ---------------------------------------------------------------------------------------
def _located(findings: list[Finding | None], places: Ints) -> list[Finding]:
    """Return findings with the rows of the source."""
    return [replace(each, rows=tuple(int(places[row]) for row in each.rows)) for each in findings if each is not None]


def _unreadable(bad: tuple[Bad, ...]) -> Iterator[Finding]:
    by_rule: dict[str, list[Bad]] = {}
    for each in bad:
        by_rule.setdefault(each.rule, []).append(each)
    for rule, found in by_rule.items():
        what = f"{len(found):,} row{'s' if len(found) > 1 else ''} that cannot be read ({rule}): {found[0].reason}"
        first = found[:MOST_ROWS]
        rows, lines = tuple(each.row for each in first), tuple(each.line for each in first if each.line)
        yield Finding(rule, "error", len(found), what, rows, lines, "keep")


def _sessions(series: Series, flags: Flags, statistics: dict[str, Any]) -> Iterator[Finding]:
    """Yield what the calendar shows, and set the bits; nothing when length or calendar are not known."""
    if series.minutes is None or series.calendar not in CALENDARS:
        return
    sound, rows = _sound(series, flags)
    if len(rows):
        complete = completeness(starts_of(sound), series.minutes, series.calendar)
        statistics["sessions"] = complete.summary()
        roll = series.instrument.roll if series.instrument else ""
        yield from session_findings(sound, rows, complete, series.minutes, series.calendar, roll, flags)


def _sound(series: Series, flags: Flags) -> tuple[pa.Table, Ints]:
    """Return the bars that can be real, by stamp, each stamp once, and their rows."""
    rows = np.flatnonzero(flags & (MISSING_STAMP | NOT_FINITE | VOLUME) == 0)
    _, first = np.unique(series.starts[rows], return_index=True)
    rows = rows[first]
    columns: list[npt.NDArray[Any]] = [values[rows] for values in (series.starts, *series.prices)]
    columns += [series.volume[rows].astype(np.int64), flags[rows]]
    arrays = [pa.array(values).cast(each.type) for values, each in zip(columns, BAR_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=BAR_SCHEMA), rows


def _mask(name: str, rule: CustomRule, table: pa.Table, series: Series) -> Mask:
    if isinstance(rule, str):
        return broken_by(rule, {**dict(zip(PRICES, series.prices, strict=True)), "volume": series.volume})
    mask = np.asarray(rule(table))
    if mask.dtype != bool or mask.shape != (len(series),):
        raise InvalidArgument(
            f"the rule {name!r} returned {mask.dtype} of shape {mask.shape}; it must return one bool for each of "
            f"{len(series):,} bars, true where the bar breaks it."
        )
    return mask


def _said(name: str, rule: CustomRule) -> str:
    return f"for which {rule}" if isinstance(rule, str) else f"breaking the rule {name!r}"


def _not_checked(series: Series, unknown: bool, adjusted: bool) -> tuple[str, ...]:
    skipped = []
    if unknown:
        skipped.append("prices off the tick, because the instrument is not known")
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

    def at(ns: Any) -> str:
        return str(np.datetime64(int(ns), "ns").astype("datetime64[s]")) + "Z"

    return {
        "rows": len(series),
        "first": at(stamps.min()) if len(stamps) else None,
        "last": at(stamps.max()) if len(stamps) else None,
        "lowest_close": float(closes.min()) if len(closes) else None,
        "highest_close": float(closes.max()) if len(closes) else None,
        "total_volume": float(volume.sum()) if len(volume) else None,
    }


def _lines(subject: Subject, findings: list[Finding]) -> dict[int, int]:
    """Return the line of each row that is named, when the source has lines."""
    if subject.texts is None:
        return {}
    rows = sorted({row for each in findings for row in each.rows})
    return dict(zip(rows, (line for line, _ in subject.texts(rows)), strict=True)) if rows else {}


# -- what is done -----------------------------------------------------------------------------------
def _result(table: pa.Table, flags: Flags, own: Mapping[str, Mask], todo: Mapping[str, Action]) -> pa.Table:
    """Return the bars that stay, with their flags as the last column."""
    out = taken_out(flags, own, todo, "drop") | taken_out(flags, own, todo, "quarantine")
    column = pa.array(shown(flags, todo))
    at = table.schema.get_field_index("flags")
    flagged = table.append_column("flags", column) if at < 0 else table.set_column(at, "flags", column)
    return flagged.filter(pa.array(~out)) if out.any() else flagged


def _quarantined(
    subject: Subject,
    wanted: Wanted,
    todo: Mapping[str, Action],
    table: pa.Table,
    places: Ints,
    flags: Flags,
    own: Mapping[str, Mask],
) -> int:
    """Write the rows of the quarantine, and return how many there are."""
    if wanted.quarantine is None:
        return 0
    out = np.flatnonzero(taken_out(flags, own, todo, "quarantine"))
    why = {int(places[row]): ", ".join(names_of(int(flags[row]), own, row)) for row in out.tolist()}
    unread = {each.row: each for each in subject.bad if todo.get(each.rule) == "quarantine"}
    why |= {row: f"{each.rule}: {each.reason}" for row, each in unread.items()}
    rows = sorted(why)
    if subject.texts is not None:
        texts = subject.texts(rows) if rows else []
        found = ((line, why[row], text) for row, (line, text) in zip(rows, texts, strict=True))
        return write_quarantine(wanted.quarantine, "line", found, subject.path)
    at = {int(places[row]): row for row in out.tolist()}
    return write_quarantine(wanted.quarantine, "row", ((row, why[row], _text(table, at[row])) for row in rows))


def _text(table: pa.Table, row: int) -> str:
    return ",".join(str(column[row].as_py()) for column in table.columns)
