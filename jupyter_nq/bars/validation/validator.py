"""`validate`: bars of a file or a table, all rules, one report.

A file goes through the reader first, which stops at the first row that cannot be read exactly: then that is the
report's one finding, with the line. Rules about sessions look at the sound rows in the order of their stamps; rows
that are not sound are findings of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.instruments import instrument
from jupyter_nq.bars.loading import Bars, load_bars
from jupyter_nq.bars.reading.blocks import lines_of
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.resample import starts_of
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.bars.sessions.calendar import CALENDARS
from jupyter_nq.bars.sessions.completeness import completeness
from jupyter_nq.bars.timeframe import parse_timeframe
from jupyter_nq.bars.validation.expressions import broken_by
from jupyter_nq.bars.validation.report import SEVERITIES, Finding, Report
from jupyter_nq.bars.validation.row_rules import finding, row_findings
from jupyter_nq.bars.validation.series import NO_STAMP, Series, series_of
from jupyter_nq.bars.validation.session_rules import session_findings
from jupyter_nq.errors import AmbiguousStamps, InvalidArgument, UnreadableSource

CustomRule = str | Callable[[pa.Table], Any]
"""An expression over the columns, see `expressions`, or a function from the table to a mask; true is broken."""


def validate_file(
    path: str | os.PathLike[str], *, rules: Mapping[str, CustomRule] | None = None, **reading: Any
) -> Report:
    """Validate the bars of a file.

    Parameters
    ----------
    path
        As for `load_bars`, whose other arguments may follow: `timeframe`, `symbol`, `tz`, `edge`, `day_first`.
    rules
        Name -> rule of your own; what breaks it is a warning.

    Returns
    -------
    Report
        With the lines of the file. A file that cannot be read is a report with one error, not an exception.

    Raises
    ------
    SourceNotFound, UnknownInstrument, UnknownTimeframe, UnknownZone, InvalidArgument
    """
    path = Path(path)
    try:
        bars = load_bars(path, **reading)
    except (UnreadableSource, AmbiguousStamps) as exc:
        return Report(path.name, 0, (Finding("unreadable", "error", 1, str(exc)),), {}, ("every other rule",))
    found = validate_bars(bars, path.name, rules=rules)
    return replace(found, findings=tuple(_with_lines(path, bars, each) for each in found.findings))


def validate_bars(bars: Bars, name: str, *, rules: Mapping[str, CustomRule] | None = None) -> Report:
    """Validate bars that were read from a file."""
    known = bars.instrument
    return validate_table(
        bars.table, name, minutes=bars.profile.minutes, symbol=known.symbol if known else None, rules=rules
    )


def validate_table(
    table: pa.Table,
    name: str = "bars",
    *,
    minutes: int | None = None,
    symbol: str | None = None,
    rules: Mapping[str, CustomRule] | None = None,
) -> Report:
    """Validate a table of bars, sound or not.

    Parameters
    ----------
    table
        Columns `timestamp` (UTC unless it has a zone; start of bar), `open high low close volume`; nulls, NaN,
        duplicates and any order are found, not refused.
    name
        In the heading of the report.
    minutes, symbol
        Length of a bar, and the instrument; rules that need what is not given are named as not checked.
    rules
        Name -> rule of your own; what breaks it is a warning.

    Raises
    ------
    InvalidArgument
        A column is missing, or a rule of your own cannot be applied.
    UnknownInstrument
    """
    known = instrument(symbol) if symbol is not None else None
    series = series_of(table, minutes, known.calendar if known else None, known)
    findings = [each for each in row_findings(series) if each is not None]
    not_checked: list[str] = []
    statistics = _statistics(series)
    if known is None:
        not_checked.append("prices off the tick, because the instrument is not known")
    if series.minutes is None or series.calendar not in CALENDARS:
        what = "length of the bars" if series.minutes is None else "trading calendar"
        not_checked.append(f"sessions, gaps, contracts and rolls, because the {what} is not known")
    elif len(series):
        sound, rows = _sound(series)
        if len(rows):
            complete = completeness(starts_of(sound), series.minutes, series.calendar)
            findings += session_findings(sound, rows, complete, series.minutes, series.calendar)
            statistics["sessions"] = complete.summary()
    findings += [each for name, rule in (rules or {}).items() if (each := _custom(name, rule, table, series))]
    findings.sort(key=lambda each: SEVERITIES.index(each.severity))
    return Report(name, len(series), tuple(findings), statistics, tuple(not_checked))


def _sound(series: Series) -> tuple[pa.Table, Ints]:
    """Return the bars that can be real, by stamp, each stamp once, and their rows."""
    ok = (series.starts != NO_STAMP) & np.isfinite(series.volume) & (series.volume >= 0)
    for values in series.prices:
        ok &= np.isfinite(values)
    rows = np.flatnonzero(ok)
    _, first = np.unique(series.starts[rows], return_index=True)
    rows = rows[first]
    columns: list[npt.NDArray[Any]] = [values[rows] for values in (series.starts, *series.prices)]
    columns += [series.volume[rows].astype(np.int64), np.zeros(len(rows), np.uint32)]
    arrays = [pa.array(values).cast(field.type) for values, field in zip(columns, BAR_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=BAR_SCHEMA), rows


def _custom(name: str, rule: CustomRule, table: pa.Table, series: Series) -> Finding | None:
    if isinstance(rule, str):
        columns = {**dict(zip(PRICES, series.prices, strict=True)), "volume": series.volume}
        return finding(name, "warning", broken_by(rule, columns), f"for which {rule}")
    mask = np.asarray(rule(table))
    if mask.dtype != bool or mask.shape != (len(series),):
        raise InvalidArgument(
            f"the rule {name!r} returned {mask.dtype} of shape {mask.shape}; it must return one bool for each of "
            f"{len(series):,} bars, true where the bar breaks it."
        )
    return finding(name, "warning", mask, f"that break the rule {name!r}")


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


def _with_lines(path: Path, bars: Bars, each: Finding) -> Finding:
    lines = tuple(number for number, _ in lines_of(path, bars.profile, list(each.rows))) if each.rows else ()
    return replace(each, lines=lines)


class DataValidator:
    """The specification's validator.

    Parameters
    ----------
    config
        `symbol`, `timeframe` and `rules`, where the data does not say so itself, at the top or in a section
        `validation`; None means NQ's rules are applied only to data that says that it is NQ's.
    """

    _KEYS = ("symbol", "timeframe", "rules")

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        whole: Mapping[str, Any] = config or {}
        given: Mapping[str, Any] = whole.get("validation", whole)
        self._given: dict[str, Any] = {key: given[key] for key in self._KEYS if key in given}

    def validate_data(self, data: Any, name: str | None = None) -> Report:
        """Validate a frame or table of bars, and return the report: `is_valid`, `errors`, `warnings`, `statistics`."""
        table = data if isinstance(data, pa.Table) else pa.Table.from_pandas(data, preserve_index=False)
        said = self._said(data)
        timeframe = self._given.get("timeframe")
        return validate_table(
            table,
            name or said.get("dataset") or "bars",
            minutes=parse_timeframe(timeframe).minutes if timeframe else said.get("minutes"),
            symbol=self._given.get("symbol") or said.get("symbol"),
            rules=self._given.get("rules"),
        )

    @staticmethod
    def _said(data: Any) -> Mapping[str, Any]:
        """Return what a frame that was loaded says of itself."""
        note = getattr(data, "attrs", {}).get("nq", {})
        return note if isinstance(note, Mapping) else {}
