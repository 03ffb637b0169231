"""The fast path: blocks of a large text file, read by compiled kernels in several threads.

The file is cut at line breaks into blocks of about a megabyte, which stay in a processor's cache. Workers read
them (`pread`, so that a file that shrinks meanwhile gives short data and no crash), count their lines, and so know
at which row of the result each block begins to write: results do not depend on threads or blocks, and nothing is
copied. A block with a row that the kernel does not understand is read by the general path, and so is every block
before the kernels are compiled: that happens in the background.

Nothing is reported from here. Whatever looks wrong ends the fast path, and the general path reads the file from
its beginning and says what it has always said, with the line. The price is the time of a file with a fault.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.compiled import Kernels, installed, processors
from jupyter_nq.bars.profile import ROLES, Dialect
from jupyter_nq.bars.reading import kernels as bits
from jupyter_nq.bars.reading.blocks import Progress, column_types, open_table
from jupyter_nq.bars.reading.codes import layout_of
from jupyter_nq.bars.reading.parts import Columns, Scratch, Unsuitable, plan_of
from jupyter_nq.bars.reading.stamps import BadStamp, Ints, Layout

SMALL_BYTES = 4 << 20  # 4 MiB: the general path reads them in 40 ms, and loading compiled kernels takes longer
PART_BYTES = 1 << 20  # 1 MiB: with its columns it fits a processor's second cache
SPAN_BYTES = 16 << 20  # 16 MiB: some 300,000 rows, whose stamps are 2 MiB
_BREAK_BYTES = 64 << 10  # 64 KiB: the longest line
_NEAR_BYTES = 4 << 10  # 4 KiB: most lines end within them
_PLACES, _SAMPLE_BYTES = 32, 16 << 10  # where the length of lines is looked at
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Scan:
    """All rows of a file, before their stamps are given a meaning."""

    stamps: Ints
    """The numbers of each stamp in the bits of one, see `kernels.CODE_AT`."""
    codes: tuple[int, ...]
    """The codes of the layouts that the file has, in the order of their first rows."""
    layouts: tuple[Layout, ...]
    """What they mean."""
    nanos: npt.NDArray[np.int32]
    """Fraction of the second in ns; empty when no layout has fractions."""
    offset: npt.NDArray[np.int32]
    """Seconds east of UTC; empty when no layout carries an offset."""
    columns: list[npt.NDArray[Any]]
    """Open, high, low, close, volume; empty when only the stamps were read."""
    flags: npt.NDArray[np.uint32]
    """Of each row, as if no price of it may be zero or below; empty when only the stamps were read."""
    all_flags: int
    """Every flag that some row has."""


def _practise(module: Any) -> None:
    scratch, columns = Scratch(64), Columns(2, numbers=True)
    line = b"1/2/2024 09:30,1.5,2,1,1,7\n"
    scratch.bytes[: len(line)] = np.frombuffer(line, np.int8)
    roles = np.array([bits.STAMP, *range(bits.OPEN, bits.VOLUME + 1)], np.int64)
    columns.read(module, scratch, len(line), roles, (ord(","), ord(".")), 0)


KERNELS = Kernels("jupyter_nq.bars.reading.kernels", _practise)
"""The compiled twin of `kernels`."""


def scan(
    path: Path,
    table: Dialect,
    *,
    progress: Progress | None = None,
    small_bytes: int | None = None,
    part_bytes: int = PART_BYTES,
    threads: int | None = None,
    module: Any = None,
) -> Scan | None:
    """Read all rows of a file the fast way, or return None when that is not possible or not worth it.

    Parameters
    ----------
    progress
        Called with the share that is read, in the caller's thread; what it raises stops the reading.
    small_bytes, part_bytes, threads
        A file smaller than this (None: `SMALL_BYTES`) is left to the general path; bytes of a block; workers, None for
        one per core.
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
            if size < (SMALL_BYTES if small_bytes is None else small_bytes):
                return None
            start = _data_start(file.fileno(), size, table)
            reader = _Reader(file.fileno(), start, size, table, ROLES, part_bytes, module)
            return reader.read(threads or processors(), progress)
    except (OSError, MemoryError, Unsuitable):
        return None  # the general path says what it is


def scan_stamps(
    path: Path,
    table: Dialect,
    take: Callable[[Scan], None],
    *,
    progress: Progress | None = None,
    small_bytes: int | None = None,
    part_bytes: int = PART_BYTES,
    span_bytes: int = SPAN_BYTES,
    threads: int | None = None,
    module: Any = None,
) -> bool:
    """Read the stamps of a file as `scan` does, span by span, and tell whether that was possible to its end.

    Parameters
    ----------
    take
        Called in the caller's thread with every span, in the order of the file; what it raises passes unchanged.
    span_bytes
        Bytes of a span; memory is that of its stamps and a few blocks, whatever the size of the file.
    """
    read = size = -1
    given: dict[str, Any] = {"small_bytes": small_bytes, "part_bytes": part_bytes, "threads": threads, "module": module}
    for read, size, found in spans(path, table, ROLES[:1], span_bytes=span_bytes, **given):
        take(found)
        if progress is not None:
            progress(read / size)
    return 0 < read == size


def spans(
    path: Path,
    table: Dialect,
    roles: Sequence[str] = ROLES,
    *,
    first: int | None = None,
    stop: int | None = None,
    span_bytes: int = SPAN_BYTES,
    small_bytes: int | None = None,
    part_bytes: int = PART_BYTES,
    threads: int | None = None,
    module: Any = None,
) -> Iterator[tuple[int, int, Scan]]:
    """Yield rows as `scan` reads them, span by span, with the bytes that are read so far and those of the file.

    It ends without a word before the first span that cannot be read so, at the latest when its file changes.

    Parameters
    ----------
    roles
        `ROLES`, or only the first of them for the stamps alone.
    first, stop
        Bytes of whole lines; None for the first row, and for the end of the file.
    span_bytes
        Bytes of a span; memory is that of its rows and a few blocks, whatever the size of the file.
    """
    if module is None and not installed():
        return
    with suppress(OSError, MemoryError, Unsuitable), path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        end = size if stop is None else min(stop, size)
        if end - (first or 0) < (SMALL_BYTES if small_bytes is None else small_bytes):
            return
        start = _data_start(file.fileno(), size, table) if first is None else first
        for low, high in _cut(file.fileno(), start, end, span_bytes):
            reader = _Reader(file.fileno(), low, high, table, roles, part_bytes, module)
            yield high, size, reader.read(threads or processors(), None)


# -- where to cut -----------------------------------------------------------------------------------
def _cut(descriptor: int, start: int, size: int, nbytes: int) -> Iterator[tuple[int, int]]:
    """Yield the bytes [start, stop) of pieces of about so many bytes: whole lines."""
    while start < size:
        stop = min(start + nbytes, size)
        if stop < size:
            stop = _line_after(descriptor, stop, size)
        yield start, stop
        start = stop


def _line_after(descriptor: int, position: int, size: int) -> int:
    """Return the first beginning of a line at or behind a byte."""
    for nbytes in (_NEAR_BYTES, _BREAK_BYTES):
        found = os.pread(descriptor, nbytes, position - 1).find(b"\n")
        if found >= 0:
            return position + found
    if position - 1 + _BREAK_BYTES < size:
        raise Unsuitable
    return size


def _data_start(descriptor: int, size: int, table: Dialect) -> int:
    """Return where the first row begins."""
    start = 0
    for _ in range(table.skip_lines):
        start = _line_after(descriptor, start + 1, size)
    head = os.pread(descriptor, start, 0)
    if head.count(b"\r") != head.count(b"\r\n"):
        raise Unsuitable  # Arrow would count more lines
    return start


class _Reader:
    """One pass over the rows in the bytes [start, size) of a file, which are whole lines.

    A scratch belongs to who holds it, a row of the columns to the worker whose block it is in, and `_ranks`,
    `_seen`, `_spans` to the caller's thread. `_part` and `_row`, which block is next and the row at which it begins,
    are guarded by `_turn`.
    """

    def __init__(
        self,
        descriptor: int,
        start: int,
        size: int,
        table: Dialect,
        roles: Sequence[str],
        part_bytes: int,
        module: Any,
    ) -> None:
        self._file, self._start, self._size, self._table, self._roles = descriptor, start, size, table, roles
        self._part_bytes, self._module = part_bytes, module
        self._plan = plan_of(table, roles)
        self._marks = ord(table.delimiter), ord(table.decimal)
        self._stop = threading.Event()
        self._turn = threading.Condition()
        self._part = self._row = 0
        self._columns = Columns(self._most_rows(), numbers=len(roles) > 1)
        self._seen = np.zeros(bits.CODES, np.uint8)
        self._ranks: dict[int, int] = {}
        self._spans: list[tuple[int, int]] = []
        self._all_flags = 0

    def read(self, threads: int, progress: Progress | None) -> Scan:
        waiting: deque[tuple[Future[_Block], Scratch, int]] = deque()
        spare = [Scratch(self._part_bytes + 2 * _BREAK_BYTES) for _ in range(threads + 2)]
        pool = ThreadPoolExecutor(threads, "jupyter-nq-read")
        try:
            parts = _cut(self._file, self._start, self._size, self._part_bytes)
            for part, (start, stop) in enumerate(parts):
                if not spare:
                    spare.append(self._take(*waiting.popleft(), progress))
                scratch = spare.pop()
                waiting.append((pool.submit(self._work, scratch, part, start, stop), scratch, stop))
            while waiting:
                self._take(*waiting.popleft(), progress)
        finally:
            self._give_up()
            pool.shutdown(cancel_futures=True)
        return self._result()

    def _most_rows(self) -> int:
        """Return a number of rows that there will not be: by the shortest lines in some places.

        Room that is not needed takes no memory, because nothing touches it.
        """
        size = self._size - self._start
        if size < _PLACES * _SAMPLE_BYTES:
            return size // 2 + 1
        places = np.linspace(self._start, self._size - _SAMPLE_BYTES, _PLACES).astype(int).tolist()
        most = max(os.pread(self._file, _SAMPLE_BYTES, place).count(b"\n") for place in places)
        return int(size / _SAMPLE_BYTES * (most + 2) * 1.05)

    # -- in a worker --------------------------------------------------------------------------------
    def _work(self, scratch: Scratch, part: int, start: int, stop: int) -> _Block:
        """Read a block into its place of the columns."""
        try:
            length = scratch.fill(self._file, start, stop)
            row, most = self._claim(part, scratch.lines(length))
            module = self._module or KERNELS.ready()
            if module is not None:
                end, read, flags = self._columns.read(module, scratch, length, self._plan, self._marks, row)
                if read == length:
                    return _Block(row, end - row, flags)
            return self._general(scratch, start, length, row, most)
        except BaseException:
            self._give_up()
            raise

    def _claim(self, part: int, lines: int) -> tuple[int, int]:
        """Return the rows [first, stop) that a block may write, which are behind those of all blocks before it."""
        with self._turn:
            self._turn.wait_for(lambda: self._part == part or self._stop.is_set())
            row, stop = self._row, self._row + lines
            if self._stop.is_set() or stop > self._columns.room:
                raise Unsuitable
            self._part, self._row = part + 1, stop
            self._turn.notify_all()
        return row, stop

    def _give_up(self) -> None:
        with self._turn:
            self._stop.set()
            self._turn.notify_all()

    def _general(self, scratch: Scratch, start: int, length: int, row: int, most: int) -> _Block:
        """Read a block as the general path does."""
        text = scratch.bytes[:length]
        if (text == ord('"')).any() or (start and text[:3].tobytes() == _BOM):
            raise Unsuitable  # a cell may go on in the next block; Arrow drops such bytes at a beginning
        types = column_types(self._table, self._roles)
        scratch.seen[:] = 0
        try:
            source = pa.BufferReader(pa.py_buffer(text))
            with open_table(source, self._table, types, length + 1) as batches:
                found = batches.read_all().combine_chunks().to_batches()
            if not found:
                return _Block(row, 0, 0)
            if row + found[0].num_rows > most:
                raise Unsuitable
            flags = self._columns.take(found[0], len(self._table.columns["timestamp"]), row, scratch.seen)
            return _Block(row, found[0].num_rows, flags)
        except (pa.ArrowException, BadStamp) as exc:
            raise Unsuitable from exc

    # -- in the caller's thread ---------------------------------------------------------------------
    def _take(self, work: Future[_Block], scratch: Scratch, stop: int, progress: Progress | None) -> Scratch:
        """Note what a block has, in the order of the file."""
        block = work.result()
        self._spans.append((block.row, block.rows))
        self._all_flags |= block.flags
        stamps = self._columns.stamps[block.row : block.row + block.rows]
        fresh = [int(code) for code in np.flatnonzero(scratch.seen) if code not in self._ranks]
        if fresh:
            of_rows = stamps >> bits.CODE_AT
            for code in sorted(fresh, key=lambda code: int(np.argmax(of_rows == code))):
                self._ranks[code] = len(self._ranks)
        self._seen |= scratch.seen
        scratch.seen[:] = 0
        if progress is not None:
            progress(stop / self._size)
        return scratch

    def _result(self) -> Scan:
        codes = tuple(self._ranks)
        layouts = tuple(layout_of(code, padded=not self._seen[code] & bits.UNPADDED) for code in codes)
        offsets = [layout.offset for layout in layouts]
        if not codes or (any(offsets) and not all(offsets)):
            raise Unsuitable
        columns = self._columns
        columns.close_up(self._spans)
        none = np.empty(0, np.int32)
        return Scan(
            columns.stamps,
            codes,
            layouts,
            nanos=columns.nanos if any(layout.fraction for layout in layouts) else none,
            offset=columns.offsets if any(offsets) else none,
            columns=columns.numbers if len(self._roles) > 1 else [],
            flags=columns.flags,
            all_flags=self._all_flags,
        )


@dataclass(frozen=True)
class _Block:
    """What a worker has read."""

    row: int
    """Row of the columns at which the block begins."""
    rows: int
    flags: int
    """Every flag that some row of it has."""
