"""`jupyter nq rotate`: give what is encrypted on the disk to the current master key, without a coordinator."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

from jupyter_nq.buffers import ColdCopies, load_keys
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.cli.view import store_path
from jupyter_nq.client.cold.disk import directory_for
from jupyter_nq.client.cold.rotating import rotate as rotate_copies
from jupyter_nq.client.cold.rotating_streams import with_streams
from jupyter_nq.client.cold.spilling import NO_KEY
from jupyter_nq.config import load_settings
from jupyter_nq.errors import ConfigError


def rotate(arguments: Namespace) -> int:
    """Seal the keys of all encrypted copies with the current one and print what was done; 1 when one was refused."""
    settings = load_settings(store_dir=arguments.store)
    directory = _directory(store_path(settings), settings.spill_dir)
    if not directory.is_dir():
        print(f"{directory} is not there: nothing was written to the disk.")
        return 0
    keys = load_keys(file=settings.key_file or None, keyring=settings.key_service or None)
    if keys is None:
        raise ConfigError(NO_KEY)
    done = rotate_copies(ColdCopies(directory, create=False), keys, _show if sys.stderr.isatty() else None)
    done = with_streams(done, directory, keys)
    print(done)
    return 1 if done.refused else 0


def _directory(store: Path, setting: str) -> Path:
    """Return where the copies of a store lie: where it leads, else where the next store at this path finds them."""
    if os.path.lexists(store / COLD):
        return Path(os.path.realpath(store / COLD))
    return directory_for(setting, store)


def _show(fraction: float) -> None:
    end = "\n" if fraction >= 1 else ""
    print(f"\r{fraction:4.0%}", end=end, file=sys.stderr, flush=True)
