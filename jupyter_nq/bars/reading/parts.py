"""The memory that blocks of a file are read into: one of bytes for each worker, and the columns of the result."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.profile import ROLES, Dialect
from jupyter_nq.bars.reading import kernels as bits
from jupyter_nq.bars.reading.blocks import stamps_of
from jupyter_nq.bars.reading.codes import code_of
from jupyter_nq.bars.reading.reader import numbers_of
from jupyter_nq.bars.reading.stamps import StampScanner
from jupyter_nq.bars.rules import plain_flags

_POWERS = np.array([float(f"1e{exponent}") for exponent in range(23)])
_AHEAD_BYTES = 24  # what a kernel may read behind the last byte


class Unsuitable(Exception):
    """The file, or something in it, is not for the fast path."""


class Columns:
    """The columns of the result, with room for more rows than the file has."""

    def __init__(self, room: int, *, numbers: bool) -> None:
        self.room = room
        self.stamps = np.empty(room, np.int64)
        self.nanos, self.offsets = np.zeros(room, np.int32), np.zeros(room, np.int32)
        held = room if numbers else 0
        self.numbers: list[npt.NDArray[Any]] = [*(np.empty(held) for _ in range(4)), np.empty(held, np.int64)]
        self.flags = np.empty(held, np.uint32)

    def read(
        self,
        module: Any,
        scratch: Scratch,
        length: int,
        plan: npt.NDArray[np.int64],
        marks: tuple[int, int],
        row: int,
    ) -> tuple[int, int, int]:
        """Return (row behind the last one, bytes, all flags) that the kernel understands of a block."""
        columns = (self.stamps, self.nanos, self.offsets, *self.numbers, self.flags, scratch.seen)
        with np.errstate(over="ignore"):  # numpy's own integers, without numba, say that they wrap
            found: tuple[int, int, int] = module.read_rows(
                scratch.bytes[:length], scratch.words, plan, *marks, _POWERS, row, *columns
            )
        return found

    def take(self, batch: pa.RecordBatch, parts: int, row: int, seen: npt.NDArray[np.uint8]) -> int:
        """Put in what the general path read, and return all flags."""
        scanner = StampScanner()
        scanner.add(stamps_of(batch, parts))
        fields = scanner.fields()
        known = [code_of(layout) for layout in fields.layouts]
        if None in known:
            raise Unsuitable
        stop = row + batch.num_rows
        stamps = np.array(known, np.int64)[fields.layout] << bits.CODE_AT
        stamps |= fields.year.astype(np.int64) << bits.YEAR_AT
        stamps |= fields.first.astype(np.int64) << bits.FIRST_AT
        stamps |= fields.second.astype(np.int64) << bits.SECOND_AT
        self.stamps[row:stop] = stamps | fields.time
        self.nanos[row:stop] = fields.nanos if len(fields.nanos) else 0
        self.offsets[row:stop] = fields.offset if len(fields.offset) else 0
        for code, layout in zip(known, fields.layouts, strict=True):
            seen[code] = bits.SEEN | (0 if layout.padded else bits.UNPADDED)
        if not len(self.flags):
            return 0
        numbers = numbers_of(batch, parts)
        if numbers is None:
            raise Unsuitable
        for column, values in zip(self.numbers, numbers, strict=True):
            column[row:stop] = values
        self.flags[row:stop] = plain_flags(numbers[:4], numbers[4], positive=True)
        return int(np.bitwise_or.reduce(self.flags[row:stop]))

    def close_up(self, spans: Sequence[tuple[int, int]]) -> None:
        """Move rows over those that were left free for empty lines, and give back the room behind the last."""
        columns: list[npt.NDArray[Any]] = [self.stamps, self.nanos, self.offsets, *self.numbers, self.flags]
        at = 0
        for row, rows in spans:
            for column in columns if row > at else ():
                column[at : at + rows] = column[row : row + rows]
            at += rows
        for column in columns:
            column.resize(min(at, len(column)), refcheck=False)


class Scratch:
    """The bytes of one block, and what is known of its layouts: memory that is used again for block after block."""

    def __init__(self, nbytes: int) -> None:
        memory = mmap.mmap(-1, nbytes + 1 + _AHEAD_BYTES)
        self.bytes = np.frombuffer(memory, np.int8)[: nbytes + 1]
        self.words = np.ndarray((nbytes + 1 + _AHEAD_BYTES - 7,), "<u8", memory, 0, (1,))
        """The eight bytes from each byte on."""
        self._breaks = np.empty(nbytes + 1, bool)
        self.seen = np.zeros(bits.CODES, np.uint8)

    def fill(self, descriptor: int, start: int, stop: int) -> int:
        """Read a block of the file, end it with a line break, and return its length."""
        length = stop - start
        if length >= len(self.bytes) or os.preadv(descriptor, [self.bytes.data[:length]], start) != length:
            raise Unsuitable
        if self.bytes[length - 1] != ord("\n"):
            self.bytes[length] = ord("\n")
            length += 1
        return length

    def lines(self, length: int) -> int:
        """Return the number of line breaks: no fewer than rows."""
        breaks = np.equal(self.bytes[:length], ord("\n"), out=self._breaks[:length])
        return int(np.count_nonzero(breaks))


def plan_of(table: Dialect, roles: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return what the kernel is to do with each column of the file."""
    if getattr(table, "contract", None) is not None or getattr(table, "price_scale", 1) != 1:
        raise Unsuitable  # rows are chosen, or prices scaled, behind the parser
    kinds = {
        "timestamp": (bits.STAMP,) if len(table.columns["timestamp"]) == 1 else (bits.DATE, bits.TIME),
        **{role: (bits.OPEN + i,) for i, role in enumerate(ROLES[1:5])},
        "volume": (bits.VOLUME,) * len(table.columns["volume"]),
    }
    plan = np.full(len(table.names), bits.SKIPPED, np.int64)
    taken = 0
    for role in roles:
        if len(kinds[role]) != len(table.columns[role]):
            raise Unsuitable
        for kind, name in zip(kinds[role], table.columns[role], strict=True):
            plan[table.names.index(name)] = kind
            taken += 1
    if np.count_nonzero(plan) != taken or not (table.delimiter + table.decimal).isascii():
        raise Unsuitable
    return plan
