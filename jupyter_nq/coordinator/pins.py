"""Pins that outlive a coordinator: an empty file for each name, in `pins/` of the store."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from jupyter_nq.buffers import check_name
from jupyter_nq.errors import InvalidName

PINS_NAME = "pins"


class Pins:
    """The records of pins in one store; it keeps no state of its own."""

    def __init__(self, store_path: Path) -> None:
        self._records = store_path / PINS_NAME

    def __repr__(self) -> str:
        return f"<Pins in {self._records}>"

    def record(self, name: str, pinned: bool) -> None:
        """Remember that a name is pinned, or that it is not."""
        path = self._records / check_name(name)
        if not pinned:
            path.unlink(missing_ok=True)
            return
        self._records.mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))

    def read(self) -> frozenset[str]:
        """Return the names that are pinned."""
        found = set()
        for entry in os.listdir(self._records) if self._records.is_dir() else ():
            with contextlib.suppress(InvalidName):  # not ours
                found.add(check_name(entry))
        return frozenset(found)
