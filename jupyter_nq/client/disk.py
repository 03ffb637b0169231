"""The link from a store to its directory on a disk, where copies of datasets lie."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from jupyter_nq.buffers import Catalogue, ColdCopies
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.config import Settings, spill_dir_of
from jupyter_nq.errors import StoreError


def find_again(store: Catalogue, settings: Settings) -> None:
    """Lead a new store to the durable copies that an older one at the same path left, if there are any.

    Others are removed: they were made when their datasets left memory, and nobody knows what became of those since.
    """
    directory = spill_dir_of(settings.spill_dir, store.path)
    if not directory.is_dir() or os.path.lexists(store.path / COLD):
        return
    copies = ColdCopies(directory)
    lead_to(store.path, copies.path)
    named = set(store.names().values())  # none, unless somebody took the link away
    for info in copies.scan():
        if not info.durable and info.id not in named:
            copies.remove(info.id)


def lead_to(store_path: Path, directory: Path) -> None:
    """Make the store's link to its copies; whoever comes first makes it."""
    with refused(store_path / COLD), contextlib.suppress(FileExistsError):
        os.symlink(directory, store_path / COLD)
    if os.path.realpath(store_path / COLD) != os.path.realpath(directory):
        raise StoreError(f"{store_path / COLD} leads elsewhere than to {directory}. Remove it, or change spill_dir.")
