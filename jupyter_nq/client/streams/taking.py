"""Durable streams of a machine that ended, for one that has no directory on the disk yet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from jupyter_nq.buffers.cold.copies import sync_directory
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.streams.durable import home

_LOCK = ".lock"


def has_streams(copies: Path) -> bool:
    """Tell whether durable streams lie beside a directory of copies."""
    return bool(home.names(home.directory_beside(copies)))


def take_streams(theirs: Path, ours: Path) -> None:
    """Give one directory of copies the durable streams beside another.

    They are links: what is written to a file of messages stays, and who goes on writes to files of its own. What an
    attempt left that died over it is removed first, so this is for a directory that nobody uses yet.

    Raises
    ------
    StoreError, StoreFull
    """
    source, target = home.directory_beside(theirs), home.directory_beside(ours)
    with refused(target):
        if target.is_dir():
            shutil.rmtree(target)
        for name in home.names(source):
            for found in sorted((source / name).rglob("*")):
                if found.is_file() and not found.name.startswith(".") and not found.name.endswith(_LOCK):
                    place = target / found.relative_to(source)
                    home.make_private(place.parent)
                    os.link(found, place)
                    sync_directory(place.parent)
