"""The disk below the memory: copies of datasets that left it, and of those that are to outlive the machine.

A directory of such copies belongs to one store, which leads to it by a symbolic link. It is made with the first copy,
and found again by the next store at the same path, as after a restart of the machine.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jupyter_nq.buffers import ColdCopies, ColdInfo, KeyRing, ObjectInfo, Store, freeze, load_keys, thaw
from jupyter_nq.buffers.cold.keys import KEY_VARIABLE
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.client.bars.loading import Progress
from jupyter_nq.client.cold.disk import directory_for, lead_to
from jupyter_nq.client.cold.room import Room
from jupyter_nq.client.cold.rotating import Rotated, rotate
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.line.hosting import ENCRYPTS
from jupyter_nq.client.records import Stored
from jupyter_nq.config import Settings
from jupyter_nq.errors import ChecksumError, ConfigError, StoreError, StoreFull, UnknownDataset
from jupyter_nq.sizes import size

_WAIT_SECONDS = 2.0
_PAUSE_SECONDS = 0.002
_MOST_NAMED = 3

NO_KEY = (
    f"This process has no master key. Set {KEY_VARIABLE}, or key_file in the settings to a file with the new key "
    "in its first line and the older ones behind it. jupyter_nq.buffers.new_key() makes a key."
)
"""What to do before keys can be rotated."""
_log = logging.getLogger("jupyter_nq")


class Spilling:
    """What a session writes to the disk and brings back.

    Parameters
    ----------
    store, channel, settings
        The session's.
    """

    def __init__(self, store: Store, channel: Channel, settings: Settings) -> None:
        self._store = store
        self._channel = channel
        self._settings = settings
        self.room = Room(channel, self.make_way)

    def __repr__(self) -> str:
        return f"<Spilling of {self._store.path}>"

    # -- to the disk -----------------------------------------------------------------------------
    def make_way(self, ids: Iterable[str]) -> None:
        """Put objects on the disk and have their memory freed; what cannot go stays.

        Raises
        ------
        StoreFull
            The disk, or its share for this, has no room.
        ChecksumError, ConfigError, MissingLibrary
            An object is damaged in memory; or what encrypts is not there.
        """
        for id_ in ids:
            self._evict_if_free(id_)

    def evict(self, id_: str, progress: Progress | None = None) -> Stored:
        """Put an object on the disk, unless it is there, and have its memory freed.

        Raises
        ------
        StoreError
            It is held, pinned, or was changed meanwhile.
        StoreFull
            The disk, or its share for this, has no room.
        """
        info = self._store.info(id_)
        if not self.is_current(info):
            self._refuse_beyond(info.nbytes, info.name)
            durable = self.is_durable(id_)
            try:
                freeze(self._store, id_, self.copies(), durable=durable, keys=self.keys(), progress=progress)
            except StoreFull as exc:
                raise StoreFull(f"There is no room for {info.name} on the disk. {exc}") from exc
        return self._copied(id_, evict=True)

    def spill(self, names: Sequence[str], wanted: int | None, progress: Progress | None = None) -> list[Stored]:
        """Put datasets on the disk; see `Session.spill`."""
        order: list[dict[str, Any]] = self._channel.request("evictable")
        for name in names:
            self._channel.request("find", name=name)  # raises with the nearest names
        chosen = [row for row in order if not names or row["name"] in names]
        gone: list[Stored] = []
        for i, row in enumerate(chosen):
            if wanted is not None and sum(stored.bytes for stored in gone) >= wanted:
                break
            if progress is not None:
                progress(i / len(chosen))
            left = self._evict_if_free(row["id"], wait=True)
            gone += [] if left is None else [left]
        return gone

    def _evict_if_free(self, id_: str, *, wait: bool = False) -> Stored | None:
        """Put an object on the disk; None when it must stay: somebody mapped, changed or dropped it meanwhile."""
        try:
            stored = self.evict(id_)
            return self._gone(id_, stored) if wait else stored
        except (StoreError, UnknownDataset) as exc:
            _log.info("%s stays in memory: %s", id_, exc)
            return None

    def _gone(self, id_: str, stored: Stored) -> Stored:
        """Wait until the memory of an object is free, which takes the coordinator a moment."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while self._store.exists(id_):
            if time.monotonic() > deadline:
                raise StoreError(f"{stored.name} is held by somebody who did not say so.")
            threading.Event().wait(_PAUSE_SECONDS)
        return stored

    def is_current(self, info: ObjectInfo) -> bool:
        """Tell whether the copy on the disk has all rows of an object, and its note."""
        try:
            known = self._known(info.id)
        except ChecksumError as exc:
            _log.warning("%s is written to the disk anew: %s", info.name, exc)
            return False
        if known is None or known.version != info.version:
            return False
        noted = self._store.noted_ns(info.id)
        return noted is None or noted < self.copies().file(info.id).stat().st_mtime_ns

    def keep(self, id_: str, progress: Progress | None = None) -> Stored:
        """Write an object to the disk for good; what is returned is there."""
        freeze(self._store, id_, self.copies(), durable=True, keys=self.keys(), progress=progress)
        return self._copied(id_, evict=False)

    def is_durable(self, id_: str) -> bool:
        """Tell whether an object is kept on the disk for good; of a damaged copy, which may have been, it is said."""
        try:
            known = self._known(id_)
        except ChecksumError as exc:
            _log.warning("What may have been kept for good is taken for it, and written anew: %s", exc)
            return True
        return known is not None and known.durable

    def _copied(self, id_: str, *, evict: bool) -> Stored:
        told = self._channel.request("copied", id=id_, evict=evict)
        return Stored(told["name"], told["version"], told["rows"], told["bytes"])

    def _refuse_beyond(self, nbytes: int, name: str) -> None:
        limit = self._told("spill_bytes")
        if not limit:
            raise StoreFull(f"{name} may not leave memory (spill_bytes is 0).")
        used = self.copies().used_bytes()
        if used + nbytes // 10 > limit:  # a guess of what it will take: bars take an eighth
            raise StoreFull(
                f"There is no room for {name} in {self.copies().path}: {size(used)} of {size(limit)} (spill_bytes) are "
                "taken. Drop datasets that nobody needs, or raise spill_bytes."
            )

    # -- back ------------------------------------------------------------------------------------
    def bring_back(self, found: Mapping[str, Any], progress: Progress | None = None) -> None:
        """Bring an object back into memory, one process for all who ask.

        Raises
        ------
        UnknownDataset
            It was dropped or replaced meanwhile.
        ChecksumError, UnknownKey
            What is on the disk is damaged, or encrypted with a key that is not here.
        StoreFull
        """
        id_ = str(found["id"])
        with self._store.lock(id_):
            if self._store.exists(id_):
                return
            known = self._known(id_)
            if known is None:
                raise UnknownDataset(f"{found['name']!r} is gone: it was dropped, or its copy on the disk was removed.")
            with self.room.promised(known.name, known.raw_bytes, back=True) as promise:
                self._store.pool.trim(promise.spare_bytes or 0)
                thaw(self._store, id_, self.copies(), keys=self.read_keys(), progress=progress)
                try:
                    self._channel.request("appended", id=id_, ticket=promise.ticket)
                except (StoreError, UnknownDataset) as exc:  # what was brought back is nobody's
                    self._store.collect(id_)
                    raise UnknownDataset(f"{known.name!r} was dropped or replaced while it was brought back.") from exc

    # -- the directory ---------------------------------------------------------------------------
    def copies(self) -> ColdCopies:
        """Return the directory of copies, made and linked to when there was none.

        Raises
        ------
        StoreError
            It cannot be used; or it has durable datasets that the coordinator did not find, because it has another
            spill_dir: what is put now would be mixed up with them after a restart.
        """
        link = self._store.path / COLD
        if not self.has_copies:
            copies = ColdCopies(directory_for(self._told("spill_dir"), self._store.path))
            self._refuse_unknown(copies)
            lead_to(self._store.path, copies.path)
        return ColdCopies(os.path.realpath(link), create=True)

    def _refuse_unknown(self, copies: ColdCopies) -> None:
        unknown = sorted({info.name for info in copies.scan() if info.durable and not self._means(info)})
        if unknown:
            listed = f"{', '.join(unknown[:_MOST_NAMED])}{' and others' if unknown[_MOST_NAMED:] else ''}"
            raise StoreError(
                f"{copies.path} has durable datasets ({listed}) that the coordinator, which has another spill_dir, "
                "did not find. Set the same spill_dir for all processes, in the settings file that they read, and "
                "start the one that hosts the coordinator anew (`jupyter nq status` names it)."
            )

    def _means(self, info: ColdInfo) -> bool:
        """Tell whether the name of a copy leads to its object."""
        try:
            return self._store.resolve(info.name) == info.id
        except UnknownDataset:
            return False

    @property
    def encrypts(self) -> bool:
        """Tell whether this process has, or should have, keys for what it writes to the disk."""
        return bool(os.environ.get(KEY_VARIABLE) or self._told("key_file") or self._told("key_service"))

    def keys(self) -> KeyRing | None:
        """Return the keys of this process, None when nothing is to be encrypted.

        Raises
        ------
        ConfigError
            What holds the keys is not as it should be; or there is none here, and others encrypt.
        """
        found = self.read_keys()
        if found is None and self._told_of(ENCRYPTS):
            raise ConfigError(
                f"The process that hosts the coordinator encrypts what it writes to the disk, and this one has no key. "
                f"Set {KEY_VARIABLE}, or key_file in the settings: nothing is written there unencrypted."
            )
        if found is None and (sealed := next((info for info in self.copies().scan() if info.key_id), None)):
            raise ConfigError(
                f"What is in {self.copies().path} is encrypted with the key {sealed.key_id}, and this process has "
                f"none. Set {KEY_VARIABLE}, or key_file in the settings: nothing is written there unencrypted."
            )
        return found

    def read_keys(self) -> KeyRing | None:
        """Return the keys of this process for reading, None when it has none."""
        return load_keys(file=self._told("key_file") or None, keyring=self._told("key_service") or None)

    def rotate(self, progress: Progress | None = None) -> Rotated:
        """Give all copies to the current master key; see `Session.rotate_keys`."""
        keys = self.read_keys()
        if keys is None:
            raise ConfigError(NO_KEY)
        return rotate(self.copies(), keys, progress)

    def meta_of(self, object_id: str) -> dict[str, Any] | None:
        """Return the metadata of an object as its copy tells; None without a copy, or when they are encrypted."""
        known = self._known(object_id)
        return None if known is None or known.key_id is not None else known.meta

    @property
    def has_copies(self) -> bool:
        """Tell whether anything was ever written to the disk for this store."""
        return os.path.lexists(self._store.path / COLD)

    def _known(self, id_: str) -> ColdInfo | None:
        if not self.has_copies:
            return None
        try:
            return self.copies().info(id_)
        except UnknownDataset:
            return None

    def _told(self, name: str) -> Any:
        """Return a setting: this process's own where it has one, else the host's."""
        own = getattr(self._settings, name)
        return own if own != _default(name) else self._told_of(name, own)

    def _told_of(self, name: str, otherwise: Any = None) -> Any:
        """Return what the host says of itself."""
        return self._channel.peer_info.get("settings", {}).get(name, otherwise)


@functools.cache  # asked for with each object that is mapped
def _default(name: str) -> Any:
    """Return the default of a setting."""
    return Settings().trait_defaults(name)
