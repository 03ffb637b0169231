"""Reading a file that the strict reader refuses: every row becomes a bar, or is told apart with its line and reason.

The lines of a block are split by Arrow, and each rule is applied to whole columns, so that a row that cannot be
read costs the others nothing. Nothing is guessed, sorted or mended. A stamp is looked at in three steps: its
shape, which must be one of the profile's layouts (`shapes`); its date, which must exist; its place on the clock
of the zone, which may skip or repeat it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.bars.closed import bar_starts
from jupyter_nq.bars.profile import Dialect, Profile
from jupyter_nq.bars.reading import cells
from jupyter_nq.bars.reading.blocks import BLOCK_BYTES, NO_CELLS, Progress, changed, lines_of, reading
from jupyter_nq.bars.reading.chosen import MOST_EXACT, is_of_contract
from jupyter_nq.bars.reading.lines import BOM, LongLine, cells_of, lines, whole_lines
from jupyter_nq.bars.reading.opening import opened
from jupyter_nq.bars.reading.shapes import GOOD, NO_DATE, Stamps
from jupyter_nq.bars.reading.stamps import BadStamp, Ints
from jupyter_nq.bars.rules import flags_of
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.bars.zones import steps
from jupyter_nq.errors import UnreadableSource

MOST_BAD = 100_000
"""Rows that may be unreadable; a file with more is not what its profile says."""

_NO_TEXT = "the line is not UTF-8 text, or has NUL bytes"
_NS = 1_000_000_000
_STAMP = ("local", "nanos", "offset")
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Bad:
    """A row that cannot be a bar."""

    row: int
    """Of the file, counted from 0 below the header."""
    line: int
    """Of the file, counted from 1."""
    text: str
    """The line, as it stands in the file."""
    rule: str
    """A name in `rules.RULES`."""
    reason: str


@dataclass(frozen=True)
class Lenient:
    """What a file holds."""

    table: pa.Table
    """`BAR_SCHEMA`, the readable rows in the file's order, which need not be that of time."""
    rows: Ints
    """The row of the file of each bar."""
    lines: Ints
    """The line of the file of each bar, counted from 1."""
    bad: tuple[Bad, ...]
    """The other rows, in the file's order."""
    bad_starts: Ints
    """Starts, ns UTC, of those of the other rows whose stamp can be read, and is on the clock once; in no order."""


def read_lenient(
    path: str | os.PathLike[str],
    profile: Profile,
    *,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
) -> Lenient:
    """Read every row of a text file that can be read, and say of every other why not.

    Parameters
    ----------
    path, profile, block_bytes, progress
        As for `read_bars`. Memory is that of the table, the unreadable lines and one block.

    Raises
    ------
    SourceNotFound, UnreadableSource
        No file, or more than `MOST_BAD` rows that cannot be read.
    """
    path = Path(path)
    found = _Reader(path, profile)
    for block in _blocks(path, block_bytes, progress):
        found.add(block)
    return found.result()


def _blocks(path: Path, block_bytes: int, progress: Progress | None) -> Iterator[list[bytes]]:
    """Yield the lines of a file's text without their ends, block by block."""
    with reading(path), opened(path) as file:
        try:
            for number, block in enumerate(whole_lines(file, block_bytes)):
                yield (block if number else block.removeprefix(BOM)).splitlines()
                if progress is not None:
                    progress(file.share())
        except LongLine:
            list(lines(path))  # says which it is
            raise changed(path) from None


def sound_lines(path: str | os.PathLike[str], dialect: Dialect, *, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield a text file without the lines that are no row of the table, and rows whose stamp is none.

    From these the form of the stamps can be found out when a few damaged rows forbid it in the file itself. The
    lines before the first row are kept; numbers are not looked at.
    """
    stamps, number = Stamps(None), 0
    for block in _blocks(Path(path), block_bytes, None):
        head = block[: max(dialect.skip_lines - number, 0)]
        number += len(block)
        rows = _rows_of([line.decode("utf-8", "replace") for line in block[len(head) :]], dialect)
        codes = stamps.read(rows.stamps(dialect))[3]
        kept = rows.places[codes == GOOD].tolist()
        yield b"".join(line + b"\n" for line in (*head, *(block[len(head) + place] for place in kept)))


@dataclass
class _Rows:
    """The rows of a block that are good so far, and why the others are not."""

    places: Ints
    """In the block."""
    columns: dict[str, Any]
    """Cells and numbers of these rows, as Arrow and numpy arrays."""
    bad: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Place -> rule and reason."""
    stamped: list[dict[str, Any]] = field(default_factory=list)
    """The stamps, as columns, of rows that were refused for something else."""

    def refuse(self, wrong: Mask, why: Callable[[int], tuple[str, str]]) -> None:
        """Take out the rows of a mask; `why` gives rule and reason by the position in the mask."""
        if not wrong.any():
            return
        for at in np.flatnonzero(wrong).tolist():
            self.bad[int(self.places[at])] = why(at)
        if "local" in self.columns:
            self.stamped.append({name: self.columns[name][wrong] for name in _STAMP})
        kept = ~wrong
        self.places = self.places[kept]
        arrow = pa.array(kept)
        self.columns = {
            name: column.filter(arrow) if isinstance(column, pa.Array) else column[kept]
            for name, column in self.columns.items()
        }

    def stamps(self, dialect: Dialect) -> pa.Array:
        """Take out the cells of the stamp, and return them as one text for each row."""
        parts = [self.columns.pop(f"cell {name}") for name in dialect.columns["timestamp"]]
        return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, " ")


def _rows_of(texts: list[str], dialect: Dialect) -> _Rows:
    """Split lines into the cells of the columns that have a meaning."""
    rows = _Rows(np.arange(len(texts)), {"text": pa.array(texts, pa.string())})
    rows.columns["cells"] = _split(rows.columns["text"], dialect.delimiter)
    lengths = pc.fill_null(pc.list_value_length(rows.columns["cells"]), -1).to_numpy(zero_copy_only=False)
    wanted = len(dialect.names)

    def why(at: int) -> tuple[str, str]:
        if any(mark in texts[at] for mark in "\ufffd\0"):
            return "text", _NO_TEXT
        return "columns", NO_CELLS if lengths[at] < 0 else f"the row has {lengths[at]} columns, not {wanted}"

    rows.refuse(lengths != wanted, why)
    parts = rows.columns.pop("cells")
    del rows.columns["text"]
    names = [name for names in dialect.columns.values() for name in names]
    rows.columns |= {f"cell {name}": pc.list_element(parts, dialect.names.index(name)) for name in names}
    for name in names:
        broken = _mask(pc.match_substring_regex(rows.columns[f"cell {name}"], "\ufffd|\x00"))
        rows.refuse(broken, lambda _: ("text", _NO_TEXT))
    return rows


def _split(texts: pa.Array, delimiter: str) -> pa.Array:
    """Return the cells of each line, null for a line whose quotes do not make cells."""
    if not pc.any(pc.match_substring(texts, '"')).as_py():
        return pc.split_pattern(texts, delimiter)
    return pa.array([cells_of(text, delimiter) for text in texts.to_pylist()], pa.list_(pa.string()))


class _Reader:
    """Collects the bars and the bad rows, block by block. Used by one thread."""

    def __init__(self, path: Path, profile: Profile) -> None:
        self._path, self._profile = path, profile
        self._line = self._row = 0  # lines and rows before the block
        self._bad: list[Bad] = []
        self._parts: list[dict[str, npt.NDArray[Any]]] = []
        self._stamped: list[dict[str, npt.NDArray[Any]]] = []
        self._stamps = Stamps(profile.layouts)

    def add(self, block: list[bytes]) -> None:
        """Take the next lines."""
        first, self._line = self._line + 1, self._line + len(block)
        kept = [
            (number, text)
            for number, line in enumerate(block, first)
            if number > self._profile.skip_lines
            and (text := line.decode("utf-8", "replace"))
            and is_of_contract(text, self._profile)
        ]
        if not kept:
            return
        texts = [text for _, text in kept]
        numbers = np.array([number for number, _ in kept], np.int64)
        rows = self._read(texts)
        rows.columns |= {"row": self._row + rows.places, "line": numbers[rows.places]}
        self._parts.append(rows.columns)
        self._stamped += rows.stamped
        self._row += len(kept)
        for place, why in sorted(rows.bad.items()):
            self._refuse(Bad(self._row - len(kept) + place, int(numbers[place]), texts[place], *why))

    def _refuse(self, bad: Bad) -> None:
        self._bad.append(bad)
        if len(self._bad) > MOST_BAD:
            raise UnreadableSource(
                f"{self._path}: more than {MOST_BAD:,} rows cannot be read, the last is line {bad.line}: "
                f"{bad.reason}. Look whether it is a file of bars, and pass day_first= as it needs."
            )

    def _read(self, texts: list[str]) -> _Rows:
        rows = _rows_of(texts, self._profile)
        self._read_stamps(rows)
        for role in (*PRICES, "volume"):
            for name in self._profile.columns[role]:
                _read_numbers(rows, role, name, self._profile)
        return rows

    def _read_stamps(self, rows: _Rows) -> None:
        texts = rows.stamps(self._profile)
        local, nanos, offset, codes = self._stamps.read(texts)

        def why(at: int) -> tuple[str, str]:
            text = texts[at].as_py()
            if codes[at] == NO_DATE:
                return "no such date", f"there is no {text!r}"
            if not text:
                return "missing stamp", "the stamp is empty"
            return "missing stamp", f"{text!r} is not a date and time in the layout {', '.join(self._profile.layouts)}"

        rows.refuse(codes != GOOD, why)
        good = codes == GOOD
        rows.columns |= dict(zip(_STAMP, (local[good], nanos[good], offset[good]), strict=True))

    def result(self) -> Lenient:
        """Return everything that was read."""
        rows = _joined(self._parts, (*_STAMP, *PRICES, "volume", "row", "line"))
        starts, good = self._starts(rows)
        columns = [rows[name][good] for name in (*PRICES, "volume")]
        flags = flags_of(columns[:4], columns[4], self._profile)
        table = pa.Table.from_arrays(
            [
                pa.Array.from_buffers(kind.type, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
                for kind, values in zip(BAR_SCHEMA, [starts, *columns, flags], strict=True)
            ],
            schema=BAR_SCHEMA,
        )
        self._bad.sort(key=lambda bad: bad.row)
        return Lenient(table, rows["row"][good], rows["line"][good], tuple(self._bad), self._bad_starts())

    def _bad_starts(self) -> Ints:
        rows = _joined(self._stamped, _STAMP)
        local = rows["local"]
        if not len(local) or self._stamps.carries_offset:
            return self._bars(local - rows["offset"], rows["nanos"])
        zone = steps(self._profile.tz, int(local.min()), int(local.max()))
        once = ~np.logical_or(*zone.doubtful(local))
        return self._bars(zone.to_utc(local[once]), rows["nanos"][once])

    def _starts(self, rows: dict[str, npt.NDArray[Any]]) -> tuple[Ints, Ints]:
        """Return the starts (ns UTC) of the rows that the clock has once, and these rows."""
        local, good = rows["local"], np.arange(len(rows["local"]))
        if self._stamps.carries_offset:
            utc = local - rows["offset"]
        else:
            utc, good = self._utc(rows)
        return self._bars(utc, rows["nanos"][good]), good

    def _bars(self, utc: Ints, nanos: Ints) -> Ints:
        """Return the starts (ns UTC) of the bars that have these stamps."""
        starts = bar_starts(utc, self._profile.edge, self._profile.minutes, self._profile.calendar) * _NS
        return starts + nanos

    def _utc(self, rows: dict[str, npt.NDArray[Any]]) -> tuple[Ints, Ints]:
        local, good = rows["local"], np.arange(len(rows["local"]))
        if not len(local):
            return local, good
        zone = steps(self._profile.tz, int(local.min()), int(local.max()))
        skipped, _ = zone.doubtful(local)
        reason = f"the clocks of {self._profile.tz} went forward over it"
        self._refuse_clock(rows, np.flatnonzero(skipped), "skipped hour", reason)
        good = good[~skipped]
        while True:
            try:
                return zone.to_utc(local[good], rows["nanos"][good]), good
            except BadStamp as bad:
                same_hour = np.abs(local[good] - local[good[bad.row]]) < 3600
                twice = zone.doubtful(local[good])[1] & same_hour
                twice[bad.row] = True
                reason = f"the clocks of {self._profile.tz} show it twice, and the order does not tell which is meant"
                self._refuse_clock(rows, good[twice], "repeated hour", reason)
                good = good[~twice]

    def _refuse_clock(self, rows: dict[str, npt.NDArray[Any]], which: Ints, rule: str, reason: str) -> None:
        texts = dict(lines_of(self._path, self._profile, rows["row"][which].tolist())) if len(which) else {}
        for at in which.tolist():
            line = int(rows["line"][at])
            self._refuse(Bad(int(rows["row"][at]), line, texts.get(line, ""), rule, reason))


def _joined(parts: list[dict[str, npt.NDArray[Any]]], names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    empty = {name: np.empty(0, np.float64 if name in PRICES else np.int64) for name in names}
    return {name: np.concatenate([none, *(part[name] for part in parts)]) for name, none in empty.items()}


def _read_numbers(rows: _Rows, role: str, name: str, table: Dialect) -> None:
    """Turn a column of cells into numbers; of two columns for one role, up and down volume, the sum is taken."""
    texts = rows.columns[f"cell {name}"]
    values, codes = cells.counts(texts) if role == "volume" else _prices(texts, table)
    before = rows.columns.get(role)
    if before is not None:
        values = values + before
        codes[values < 0] = cells.NO_COUNT  # more than 64 bits
    rows.columns[role] = values
    rows.refuse(
        codes != cells.GOOD,
        lambda at: (cells.RULES[codes[at]], cells.reason(name, int(codes[at]), texts[at].as_py(), table.decimal)),
    )
    del rows.columns[f"cell {name}"]


def _prices(texts: pa.Array, table: Dialect) -> tuple[npt.NDArray[np.float64], cells.Codes]:
    """Return prices in points; one that is no whole number of parts of the table's scale is none."""
    values, codes = cells.prices(texts, table.decimal)
    if table.price_scale != 1:
        broken = (codes == cells.GOOD) & ~((values == np.floor(values)) & (np.abs(values) <= MOST_EXACT))
        codes[broken] = cells.TEXT
        values = np.where(broken, 0.0, values / table.price_scale)
    return values, codes


def _mask(array: pa.Array) -> Mask:
    found: Mask = array.to_numpy(zero_copy_only=False)
    return found
