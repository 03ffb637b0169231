"""Several files of one series as one: each read by its own profile, put together by time.

Files are walked through side by side, in the order of their first bars. Where two hold the same time they must hold
the same bars; those are taken once and counted. The walk takes blocks of any size, so whole files and small pieces of
them give the same series, and memory is that of the blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.loading import Bars, load_bars
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.blocks import BLOCK_BYTES, Progress
from jupyter_nq.bars.reading.carried import Columns
from jupyter_nq.bars.reading.chunks import Guard, batches
from jupyter_nq.bars.reading.chunks import iterate as iterate_text
from jupyter_nq.bars.reading.opening import is_columnar
from jupyter_nq.bars.reading.reader import iso, values_of
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sniffing.sniff import sniff
from jupyter_nq.bars.zones import same_zone
from jupyter_nq.errors import AmbiguousStamps, InvalidArgument, UnreadableSource

if TYPE_CHECKING:
    from jupyter_nq.bars.columnar.sheets import Sheet

_BLOCK_ROWS = 1 << 15
_MOST_NAMED = 3
_MOST_SEAMS = 24
_NAMES = BAR_SCHEMA.names[:6]
_DTYPES: tuple[Any, ...] = (np.int64, *[np.float64] * 4, np.int64, np.uint32)


# -- side by side -----------------------------------------------------------------------------------
class _Rows(Protocol):
    """Bars that can be looked at before they are taken."""

    @property
    def label(self) -> str:
        """What messages call the file."""

    def block(self) -> Columns | None:
        """Return the next bars, None at the end."""

    def take(self, count: int) -> Columns:
        """Return the first of the next bars, and pass over them."""

    def alone(self) -> _Rows:
        """Return what is left to walk through, when it is a single file."""


class _File:
    """The bars of one file. Used by one thread."""

    def __init__(self, label: str, blocks: Iterator[Columns]) -> None:
        self.label = label
        self._blocks = blocks
        self._block: Columns | None = None
        self.rows = 0

    def block(self) -> Columns | None:
        while self._block is None or not len(self._block[0]):
            self._block = next(self._blocks, None)
            if self._block is None:
                return None
        return self._block

    def take(self, count: int) -> Columns:
        block = self._block or []
        self._block = [column[count:] for column in block]
        self.rows += count
        return [column[:count] for column in block]

    def alone(self) -> _Rows:
        return self


class _Both:
    """Bars that two files hold, while both have some. Used by one thread."""

    def __init__(self, left: _Rows, right: _Rows, seams: Seams) -> None:
        self._left, self._right, self._seams = left, right, seams

    @property
    def label(self) -> str:
        """The file that goes on."""
        return self._right.label if self._left.block() is None else self._left.label

    def block(self) -> Columns | None:
        left, right = self._left.block(), self._right.block()
        if left is None or right is None:
            return right if left is None else left
        count = min(len(left[0]), len(right[0]))
        mine, other = [column[:count] for column in left], [column[:count] for column in right]
        if not all(np.array_equal(a, b) for a, b in zip(mine[:6], other[:6], strict=True)):
            raise _different(self._left.label, mine, self._right.label, other)
        return mine

    def take(self, count: int) -> Columns:
        both = self._left.block() is not None and self._right.block() is not None
        if both:
            self._seams.share(self._left.label, self._right.label, count)
            self._right.take(count)
            return self._left.take(count)
        return (self._right if self._left.block() is None else self._left).take(count)

    def alone(self) -> _Rows:
        if self._left.block() is None:
            return self._right.alone()
        return self._left.alone() if self._right.block() is None else self


@dataclass
class Seams:
    """What was found where files meet. Used by one thread."""

    shared: dict[tuple[str, str], int] = field(default_factory=dict)
    """Bars that two files both hold."""
    apart: list[tuple[str, str, int, int]] = field(default_factory=list)
    """File, the next one, the start of the last bar of the one and of the first of the other, ns UTC."""

    def share(self, left: str, right: str, rows: int) -> None:
        """Count bars that two files hold."""
        self.shared[left, right] = self.shared.get((left, right), 0) + rows

    def sentences(self) -> list[str]:
        """Return what is to be said."""
        found = [
            f"overlap: {a} and {b} both hold {rows:,} bars, which are the same" for (a, b), rows in self.shared.items()
        ]
        found += [
            f"border: {a} ends with the bar of {iso(np.int64(last))}, {b} begins with {iso(np.int64(first))}"
            for a, b, last, first in self.apart
        ]
        more = len(found) - _MOST_SEAMS
        return [*found[:_MOST_SEAMS], *([f"and {more:,} more places where files meet"] if more > 0 else [])]


def merged(files: Sequence[tuple[str, Iterator[Columns]]], seams: Seams) -> Iterator[Columns]:
    """Yield the bars of files, put together by time.

    Parameters
    ----------
    files
        Name of each, and its blocks: the columns of `BAR_SCHEMA`, strictly increasing.
    seams
        Is told what is found.

    Raises
    ------
    UnreadableSource
        Where two files hold the same time they hold different bars.
    """
    waiting = [found for name, blocks in files if (found := _File(name, blocks)).block() is not None]
    waiting.sort(key=lambda file: int(file.block()[0][0]))  # type: ignore[index]
    current: _Rows | None = waiting.pop(0) if waiting else None
    last = 0
    while current is not None:
        current = current.alone()
        block = current.block()
        if block is None:
            before, current = current, waiting.pop(0) if waiting else None
            if current is not None:
                seams.apart.append((before.label, current.label, last, int(current.block()[0][0])))  # type: ignore[index]
            continue
        count = len(block[0])
        if waiting:
            first = waiting[0].block()[0][0]  # type: ignore[index]
            count = int(np.searchsorted(block[0], first))
            if not count:
                current = _Both(current, waiting.pop(0), seams)
                continue
        taken = current.take(count)
        last = int(taken[0][-1])
        yield taken


def _different(left: str, mine: Columns, right: str, other: Columns) -> UnreadableSource:
    """Return the error for two files that hold different bars of one time."""
    starts = mine[0] != other[0]
    if starts.any():
        row = int(np.argmax(starts))
        here, there = (left, right) if mine[0][row] < other[0][row] else (right, left)
        start = iso(min(mine[0][row], other[0][row]))
        return UnreadableSource(
            f"{left} and {right} overlap, and the bar of {start} is in {here}, but not in {there}, though it holds "
            "bars of that time. Remove the overlap from one of them."
        )
    wrong = np.flatnonzero(np.any([a != b for a, b in zip(mine[1:6], other[1:6], strict=True)], axis=0))
    named = []
    for row in wrong[:_MOST_NAMED].tolist():
        name, a, b = next(
            (name, a[row], b[row]) for name, a, b in zip(_NAMES, mine, other, strict=False) if a[row] != b[row]
        )
        named.append(f"{iso(mine[0][row])} {name} {a} and {b}")
    return UnreadableSource(
        f"{left} and {right} overlap, and hold different bars: {'; '.join(named)}. "
        "Remove from one of them the bars that are not to be used."
    )


# -- files ------------------------------------------------------------------------------------------
def load_series(
    paths: Sequence[Path],
    *,
    timeframe: str,
    symbol: str,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
    **reading: Any,
) -> Bars:
    """Return the bars of several files of one series.

    Parameters
    ----------
    paths
        Text, Parquet or Arrow files in any order; their bars may overlap where they are the same.
    timeframe, symbol
        What all of them hold.
    reading
        Answers for all of them, as for `load_bars`.

    Raises
    ------
    UnreadableSource
        As `load_bars`; or two files hold different bars of one time.
    AmbiguousStamps
        One file does not tell its clock, and neither do the others.
    """
    _check(paths)
    sizes = [max(path.stat().st_size, 1) for path in paths]

    def read(place: int, **more: Any) -> Bars:
        done, size = sum(sizes[:place]), sum(sizes)
        tell = None if progress is None else lambda share: progress((done + share * sizes[place]) / size)
        given = {"timeframe": timeframe, "symbol": symbol, "block_bytes": block_bytes, **reading, **more}
        return load_bars(paths[place], progress=tell, **given)

    names = names_of(paths)
    found, notes = _settled(names, read, lambda bars: bars.profile)
    seams = Seams()
    blocks = [(name, iter([_columns(bars.table.combine_chunks())])) for name, bars in zip(names, found, strict=True)]
    parts = list(merged(blocks, seams))
    arrays = [
        pa.Array.from_buffers(kind.type, len(values), [None, pa.py_buffer(values)])
        for kind, values in zip(
            BAR_SCHEMA, [np.concatenate(column) for column in zip(*parts, strict=True)], strict=True
        )
    ]
    table = pa.Table.from_arrays(arrays, schema=BAR_SCHEMA)
    held = ", ".join(f"{name} {bars.table.num_rows:,}" for name, bars in zip(names, found, strict=True))
    told = [f"{name}: {line}" for name, bars in zip(names, found, strict=True) for line in bars.evidence]
    evidence = (f"series: {len(paths)} files with so many bars: {held}", *notes, *seams.sentences(), *told)
    return Bars(table, replace(found[0].profile, evidence=evidence), evidence, found[0].instrument)


def iterate_series(
    paths: Sequence[Path],
    *,
    rows: int,
    timeframe: str,
    symbol: str,
    start_ns: int | None = None,
    end_ns: int | None = None,
    **reading: Any,
) -> Iterator[pa.RecordBatch]:
    """Return an iterator over the bars of a series in record batches of exactly `rows` rows, across its files.

    Parameters and errors are those of `load_series` and `reading.chunks.iterate`; no file may change from now on until
    it is walked through. Memory is that of a batch and a few blocks of the files that are walked through.
    """
    _check(paths)
    if rows < 1:
        raise InvalidArgument(f"rows={rows}: a chunk has at least one row.")

    guards = [Guard.of(path) for path in paths]

    def look(place: int, **more: Any) -> tuple[Profile, dict[str, Any]]:
        told = {"timeframe": timeframe, "symbol": symbol, **reading, **more}
        with guards[place].watching():
            return sniff(paths[place], **told).profile, told

    names = names_of(paths)
    found, _ = _settled(names, look, lambda known: known[0])
    span: dict[str, Any] = {"rows": _BLOCK_ROWS, "start_ns": start_ns, "end_ns": end_ns}
    files = [
        (name, map(_columns, _batches(path, profile, told, span | {"guard": guard})))
        for name, path, (profile, told), guard in zip(names, paths, found, guards, strict=True)
    ]
    return batches(merged(files, Seams()), rows)


def _batches(path: Path, profile: Profile, told: dict[str, Any], span: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    """Return the batches of one file; nothing is opened before the first is asked for."""
    with span["guard"].watching():
        sheet = _sheet(path)
    if sheet is None:
        yield from iterate_text(path, profile, in_points=True, **span)
    else:
        from jupyter_nq.bars.columnar.loading import iterate_columnar

        yield from iterate_columnar(sheet, path, **told, **span)


def _sheet(path: Path) -> Sheet | None:
    """Return the sheet of a file of columns, None for a text."""
    if not is_columnar(path):
        return None
    from jupyter_nq.bars.columnar.sheets import sheet_of

    return sheet_of(path)


def _check(paths: Sequence[Path]) -> None:
    if not paths:
        raise InvalidArgument("the list of files is empty. Name at least one.")


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return what messages call files: their names, or their paths where two have the same name."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _settled(
    names: Sequence[str], read: Callable[..., Any], profile_of: Callable[[Any], Profile]
) -> tuple[list[Any], list[str]]:
    """Read each file; one that does not tell its clock is read by that of the others, when it is a single one.

    Returns what `read(place)` gives for each file, and a sentence for each that the others settled.
    """
    found: list[Any] = []
    open_: dict[int, AmbiguousStamps] = {}
    for place in range(len(names)):
        try:
            found.append(read(place))
        except AmbiguousStamps as exc:
            found.append(None)
            open_[place] = exc
    if not open_:
        return found, []
    agreed = _agreed([profile_of(one) for one in found if one is not None])
    if agreed is None:
        raise next(iter(open_.values()))
    for place in open_:
        found[place] = read(place, **agreed)
    said = ", ".join(f"{key}={value!r}" for key, value in agreed.items())
    return found, [
        f"{names[place]} does not tell its clock alone; it is read as the other files, {said}" for place in open_
    ]


def _agreed(profiles: Sequence[Profile]) -> dict[str, Any] | None:
    """Return the one reading of all profiles, None when they leave more than one zone, or differ."""
    if not profiles or len({profile.edge for profile in profiles}) > 1:
        return None
    common = [name for name in profiles[0].zone_names if all(name in profile.zone_names for profile in profiles)]
    if not common or not same_zone(tuple(common)):
        return None
    orders = {profile.day_first for profile in profiles}
    order = orders.pop() if len(orders) == 1 else None
    return {"tz": common[0], "edge": profiles[0].edge} | ({} if order is None else {"day_first": order})


def _columns(batch: pa.RecordBatch | pa.Table) -> Columns:
    """Return the columns of bars as arrays over the same memory."""
    arrays = [batch.column(name) for name in BAR_SCHEMA.names]
    plain = [array.chunk(0) if isinstance(array, pa.ChunkedArray) else array for array in arrays]
    return [values_of(array, dtype) for array, dtype in zip(plain, _DTYPES, strict=True)]
