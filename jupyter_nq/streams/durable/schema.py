"""Schemas of a durable stream on the disk: whatever messages need to be read is there before they are."""

from __future__ import annotations

import os
import re
from pathlib import Path

from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.durable.frames import SCHEMA, FrameReader, Head
from jupyter_nq.streams.durable.home import write_whole

_NAME = re.compile(r"schema(\.\d+)?")  # no draft


class Schemas:
    """Copies the schemas that were decided on since the stream was made; each once, as they never change."""

    def __init__(self, control: MappedControl, home: Path, keys: KeyRing | None) -> None:
        self._control = control
        self._home = home
        self._keys = keys
        self._kept: set[str] = set()

    def __repr__(self) -> str:
        return f"<Schemas of {self._home}, {len(self._kept)} on the disk>"

    def keep(self) -> None:
        """Return when the disk has the schemas that are there."""
        stream = self._control.path
        if not stream.is_dir():  # dropped
            return
        begun = self._control.epoch  # a schema that is being written is of none that has
        for name in schema_files(stream):
            if name in self._kept or epoch_of(name) > begun:
                continue
            if not (self._home / name).exists():
                content = (stream / name).read_bytes()
                write_whole(self._home, name, Head(self._control.static.stream_id, SCHEMA), content, self._keys)
            self._kept.add(name)


def schema_files(directory: Path) -> list[str]:
    """Return the names of the files with schemas in a directory, in memory or on the disk."""
    with refused(directory):
        return sorted(name for name in os.listdir(directory) if _NAME.fullmatch(name))


def epoch_of(name: str) -> int:
    """Return the epoch of a file with a schema.

    >>> epoch_of("schema"), epoch_of("schema.2")
    (0, 2)
    """
    return int(name.partition(".")[2] or 0)


def bring_back(home: Path, draft: Path, keys: KeyRing | None) -> int:
    """Write the schemas of the disk into the directory of a stream that is made again; returns the newest epoch."""
    epoch = 0
    for name in schema_files(home):
        content = FrameReader(home / name).only(keys)
        with refused(draft):
            (draft / name).touch(0o600)
            (draft / name).write_bytes(content)
        epoch = max(epoch, epoch_of(name))
    return epoch
