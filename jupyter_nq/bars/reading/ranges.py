"""Which bytes of a sorted text file can hold the rows of a span of time: a binary search over its lines.

A probe reads one line and its stamp's clock reading, without zone and bar edge; a margin covers both. Where a
probe cannot be read, nothing is searched: the whole file is the range, and reading it names the fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.blocks import open_table, reading, stamps_of
from jupyter_nq.bars.reading.carried import clock_seconds, scanned
from jupyter_nq.bars.reading.stamps import BadStamp, Ints, Layout

_NARROW = 64 << 10  # 64 KiB: a range is not searched closer than this
_LINE = 64 << 10  # bytes of the longest line that is looked at
MARGIN_SECONDS = 2 * 86_400
"""More than a clock reading can differ from the start of its bar: a clock's distance from UTC, and a bar's length."""
_NS = 1_000_000_000
_PLACES = 64  # where stamps of a large file are sampled
_SAMPLE = 64 << 10  # 64 KiB


class Unsearchable(Exception):
    """A line whose stamp cannot be read, or lines above the rows whose ends are not plain."""


@dataclass(frozen=True)
class Part:
    """The bytes of a file that hold every row of a span, and some around it."""

    first: int
    """Where they begin: at a line, behind the header."""
    stop: int
    """Where they end: at a line's beginning, or with the file."""
    inside: bool
    """Whether there are rows before them."""
    reading: int
    """Clock reading of the file's first row, seconds."""


def part_of(path: Path, profile: Profile, start_ns: int | None, end_ns: int | None) -> Part | None:
    """Return the bytes that hold every bar that starts in [start_ns, end_ns], None when only the whole file does.

    The stamps of the file are taken to increase. None is also the answer for a file that cannot be searched: a
    probe met a line that is no row, the file is not plain text, or its rows need more than to be parsed.
    """
    if worked_on(profile):
        return None
    with reading(path), path.open("rb", buffering=4096) as file:
        margin = 2 * MARGIN_SECONDS  # twice, so that an hour that a clock repeats is whole or far from the span
        try:
            low, size = data_start(file, profile), file.seek(0, 2)
            first, stop = low, size
            head = row_at(file, profile, low, low)
            if start_ns is not None:
                bound = start_ns // _NS - margin
                first, _ = _boundary(file, profile, low, size, lambda seconds: seconds < bound)
            if end_ns is not None:
                limit = end_ns // _NS + margin
                _, stop = _boundary(file, profile, first, size, lambda seconds: seconds <= limit)
        except Unsearchable:
            return None
    return None if head is None or (first, stop) == (low, size) else Part(first, stop, first > low, head[1])


def worked_on(profile: Profile) -> bool:
    """Tell whether rows are chosen, or prices scaled, behind the parser: only `read_blocks` does that."""
    chosen = getattr(profile, "contract", None) is not None
    return chosen or getattr(profile, "price_scale", 1) != 1


def data_start(file: BinaryIO, profile: Profile) -> int:
    r"""Return the byte at which the first line behind the header begins.

    `Unsearchable` where a line above it has a `\r` that is no part of `\r\n`, which ends a line too, or is too long.
    """
    file.seek(0)
    for _ in range(profile.skip_lines):
        line = file.readline(_LINE + 1)
        if len(line) > _LINE or line.count(b"\r") != line.count(b"\r\n"):
            raise Unsearchable
    return file.tell()


def sampled_readings(path: Path, profile: Profile) -> list[Ints]:
    """Return clock readings of blocks of rows from places all over a large file.

    None of a small file, of one whose stamps carry an offset, of one whose rows are chosen, and when some cannot be
    read.
    """
    if worked_on(profile) or any(Layout.parse(layout).offset for layout in profile.layouts):
        return []
    with reading(path), path.open("rb", buffering=4096) as file:
        size = file.seek(0, 2)
        if size < 2 * _PLACES * _SAMPLE:
            return []
        try:
            low = data_start(file, profile)
        except Unsearchable:
            return []
        blocks = []
        for place in np.linspace(low, size - _SAMPLE, _PLACES).astype(int).tolist():
            file.seek(place)
            file.readline(_LINE)
            lines = file.read(_SAMPLE)
            try:
                blocks.append(_readings(lines[: lines.rfind(b"\n") + 1], profile))
            except Unsearchable:
                return []
    return blocks


def rows_before(path: Path, profile: Profile, position: int) -> int:
    """Return how many rows lie before a byte; for messages, because it reads all of them."""
    rows = number = at = 0
    with reading(path), path.open("rb") as file:
        for line in file:
            if at >= position:
                break
            at += len(line)
            for text in line.splitlines():  # of bytes, which every kind of line end ends
                number += 1
                rows += number > profile.skip_lines and bool(text)
    return rows


def _boundary(file: BinaryIO, profile: Profile, low: int, size: int, before: Callable[[int], bool]) -> tuple[int, int]:
    """Return the start of a line that is `before`, or `low`, and of one behind it that is not, or `size`."""
    after = high = size
    while high - low > _NARROW:
        middle = (low + high) // 2
        found = row_at(file, profile, middle, low)
        if found is None or found[0] >= after:
            high = middle
        elif before(found[1]):
            low = found[0]
        else:
            after, high = found[0], middle
    return low, after


def row_at(file: BinaryIO, profile: Profile, position: int, low: int) -> tuple[int, int] | None:
    """Return start and clock reading of the first row that begins at or behind a position, None at the end."""
    if position > low:
        file.seek(position - 1)
        file.readline()  # the rest of the line before
    else:
        file.seek(position)
    while True:
        start = file.tell()
        line = file.readline(_LINE)
        if not line:
            return None
        if line.rstrip(b"\r\n"):
            return start, int(_readings(line, profile)[0])


def _readings(lines: bytes, profile: Profile) -> Ints:
    """Return the clock reading of each line's stamp in seconds, or its instant when it carries an offset from UTC."""
    names = profile.columns["timestamp"]
    types = {f"c{profile.names.index(name)}": pa.string() for name in names}
    try:
        with open_table(pa.BufferReader(lines), profile, types, len(lines) + 1) as batches:
            batch = batches.read_all().combine_chunks().to_batches()[0]
        fields = scanned(stamps_of(batch, len(names)))
        local = clock_seconds(profile, fields)
        return local - fields.offset if len(fields.offset) else local
    except (pa.ArrowInvalid, BadStamp, IndexError) as exc:
        raise Unsearchable from exc
