"""Filling an object file: lanes and their digests first, the header last."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from jupyter_nq.buffers import layout, platform
from jupyter_nq.buffers.copying import Copy, FileSink, Sink, copy_lanes
from jupyter_nq.buffers.layout import Static, align
from jupyter_nq.buffers.mappings import Mapping
from jupyter_nq.buffers.places import places
from jupyter_nq.buffers.plan import Need, Plan
from jupyter_nq.buffers.segments import Progress, allocate, progress_steps, root_digest, store_full, write_all
from jupyter_nq.buffers.words import whole_header

Span = tuple[int, int]
"""Offset and bytes, in whole pages."""


def make_room(fd: int, where: Path, need: Need) -> None:
    """Give a file its size, and memory to exactly what is needed; it may hold an older object.

    Raises
    ------
    StoreFull
    """
    with store_full(where, need.nbytes):
        os.ftruncate(fd, need.file_bytes)
    if os.fstat(fd).st_blocks:
        for offset, nbytes in gaps(need.spans, need.file_bytes):
            platform.punch_hole(fd, offset, nbytes)
        if os.fstat(fd).st_blocks * 512 == need.nbytes:
            return  # every page that is there lies in a span, so all of the spans have memory
    allocate(fd, need.spans, where)


def gaps(spans: Iterable[Span], end: int) -> Iterator[Span]:
    """Yield what lies between spans, up to `end`.

    >>> list(gaps([(0, 4096), (8192, 4096)], 16384))
    [(4096, 4096), (12288, 4096)]
    """
    at = 0
    for offset, nbytes in sorted(spans):
        if offset > at:
            yield at, offset - at
        at = max(at, offset + nbytes)
    if end > at:
        yield at, end - at


def fill(fd: int, plan: Plan, static: Static, progress: Progress | None, digest: bool, over: Mapping | None) -> None:
    """Write all of an object; a segment that was written before is filled through a mapping `over` it."""
    lanes, there = plan.content.lanes, places(static)
    if over is not None:
        clean(over, plan, static)
    sink: Sink = FileSink(fd) if over is None else over
    copies = [Copy(place.offset, lane) for place, lane in zip(there, lanes, strict=True)]
    step = progress_steps(progress, sum(lane.nbytes for lane in lanes))
    tables = copy_lanes(sink, copies, digest=digest, step=step)
    table_at = static.digest_offset
    for place, table in zip(there, tables, strict=True):
        write_all(fd, memoryview(table), table_at)
        table_at += place.table_bytes
    root = root_digest(plan.rows, b"".join(tables), static) if digest else bytes(layout.DIGEST_BYTES)
    state = layout.DONE if digest else layout.OFF
    ring = plan.rows, static.created_ns
    write_header(fd, static, layout.Changing(1, 0, 1, plan.rows, state, plan.rows if digest else 0, root, ring))


def clean(over: Mapping, plan: Plan, static: Static) -> None:
    """Put zeros where an older object may have left something, and this one has nothing: header and ends of pages."""
    over.view[: static.header_bytes] = 0
    for place, lane in zip(places(static), plan.content.lanes, strict=True):
        over.view[place.offset + lane.nbytes : place.offset + align(lane.nbytes)] = 0


def write_header(fd: int, static: Static, changing: layout.Changing) -> None:
    """Write the header of a whole object, except for its table of digests."""
    write_all(fd, memoryview(whole_header(static, layout.encode_metadata(static), changing)), 0)
