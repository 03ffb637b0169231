"""A process over the same store directory."""

from __future__ import annotations

from pathlib import Path

from jupyter_nq import testing

_PRELUDE = """
import numpy as np
from jupyter_nq.buffers import Store
store = Store(sys.argv[1])
"""


class Child(testing.Child):
    """A process that runs `code` with `store` at hand."""

    def __init__(self, store_dir: Path, code: str, *arguments: str) -> None:
        super().__init__(_PRELUDE + code, str(store_dir), *arguments)
