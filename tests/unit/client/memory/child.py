"""A second process with a session, a pool and a manager of its own, over the same store."""

from __future__ import annotations

from pathlib import Path

from jupyter_nq import testing

_PRELUDE = """
import numpy as np, pandas as pd
from jupyter_nq.client.memory.manager import MemoryManager
from jupyter_nq.client.memory.pool import SharedMemoryPool
from jupyter_nq.client.session import Session
session = Session(sys.argv[1])
pool = SharedMemoryPool(session=session)
"""


class Child(testing.Child):
    """A process that runs `code` with `session`, `pool` and the classes at hand."""

    def __init__(self, store_dir: Path, code: str) -> None:
        super().__init__(_PRELUDE + code, str(store_dir))
