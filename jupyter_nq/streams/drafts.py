"""Directories of streams that are being made, or brought back from the disk: each is locked by its maker.

Such a directory has memory that nobody counts, so what a dead process left of one goes with the next look for
leftovers, and that of a living one stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from jupyter_nq.buffers.locks import is_current, kept_from_children, try_flock
from jupyter_nq.buffers.refusals import refused


@contextlib.contextmanager
def drafted(parent: Path, stream_id: str) -> Iterator[Path]:
    """Give a new directory for a stream, to be renamed when it is whole; otherwise it is gone after the block."""
    draft = parent / f".{stream_id}"
    with kept_from_children(lambda: _locked(draft)):
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _locked(draft: Path) -> int:
    """Make a directory and lock it; what somebody left there who died is removed."""
    while True:
        shutil.rmtree(draft, ignore_errors=True)
        with refused(draft.parent), contextlib.suppress(FileExistsError):
            draft.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # a sweep came between
            fd = _opened(draft)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if is_current(fd, draft):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)


def sweep_drafts(parent: Path) -> None:
    """Remove what is left of makers that are gone, and of streams whose dropping was not finished."""
    with refused(parent):
        found = [entry.path for entry in os.scandir(parent) if entry.name.startswith(".")]
    for path in map(Path, found):
        with (
            contextlib.suppress(FileNotFoundError),
            kept_from_children(lambda path=path: _opened(path)) as fd,  # type: ignore[misc]
        ):
            if try_flock(fd, fcntl.LOCK_EX) and is_current(fd, path):
                shutil.rmtree(path, ignore_errors=True)


def _opened(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
