"""`continuous`, `roll_table` and `completeness`: series made of the files of single contracts, and what they lack.

The files are read and not shared; the series that they make is. It holds the raw bars of each contract, `contract`
(its place in the chain), and the adjusted prices beside the raw ones. Its metadata keep the roll table with its version
and which files it was made of, by content: made again of the same files it is only mapped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xxhash

from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.instruments import instrument, regular_hours_of
from jupyter_nq.bars.schema import PRICES
from jupyter_nq.bars.sessions import adjust
from jupyter_nq.bars.sessions.completeness import Completeness
from jupyter_nq.bars.sessions.completeness import completeness as completeness_of
from jupyter_nq.bars.sessions.contracts import ROLLS_KEY, ContractRoll, described, roll_digest
from jupyter_nq.bars.sessions.contracts import continuous as join_contracts
from jupyter_nq.bars.sessions.contracts import roll_table as rolls_between
from jupyter_nq.bars.sessions.expiry import Expiry, expiry_of
from jupyter_nq.bars.timeframe import timeframe_of
from jupyter_nq.client.bars.remembered import answered, recall
from jupyter_nq.client.bars.request import Reading, is_path, read_from, source_of
from jupyter_nq.client.bars.source import FileSource
from jupyter_nq.client.bars.sources import source_for
from jupyter_nq.client.bars.timeframes import bars_of, without_sessions
from jupyter_nq.errors import InvalidArgument, UnknownDataset, nearest

if TYPE_CHECKING:
    from jupyter_nq.bars import Bars
    from jupyter_nq.buffers import Handle
    from jupyter_nq.client.bars.sources import Source
    from jupyter_nq.client.session import Session

Contracts = Mapping[str, Any] | Sequence[str | os.PathLike[str]]
"""Contract -> file, dataset, frame or table of bars; or files whose names say the contract: NQH24.csv, NQ 03-24.txt."""

ADJUSTED = "_adjusted"
"""What the names of adjusted prices end in."""
VERSION = "continuous-1"
"""Changes whenever the same contracts make another series."""


@dataclass(frozen=True)
class _Given:
    """One contract as it was given."""

    name: str
    expiry: Expiry | None
    source: Source | None
    """Of a file; None for bars that are at hand."""
    bars: Any


@dataclass(frozen=True)
class _Read:
    """The contracts of a series, in the order in which they expire."""

    tables: dict[str, pa.Table]
    minutes: int
    calendar: str
    symbol: str | None


def continuous(
    session: Session,
    contracts: Contracts,
    method: str | None = "difference",
    *,
    name: str | None = None,
    timeframe: str | None = None,
    symbol: str | None = None,
    tz: str | None = None,
    edge: str | None = None,
    day_first: bool | None = None,
    profile: Any = None,
    as_: str = "pandas",
) -> Any:
    """Return one continuous series of contracts, passed on where the next one trades more, as a shared dataset.

    Parameters
    ----------
    contracts
        Contract -> its bars: `{"NQZ24": "december.csv", "NQH25": "march.csv"}`, a file, the name of a dataset, or a
        frame or table. Or a list of files whose names say the contract: `NQH25.csv`, `NQ 03-25.Last.txt`. A file
        that is given for several contracts is read by its column of contracts. Codes are put in the order in which
        they expire; other names stay in the order given.
    method
        How prices are adjusted beside the raw ones: "difference" keeps changes in points, "ratio" percentages; None
        adds none.
    name
        Of the dataset; None means for example `NQ.30min-continuous-difference`.
    timeframe, symbol, tz, edge, day_first, profile
        What the files do not say themselves, as for `load`.
    as_
        "pandas", "arrow", "numpy", "torch" or "polars".

    Returns
    -------
    A read-only zero-copy view: the columns of a load, raw; `contract` (int16), 0 for the first of the chain; and
    `open_adjusted high_adjusted low_adjusted close_adjusted`, equal to the raw prices after the last roll. A frame has
    the roll table and its version in `attrs["nq_rolls"]`, a table in its schema's metadata.

    Raises
    ------
    InvalidArgument
        Contracts that do not overlap, have bars of several lengths, or no code in their file's name; an unknown method.
    SourceNotFound, AmbiguousStamps, UnreadableSource, UnknownDataset, UnknownInstrument, ConfigError, StoreFull
    """
    _check_method(method)
    given = _given(session, contracts, timeframe, symbol, Reading(tz, edge, day_first, profile))
    key = _key(given, method)
    name = name or _name_of_files(given, method)
    with session.store.lock(key) if key else nullcontext():
        ready = _open(session, name, key) if name and key else None
        if ready is None:
            ready = _publish(session, name, _read(session, given, timeframe, symbol), method, key)
    return _with_rolls(session.view(ready, as_), ready)


def roll_table(
    session: Session,
    contracts: Contracts | str,
    *,
    timeframe: str | None = None,
    symbol: str | None = None,
    tz: str | None = None,
    edge: str | None = None,
    day_first: bool | None = None,
    profile: Any = None,
) -> list[ContractRoll]:
    """Return the rolls between contracts: when, why, with what volumes, and by how much their prices differ.

    Parameters
    ----------
    contracts
        As for `continuous`, or the name of a dataset that it made.
    timeframe, symbol, tz, edge, day_first, profile
        What the files do not say themselves, as for `load`.

    Raises
    ------
    InvalidArgument
        As `continuous`; or a dataset that was not made of contracts.
    """
    if isinstance(contracts, str) and not is_path(contracts):
        return _rolls_of(session.open(contracts))
    given = _given(session, contracts, timeframe, symbol, Reading(tz, edge, day_first, profile))
    read = _read(session, given, timeframe, symbol)
    return rolls_between(read.tables, read.calendar)


def completeness(
    session: Session, source: Any, *, timeframe: str | None = None, symbol: str | None = None, hours: str = "eth"
) -> Completeness:
    """Return which bars the exchange's calendar expects of a series and it has not.

    Parameters
    ----------
    source
        Name of a dataset of bars, or a frame or table of them.
    timeframe, symbol
        What the bars are, where they do not say so themselves.
    hours
        "eth" expects whole sessions, "rth" only the regular hours of the instrument.

    Returns
    -------
    Completeness
        `expected`, `present`, `missing`, `share`, `missing_sessions`, `incomplete`, `gaps`, `holes`, `text()`.

    Raises
    ------
    UnknownDataset, InvalidArgument
    ConfigError
        The sessions of the instrument are not known.
    """
    timed, origin = bars_of(session, source, timeframe, symbol)
    if timed.calendar is None:
        raise without_sessions(origin.symbol)
    regular = regular_hours_of(origin.symbol)
    return completeness_of(starts_of(timed.table), timed.minutes, timed.calendar, hours=hours, regular_hours=regular)


# -- which contracts ----------------------------------------------------------------------------------
def _given(
    session: Session, contracts: Contracts, timeframe: str | None, symbol: str | None, reading: Reading
) -> list[_Given]:
    if isinstance(contracts, (str, os.PathLike)):
        raise InvalidArgument("one file is no series of contracts. Pass a list of files, or contract -> file.")
    pairs = list(contracts.items()) if isinstance(contracts, Mapping) else [(None, path) for path in contracts]
    if not pairs:
        raise InvalidArgument("no contract is given. Pass a list of files, or contract -> file.")
    files = [os.fspath(bars) if _is_file(bars) else None for _, bars in pairs]
    found = []
    for (name, bars), file in zip(pairs, files, strict=True):
        expiry = expiry_of(name if name is not None else os.path.basename(file or ""))
        if name is None and (file is None or expiry is None):
            raise InvalidArgument(
                f"{bars!r} does not say which contract it holds, as NQH25.csv does. Pass contract -> file: "
                "{'NQH25': ...}."
            )
        source = None
        if file is not None:
            of = reading if files.count(file) == 1 else _of_contract(reading, str(name))
            root = symbol or (expiry.symbol if expiry else None)
            source = source_for(session, file, timeframe, symbol=root, reading=of)
        found.append(_Given(name if name is not None else expiry.code if expiry else "", expiry, source, bars))
    names = [one.name for one in found]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InvalidArgument(f"the contract {repeated} is given twice. Give each contract once.")
    return found


def _of_contract(reading: Reading, name: str) -> Reading:
    return Reading(reading.tz, reading.edge, reading.day_first, reading.profile, name)


def _is_file(bars: Any) -> bool:
    return isinstance(bars, os.PathLike) or (isinstance(bars, str) and is_path(bars))


# -- their bars ---------------------------------------------------------------------------------------
def _read(session: Session, given: Sequence[_Given], timeframe: str | None, symbol: str | None) -> _Read:
    tables: dict[str, pa.Table] = {}
    lengths: dict[int, str] = {}
    calendars: set[str | None] = set()
    for one in given:
        if one.source is not None:
            bars = _parsed(session, one.source)
            tables[one.name], minutes, calendar = bars.table, bars.profile.minutes, bars.profile.calendar
        else:
            root = symbol or (one.expiry.symbol if one.expiry else None)
            timed, _ = bars_of(session, one.bars, timeframe, root)
            tables[one.name], minutes, calendar = timed.table, timed.minutes, timed.calendar
        lengths.setdefault(minutes, one.name)
        calendars.add(calendar)
    if len(lengths) > 1:
        told = ", ".join(f"{timeframe_of(minutes).label} of {name}" for minutes, name in lengths.items())
        raise InvalidArgument(f"the contracts have bars of several lengths: {told}. Give files of one timeframe.")
    calendar = calendars.pop()
    if calendar is None or calendars:
        raise InvalidArgument("the contracts are not of one known instrument. Pass symbol='NQ'.")
    roots = {symbol} if symbol else {one.expiry.symbol if one.expiry else None for one in given}
    root = roots.pop() if len(roots) == 1 else None
    known = instrument(root).symbol if root else None
    return _Read({name: tables[name] for name in _order(given, tables)}, min(lengths), calendar, known)


def _parsed(session: Session, source: Source) -> Bars:
    """Parse a source, a file with the answers that were given for it before where it leaves a question open."""

    def read(reading: Reading) -> Bars:
        said = FileSource(replace(source.request, reading=reading)) if isinstance(source, FileSource) else source
        return said.parse(session.settings.read_block_bytes, lambda _: None)

    return answered(source.request.path, source.request.reading, read)[0]


def _order(given: Sequence[_Given], tables: Mapping[str, pa.Table]) -> list[str]:
    """Return the names by expiry, when all have one."""
    names = [one.name for one in given]
    if any(one.expiry is None for one in given):
        return names
    dates = {one.name: one.expiry.dated(_last_year(tables[one.name])) for one in given if one.expiry}
    return sorted(names, key=lambda name: (dates[name].year, dates[name].month))


def _last_year(table: pa.Table) -> int:
    return int(table["timestamp"][-1].as_py().year) if table.num_rows else 2000


# -- the series ---------------------------------------------------------------------------------------
def _publish(session: Session, name: str | None, read: _Read, method: str | None, key: str | None) -> Handle:
    label = timeframe_of(read.minutes).label
    name = name or _name(read.symbol, label, method)
    _refuse_parsed(session, name)
    rolls = rolls_between(read.tables, read.calendar)
    raw = join_contracts(read.tables, rolls)
    profile = {"minutes": read.minutes, "calendar": read.calendar}
    bars = {"symbol": read.symbol, "timeframe": label, "profile": profile, "rows": raw.num_rows}
    told = {
        "key": key,
        "method": method,
        "contracts": list(read.tables),
        "version": roll_digest(rolls),
        "rolls": [asdict(roll) for roll in rolls],
    }
    table = _with_contract(raw, rolls)
    if method is not None:
        adjusted = adjust.back_adjust(raw, rolls, method)
        for price in PRICES:
            table = table.append_column(pa.field(price + ADJUSTED, pa.float64(), nullable=False), adjusted[price])
    return session.publish(name, table.replace_schema_metadata(None), meta={"bars": bars, "contracts": told})


def _with_contract(raw: pa.Table, rolls: Sequence[ContractRoll]) -> pa.Table:
    starts = raw["timestamp"].combine_chunks().view(pa.int64()).to_numpy()
    places = np.searchsorted(np.array([roll.at_ns for roll in rolls], np.int64), starts, side="right")
    return raw.append_column(pa.field("contract", pa.int16(), nullable=False), pa.array(places.astype(np.int16)))


def _with_rolls(data: Any, handle: Handle) -> Any:
    """Note the roll table on a frame or table."""
    rolls = _rolls_of(handle)
    told: Any = handle.info.meta["contracts"]
    note = described(rolls, None)
    if isinstance(data, pa.Table):
        return data.replace_schema_metadata({**(data.schema.metadata or {}), ROLLS_KEY: note})
    if hasattr(data, "attrs"):
        data.attrs[ROLLS_KEY.decode()] = {**json.loads(note), "adjusted": told["method"]}
    return data


def _rolls_of(handle: Handle) -> list[ContractRoll]:
    told: Any = handle.info.meta.get("contracts")
    if not isinstance(told, Mapping):
        raise InvalidArgument(
            f"{handle.info.name} was not made of contracts. nq.rolls({handle.info.name!r}) shows its evidence of rolls."
        )
    return [ContractRoll(**row) for row in told["rolls"]]


def _key(given: Sequence[_Given], method: str | None) -> str | None:
    """Return what identifies the series of files; None when some bars come from no file."""
    if any(one.source is None for one in given):
        return None
    files = [
        (one.name, one.source.key, one.source.request.timeframe, _answers(one.source)) for one in given if one.source
    ]
    ordered = files if any(one.expiry is None for one in given) else sorted(files)
    content = [VERSION, method, ordered]
    return xxhash.xxh3_128_hexdigest(repr(content).encode())


def _answers(source: Source) -> list[tuple[str, Any]]:
    """Return what was said of a file before, which its reading may take, where nothing is said now."""
    request = source.request
    known = None if request.reading.given() else recall(request.path)
    return [] if known is None else sorted(known.given.items())


def _open(session: Session, name: str, key: str | None) -> Handle | None:
    """Open a dataset if it was made of just these files; of anything when there is no key."""
    try:
        handle = session.open(name)
    except UnknownDataset:
        return None
    told: Any = handle.info.meta.get("contracts")
    if key is None or (isinstance(told, Mapping) and told.get("key") == key):
        return handle
    handle.close()
    return None


def _refuse_parsed(session: Session, name: str) -> None:
    """Keep a dataset that was parsed from a file equal to that file."""
    ready = _open(session, name, None)
    if ready is None:
        return
    with ready:
        path = read_from(source_of(ready.info.meta))
    if path is not None:
        raise InvalidArgument(f"{name} holds what {path} holds. Give the series another name.")


def _name_of_files(given: Sequence[_Given], method: str | None) -> str | None:
    """Return the name of a series of files, None when it shows only when they are read."""
    said = {(one.source.request.symbol, one.source.request.timeframe) if one.source else None for one in given}
    first = said.pop()
    return None if said or first is None else _name(*first, method)


def _name(symbol: str | None, timeframe: str, method: str | None) -> str:
    series = f"{symbol or 'series'}.{timeframe}-continuous"
    return series if method is None else f"{series}-{method}"


def _check_method(method: str | None) -> None:
    if method is not None and method not in adjust.METHODS:
        known = " or ".join(map(repr, adjust.METHODS))
        raise InvalidArgument(
            f"method={method!r} is not {known}.{nearest(str(method), adjust.METHODS)} None adds none."
        )
