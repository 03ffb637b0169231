"""Directories of streams that are being made, or brought back from the disk: each is locked by its maker.

Such a directory has memory that nobody counts, so what a dead process left of one goes with the next look for
leftovers, and that of a living one stays. No two have the same name, so who removes one never meets another.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.locks import is_current, kept_from_children
from jupyter_nq.buffers.refusals import refusal, refused


@contextlib.contextmanager
def drafted(parent: Path, stream_id: str) -> Iterator[Path]:
    """Give a new directory for a stream, to be renamed when it is whole; otherwise it is gone after the block.

    Raises
    ------
    StoreError
        It cannot be made.
    """
    made: list[Path] = []

    def take() -> int:
        while True:
            made[:] = [parent / f".{stream_id}-{secrets.token_hex(8)}"]
            with refused(parent):
                made[0].mkdir(mode=0o700)
            if (fd := _locked(made[0])) >= 0:
                return fd

    with kept_from_children(take) as fd:
        (draft,) = made
        try:
            yield draft
        finally:
            if is_current(fd, draft):  # it has not got its name, and this is not a child of its maker
                shutil.rmtree(draft, ignore_errors=True)


def _locked(draft: Path) -> int:
    """Lock a new directory; returns its descriptor, -1 when a sweep was quicker."""
    try:
        fd = own(_opened(draft))
    except FileNotFoundError:
        return -1
    except OSError as exc:
        with contextlib.suppress(OSError):
            draft.rmdir()
        raise refusal(draft, exc) from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_current(fd, draft):
            return fd
    except BlockingIOError:
        pass
    disown(fd)
    os.close(fd)
    return -1


def sweep_drafts(parent: Path) -> None:
    """Remove what is left of makers that are gone, and of streams whose dropping was not finished.

    What cannot be removed stays, and is in nobody's way.
    """
    with refused(parent):
        entries = [entry for entry in os.scandir(parent) if entry.name.startswith(".")]
    for entry in entries:
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                _sweep(entry.path)


def _sweep(path: str) -> None:
    with kept_from_children(lambda: _opened(path)) as fd, contextlib.suppress(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)


def _opened(directory: str | Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
