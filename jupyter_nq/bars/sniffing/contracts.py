"""A file that holds several contracts: which it has, and the one that is wanted.

Vendors put all contracts of a product into one file, spreads among them. Their rows are no series of bars, so one
of them has to be named, and a file of only one needs no name.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc

from jupyter_nq.bars.profile import Dialect
from jupyter_nq.bars.reading.blocks import BLOCK_BYTES, read_blocks
from jupyter_nq.errors import AmbiguousSource, InvalidArgument, nearest

_MOST_LISTED = 12
_SPREAD_MARKS = "-: "


def of_contract(
    path: Path, table: Dialect, contract: str | None, block_bytes: int = BLOCK_BYTES
) -> tuple[Dialect, tuple[str, ...]]:
    """Return the table with its one contract, or the wanted one, and the evidence.

    Raises
    ------
    AmbiguousSource
        There are several and none is wanted; the message lists them.
    InvalidArgument
        The wanted one is not there, or the file does not say contracts.
    """
    if "contract" not in table.columns:
        if contract is not None:
            raise InvalidArgument(
                f"{path} has no column of contracts, so contract={contract!r} cannot be chosen. Leave it out, or say "
                "which column it is: profile={'columns': {'contract': ...}}."
            )
        return table, ()
    rows = _counted(path, table, block_bytes)
    alone = {role: names for role, names in table.columns.items() if role != "contract"}
    if contract is None and len(rows) > 1:
        example = next((name for name, _ in rows.most_common() if not _is_spread(name)), next(iter(rows)))
        raise AmbiguousSource(
            f"{path} holds {len(rows)} contracts: {_listed(rows)}. Pass the one you mean, contract={example!r}."
        )
    if contract is None or set(rows) == {contract}:
        return replace(table, columns=alone), tuple(f"contract: {name} in all {n:,} rows" for name, n in rows.items())
    if contract not in rows:
        raise InvalidArgument(
            f"{path} has no contract {contract!r}.{nearest(contract, rows)} It holds {_listed(rows)}."
        )
    others = Counter({name: count for name, count in rows.items() if name != contract})
    evidence = (
        f"contract: {contract} in {rows[contract]:,} rows, as given; "
        f"not read: {others.total():,} rows of {len(others)} others, {_listed(others)}"
    )
    return replace(table, contract=contract), (evidence,)


def _counted(path: Path, table: Dialect, block_bytes: int) -> Counter[str]:
    rows: Counter[str] = Counter()
    for batch in read_blocks(path, table, ["contract"], block_bytes=block_bytes):
        for count in pc.value_counts(pc.utf8_trim_whitespace(batch.column(0))).to_pylist():
            rows[count["values"]] += count["counts"]
    return rows


def _listed(rows: Counter[str]) -> str:
    shown = [f"{name or 'without a name'} {n:,}{' (a spread)' * _is_spread(name)}" for name, n in rows.most_common()]
    more = f" and {len(shown) - _MOST_LISTED} more" if len(shown) > _MOST_LISTED else ""
    return ", ".join(shown[:_MOST_LISTED]) + more


def _is_spread(name: str) -> bool:
    """Return whether a name joins two contracts, as `NQZ3-NQH4`, or is of a strategy, as `NQ:BF Z3-H4-M4`."""
    return any(mark in name for mark in _SPREAD_MARKS)
