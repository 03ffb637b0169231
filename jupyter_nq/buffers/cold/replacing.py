"""Putting a cold file into its place: whole on the disk before it is seen, the one before intact until then.

The file is written under another name and synced, renamed, and its directory synced. Only then is it there: after
a power cut too. Whatever fails, a full disk or one that cannot write what it took, the older file keeps its name,
for which it has a second name until the directory was synced.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from jupyter_nq.buffers.cold.copies import ColdCopies, drop_orphan, sync_directory
from jupyter_nq.buffers.locks import exclusive, try_flock
from jupyter_nq.buffers.platform import file_system_free
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import fresh_file
from jupyter_nq.errors import StoreFull


@contextlib.contextmanager
def replacing(cold: ColdCopies, object_id: str) -> Iterator[int]:
    """Give an empty file that becomes the cold copy of an object when the block ends without an error.

    Who else writes the copy of this object waits.

    Raises
    ------
    StoreFull, StoreError
        The disk has no room for it, or refuses; the copy before, if any, is as it was.
    """
    path, draft = cold.file(object_id), cold.tmp / f"{object_id}.part"
    with _room_on(cold.path), exclusive(cold.tmp / f"{object_id}.lock"):
        drop_orphan(draft)
        with fresh_file(draft, draft) as fd:
            yield fd
            with refused(draft):
                os.fsync(fd)
            with _second_name(path, cold.tmp / f"{object_id}.before") as before:
                _put(draft, path, before)


def _put(draft: Path, path: Path, before: Path | None) -> None:
    with refused(path):
        os.rename(draft, path)
    try:
        with refused(path.parent):
            sync_directory(path.parent)
    except BaseException:
        with refused(path):
            if before is None:
                os.unlink(path)
            else:
                os.rename(before, path)
        raise


@contextlib.contextmanager
def _second_name(path: Path, second: Path) -> Iterator[Path | None]:
    """Keep an older file under a second name, which no sweep takes for an orphan; None when there is none."""
    with refused(path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            fd = -1
    if fd < 0:
        yield None
        return
    try:
        try_flock(fd, fcntl.LOCK_SH)
        with refused(second):
            second.unlink(missing_ok=True)
            os.link(path, second)
        yield second
        with refused(second):
            second.unlink(missing_ok=True)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _room_on(directory: Path) -> Iterator[None]:
    try:
        yield
    except StoreFull as exc:
        raise StoreFull(
            f"The cold copy does not fit: {file_system_free(directory):,} bytes are free in {directory}. Remove cold "
            "copies that nobody needs, or keep them on a larger disk."
        ) from exc
