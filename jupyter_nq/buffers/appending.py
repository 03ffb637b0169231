"""Appending in place: allocate, write behind the committed rows, then one store that commits.

Rows below the committed count never change, so a view of yesterday stays as it is while today's append
goes behind it in the same pages. Whoever dies in the middle leaves bytes that nobody reads; the next
append overwrites them. Between the commit and the new digest the state says `pending`; who dies there leaves the
digest to the next who appends or verifies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from jupyter_nq.buffers import layout, words
from jupyter_nq.buffers.copying import Copy, FileSink, copy_lanes
from jupyter_nq.buffers.digests import reading, refresh_digest
from jupyter_nq.buffers.objects import header_words, read_changing, read_static
from jupyter_nq.buffers.places import committed_bytes, places
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import Progress, allocate, give_back, progress_steps
from jupyter_nq.buffers.values.intake import Content
from jupyter_nq.buffers.values.joining import behind, check_alike
from jupyter_nq.buffers.values.lanes import Lane
from jupyter_nq.errors import CapacityFull, StoreFull


def append_rows(
    fd: int, path: Path, content: Content, progress: Progress | None, free_spares: Callable[[], int]
) -> None:
    """Append rows to the open object file; its append lock and a shared lock are held by the caller.

    Where memory lacks, `free_spares` may give some back, and tells how much.
    """
    static = read_static(fd, path)
    check_alike(content, static)
    with header_words(fd) as page:
        changing = read_changing(path, static, page)
        rows, room = changing.committed_rows, static.capacity_rows - changing.committed_rows
        if content.rows > room:
            raise CapacityFull(f"{static.name} has room for {room:,} more rows, {content.rows:,} were to be appended.")
        if content.rows == 0:
            return
        with refused(path):
            if changing.digest_state == layout.PENDING:  # who appended before died over it
                refresh_digest(fd, static, page)
            begins = committed_bytes(places(static), rows, reading(fd))
        lanes = behind(content, static, begins)
        _write_rows(fd, path, static, lanes, begins, progress, free_spares)
        _commit(page, static, changing, rows + content.rows)
        if changing.digest_state != layout.OFF:
            with refused(path):
                refresh_digest(fd, static, page)


def _write_rows(
    fd: int,
    path: Path,
    static: layout.Static,
    lanes: Sequence[Lane],
    begins: Sequence[int],
    progress: Progress | None,
    free_spares: Callable[[], int],
) -> None:
    """Write the lanes of new rows, each behind the bytes that are committed."""
    ahead = list(zip(places(static), begins, lanes, strict=True))
    spans = [(place.offset + begin, lane.nbytes) for place, begin, lane in ahead]
    step = progress_steps(progress, sum(n for _, n in spans))
    try:
        _allocate(fd, spans, path.parent, free_spares)
        copy_lanes(FileSink(fd), [Copy(p.offset, lane, begin) for p, begin, lane in ahead], digest=False, step=step)
    except BaseException:
        give_back(fd, spans)  # behind the committed rows: nobody reads them
        raise


def _allocate(fd: int, spans: list[tuple[int, int]], where: Path, free_spares: Callable[[], int]) -> None:
    try:
        allocate(fd, spans, where)
    except StoreFull:
        if not free_spares():
            raise
        allocate(fd, spans, where)


def _commit(page: memoryview, static: layout.Static, changing: layout.Changing, rows: int) -> None:
    index = layout.newest_slot(changing)[0] + 1
    words.put_slot(page, static, index, rows, time.time_ns())
    if changing.digest_state != layout.OFF:
        words.put(page, static, "digest_state", layout.PENDING)
    words.put(page, static, "version_count", index + 1)
    words.put(page, static, "committed_rows", rows)
