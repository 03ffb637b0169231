"""The durable streams of a session: given a directory on the disk when they are made, and brought back from there.

They lie beside the store's copies of datasets, under the name of that directory with `.streams` behind it, so they
belong to the same store and machine.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.directory import COLD, STREAMS
from jupyter_nq.client.bars.loading import Progress
from jupyter_nq.client.cold.rotating import Rotated
from jupyter_nq.client.cold.rotating_streams import with_streams
from jupyter_nq.client.cold.spilling import Spilling
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.errors import NQError
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.durable import home, keeping, positions, restoring
from jupyter_nq.streams.durable.durability import is_durable


class Lasting:
    """What a session does with durable streams.

    Parameters
    ----------
    store, channel, spilling
        The session's.
    """

    def __init__(self, store: Store, channel: Channel, spilling: Spilling) -> None:
        self._parent = store.path / STREAMS
        self._link = store.path / COLD
        self._channel = channel
        self._spilling = spilling
        self.keys = spilling.keys
        """Gives the master keys for what is written; refuses where others encrypt and this process cannot."""

    def __repr__(self) -> str:
        return f"<Lasting of {self._parent}>"

    def away(self) -> list[str]:
        """Return the names of the streams that the disk has and memory has not."""
        directory = self._directory()
        known = [] if directory is None else home.names(directory)
        return [name for name in known if not (self._parent / name).is_dir()]

    def prepare(self, options: Mapping[str, Any]) -> None:
        """Have a directory on the disk for a stream that is to be durable, before the coordinator makes it.

        Raises
        ------
        StoreError
            The disk refuses.
        """
        if options.get("durable") is True:
            self._spilling.copies()

    def settle(self, control: MappedControl) -> None:
        """Give a durable stream its directory on the disk, and have that take what the dead left in memory.

        Raises
        ------
        StoreError, ConfigError, UnknownKey
            The disk refuses, or is encrypted with a key that is not here.
        """
        if not is_durable(control):
            return
        if not home.is_settled(control):
            home.settle(control, home.directory_beside(self._spilling.copies().path), self.keys())
        keeping.catch_up(control, self.keys)
        positions.catch_up(control, self.keys)

    def bring_back(self, name: str) -> None:
        """Bring a stream back from the disk, unless memory has it or the disk has not.

        Raises
        ------
        UnknownKey, ChecksumError
            What the disk has is encrypted with a key that is not here, or damaged.
        StoreFull
        """
        if name not in self.away():
            return
        there, keys = self._home(name), self._spilling.read_keys()
        wanted = restoring.memory_bytes(there, keys)
        with self._spilling.room.promised(name, wanted, back=True) as promise:
            restoring.restore(there, self._parent, keys)
        self._channel.note("release", ticket=promise.ticket, tidy=True)

    def bring_all_back(self) -> None:
        """Bring back what the disk has; a stream that cannot come is warned of, and stays on the disk."""
        for name in self.away():
            try:
                self.bring_back(name)
            except NQError as exc:
                warnings.warn(f"The durable stream {name!r} stays on the disk: {exc}", stacklevel=4)

    def drop(self, name: str) -> int:
        """Remove a stream that only the disk has; returns how many messages were ever published."""
        there = self._home(name)
        count = restoring.messages(there)
        home.remove(there)
        return count

    def rotate(self, progress: Progress | None = None) -> Rotated:
        """Give all copies, and the durable streams beside them, to the current master key: `Session.rotate_keys`."""
        done, keys = self._spilling.rotate(progress), self._spilling.read_keys()
        assert keys is not None, "without it nothing was rotated"
        return with_streams(done, self._spilling.copies().path, keys)

    def _home(self, name: str) -> Path:
        directory = self._directory()
        assert directory is not None, "it has this stream"
        return directory / name

    def _directory(self) -> Path | None:
        """Return where the durable streams lie; None when nothing of this store was ever on the disk."""
        if not os.path.lexists(self._link):
            return None
        return home.directory_beside(Path(os.path.realpath(self._link)))
