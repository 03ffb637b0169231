"""The link from a store to its directory on a disk, where copies of datasets lie."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from jupyter_nq.buffers import ColdCopies
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.config import Settings, spill_dir_of
from jupyter_nq.errors import StoreError


def find_again(store_path: Path, settings: Settings) -> None:
    """Lead a new store to the copies that an older one at the same path left, if there are any."""
    directory = spill_dir_of(settings.spill_dir, store_path)
    if directory.is_dir() and not os.path.lexists(store_path / COLD):
        lead_to(store_path, ColdCopies(directory).path)


def lead_to(store_path: Path, directory: Path) -> None:
    """Make the store's link to its copies; whoever comes first makes it."""
    with refused(store_path / COLD), contextlib.suppress(FileExistsError):
        os.symlink(directory, store_path / COLD)
    if os.path.realpath(store_path / COLD) != os.path.realpath(directory):
        raise StoreError(f"{store_path / COLD} leads elsewhere than to {directory}. Remove it, or change spill_dir.")
