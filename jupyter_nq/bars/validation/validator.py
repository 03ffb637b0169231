"""`validate`: bars of a file or a table, all rules, one report, and the bars as they are after what was asked for.

A file is read strictly first. When a row cannot be read exactly, it is read again row by row (`reading.lenient`):
the rows that are no bars are findings with their lines and reasons, and the rules look at all the others. Rules
about sessions look at the sound rows in the order of their stamps.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.loading import Bars, load_bars
from jupyter_nq.bars.profile import Dialect, Profile
from jupyter_nq.bars.reading.blocks import changed, data_lines, lines_of
from jupyter_nq.bars.reading.lenient import read_lenient
from jupyter_nq.bars.reading.opening import is_columnar
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.schema import PRICES
from jupyter_nq.bars.sniffing.sniff import known_instrument
from jupyter_nq.bars.timeframe import parse_timeframe
from jupyter_nq.bars.validation.checking import Subject, Wanted, checked, wanted_of
from jupyter_nq.bars.validation.damaged import profile_of_damaged
from jupyter_nq.bars.validation.own_rules import CustomRule
from jupyter_nq.bars.validation.report import Finding, Report
from jupyter_nq.errors import AmbiguousStamps, ConfigError, InvalidArgument, UnreadableSource, nearest

__all__ = ["CustomRule", "DataValidator", "validate", "validate_bars", "validate_file", "validate_table"]

_NAMES = ("timestamp", *PRICES, "volume")
_NOT_TEXT = (b"PAR1", b"ARROW1", b"PK\x03\x04")


def validate(
    source: Any,
    *,
    symbol: str | None = None,
    timeframe: str | None = None,
    tz: str | None = None,
    edge: str | None = None,
    day_first: bool | None = None,
    profile: Profile | str | Mapping[str, Any] | None = None,
    contract: str | None = None,
    rules: Mapping[str, CustomRule] | None = None,
    actions: Mapping[str, str] | None = None,
    quarantine: str | os.PathLike[str] | None = None,
    adjusted: bool = False,
) -> Report:
    """Return what is wrong with bars, rule by rule, with the rows.

    Parameters
    ----------
    source
        Path of a bar file, or bars: a pandas or polars frame, an Arrow table, or anything that gives an Arrow
        stream. Stamps of a frame are starts of bars, UTC unless they have a zone.
    symbol, timeframe
        What the bars are, where the name of the file does not say so.
    tz, edge, day_first, profile, contract
        How a file is to be read, as for `load_bars`.
    rules
        Rules of one's own by name: an expression such as "high - low > 50 and volume < 10", or a function from the
        Arrow table to a mask. What breaks one is a warning; ("high - low > 50", "error") says another severity.
    actions
        Rule -> "keep", "flag" (the default), "drop", "repair" or "quarantine". With any, `table` of the report has
        the bars after them, and `all_rows` of a finding every row that it took out or mended. Only what is repeated
        or out of order can be repaired: copies dropped, rows sorted.
    quarantine
        CSV file for the rows of rules whose action is "quarantine"; a file that is there is written over only when
        a quarantine has written it.
    adjusted
        Whether prices were adjusted at rolls, so that they need not lie on the tick.

    Raises
    ------
    SourceNotFound, UnknownInstrument, UnknownTimeframe, UnknownZone
    InvalidArgument
        No table of bars; a rule or action that cannot be understood; an argument for files with a table; a
        quarantine file that is something else.
    """
    reading: dict[str, Any] = {"tz": tz, "edge": edge, "day_first": day_first}
    reading |= {"profile": profile, "contract": contract}
    wanted: dict[str, Any] = {"rules": rules, "actions": actions, "quarantine": quarantine, "adjusted": adjusted}
    if isinstance(source, (str, os.PathLike)):
        return validate_file(source, timeframe=timeframe, symbol=symbol, **reading, **wanted)
    given = [name for name, value in reading.items() if value is not None]
    if given:
        raise InvalidArgument(f"{'=, '.join(given)}= says how a file is read; these bars have been read.")
    said = _said(source)
    minutes = parse_timeframe(timeframe).minutes if timeframe else said.get("minutes")
    name = said.get("dataset") or "bars"
    return validate_table(table_of(source), name, minutes=minutes, symbol=symbol or said.get("symbol"), **wanted)


def validate_file(
    path: str | os.PathLike[str],
    *,
    rules: Mapping[str, CustomRule] | None = None,
    actions: Mapping[str, str] | None = None,
    quarantine: str | os.PathLike[str] | None = None,
    adjusted: bool = False,
    **reading: Any,
) -> Report:
    """Validate the bars of a file.

    Parameters
    ----------
    path
        As for `load_bars`, whose other arguments may follow: `timeframe`, `symbol`, `tz`, `edge`, `day_first`,
        `profile`, `contract`.
    rules, actions, quarantine, adjusted
        As for `validate`.

    Returns
    -------
    Report
        With the lines of the file. A file of which too little can be read to tell what it is gives a report with
        one error, not an exception.

    Raises
    ------
    SourceNotFound, UnknownInstrument, UnknownTimeframe, UnknownZone, InvalidArgument
    """
    wanted = wanted_of(rules, actions, quarantine, adjusted, Path(path))
    return report_on(Path(path), wanted, partial(subject_of, Path(path), **reading))


def report_on(path: Path, wanted: Wanted, read: Callable[..., Subject]) -> Report:
    """Return the report on a file that `read` reads as `subject_of` does, with the answers that it is given.

    A file whose bars all but a few fit one reading is read so, and the report says so.
    """
    try:
        try:
            subject = read()
        except AmbiguousStamps as exc:
            if exc.nearly is None:
                raise
            tz, edge = exc.nearly
            subject = read(tz=tz, edge=edge)
            said = f"read with tz={tz!r}, edge={edge!r}, which all but a few bars fit"
            subject = replace(subject, notices=(*subject.notices, said))
    except (UnreadableSource, AmbiguousStamps) as exc:
        return Report(path.name, 0, (Finding("unreadable", "error", 1, str(exc)),), {}, ("every other rule",))
    return checked(subject, wanted)


def subject_of(path: Path, **reading: Any) -> Subject:
    """Return the bars of a file, sound or not; arguments are those of `load_bars`.

    Raises
    ------
    AmbiguousStamps
        The file leaves a question about its stamps open.
    UnreadableSource
        Too little of it can be read to tell what it is.
    SourceNotFound, UnknownInstrument, UnknownTimeframe, UnknownZone, InvalidArgument
    """
    try:
        return _sound(path, load_bars(path, **reading))
    except UnreadableSource as exc:
        try:
            return _damaged(path, **reading)
        except UnreadableSource:
            raise exc from None


def validate_bars(
    bars: Bars,
    name: str,
    *,
    rules: Mapping[str, CustomRule] | None = None,
    actions: Mapping[str, str] | None = None,
    quarantine: str | os.PathLike[str] | None = None,
    adjusted: bool = False,
) -> Report:
    """Validate bars that were read from a file; places are rows, counted from 0."""
    known = bars.instrument
    subject = Subject(name, bars.table, bars.profile.minutes, known.symbol if known else None)
    return checked(subject, wanted_of(rules, actions, quarantine, adjusted))


def validate_table(
    table: pa.Table,
    name: str = "bars",
    *,
    minutes: int | None = None,
    symbol: str | None = None,
    rules: Mapping[str, CustomRule] | None = None,
    actions: Mapping[str, str] | None = None,
    quarantine: str | os.PathLike[str] | None = None,
    adjusted: bool = False,
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
    rules, actions, quarantine, adjusted
        As for `validate`.

    Raises
    ------
    InvalidArgument
        A column is missing, a rule of your own cannot be applied, or there is no such rule or action.
    UnknownInstrument
    """
    return checked(Subject(name, table, minutes, symbol), wanted_of(rules, actions, quarantine, adjusted))


def table_of(data: Any) -> pa.Table:
    """Return bars as an Arrow table: column names in lower case, and an index of stamps as the column `timestamp`.

    Raises
    ------
    InvalidArgument
        It is no table, or a column holds things of several kinds.
    """
    index = getattr(data, "index", None)
    if hasattr(index, "tz") and "timestamp" not in map(str.lower, map(str, data.columns)):
        data = data.rename_axis("timestamp").reset_index()
    try:
        if isinstance(data, (pa.RecordBatch, pa.RecordBatchReader)):
            table = pa.table(data) if isinstance(data, pa.RecordBatch) else data.read_all()
        elif isinstance(data, pa.Table) or hasattr(data, "__arrow_c_stream__"):
            table = pa.table(data)
        else:
            table = pa.Table.from_pandas(data, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, AttributeError) as exc:
        raise InvalidArgument(f"{type(data).__name__} cannot be taken for a table of bars: {exc}.") from exc
    if all(name in table.column_names for name in _NAMES):
        return table
    return table.rename_columns([name.lower() if name.lower() in _NAMES else name for name in table.column_names])


def _said(data: Any) -> Mapping[str, Any]:
    """Return what a frame that was loaded says of itself."""
    note = getattr(data, "attrs", {}).get("nq", {})
    return note if isinstance(note, Mapping) else {}


# -- files ------------------------------------------------------------------------------------------
def _sound(path: Path, bars: Bars) -> Subject:
    known = bars.instrument
    has_lines = _is_text(path) and not is_columnar(path)
    return Subject(
        path.name,
        bars.table,
        bars.profile.minutes,
        known.symbol if known else None,
        path=path if has_lines else None,
        texts=partial(lines_of, path, bars.profile) if has_lines else None,
        lines=partial(_line_numbers, path, bars.profile) if has_lines else None,
    )


def _damaged(path: Path, **reading: Any) -> Subject:
    """Return the bars of a file that has rows that are none."""
    if not is_columnar(path):
        return _damaged_text(path, **reading)
    from jupyter_nq.bars.columnar.damaged import as_text

    with as_text(path) as copy:
        try:
            found = _damaged_text(copy, **reading)
        except (UnreadableSource, AmbiguousStamps) as exc:
            raise type(exc)(str(exc).replace(str(copy), str(path)).replace(copy.name, path.name)) from None
    bad = tuple(replace(each, line=0) for each in found.bad)  # it has rows, and no lines
    return replace(found, name=path.name, bad=bad, path=None, texts=None, lines=None)


def _damaged_text(path: Path, **reading: Any) -> Subject:
    profile: Profile = profile_of_damaged(path, **reading)
    found = read_lenient(path, profile)
    known = known_instrument(path, reading.get("symbol"))
    return Subject(
        path.name,
        found.table,
        profile.minutes,
        known.symbol if known else None,
        found.rows,
        found.bad,
        path,
        partial(lines_of, path, profile),
        partial(_line_numbers, path, profile),
        found.bad_starts,
    )


def _line_numbers(path: Path, table: Dialect, rows: Ints) -> Ints:
    """Return the lines of increasing rows; `lines_of` without the texts, of which there may be many."""
    wanted = np.zeros(int(rows[-1]) + 1, bool)
    wanted[rows] = True
    numbered = zip(wanted.tolist(), islice(data_lines(path, table), len(wanted)), strict=False)
    found = np.fromiter((number for named, (number, _) in numbered if named), np.int64)
    if len(found) < len(rows):
        raise changed(path)
    return found


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return not file.read(8).startswith(_NOT_TEXT)


class DataValidator:
    """The specification's validator.

    Parameters
    ----------
    config
        `rules`, `actions`, `quarantine` and `adjusted`, and the `symbol` and `timeframe` of data that does not say
        so itself, at the top or in a section `validation`; None means NQ's rules are applied only to data that says
        that it is NQ's.

    Raises
    ------
    ConfigError
        There is no such setting.
    """

    KEYS = ("symbol", "timeframe", "rules", "actions", "quarantine", "adjusted")
    """The settings that there are."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        whole: Mapping[str, Any] = config or {}
        given: Mapping[str, Any] = whole.get("validation", whole)
        for key in given:
            section = given is whole and isinstance(given[key], Mapping)  # of another part of the configuration
            if key not in self.KEYS and not section:
                known = f"{nearest(str(key), self.KEYS)} It has {', '.join(self.KEYS)}."
                raise ConfigError(f"a validator has no setting {key!r}.{known}")
        self._given: dict[str, Any] = {key: given[key] for key in self.KEYS if key in given}

    def validate_data(self, data: Any, name: str | None = None) -> Report:
        """Validate a frame or table of bars, and return the report: `is_valid`, `errors`, `warnings`, `statistics`."""
        given, said = dict(self._given), _said(data)
        timeframe = given.pop("timeframe", None)
        minutes = said.get("minutes") or (parse_timeframe(timeframe).minutes if timeframe else None)
        own = given.pop("symbol", None)
        symbol = said.get("symbol") or own
        called = name or said.get("dataset") or "bars"
        return validate_table(table_of(data), called, minutes=minutes, symbol=symbol, **given)
