"""Appending in place: allocate, write behind the committed rows, then one store that commits.

Rows below the committed count never change, so a view of yesterday stays as it is while today's append
goes behind it in the same pages. Whoever dies in the middle leaves bytes that nobody reads; the next
append overwrites them. Between the commit and the new digest the state says `pending`.
"""

from __future__ import annotations

import mmap
import time
from pathlib import Path

import numpy as np

from jupyter_nq.buffers import layout
from jupyter_nq.buffers.digests import refresh_digest
from jupyter_nq.buffers.intake import Array, Content, Lane, Read
from jupyter_nq.buffers.objects import header_words, read_changing, read_static
from jupyter_nq.buffers.plan import lane_offsets
from jupyter_nq.buffers.platform import punch_hole
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import Progress, allocate, copy_lane, progress_steps
from jupyter_nq.errors import CapacityFull, UnsupportedData


def append_rows(fd: int, path: Path, content: Content, progress: Progress | None) -> None:
    """Append rows to the open object file; its append lock and a shared lock are held by the caller."""
    static = read_static(fd, path)
    lanes = conform(content, static)
    with header_words(fd) as words:
        changing = read_changing(path, static, words)
        rows, room = changing.committed_rows, static.capacity_rows - changing.committed_rows
        if content.rows > room:
            raise CapacityFull(f"{static.name} has room for {room:,} more rows, {content.rows:,} were to be appended.")
        if content.rows == 0:
            return
        _write_rows(fd, path, static, lanes, rows, content.rows, progress)
        _commit(words, changing, rows + content.rows)
        if changing.digest_state != layout.OFF:
            complete = changing.digest_state == layout.DONE and changing.digest_rows == rows
            with refused(path):
                refresh_digest(fd, static, words, rows if complete else 0)


def conform(content: Content, static: layout.Static) -> list[Lane]:
    """Return the lanes of `content` in the object's own order; raises when they do not fit the object."""
    if content.kind != static.kind:
        raise UnsupportedData(f"{static.name} is {_a(static.kind)}; {_a(content.kind)} cannot be appended to it.")
    if static.kind == "array":
        if static.origin.get("scalar") or content.origin.get("scalar"):
            raise UnsupportedData(f"{static.name}: an array without dimensions has no rows to append.")
        lane = content.lanes[0]
        if (lane.dtype, content.shape) != (static.blocks[0].dtype, static.shape):
            raise UnsupportedData(
                f"{static.name} has rows of shape {static.shape} and dtype {static.blocks[0].dtype}; "
                f"the new ones have {content.shape} and {lane.dtype}."
            )
        return [lane]
    return _conform_table(content, static)


def _conform_table(content: Content, static: layout.Static) -> list[Lane]:
    lanes = {lane.name: lane for lane in content.lanes}
    missing = [c for c in static.columns if c not in lanes]
    surplus = [c for c in lanes if c not in static.columns]
    if missing or surplus:
        raise UnsupportedData(
            f"The columns differ from {static.name}: missing {missing or 'none'}, not expected {surplus or 'none'}."
        )
    for name in static.columns:
        have, want = layout.field_type(content.schema, name), static.column_type(name)
        if have != want:
            raise UnsupportedData(
                f"Column {name!r} of {static.name} is {want}, the new rows have {have}. Convert them first."
            )
    return [lanes[c] for c in static.columns]


def _a(kind: str) -> str:
    return "an array" if kind == "array" else "a table"


def _write_rows(
    fd: int, path: Path, static: layout.Static, lanes: list[Lane], rows: int, new: int, progress: Progress | None
) -> None:
    offsets = lane_offsets(static.blocks)
    spans = [(offsets[i] + rows * lane.row_bytes, new * lane.row_bytes) for i, lane in enumerate(lanes)]
    step = progress_steps(progress, sum(n for _, n in spans))
    try:
        allocate(fd, spans, path.parent)
        for i, lane in enumerate(lanes):
            copy_lane(fd, offsets[i], lane, rows * lane.row_bytes, new * lane.row_bytes, digest=False, step=step)
    except BaseException:
        for offset, nbytes in spans:  # whole pages behind the committed rows: nobody reads them
            punch_hole(fd, layout.align(offset), layout.align(offset + nbytes) - layout.align(offset))
        raise


def _commit(words: memoryview, changing: layout.Changing, rows: int) -> None:
    index = layout.committed_slots(changing)[-1][0] + 1
    layout.set_slot(words, index, rows, time.time_ns())
    if changing.digest_state != layout.OFF:
        words[layout.WORD["digest_state"]] = layout.PENDING
    words[layout.WORD["version_count"]] = index + 1
    words[layout.WORD["committed_rows"]] = rows


def mapped_lanes(mapping: mmap.mmap, static: layout.Static) -> list[Lane]:
    """Return the lanes of a mapped object, to be copied into a larger one."""
    offsets = lane_offsets(static.blocks)
    dtypes = {c: b.dtype for b in static.blocks for c in b.columns}
    lanes = []
    for i, name in enumerate(static.columns):
        row_bytes = np.dtype(dtypes[i]).itemsize * int(np.prod(static.shape, dtype=np.int64))
        lanes.append(Lane(name, dtypes[i], row_bytes, _mapped_reader(mapping, offsets[i])))
    return lanes


def chain(first: Lane, first_bytes: int, second: Lane) -> Lane:
    """Return a lane that reads `first_bytes` of one lane, then another."""

    def read(start: int, stop: int) -> Array:
        parts = []
        if start < first_bytes:
            parts.append(first.read(start, min(stop, first_bytes)).view(np.uint8))
        if stop > first_bytes:
            parts.append(second.read(max(start - first_bytes, 0), stop - first_bytes).view(np.uint8))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return Lane(first.name, first.dtype, first.row_bytes, read)


def _mapped_reader(mapping: mmap.mmap, offset: int) -> Read:
    def read(start: int, stop: int) -> Array:
        return np.frombuffer(mapping, np.uint8, count=stop - start, offset=offset + start)

    return read
