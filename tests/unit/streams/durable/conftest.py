"""Durable streams with their memory in one private directory and their disk in another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.streams import Options, Stream, make_stream
from jupyter_nq.streams.durable.home import settle
from jupyter_nq.streams.durable.restoring import restore


class Machine:
    """A store of streams alone, which can lose its memory."""

    def __init__(self, memory: Path, disk: Path) -> None:
        self.memory, self.disk = memory, disk
        self.keys: KeyRing | None = None
        self._opened: list[Stream] = []

    def make(self, name: str = "s", schema: pa.Schema | None = None, form: str | None = None, **options: Any) -> Stream:
        """Make a durable stream, or open it once more."""
        told = Options(**{"segment_bytes": 64 << 10, "retention_bytes": 1 << 20, "durable": True, **options})
        settle(make_stream(self.memory, name, schema, form, told), self.disk, self.keys)
        return self.open(name)

    def open(self, name: str = "s") -> Stream:
        """Open a stream that is in memory."""
        self._opened.append(Stream(self.memory / name, keys=lambda: self.keys))
        return self._opened[-1]

    def close(self) -> None:
        """Close all streams of this process."""
        for stream in self._opened:
            stream.close()
        self._opened.clear()

    def lose_memory(self) -> None:
        """Be switched off, as far as memory goes, and on again."""
        for entry in list(self.memory.iterdir()):
            shutil.rmtree(entry)

    def reboot(self, name: str = "s") -> Stream:
        """Lose all memory, and open a stream again that the disk has."""
        self.close()
        self.lose_memory()
        restore(self.disk / name, self.memory, self.keys)
        return self.open(name)


@pytest.fixture
def machine(nq_store_dir: Path, tmp_path: Path) -> Iterator[Machine]:
    """Give a machine without streams."""
    found = Machine(nq_store_dir, tmp_path / "disk")
    yield found
    found.close()
