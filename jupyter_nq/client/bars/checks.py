"""`validate`, `sniff` and `rolls` for what a notebook has at hand: files, names of datasets, frames and tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jupyter_nq.bars.instruments import INSTRUMENTS
from jupyter_nq.bars.names import named, root_of
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.sessions.rolls import Roll, roll_evidence
from jupyter_nq.bars.sniffing.sniff import Sniffed
from jupyter_nq.bars.sniffing.sniff import sniff as sniff_file
from jupyter_nq.bars.timeframe import parse_timeframe, timeframe_of
from jupyter_nq.bars.validation.checking import Subject, Wanted, wanted_of
from jupyter_nq.bars.validation.report import Report
from jupyter_nq.bars.validation.validator import CustomRule, report_on, subject_of, table_of, validate_table
from jupyter_nq.client.bars.remembered import answered
from jupyter_nq.client.bars.request import Located, Reading, is_path, located
from jupyter_nq.client.bars.source_object import is_table
from jupyter_nq.client.bars.timeframes import bars_of, whole
from jupyter_nq.client.origin import origin_of
from jupyter_nq.errors import AmbiguousStamps, ConfigError, InvalidArgument, UnsupportedData, nearest

if TYPE_CHECKING:
    from jupyter_nq.client.session import Session

SYMBOL = "SYMBOL"
"""What stands for the instrument in a line that loads a file, where nobody says it."""


def validate(
    session: Session,
    source: Any,
    timeframe: str | None = None,
    *,
    symbol: str | None = None,
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
    """Return what is wrong with bars, rule by rule, with the rows; the bars themselves are not changed, nor shared.

    Parameters
    ----------
    source
        Path of a bar file, name of a dataset, symbol (with its timeframe), or a table of bars in memory: a frame of
        pandas or polars, a relation of DuckDB, an Arrow table or stream.
    timeframe, symbol
        What the bars are, where they do not say so themselves.
    tz, edge, day_first, profile, contract
        As for `load`; only for a file.
    rules
        Rules of your own by name: an expression such as "high - low > 50 and volume < 10", or a function from
        the Arrow table to a mask of bars that break it. What breaks one is a warning; ("high - low > 50", "error")
        says another severity.
    actions
        Rule -> "keep", "flag", "drop", "repair" or "quarantine": `table` of the report then has the bars after them,
        which `put` can share, and `all_rows` and `all_lines` of its findings every row that was left out or mended.
    quarantine
        CSV file for the rows of rules whose action is "quarantine"; a file that is there is written over only when
        a quarantine has written it.
    adjusted
        Whether prices were adjusted at rolls, so that they need not lie on the tick.

    Returns
    -------
    Report
        `is_valid`, `errors`, `warnings`, `notes`, `findings`, `statistics`, `table`, `text()`, `to_html(path)`,
        `to_json(path)`, `to_csv(path)`. Places are lines of the file, or rows counted from 0. A file that leaves a
        question open is read as it was said to be in a load before, and `notices` say so.

    Raises
    ------
    SourceNotFound, UnknownDataset, InvalidArgument, UnknownInstrument, UnknownTimeframe
    """
    reading = Reading(tz, edge, day_first, profile, contract)
    wanted: dict[str, Any] = {"rules": rules, "actions": actions, "quarantine": quarantine, "adjusted": adjusted}
    if isinstance(source, (str, os.PathLike)) and _is_file(session, source):
        found = located(session, source, timeframe, symbol=symbol, reading=reading)
        return _validate_file(found, wanted_of(**wanted, source=found.path))
    if reading.given():
        named = "=, ".join(reading.given())
        raise InvalidArgument(f"{named}= says how a file is read; these bars have been read.")
    data = whole(session, source) if isinstance(source, str) else source
    if not is_table(data):
        raise UnsupportedData(
            f"{type(source).__name__} is neither a file, a dataset's name, a frame nor a table of bars."
        )
    origin = origin_of(data)
    minutes = parse_timeframe(timeframe).minutes if timeframe else origin.minutes if origin else None
    name = source if isinstance(source, str) else origin.dataset if origin else "bars"
    table = data if isinstance(data, pa.Table) else table_of(data)
    return validate_table(table, name, minutes=minutes, symbol=symbol or (origin.symbol if origin else None), **wanted)


def _validate_file(found: Located, wanted: Wanted) -> Report:
    """Validate a file that is read as the call says, or as was said before where that leaves a question open."""
    told = {"symbol": found.known_symbol(), "timeframe": found.given_timeframe}

    def read(**nearly: Any) -> Subject:
        subject, said = answered(
            found.path, found.reading, lambda reading: subject_of(found.path, **told, **{**reading.given(), **nearly})
        )
        return replace(subject, notices=(said,)) if said else subject

    return report_on(found.path, wanted, read)


def sniff(
    session: Session,
    source: str | os.PathLike[str],
    timeframe: str | None = None,
    *,
    symbol: str | None = None,
    tz: str | None = None,
    edge: str | None = None,
    day_first: bool | None = None,
    profile: Profile | str | Mapping[str, Any] | None = None,
    contract: str | None = None,
) -> Evidence:
    """Return how a file would be read, and why, without loading it; printed, it ends with the lines that load it.

    Parameters are those of `load`, and so are the errors; symbol and timeframe need not be said.

    Returns
    -------
    Evidence
        `profile` (delimiter, columns, layouts, day order, zone, edge, bar length), `sentences`, `text`.
    """
    reading = Reading(tz, edge, day_first, profile, contract)
    found = located(session, source, timeframe, symbol=symbol, reading=reading)

    def read(reading: Reading) -> Sniffed:
        told = {"timeframe": found.given_timeframe, "symbol": found.symbol, **reading.given()}
        return sniff_file(found.path, **told)

    if found.symbol is None:
        return _without_symbol(found, read)
    sniffed, said = answered(found.path, reading, read)
    evidence = (*found.evidence, *sniffed.evidence, *([said] if said else []))
    symbol_told = None if "symbol" in found.found else found.symbol
    text = replace(sniffed, evidence=evidence).text(found.path, found.given_timeframe, symbol_told)
    return Evidence(sniffed.profile, evidence, text)


def _without_symbol(found: Located, read: Callable[[Reading], Sniffed]) -> Evidence:
    """Describe a file of which nobody says whose bars it holds: without the exchange's hours its clock stays open."""
    try:
        sniffed = read(found.reading)
        evidence = sniffed.evidence
    except AmbiguousStamps:
        sniffed = read(replace(found.reading, tz=found.reading.tz or "UTC", edge=found.reading.edge or "start"))
        open_ = [("zone: ", found.reading.tz), ("edge: ", found.reading.edge)]
        assumed = tuple(begin for begin, said in open_ if said is None)
        evidence = tuple(line for line in sniffed.evidence if not line.startswith(assumed))
        evidence += ("zone and edge: found out when the instrument is said, whose closed hours tell them",)
    minutes = timeframe_of(sniffed.profile.minutes).label
    several = named(found.path).symbols
    lacks = f"may mean {' or '.join(several)}" if several else "does not tell the instrument"
    line = f"nq.load({str(found.path)!r}, {minutes!r}, symbol={SYMBOL!r})"
    typed = f'%nq_load "{found.path}" {minutes} --symbol {SYMBOL} as bars'
    asked_for = f"symbol: the file name {lacks}; put it in the place of {SYMBOL}"
    text = "\n".join([*evidence, asked_for, f"load it with: {typed}", f"or: {line}"])
    return Evidence(None, (*evidence, asked_for), text)


@dataclass(frozen=True)
class Evidence:
    """How a file would be read, and why."""

    profile: Profile | None
    """None when nobody says the instrument, so that nothing could be decided."""
    sentences: tuple[str, ...]
    """Why each was decided."""
    text: str
    """The sentences, and the lines that load the file."""

    def __repr__(self) -> str:
        return self.text


def rolls(session: Session, source: Any, *, timeframe: str | None = None, symbol: str | None = None) -> list[Roll]:
    """Return what a continuous series shows at each roll date: the largest jump near it, and whether it stands out.

    Parameters
    ----------
    source
        Name of a dataset of bars, or a frame or table of them; raw prices.
    timeframe, symbol
        What the bars are, where they do not say so themselves.

    Raises
    ------
    UnknownDataset, InvalidArgument
    ConfigError
        The roll dates of the instrument are not known.
    """
    timed, origin = bars_of(session, source, timeframe, symbol)
    known = INSTRUMENTS.get(origin.symbol) if origin.symbol is not None else None
    if known is None:
        raise InvalidArgument("the instrument of the bars is not known, so neither are its rolls. Pass symbol='NQ'.")
    if not known.roll:
        raise ConfigError(
            f"the roll dates of {known.symbol} are not known, so one series does not show its rolls; they are taken "
            "from volumes: give the files of its contracts to roll_table or continuous (%nq_roll FILE FILE)."
        )
    if timed.calendar is None:
        raise ConfigError(
            f"the sessions of {known.symbol} are not known, and a roll shows at the open of one. Name its calendar in "
            "`instruments` of the settings file."
        )
    return roll_evidence(timed.table, timed.calendar, known.roll)


def _is_file(session: Session, source: str | os.PathLike[str]) -> bool:
    """A path, or a symbol or timeframe to look up; the name of a dataset comes before a symbol.

    A word with a dot that is neither is nearest to one of them: a file that is not there, or a dataset.
    """
    if is_path(source):
        return True
    names = session.store.names()
    if not isinstance(source, str) or source in names:
        return False
    return "." not in source or root_of(source) != source or (not nearest(source, names) and _near_file(source))


def _near_file(source: str) -> bool:
    return bool(nearest(source, os.listdir()))
