"""The fast path: blocks of a large text file, read by compiled kernels in several threads, put together in order.

The file is cut at line breaks into blocks of about a megabyte, which stay in a processor's cache. Workers read
them (`pread`, so that a file that shrinks meanwhile gives short data and no crash) and the caller's thread
copies their rows to the end of the columns, in order; so results do not depend on threads or blocks. A block
with a row that the kernel does not understand is read by the general path, and so is every block before the
kernels are compiled: that happens in the background.

Nothing is reported from here. Whatever looks wrong ends the fast path, and the general path reads the file from
its beginning and says what it has always said, with the line. The price is the time of a file with a fault.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.compiled import Kernels, installed
from jupyter_nq.bars.profile import ROLES, Dialect
from jupyter_nq.bars.reading import kernels as codes
from jupyter_nq.bars.reading.blocks import Progress, column_types, open_table, stamps_of
from jupyter_nq.bars.reading.reader import numbers_of
from jupyter_nq.bars.reading.stamps import BadStamp, Fields, Layout, StampScanner

SMALL_BYTES = 4 << 20  # 4 MiB: the general path reads them in 40 ms, and loading compiled kernels takes longer
PART_BYTES = 1 << 20  # 1 MiB: with its columns it fits a processor's second cache
_BREAK_BYTES = 64 << 10  # 64 KiB: the longest line
_MOST_THREADS = 8
_SHORTEST = len("1/1/2000\n")
_BOM = b"\xef\xbb\xbf"

_TYPES_OF_FIELDS = ("u1", "u1", "u1", "i2", "i4", "i4", "i4")
_POWERS = np.array([float(f"1e{exponent}") for exponent in range(23)])
_SEPARATORS = {codes.SLASH: "/", codes.DOT: ".", codes.DASH: "-"}
_JOINS = {0: "", codes.SPACE: " ", codes.LETTER_T: "T"}


class _Unsuitable(Exception):
    """The file, or something in it, is not for the fast path."""


@dataclass(frozen=True)
class Scan:
    """All rows of a file, before their stamps are given a meaning."""

    fields: Fields
    columns: list[npt.NDArray[Any]]
    """Open, high, low, close, volume; empty when only the stamps were read."""


def _practise(module: Any) -> None:
    scratch = _Scratch(64)
    line = b"1/2/2024 09:30,1.5,2,1,1,7\n"
    scratch.bytes[: len(line)] = np.frombuffer(line, np.int8)
    roles = np.array([codes.STAMP, *range(codes.OPEN, codes.VOLUME + 1)], np.int64)
    scratch.read(module, len(line), roles, ord(","), ord("."))


KERNELS = Kernels("jupyter_nq.bars.reading.kernels", _practise)
"""The compiled twin of `kernels`."""


def scan(
    path: Path,
    table: Dialect,
    roles: Sequence[str] = ROLES,
    *,
    progress: Progress | None = None,
    small_bytes: int = SMALL_BYTES,
    part_bytes: int = PART_BYTES,
    threads: int | None = None,
    module: Any = None,
) -> Scan | None:
    """Read all rows of a file the fast way, or return None when that is not possible or not worth it.

    Parameters
    ----------
    roles
        `ROLES`, or only the first of them for the stamps alone.
    progress
        Called with the share that is read, in the caller's thread; what it raises stops the reading.
    small_bytes, part_bytes, threads
        A file smaller than this is left to the general path; bytes of a block; workers, None for one per core.
    module
        The kernels to use, None for the compiled ones as soon as they are there.

    Returns
    -------
    The same rows as the general path reads, bit for bit. Memory is that of the result and a few blocks.
    """
    if module is None and not installed():
        return None
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size < small_bytes:
                return None
            reader = _Reader(file.fileno(), size, table, roles, part_bytes, module)
            return reader.read(threads or min(_processors(), _MOST_THREADS), progress)
    except (OSError, _Unsuitable):
        return None  # the general path says what it is


def _processors() -> int:
    return len(os.sched_getaffinity(0))


class _Reader:
    """One pass over a file. `_rows` and the columns belong to the caller's thread, a scratch to who holds it."""

    def __init__(
        self, descriptor: int, size: int, table: Dialect, roles: Sequence[str], part_bytes: int, module: Any
    ) -> None:
        self._file, self._size, self._table, self._roles = descriptor, size, table, roles
        self._part_bytes, self._module = part_bytes, module
        self._plan = _plan(table, roles)
        self._stop = threading.Event()
        self._seen = np.zeros(256, np.uint8)
        self._ranks: dict[int, int] = {}
        self._columns: list[npt.NDArray[Any]] = []
        self._rows = 0

    def read(self, threads: int, progress: Progress | None) -> Scan:
        waiting: deque[tuple[Future[int], _Scratch, int]] = deque()
        spare = [_Scratch(self._part_bytes + 2 * _BREAK_BYTES) for _ in range(threads + 2)]
        pool = ThreadPoolExecutor(threads, "jupyter-nq-read")
        try:
            for start, stop in self._parts():
                if not spare:
                    spare.append(self._take(*waiting.popleft(), progress))
                scratch = spare.pop()
                waiting.append((pool.submit(self._work, scratch, start, stop), scratch, stop))
            while waiting:
                self._take(*waiting.popleft(), progress)
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
        return self._result()

    # -- where to cut -------------------------------------------------------------------------------
    def _parts(self) -> Iterator[tuple[int, int]]:
        """Yield the bytes [start, stop) of every block: whole lines, behind the header."""
        start = self._data_start()
        while start < self._size:
            stop = min(start + self._part_bytes, self._size)
            if stop < self._size:
                stop = self._line_after(stop)
            yield start, stop
            start = stop

    def _line_after(self, position: int) -> int:
        """Return the first beginning of a line at or behind a byte."""
        found = os.pread(self._file, _BREAK_BYTES, position - 1).find(b"\n")
        if found < 0 and position - 1 + _BREAK_BYTES < self._size:
            raise _Unsuitable
        return self._size if found < 0 else position + found

    def _data_start(self) -> int:
        start = 0
        for _ in range(self._table.skip_lines):
            start = self._line_after(start + 1)
        head = os.pread(self._file, start, 0)
        if head.count(b"\r") != head.count(b"\r\n"):
            raise _Unsuitable  # Arrow would count more lines
        return start

    # -- in a worker --------------------------------------------------------------------------------
    def _work(self, scratch: _Scratch, start: int, stop: int) -> int:
        """Read a block into its scratch, and return the number of rows."""
        if self._stop.is_set():
            return 0
        length = scratch.fill(self._file, start, stop)
        module = self._module or KERNELS.ready()
        if module is not None:
            delimiter, decimal = ord(self._table.delimiter), ord(self._table.decimal)
            rows, read = scratch.read(module, length, self._plan, delimiter, decimal)
            if read == length:
                return rows
        return self._general(scratch, start, length)

    def _general(self, scratch: _Scratch, start: int, length: int) -> int:
        """Read a block as the general path does."""
        text = scratch.bytes[:length]
        if (text == ord('"')).any() or (start and text[:3].tobytes() == _BOM):
            raise _Unsuitable  # a cell may go on in the next block; Arrow drops such bytes at a beginning
        types = column_types(self._table, self._roles)
        try:
            source = pa.BufferReader(pa.py_buffer(text))
            with open_table(source, replace(self._table, skip_lines=0), types, length + 1) as batches:
                batch = batches.read_all().combine_chunks().to_batches()
            return scratch.take(batch, self._table, self._roles)
        except (pa.ArrowException, BadStamp) as exc:
            raise _Unsuitable from exc

    # -- in the caller's thread ---------------------------------------------------------------------
    def _take(self, work: Future[int], scratch: _Scratch, stop: int, progress: Progress | None) -> _Scratch:
        """Copy the rows of the next block to the end of the columns."""
        rows = work.result()
        parts = scratch.columns(rows, numbers=len(self._roles) > 1)
        self._make_room(rows, stop, parts)
        for column, part in zip(self._columns, parts, strict=True):
            column[self._rows : self._rows + rows] = part
        self._rank(parts[0], scratch.seen)
        self._rows += rows
        scratch.seen[:] = 0
        if progress is not None:
            progress(stop / self._size)
        return scratch

    def _make_room(self, rows: int, stop: int, parts: list[npt.NDArray[Any]]) -> None:
        """Keep room for as many rows as the part of the file that is read lets expect."""
        needed = self._rows + rows
        if self._columns and needed <= len(self._columns[0]):
            return
        expected = max(needed, needed * self._size // stop)
        room = expected + expected // 64 + 1024
        if self._columns:
            for column in self._columns:
                column.resize(room, refcheck=False)
        else:
            self._columns = [np.empty(room, part.dtype) for part in parts]

    def _rank(self, layout: npt.NDArray[np.uint8], seen: npt.NDArray[np.uint8]) -> None:
        """Number the layouts by their first row."""
        self._seen |= seen
        fresh = [int(code) for code in np.flatnonzero(seen) if code not in self._ranks]
        for code in sorted(fresh, key=lambda code: int(np.argmax(layout == code))):
            self._ranks[code] = len(self._ranks)

    def _result(self) -> Scan:
        if not self._rows:
            raise _Unsuitable
        for column in self._columns:
            column.resize(self._rows, refcheck=False)
        code, first, second, year, time, nanos, offset, *numbers = self._columns
        fractions = [bool(known & codes.FRACTION) for known in self._ranks]
        offsets = [bool(known & codes.OFFSET) for known in self._ranks]
        if any(offsets) and not all(offsets):
            raise _Unsuitable
        index = np.zeros(256, np.uint8)
        index[list(self._ranks)] = list(self._ranks.values())
        none = np.empty(0, np.int32)
        fields = Fields(
            tuple(layout_of(known, padded=not self._seen[known] & codes.UNPADDED) for known in self._ranks),
            layout=index[code] if len(self._ranks) > 1 else np.zeros(len(code), np.uint8),
            first=first,
            second=second,
            year=year,
            time=time,
            nanos=nanos if any(fractions) else none,
            offset=offset if any(offsets) else none,
        )
        return Scan(fields, numbers)


class _Scratch:
    """The bytes of one block and its rows: memory that is used again for block after block."""

    def __init__(self, nbytes: int) -> None:
        self.bytes = np.frombuffer(mmap.mmap(-1, nbytes + 1), np.int8)
        rows = nbytes // _SHORTEST + 1
        self.fields = tuple(np.empty(rows, dtype) for dtype in _TYPES_OF_FIELDS)
        self.prices = np.empty((4, rows))
        self.volumes = np.empty(rows, np.int64)
        self.seen = np.zeros(256, np.uint8)

    def fill(self, descriptor: int, start: int, stop: int) -> int:
        """Read a block of the file, end it with a line break, and return its length."""
        length = stop - start
        if length >= len(self.bytes) or os.preadv(descriptor, [self.bytes.data[:length]], start) != length:
            raise _Unsuitable
        if self.bytes[length - 1] != ord("\n"):
            self.bytes[length] = ord("\n")
            length += 1
        return length

    def read(
        self, module: Any, length: int, plan: npt.NDArray[np.int64], delimiter: int, decimal: int
    ) -> tuple[int, int]:
        """Return (rows, bytes) that the kernel understands."""
        found: tuple[int, int] = module.read_rows(
            self.bytes[:length], plan, delimiter, decimal, _POWERS, self.fields, self.prices, self.volumes, self.seen
        )
        return found

    def take(self, batches: list[pa.RecordBatch], table: Dialect, roles: Sequence[str]) -> int:
        """Put in what the general path read, and return the number of rows."""
        self.seen[:] = 0
        if not batches:
            return 0
        [batch] = batches
        rows: int = batch.num_rows
        scanner = StampScanner()
        scanner.add(stamps_of(batch, len(table.columns["timestamp"])))
        fields = scanner.fields()
        known = [code_of(layout) for layout in fields.layouts]
        values = (np.array(known, np.uint8)[fields.layout], fields.first, fields.second, fields.year, fields.time)
        for column, part in zip(self.fields, values, strict=False):
            column[:rows] = part
        for column, part in zip(self.fields[5:], (fields.nanos, fields.offset), strict=True):
            column[:rows] = part if len(part) else 0
        for code, layout in zip(known, fields.layouts, strict=True):
            self.seen[code] = codes.SEEN | (0 if layout.padded else codes.UNPADDED)
        if len(roles) > 1:
            numbers = numbers_of(batch, len(table.columns["timestamp"]))
            if numbers is None:
                raise _Unsuitable
            self.prices[:, :rows] = numbers[:4]
            self.volumes[:rows] = numbers[4]
        return rows

    def columns(self, rows: int, *, numbers: bool) -> list[npt.NDArray[Any]]:
        """Return views of the rows: the fields of the stamps, and the numbers if they are wanted."""
        found: list[npt.NDArray[Any]] = [column[:rows] for column in self.fields]
        return [*found, *(price[:rows] for price in self.prices), self.volumes[:rows]] if numbers else found


def _plan(table: Dialect, roles: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return what the kernel is to do with each column of the file."""
    kinds = {
        "timestamp": (codes.STAMP,) if len(table.columns["timestamp"]) == 1 else (codes.DATE, codes.TIME),
        **{role: (codes.OPEN + i,) for i, role in enumerate(ROLES[1:5])},
        "volume": (codes.VOLUME,) * len(table.columns["volume"]),
    }
    plan = np.full(len(table.names), codes.SKIPPED, np.int64)
    taken = 0
    for role in roles:
        if len(kinds[role]) != len(table.columns[role]):
            raise _Unsuitable
        for kind, name in zip(kinds[role], table.columns[role], strict=True):
            plan[table.names.index(name)] = kind
            taken += 1
    if np.count_nonzero(plan) != taken or not (table.delimiter + table.decimal).isascii():
        raise _Unsuitable
    return plan


def layout_of(code: int, *, padded: bool) -> Layout:
    """Return the layout of a code that the kernel gives."""
    return Layout(
        "ymd" if code & codes.ISO else "???",
        _SEPARATORS[code & codes.DASH],
        _JOINS[code & (codes.SPACE | codes.LETTER_T)],
        seconds=bool(code & codes.SECONDS),
        fraction=bool(code & codes.FRACTION),
        offset=bool(code & codes.OFFSET),
        padded=padded,
    )


def code_of(layout: Layout) -> int:
    """Return the code of a layout, the other way round; `_Unsuitable` for one that the kernel does not know."""
    both = codes.SPACE | codes.LETTER_T
    possible = (code for code in range(256) if code & codes.DASH and code & both != both)
    for code in possible:
        if layout_of(code, padded=True).key == layout.key:
            return code
    raise _Unsuitable
