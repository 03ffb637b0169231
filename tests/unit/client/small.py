"""A session with room for three arrays of 2 MiB, and such arrays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings

MIB = 1 << 20


def small_session(path: Path, **settings: Any) -> Session:
    """Open a store of 8 MiB at `path`, with its copies on the disk of the test (the fixture `disk`)."""
    told = {"pool_bytes": 8 * MIB, "append_reserve": 0.0, "spill_dir": os.environ["JUPYTER_NQ_SPILL"], **settings}
    return Session(settings=Settings(store_dir=str(path), **told))


def array(value: int, mib: int = 2) -> Any:
    """Return float64 of one value, so many MiB of them."""
    return np.full(mib * MIB // 8, value, float)
