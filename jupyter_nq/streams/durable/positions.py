"""Positions of named consumers on the disk: what they acknowledged is written in groups, as messages are.

A position that the disk does not have yet is one that is read again after a restart: nothing is lost by that, so
nobody waits for it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from jupyter_nq.buffers.cold.copies import sync_directory
from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.buffers.locks import exclusive
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import NQError
from jupyter_nq.streams.consumers import CONSUMERS, Register, at_rest, named, within
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.durable.durability import is_durable
from jupyter_nq.streams.durable.flushing import Entry, flusher
from jupyter_nq.streams.durable.frames import POSITIONS, FrameReader, Head
from jupyter_nq.streams.durable.home import home_of, write_whole
from jupyter_nq.streams.durable.keeping import Keys, settled_home

_LOCK = "positions.lock"


class KeptPositions:
    """The positions of a named consumer of this process."""

    def __init__(self, control: MappedControl, register: Register, name: str, keys: Keys) -> None:
        self.stream_id = control.static.stream_id
        self.lane: int | None = None
        self._control = control
        self._register = register
        self._name = name
        self._keys = keys
        self._written = b""

    def __repr__(self) -> str:
        return f"<KeptPositions of {self._name} in {self._control.static.name}>"

    def flush(self) -> None:
        """Return when the disk has what was acknowledged before the call."""
        now = self._register.positions()
        if self._control.closed or now == self._written:
            return
        try:
            keep(self._control, settled_home(self._control), self._name, self._keys())
        except NQError:
            if not self._control.closed:  # it was dropped meanwhile
                raise
        self._written = now

    def close(self) -> None:
        """Let go of it; the consumer closes its own file."""


def keep_positions(control: MappedControl, register: Register, name: str | None, keys: Keys) -> Entry | None:
    """Copy what a consumer acknowledges in groups from now on; None when it has no name, or its stream is fleeting."""
    if name is None or not is_durable(control):
        return None
    return flusher.add(KeptPositions(control, register, name, keys))


def keep(control: MappedControl, home: Path, name: str, keys: KeyRing | None) -> None:
    """Write the positions of a named consumer as memory has them, unless the disk has the same."""
    directory = home / CONSUMERS
    with refused(directory), contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)  # not those above: a stream that was dropped meanwhile stays so
        sync_directory(home)
    with exclusive(home / _LOCK):  # before memory is read: who comes later writes what is newer
        try:
            now = at_rest(control.path / CONSUMERS / name)
        except FileNotFoundError:
            return
        if now != _kept(directory / name, keys):
            write_whole(home, f"{CONSUMERS}/{name}", Head(control.static.stream_id, POSITIONS), now, keys)


def _kept(path: Path, keys: KeyRing | None) -> bytes | None:
    if not path.exists():
        return None
    return FrameReader(path).only(keys)


def catch_up(control: MappedControl, keys: Keys) -> None:
    """Have the disk take what consumers acknowledged that died."""
    home = home_of(control)
    if home is not None:
        for name in named(control.path):
            keep(control, home, name, keys())


def bring_back(home: Path, draft: Path, heads: dict[int, int], keys: KeyRing | None) -> None:
    """Write the positions of the disk into the directory of a stream that is made again.

    What was acknowledged, and was not on the disk itself, gets its sequence anew: no position is behind the heads.
    """
    directory = draft / CONSUMERS
    with refused(directory), contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    for name in named(home):
        content = within(FrameReader(home / CONSUMERS / name).only(keys), heads)
        with refused(directory):
            (directory / name).touch(0o600)
            (directory / name).write_bytes(content)
