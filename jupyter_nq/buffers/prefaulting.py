"""Spare segments made ahead of time: allocated, mapped, and put into the pool before a write needs one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from jupyter_nq.buffers.mappings import Mappings, Stopped
from jupyter_nq.buffers.names import new_object_id
from jupyter_nq.buffers.plan import Need
from jupyter_nq.buffers.pool import Pool
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import fresh_file
from jupyter_nq.buffers.writing import make_room


def prefault(pool: Pool, drafts: Path, mapped: Mappings, need: Need, stopped: Callable[[], bool]) -> bool:
    """Add a segment for a write to the pool, with a mapping of it; False when it is not wanted any more.

    Raises
    ------
    StoreFull
        No room; nothing is left behind, as with any other exception.
    """
    id_ = new_object_id()
    draft, kept = drafts / f"{id_}.part", pool.path / id_
    try:
        with fresh_file(draft, kept) as fd:
            make_room(fd, pool.path, need)
            with mapped.over(fd, need.file_bytes) as mapping:
                for offset, nbytes in need.spans:
                    mapping.populate(offset, nbytes, stopped)
            with refused(kept):
                os.rename(draft, kept)
    except Stopped:
        return False
    return True
