"""Directories of flags, on tmpfs and on a disk, and a factory of flags that are closed at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_nq.streams.flags import Flag, Places, Who

Opened = Callable[..., Flag]


def me() -> Who:
    """Say who this process is."""
    return Who("test", os.getpid(), None, "here")


@pytest.fixture
def places(nq_store_dir: Path, tmp_path: Path) -> Places:
    """Give the two directories, which are not there yet."""
    return Places(nq_store_dir / "flags", tmp_path / "disk" / "store.flags")


@pytest.fixture
def opened(places: Places) -> Iterator[Opened]:
    """Give a function that opens a flag as another notebook would; all are closed at the end."""
    flags: list[Flag] = []

    def opening(name: str = "halt", where: Places = places) -> Flag:
        flags.append(Flag(where, name, me))
        return flags[-1]

    yield opening
    for flag in flags:
        flag.close()


def reboot(places: Places) -> None:
    """Lose what is in memory, as a restart of the machine does."""
    shutil.rmtree(places.memory, ignore_errors=True)
