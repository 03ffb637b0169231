"""Drops that outlive a coordinator: what was dropped stays dropped while somebody still holds it.

Dropping a name moves its link to `drops/<name>.<version>`. That removes the name and records the drop in
one step, takes no memory even in a full store, and is there for the next coordinator: without the record
it could not tell a dropped object from one whose name was lost. The record goes with the last of the
objects that it is about.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from jupyter_nq.buffers import check_name
from jupyter_nq.errors import InvalidName

DROPS_NAME = "drops"


class Drops:
    """The records of drops in one store; it keeps no state of its own."""

    def __init__(self, store_path: Path) -> None:
        self._names = store_path / "names"
        self._records = store_path / DROPS_NAME

    def __repr__(self) -> str:
        return f"<Drops in {self._records}>"

    def record(self, name: str, version: int) -> None:
        """Remove a name and remember that its versions up to this one were dropped."""
        self._records.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # somebody removed the name by hand
            os.rename(self._names / check_name(name), self._path(name, version))

    def forget(self, name: str, version: int) -> None:
        """Remove the record of a drop, and older ones of the name: a host may have died between two of them."""
        with contextlib.suppress(OSError):  # a record too many does no harm, and the next coordinator tries again
            for found, older in self._entries():
                if found == name and older <= version:
                    os.unlink(self._path(name, older))

    def read(self) -> dict[str, int]:
        """Return each name that was dropped, with the last version that the drop was about."""
        found: dict[str, int] = {}
        for name, version in self._entries():
            found[name] = max(found.get(name, 0), version)
        return found

    def _entries(self) -> Iterator[tuple[str, int]]:
        """Yield the name and version of each record."""
        for entry in os.listdir(self._records) if self._records.is_dir() else ():
            name, _, version = entry.rpartition(".")
            if version.isascii() and version.isdigit():
                with contextlib.suppress(InvalidName):  # not ours
                    yield check_name(name), int(version)

    def _path(self, name: str, version: int) -> Path:
        return self._records / f"{check_name(name)}.{version}"
