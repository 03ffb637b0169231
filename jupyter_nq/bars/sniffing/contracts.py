"""A file that holds several contracts: which it has, and the one that is wanted.

Vendors put all contracts of a product into one file, spreads among them. Their rows are no series of bars, so one
of them has to be named. A file of only one needs no name, nor one that says for each row which contract a continuous
series was of. A spread is none of them: its prices are differences, so it is never read unless it is named, or alone.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from jupyter_nq.bars.profile import Dialect
from jupyter_nq.bars.reading.blocks import BLOCK_BYTES, read_blocks
from jupyter_nq.errors import AmbiguousSource, InvalidArgument, nearest

_MOST_LISTED = 12
_CODE = "[A-Z0-9]{0,4}[FGHJKMNQUVXZ][0-9]{1,2}"
_SPREAD = re.compile(rf"{_CODE}(-{_CODE})+|[A-Z0-9]+:[A-Z0-9]+:? .+")


@dataclass(frozen=True)
class Chosen:
    """A table of one contract, or of several that follow each other."""

    table: Dialect
    evidence: tuple[str, ...] = ()
    several: str = ""
    """The question to ask when the stamps go back after all: then the contracts do not follow each other."""

    def check(self, *, ascends: bool) -> None:
        """Raise `AmbiguousSource` when several contracts were taken for one series and are none."""
        if self.several and not ascends:
            raise AmbiguousSource(self.several)


def of_contract(path: Path, table: Dialect, contract: str | None, block_bytes: int = BLOCK_BYTES) -> Chosen:
    """Return the table with its one contract, or the wanted one.

    Raises
    ------
    AmbiguousSource
        There are several, mixed, and none is wanted; the message lists them.
    InvalidArgument
        The wanted one is not there, or the file does not say contracts.
    """
    if "contract" not in table.columns:
        if contract is not None:
            raise InvalidArgument(
                f"{path} has no column of contracts, so contract={contract!r} cannot be chosen. Leave it out, or say "
                "which column it is: profile={'columns': {'contract': ...}}."
            )
        return Chosen(table)
    rows, runs = _counted(path, table, block_bytes)
    if contract is None and len(rows) > 1:
        question = _question(path, rows)
        outright = [name for name in rows if not _is_spread(name)]
        if len(outright) == 1:
            return _chosen(table, outright[0], rows, "the only one that is no spread")
        if runs > len(rows) or len(outright) < len(rows):
            raise AmbiguousSource(question)
        first, *_, last = rows
        series = f"contract: {len(rows)} contracts one after the other, {first} to {last}: a continuous series"
        return Chosen(table, (series,), question)
    if contract is None or set(rows) == {contract}:
        return Chosen(table, tuple(f"contract: {name} in all {count:,} rows" for name, count in rows.items()))
    if contract not in rows:
        raise InvalidArgument(
            f"{path} has no contract {contract!r}.{nearest(contract, rows)} It holds {_listed(rows)}."
        )
    return _chosen(table, contract, rows, "as given")


def _chosen(table: Dialect, contract: str, rows: Counter[str], why: str) -> Chosen:
    others = Counter({name: count for name, count in rows.items() if name != contract})
    evidence = (
        f"contract: {contract} in {rows[contract]:,} rows, {why}; "
        f"not read: {others.total():,} rows of {len(others)} others, {_listed(others)}"
    )
    return Chosen(replace(table, contract=contract), (evidence,))


def _question(path: Path, rows: Counter[str]) -> str:
    example = next((name for name, _ in rows.most_common() if not _is_spread(name)), next(iter(rows)))
    return f"{path} holds {len(rows)} contracts: {_listed(rows)}. Pass the one you mean, contract={example!r}."


def _counted(path: Path, table: Dialect, block_bytes: int) -> tuple[Counter[str], int]:
    """Return the rows of each contract, in the order of their first ones, and in how many runs these stand."""
    rows: Counter[str] = Counter()
    runs, last = 0, None
    for batch in read_blocks(path, table, ["contract"], block_bytes=block_bytes):
        names = pc.utf8_trim_whitespace(batch.column(0)).dictionary_encode()
        codes = names.indices.to_numpy(zero_copy_only=False)
        known = names.dictionary.to_pylist()
        for name, count in zip(known, np.bincount(codes, minlength=len(known)).tolist(), strict=True):
            rows[name] += count
        runs += int(np.count_nonzero(np.diff(codes))) + (known[codes[0]] != last)
        last = known[codes[-1]]
    return rows, runs


def _listed(rows: Counter[str]) -> str:
    shown = [f"{name or 'without a name'} {n:,}{' (a spread)' * _is_spread(name)}" for name, n in rows.most_common()]
    more = f" and {len(shown) - _MOST_LISTED} more" if len(shown) > _MOST_LISTED else ""
    return ", ".join(shown[:_MOST_LISTED]) + more


def _is_spread(name: str) -> bool:
    """Return whether a name joins two contracts, as `NQZ3-NQH4`, or is of a strategy, as `NQ:BF Z3-H4-M4`."""
    return _SPREAD.fullmatch(name) is not None
