"""One continuous series from the files of single contracts, and the roll table that says how.

The volume decides: the first session in which the next contract trades more than the current one ends the
current one, and the series passes on at the open of the session after it, when that volume is known, so that
nothing looks ahead. A session that the current contract's file lacks decides nothing, and a series never goes
back. When the current contract's file ends before that, the series
passes on after its last session.

At a roll both contracts have a price. It is measured at their last common bar before the roll, and only
measured: the continuous series holds raw prices. `adjust.back_adjust` makes adjusted ones beside it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sessions.calendar import Sessions, sessions
from jupyter_nq.errors import InvalidArgument

ROLLS_KEY = b"nq_rolls"
"""Schema metadata of a continuous table: its roll table as JSON."""


@dataclass(frozen=True, repr=False)
class ContractRoll:
    """One row of a roll table."""

    old: str
    new: str
    trade_date: str
    """First session of the new contract, as in 2024-12-17."""
    at_ns: int
    """Open of that session, UTC: bars from here on are the new contract's."""
    reason: str
    """`volume` when the new contract traded more in the session before, `expiry` when the old file ends there."""
    old_volume: int
    new_volume: int
    """Of the session before."""
    measured_ns: int
    """Start of the last common bar before the roll, UTC, whose closes follow."""
    old_close: float
    new_close: float

    @property
    def difference(self) -> float:
        """New close minus old close, in points."""
        return self.new_close - self.old_close

    @property
    def ratio(self) -> float:
        """New close over old close, NaN when the old one is zero."""
        return self.new_close / self.old_close if self.old_close else math.nan

    def __repr__(self) -> str:
        why = "more volume" if self.reason == "volume" else "the end of its file"
        return (
            f"{self.trade_date}: {self.old} -> {self.new}, {self.difference:+,.2f} points, after {why} "
            f"({self.old_volume:,} and {self.new_volume:,} contracts in the session before)"
        )


@dataclass(frozen=True)
class _Contract:
    """The bars of one contract beside the sessions of all."""

    name: str
    table: pa.Table
    starts: Ints
    volume: npt.NDArray[np.float64]
    """Of every session, shape (sessions,)."""
    first: int
    last: int
    """Sessions of its first and last bar."""


def roll_table(contracts: Mapping[str, pa.Table], calendar: str) -> list[ContractRoll]:
    """Return the rolls between contracts, by volume.

    Parameters
    ----------
    contracts
        Bars by contract, such as {"NQZ24": ..., "NQH25": ...}, in the order in which the contracts expire. Each
        has the columns of `BAR_SCHEMA`, raw prices, and its stamps increase.
    calendar
        Trading calendar.

    Returns
    -------
    list[ContractRoll]
        At most one fewer than contracts: the last contracts may not have taken over yet.

    Raises
    ------
    InvalidArgument
        A contract has no bars in a session, ends before the one it follows, or two have no bar in common.
    """
    chain = _chain(contracts, calendar)
    if not chain:
        return []
    sess = _sessions_of([contract.starts for contract in chain], calendar)
    rolls: list[ContractRoll] = []
    since = chain[0].first
    for old, new in pairwise(chain):
        last, reason = _last_session(old, new, since)
        if last + 1 >= len(sess) or (reason == "expiry" and new.last <= last):
            break
        rolls.append(_measured(old, new, sess, last, reason))
        since = last + 1
    return rolls


def _sessions_of(starts: Sequence[Ints], calendar: str) -> Sessions:
    return sessions(calendar, min(int(s[0]) for s in starts), max(int(s[-1]) for s in starts))


def _chain(contracts: Mapping[str, pa.Table], calendar: str) -> list[_Contract]:
    starts = {name: starts_of(table) for name, table in contracts.items()}
    empty = [name for name, at in starts.items() if not len(at)]
    if empty:
        raise InvalidArgument(f"the contract {empty[0]!r} has no bars. Leave it out.")
    if not starts:
        return []
    sess = _sessions_of(list(starts.values()), calendar)
    chain = [_contract(name, contracts[name], at, sess) for name, at in starts.items()]
    for old, new in pairwise(chain):
        if new.last < old.last:
            raise InvalidArgument(
                f"the contract {new.name!r} ends on {sess.trade_date[new.last]}, before {old.name!r} on "
                f"{sess.trade_date[old.last]}. Give the contracts in the order in which they expire."
            )
    return chain


def _contract(name: str, table: pa.Table, starts: Ints, sess: Sessions) -> _Contract:
    at = sess.index(starts)
    inside = at >= 0
    if not inside.any():
        raise InvalidArgument(f"no bar of the contract {name!r} lies in a session of {sess.calendar}. Check its zone.")
    traded = table["volume"].to_numpy()[inside].astype(np.float64)
    volume = np.zeros(len(sess))
    np.add.at(volume, at[inside], traded)
    return _Contract(name, table, starts, volume, int(at[inside][0]), int(at[inside][-1]))


def _last_session(old: _Contract, new: _Contract, since: int) -> tuple[int, str]:
    """Return the last session of the old contract, from `since` on, and what ends it."""
    ours, theirs = (contract.volume[since : old.last + 1] for contract in (old, new))
    more = np.flatnonzero((theirs > ours) & (ours > 0))
    return (since + int(more[0]), "volume") if len(more) else (max(old.last, since - 1), "expiry")


def _measured(old: _Contract, new: _Contract, sess: Sessions, last: int, reason: str) -> ContractRoll:
    at_ns = int(sess.opens[last + 1])
    ours, theirs = (contract.starts[: np.searchsorted(contract.starts, at_ns)] for contract in (old, new))
    common, at_old, at_new = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    if not len(common):
        raise InvalidArgument(
            f"{old.name!r} and {new.name!r} have no bar in common before {sess.trade_date[last + 1]}, so the roll "
            "between them cannot be measured. Give files that overlap."
        )
    closes = [c.table["close"][int(at[-1])].as_py() for c, at in ((old, at_old), (new, at_new))]
    return ContractRoll(
        old.name,
        new.name,
        str(sess.trade_date[last + 1]),
        at_ns,
        reason,
        int(old.volume[last]),
        int(new.volume[last]),
        int(common[-1]),
        *closes,
    )


def continuous(contracts: Mapping[str, pa.Table], rolls: Sequence[ContractRoll]) -> pa.Table:
    """Return the raw bars of each contract from its roll to the next, as one series; columns are not copied.

    Parameters
    ----------
    contracts
        Bars by contract, as for `roll_table`.
    rolls
        What `roll_table` returned, or rows of one's own. Without any, the only contract is returned.

    Returns
    -------
    pa.Table
        Bars of `BAR_SCHEMA`, with `flags` when all contracts have them, and with the roll table in the schema's
        metadata.

    Raises
    ------
    InvalidArgument
        The rolls name a contract that is not given, do not follow on each other, or are not in order of time;
        or a column is missing.
    """
    names = [rolls[0].old, *(roll.new for roll in rolls)] if rolls else list(contracts)[:1]
    known = [name for name in names if name in contracts]
    chained = all(a.new == b.old and a.at_ns <= b.at_ns for a, b in pairwise(rolls))
    if known != names or not chained:
        raise InvalidArgument(
            f"the rolls {' -> '.join(names)} are not a chain in order of time through the contracts "
            f"{', '.join(contracts) or 'none'}. Take them from roll_table."
        )
    edges = [np.iinfo(np.int64).min, *(roll.at_ns for roll in rolls), np.iinfo(np.int64).max]
    schema = _schema([contracts[name] for name in names])
    parts = [_between(contracts[n], a, b, schema) for n, (a, b) in zip(names, pairwise(edges), strict=False)]
    whole = pa.concat_tables(parts) if parts else schema.empty_table()
    return whole.replace_schema_metadata({ROLLS_KEY: described(rolls, None)})


def _schema(tables: Sequence[pa.Table]) -> pa.Schema:
    flagged = all("flags" in table.column_names for table in tables)
    schema = pa.schema([field for field in BAR_SCHEMA if flagged or field.name != "flags"])
    missing = [name for table in tables for name in schema.names if name not in table.column_names]
    if missing:
        raise InvalidArgument(f"a contract has no column {missing[0]!r}. Give bars with {', '.join(schema.names)}.")
    return schema


def _between(table: pa.Table, first_ns: int, stop_ns: int, schema: pa.Schema) -> pa.Table:
    first, stop = np.searchsorted(starts_of(table), [first_ns, stop_ns])
    return table.select(schema.names).slice(int(first), int(stop - first)).cast(schema)


# -- the roll table as metadata ---------------------------------------------------------------------
def roll_digest(rolls: Iterable[ContractRoll]) -> str:
    """Return the version of a roll table: 16 hexadecimal digits that change with any of its values."""
    text = json.dumps([asdict(roll) for roll in rolls], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def described(rolls: Sequence[ContractRoll], adjusted: str | None) -> bytes:
    """Return a roll table as metadata; `adjusted` is the method, None for raw prices."""
    rows = [asdict(roll) for roll in rolls]
    return json.dumps({"version": roll_digest(rolls), "adjusted": adjusted, "rolls": rows}).encode()


def rolls_of(table: pa.Table) -> tuple[list[ContractRoll], str | None]:
    """Return the roll table in a table's metadata and the method of adjustment, None for raw prices.

    Raises
    ------
    InvalidArgument
        The table has none: it was not made by `continuous`.
    """
    text = (table.schema.metadata or {}).get(ROLLS_KEY)
    if text is None:
        raise InvalidArgument("the table has no roll table. Make it with continuous(contracts, rolls), or pass rolls.")
    found: dict[str, Any] = json.loads(text)
    return [ContractRoll(**row) for row in found["rolls"]], found["adjusted"]
