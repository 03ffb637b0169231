"""What is demanded of the readers for one input: the table of the reference reader bit for bit, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.bars import BAR_SCHEMA, load_bars, read_bars
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading import fast, starts
from jupyter_nq.bars.reading.chunks import iterate
from jupyter_nq.bars.reading.lenient import read_lenient
from jupyter_nq.errors import NQError
from tests.fuzz import reference
from tests.fuzz.inputs import Input

_TYPES = (np.int64, np.float64, np.float64, np.float64, np.float64, np.int64, np.uint32)
_CLOCK_RULES = ("skipped hour", "repeated hour")


@dataclass(frozen=True)
class Failure:
    """A reader that did something else than the reference reader."""

    reader: str
    what: str


Columns = list[bytes]


class Checker:
    """Reads inputs in every way and compares. `path` is a file that it writes anew for each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        fast.KERNELS.wait()
        starts.CLOCKS.wait()

    def check(self, given: Input, number: int, *, every: bool = False) -> list[Failure]:
        """Return what is wrong when an input is read in one way, which its number chooses, or in every way."""
        self._path.write_bytes(given.data)
        profile = given.profile
        expected = _outcome(lambda: _columns_of(reference.read(given.data, profile)))
        random = Random(number)
        block = random.choice((256, 1000, 4096))
        ways: list[tuple[str, Callable[[], list[Failure]]]] = [
            ("read", lambda: self._compare("read", expected, lambda: self._read(profile, block))),
            ("fast", lambda: self._compare("fast", expected, lambda: self._fast(profile, random))),
            ("chunks", lambda: self._compare("chunks", expected, lambda: self._pieces(profile, random))),
            ("lenient", lambda: self._lenient(given, expected, block)),
            ("load", lambda: self._load(given, random)),
        ]
        found = []
        for name, way in ways if every else [ways[number % len(ways)]]:
            try:
                found += way()
            except NQError as exc:
                found.append(Failure(name, f"refused: {exc}"))
            except Exception as exc:
                found.append(Failure(name, f"{type(exc).__name__}: {exc}"))
        return found

    # -- readers ------------------------------------------------------------------------------------------------
    def _read(self, profile: Profile, block: int) -> pa.Table:
        return read_bars(self._path, profile, block_bytes=block)

    def _fast(self, profile: Profile, random: Random) -> pa.Table:
        settings = {"small_bytes": 0, "part_bytes": random.choice((40, 300, 5000)), "threads": 1}
        return read_bars(self._path, profile, settings=settings)

    def _pieces(self, profile: Profile, random: Random) -> pa.Table:
        rows, block = random.choice((1, 3, 100)), random.choice((256, 1000, 4096))
        batches = list(iterate(self._path, profile, rows=rows, block_bytes=block))
        return pa.Table.from_batches(batches, BAR_SCHEMA).combine_chunks()

    def _compare(self, reader: str, expected: Columns | str, read: Callable[[], pa.Table]) -> list[Failure]:
        try:
            found = _bytes_of(read())
        except NQError as exc:
            return [] if isinstance(expected, str) else [Failure(reader, f"refused a sound file: {exc}")]
        except Exception as exc:
            return [Failure(reader, f"{type(exc).__name__}: {exc}")]
        if isinstance(expected, str):
            return [Failure(reader, f"accepted a file that is none: {expected}")]
        return [] if found == expected else [Failure(reader, f"another table: {_difference(found, expected)}")]

    def _load(self, given: Input, random: Random) -> list[Failure]:
        """Find out how the file is to be read; whatever is found, the table must be what the reference gives for it."""
        told = given.profile
        answers: dict[str, Any] = {"tz": told.tz, "edge": told.edge, "timeframe": f"{told.minutes}min"}
        answers = {name: answer for name, answer in answers.items() if random.random() < 0.9}
        try:
            bars = load_bars(self._path, symbol="NQ", day_first=random.choice((None, True, False)), **answers)
        except NQError:
            return []
        expected = _outcome(lambda: _columns_of(reference.read(given.data, bars.profile)))
        return self._compare("load", expected, lambda: bars.table)

    def _lenient(self, given: Input, expected: Columns | str, block: int) -> list[Failure]:
        """Every row is a bar or told apart, for the reasons of the reference; a sound file gives the strict table."""
        profile = given.profile
        found = read_lenient(self._path, profile, block_bytes=block)
        if not isinstance(expected, str):
            if found.bad:
                return [Failure("lenient", f"refused a sound row: {found.bad[0]}")]
            return self._compare("lenient", expected, lambda: found.table)
        lines = list(reference.data_lines(given.data, profile))
        rows = sorted([*found.rows.tolist(), *(bad.row for bad in found.bad)])
        if rows != list(range(len(lines))):
            return [
                Failure("lenient", f"{len(lines)} rows became {len(found.rows)} bars and {len(found.bad)} bad rows")
            ]
        return [
            *(failure for bad in found.bad for failure in _of_bad_row(bad.row, bad.rule, lines, profile)),
            *(
                failure
                for at, row in enumerate(found.rows.tolist())
                for failure in _of_row(found.table, at, lines[row], profile)
            ),
        ]


def _of_row(table: pa.Table, at: int, line: bytes, profile: Profile) -> list[Failure]:
    """Compare a bar with its line; its start is left out, which may need the other rows."""
    try:
        row = reference.row_of(line, profile)
    except reference.Refused as exc:
        return [Failure("lenient", f"accepted {line!r}: {exc}")]
    bar = [table.column(place)[at].as_py() for place in range(1, 6)]
    expected = [*row.prices, row.volume]
    return [] if repr(bar) == repr(expected) else [Failure("lenient", f"{bar} of {line!r}")]


def _of_bad_row(row: int, rule: str, lines: list[bytes], profile: Profile) -> list[Failure]:
    if rule in _CLOCK_RULES or (rule == "missing stamp" and _offsets_differ(profile)):
        return []
    try:
        reference.row_of(lines[row], profile)
    except reference.Refused:
        return []
    return [Failure("lenient", f"refused {lines[row]!r}: {rule}")]


def _offsets_differ(profile: Profile) -> bool:
    """Tell whether stamps of some layouts carry an offset and others do not, so that rows of one kind are refused."""
    return len({label.startswith("epoch") or label.endswith("Z") for label in profile.layouts}) > 1


# -- comparing --------------------------------------------------------------------------------------------------------
def _outcome(read: Callable[[], Columns]) -> Columns | str:
    try:
        return read()
    except reference.Refused as exc:
        return str(exc)


def _columns_of(bars: list[reference.Bar]) -> Columns:
    return [np.array(column, kind).tobytes() for column, kind in zip(zip(*bars, strict=True), _TYPES, strict=True)]


def _bytes_of(table: pa.Table) -> Columns:
    if table.schema != BAR_SCHEMA or any(column.null_count for column in table.columns):
        raise TypeError(f"the table has another schema, or nulls: {table.schema}")
    columns = [column.combine_chunks() for column in table.columns]
    values = [column.cast(pa.int64()) if i == 0 else column for i, column in enumerate(columns)]
    return [np.asarray(column.to_numpy(zero_copy_only=False)).tobytes() for column in values]


def _difference(found: Columns, expected: Columns) -> str:
    for name, kind, here, there in zip(BAR_SCHEMA.names, _TYPES, found, expected, strict=True):
        if here != there:
            mine, right = np.frombuffer(here, kind), np.frombuffer(there, kind)
            if len(mine) != len(right):
                return f"{len(mine)} rows, not {len(right)}"
            at = int(np.flatnonzero(mine.view(f"u{mine.itemsize}") != right.view(f"u{right.itemsize}"))[0])
            return f"row {at}: {name} {mine[at]!r}, not {right[at]!r}"
    return "none"
