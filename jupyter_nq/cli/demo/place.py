"""Where the demo works: a private directory for files, and a store of its own on shared memory.

Everything is removed at the end. A store directory that the user names must hold no dataset and have no
coordinator, because the demo publishes under plain names; what the demo put there is removed, the
directory itself only if the demo made it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from jupyter_nq.bars.discovery import available
from jupyter_nq.bars.sample import write_sample
from jupyter_nq.cli.demo.notebook_file import insert_code, read, write
from jupyter_nq.cli.doctor.checks import free_bytes
from jupyter_nq.cli.view import look
from jupyter_nq.config import Settings
from jupyter_nq.errors import SourceNotFound, StoreError

NOTEBOOKS = ("execution_engine.ipynb", "risk_management.ipynb")
SLOW, FINE = "30min", "5min"
_SHARED_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 32 << 20  # 32 MiB beside the bars themselves
_BYTES_PER_ROW = 7 * 64  # seven bars (one of 30 minutes, six of 5) of at most 64 bytes


@dataclass(frozen=True)
class Place:
    """The directories of one demo."""

    work: Path
    """Notebooks, server files and, unless the user's are used, bar files."""
    store: Path
    data: Path
    fine: str
    """Finest timeframe that the data has for the notebooks, `30min` when there is nothing finer."""


def prepare_store(named: str | None, work: Path, rows: int) -> tuple[Path, bool]:
    """Return the store's directory and whether it was there before.

    Raises
    ------
    StoreError
        The named store is in use.
    """
    if named is None:
        roomy = _SHARED_MEMORY.is_dir() and free_bytes(_SHARED_MEMORY) > _ROOM_BYTES + rows * _BYTES_PER_ROW
        return Path(tempfile.mkdtemp(prefix="nq-demo-", dir=_SHARED_MEMORY if roomy else work)), False
    view = look(Settings(store_dir=named))  # the user's settings file is not the demo's
    if view.datasets or view.status:
        busy = f"holds {len(view.datasets)} datasets" if view.datasets else "has a running coordinator"
        raise StoreError(f"{view.path} {busy}. The demo needs a store of its own: name an empty directory or none.")
    return view.path, view.path.exists()


def prepare_data(named: str | None, work: Path, rows: int, seed: int) -> tuple[Path, str]:
    """Return the directory of the bar files, written first unless it is the user's, and the finest timeframe.

    Raises
    ------
    SourceNotFound
        The user's directory has no 30-minute NQ bars.
    """
    if named is None:
        data = work / "data"
        write_sample(data, rows=rows, seed=seed, layouts=(SLOW, FINE))
    else:
        data = Path(named).expanduser().absolute()
        if not data.is_dir():
            raise SourceNotFound(f"--data {named}: there is no such directory. Name one that holds bar files.")
    found = available(data)
    timeframes = {file.timeframe for file in found if file.symbol == "NQ"}
    if SLOW not in timeframes:
        there = ", ".join(sorted(f"{file.symbol} {file.timeframe}" for file in found)) or "no bar file"
        raise SourceNotFound(f"--data {named} holds {there}; the example notebooks need NQ {SLOW}.")
    return data, FINE if FINE in timeframes else SLOW


def copy_notebooks(work: Path, fine: str) -> list[Path]:
    """Copy the example notebooks, with the fine timeframe set after their cell of parameters."""
    copies = []
    for name in NOTEBOOKS:
        document = read(examples() / name)
        if fine != FINE:
            insert_code(document, "parameters", f"fine_timeframe = {fine!r}")
        copies.append(work / name)
        write(document, copies[-1])
    return copies


def examples() -> Path:
    """Return the directory of the example notebooks: beside this file when installed, else the source tree's."""
    installed = Path(__file__).parents[1] / "examples"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "examples"
