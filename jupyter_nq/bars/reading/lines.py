r"""The lines of a text: what ends one, how long it may be, and which of them cannot be rows of a table.

`\n`, `\r\n` and `\r` end a line, and the file. A cell in quotes ends in its own line: Arrow, left alone, would go on
reading in the next one, so that one quote too many turns thousands of rows into the text of a cell. Therefore it gets
the rows of a file through `RowStream`, which ends before the first line that can be no row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_nq.bars.reading.opening import opened
from jupyter_nq.errors import UnreadableSource

LONGEST_BYTES = 64 << 10  # 64 KiB
BOM = b"\xef\xbb\xbf"

_BREAK = re.compile(rb"\r\n|\n|\r")
_BLOCK_BYTES = 1 << 20  # 1 MiB


class LongLine(Exception):
    """A line of more than `LONGEST_BYTES`."""


def whole_lines(file: Any, block_bytes: int) -> Iterator[bytes]:
    """Yield the bytes of a file that is open, in blocks of whole lines; only the last line may lack its end.

    Raises `LongLine` behind the lines before it.
    """
    rest = b""
    while chunk := file.read(block_bytes):
        data = rest + chunk
        long = _long_line(data)
        if long is not None:
            if long:
                yield data[:long]
            raise LongLine
        cut = _complete(data)
        if cut:
            yield data[:cut]
        rest = data[cut:]
    if rest:
        yield rest


def _complete(data: bytes) -> int:
    r"""Return the bytes of whole lines; a `\r` at the end may be half of an end of line."""
    line_feed = data.rfind(b"\n") + 1
    return max(line_feed, data.rfind(b"\r", line_feed, len(data) - 1) + 1)


def _long_line(data: bytes) -> int | None:
    """Return where the first line begins that is too long, None when none is."""
    at = 0
    while len(data) - at > LONGEST_BYTES:
        stop = at + LONGEST_BYTES + 1
        end = max(data.rfind(b"\n", at, stop), data.rfind(b"\r", at, stop)) + 1
        if not end:
            return at
        at = end
    return None


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file's text without their ends and without a byte order mark.

    Raises `UnreadableSource` for a line that is too long, with its number.
    """
    number = 0
    with opened(path) as file:
        try:
            for block in whole_lines(file, _BLOCK_BYTES):
                for line in block.splitlines():  # of bytes, which only these three end
                    number += 1
                    yield line.removeprefix(BOM) if number == 1 else line
        except LongLine:
            raise UnreadableSource(
                f"{path}, line {number + 1}: the line is longer than {LONGEST_BYTES >> 10} KiB, which no row of bars "
                "is. Look whether it is a file of bars, or correct the line."
            ) from None


def cells_of(text: str, delimiter: str) -> list[str] | None:
    """Return the cells of a line, None when a quote is not closed in it or text stands behind a closing quote."""
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


class RowStream:
    """The rows of a table as Arrow reads them, in blocks of whole rows, up to the first line that can be no row.

    Parameters
    ----------
    file
        An open file at the beginning of a line; it stays open.
    delimiter
        Between the cells.
    skip_lines
        Lines before the first row; None inside a file, where no byte order mark is expected.
    """

    def __init__(self, file: Any, delimiter: str, block_bytes: int, *, skip_lines: int | None) -> None:
        self.cut = False
        """Whether the stream ended before a line that can be no row."""
        self.empty = True
        """Whether nothing was read yet."""
        self.room = block_bytes + LONGEST_BYTES + 1
        """Bytes of the largest block, as Arrow must be told: it may cut none, because it takes the second half of an
        end of line for the end of the file."""
        self.closed = False
        self._rows = self._sound_rows(whole_lines(file, block_bytes), delimiter, skip_lines)

    def read(self, size: int = -1) -> bytes:
        """Return a block of whole rows, nothing at the end; `size` is that of `room`, or ignored."""
        rows = next(filter(None, self._rows), b"")
        self.empty = self.empty and not rows
        return rows

    def _sound_rows(self, blocks: Iterator[bytes], delimiter: str, skip_lines: int | None) -> Iterator[bytes]:
        skip, begin = skip_lines or 0, skip_lines is not None
        first = True
        try:
            for whole in blocks:
                block = whole.removeprefix(BOM) if begin else whole
                begin = False
                at = 0
                while skip and (match := _BREAK.search(block, at)):
                    at, skip = match.end(), skip - 1
                rows = b"" if skip else block[at:].lstrip(b"\r\n")
                if rows and first:
                    first, rows = False, b"\n" + rows  # a mark is text here; Arrow would drop it at the beginning
                sound = _sound_bytes(rows, delimiter)
                self.cut = sound < len(rows)
                yield rows[:sound]
                if self.cut:
                    return
        except LongLine:
            self.cut = True

    def readable(self) -> bool:
        """Say that this is for reading; Arrow asks."""
        return True

    def seekable(self) -> bool:
        """Say that there is no way back; Arrow asks."""
        return False

    def close(self) -> None:
        """Do nothing but say so: the file belongs to who opened it."""
        self.closed = True


def _sound_bytes(data: bytes, delimiter: str) -> int:
    """Return how many bytes lie before the first line with a quote that is not closed, or closed too early."""
    if b'"' not in data or _simply_quoted(data, delimiter):
        return len(data)
    at = 0
    while (quote := data.find(b'"', at)) >= 0:
        start = max(data.rfind(b"\n", at, quote), data.rfind(b"\r", at, quote), at - 1) + 1
        end = _BREAK.search(data, quote)
        stop = end.start() if end else len(data)
        if cells_of(data[start:stop].decode("latin-1"), delimiter) is None:
            return start
        at = stop
    return len(data)


def _simply_quoted(data: bytes, delimiter: str) -> bool:
    """Tell whether every quote begins or ends a cell of one line, and none stands in a cell."""
    chars = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(chars == ord('"'))
    if len(quotes) % 2:
        return False
    breaks = (chars == 10) | (chars == 13)
    outside = np.concatenate([[True], breaks | (chars == ord(delimiter)), [True]])
    opening, closing = quotes[::2], quotes[1::2]
    before = np.searchsorted(np.flatnonzero(breaks), quotes)
    return bool((outside[opening] & outside[closing + 2]).all() and (before[::2] == before[1::2]).all())
