"""Names, versions and objects: the part of the desk that the headers in the store can rebuild.

An object carries a run of versions, `first_version..version`, because appending adds a version to the same
object. The versions of a name are the runs of its objects in order; where two runs overlap (an append that
lost a race against a publish), the later object counts. A name exists while it links to its newest object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from jupyter_nq.coordinator.events import DAMAGED, Action, ForgetDrop, RecordDrop, StoredObject
from jupyter_nq.errors import UnknownDataset, nearest

_MOST_LISTED = 10


class Versions:
    """Every object the desk knows, and where each name points."""

    def __init__(self) -> None:
        self.objects: dict[str, StoredObject] = {}
        self.links: dict[str, str] = {}
        self.loose: set[str] = set()  # objects that no name links to
        self.dropped: dict[str, int] = {}  # name -> last version that was dropped, while anything of it is left
        self.bytes = 0  # of all objects together, the loose ones included
        self._runs: dict[str, list[str]] = {}  # name -> ids of its versioned objects, first version ascending

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.links))

    def add(self, stored: StoredObject) -> None:
        """Take in an object, or its new header."""
        self.remove(stored.id)
        self.objects[stored.id] = stored
        self.bytes += stored.bytes
        if self.links.get(stored.name) != stored.id:
            self.loose.add(stored.id)
        if stored.version:
            run = self._runs.setdefault(stored.name, [])
            run.append(stored.id)
            run.sort(key=lambda id_: self.objects[id_].first_version)

    def remove(self, id_: str) -> StoredObject | None:
        """Forget an object; its name, if it links there, is left to the caller."""
        stored = self.objects.pop(id_, None)
        if stored is None:
            return None
        self.loose.discard(id_)
        self.bytes -= stored.bytes
        if id_ in (run := self._runs.get(stored.name, [])):
            run.remove(id_)
            if not run:
                del self._runs[stored.name]
        return stored

    def next_version(self, name: str) -> int:
        """Return the version that the next object of this name gets.

        It counts on over what was dropped as long as something of it is held, so that a name and a version never
        mean two things at the same time, and a drop is never taken to be about what was put after it.
        """
        there = (self.objects[id_].version for id_ in self._runs.get(name, ()))
        return 1 + max(self.dropped.get(name, 0), *there, 0)

    def publish(self, stored: StoredObject, version: int) -> StoredObject:
        """Give an object its version and its name; returns it as it is then."""
        named = replace(stored, first_version=version, version=version)
        self.add(named)
        self.link(named.name, named.id)
        return named

    def link(self, name: str, id_: str | None) -> None:
        """Let a name mean an object, or nothing."""
        before = self.links.pop(name, None)
        if before in self.objects:
            self.loose.add(before)
        if id_ is not None:
            self.links[name] = id_
            self.loose.discard(id_)

    def find_names(self) -> list[tuple[str, str]]:
        """Link the newest version of each name: what was stamped and not linked in time, and lost names.

        Of two that begin with the same version the later one counts: the disk may have one of a name whose versions
        began anew.

        Returns the names that were linked, each with its object.
        """
        best: dict[str, StoredObject] = {}
        for stored in self.objects.values():
            rival = best.get(stored.name)
            if not self.was_dropped(stored) and (rival is None or _age(stored) > _age(rival)):
                best[stored.name] = stored
        found = []
        for name, stored in best.items():
            linked = self.objects.get(self.links.get(name, ""))
            if linked is None or (linked.kind != DAMAGED and stored.first_version > linked.version):
                self.link(name, stored.id)
                found.append((name, stored.id))
        return found

    def newest(self, name: str) -> StoredObject:
        """Return the object a name links to, or raise `UnknownDataset` with the nearest names."""
        try:
            return self.objects[self.links[name]]
        except KeyError:
            raise UnknownDataset(self._unknown(name)) from None

    def find(self, name: str, version: int | None) -> tuple[StoredObject, int]:
        """Return the object that has a version of a name, and that version; None means the newest."""
        newest = self.newest(name)
        if version is None:
            return newest, newest.version
        for stored, last in self._kept(name):
            if stored.first_version <= version <= last:
                return stored, version
        raise UnknownDataset(self._without(name, version))

    def of(self, name: str) -> list[tuple[StoredObject, int]]:
        """Return the objects of a name, newest first, each with the last version that counts as its own."""
        found: list[tuple[StoredObject, int]] = []
        end = self.newest(name).version
        for id_ in reversed(self._runs.get(name, [])):
            stored = self.objects[id_]
            if stored.first_version <= end:
                found.append((stored, min(stored.version, end)))
            end = min(end, stored.first_version - 1)
        return found

    def _kept(self, name: str) -> list[tuple[StoredObject, int]]:
        """Return what `of` does, without what was dropped: holders keep their views of it, nobody else gets one."""
        newest = self.newest(name)
        return [(stored, last) for stored, last in self.of(name) if stored is newest or not self.was_dropped(stored)]

    def all_of(self, name: str) -> list[str]:
        """Return the ids of all objects that had a version of a name, reachable or not."""
        return list(self._runs.get(name, ()))

    def superseded(self, stored: StoredObject) -> bool:
        """Tell whether the name of an object links to a newer one."""
        newest = self.links.get(stored.name)
        return newest is not None and _age(self.objects[newest]) > _age(stored)

    def was_dropped(self, stored: StoredObject) -> bool:
        """Tell whether the name of an object was dropped after the object had been published."""
        return stored.first_version <= self.dropped.get(stored.name, 0)

    def is_gone(self, name: str, id_: str) -> bool:
        """Tell whether an object is, or its name was dropped: then a drop that is asked for again has worked."""
        stored = self.objects.get(id_)
        return stored is None or (self.links.get(name) != id_ and self.was_dropped(stored))

    def record_drop(self, name: str, version: int) -> list[Action]:
        """Remember a drop, instead of an older one of this name."""
        before = self.dropped.get(name)
        self.dropped[name] = version
        older = [ForgetDrop(name, before)] if before not in (None, version) else []
        return [RecordDrop(name, version), *older, *self.forget_drop(name)]

    def forget_drop(self, name: str) -> list[Action]:
        """Forget the drop of a name when nothing is left of what it was about."""
        last = self.dropped.get(name)
        if last is None or self.lost(name, last):
            return []
        del self.dropped[name]
        return [ForgetDrop(name, last)]

    def lost(self, name: str, last: int) -> list[str]:
        """Return the objects that begin with a version of this name up to `last` and that it does not link to."""
        run = self._runs.get(name, ())
        return [id_ for id_ in run if id_ in self.loose and self.objects[id_].first_version <= last]

    def bytes_of(self, name: str) -> int:
        """Return the bytes of all versions of a name that are still there."""
        return sum(self.objects[id_].bytes for id_ in self._runs.get(name, ()))

    def _without(self, name: str, version: int) -> str:
        """Say that a name has no such version: there was none so far, or it is gone."""
        if version < 1:
            why = f"{name!r} has no version {version}, they count from 1"
        elif version > self.newest(name).version:
            why = f"{name!r} has no version {version} yet"
        else:
            why = f"{name!r} has no version {version} any more"
        return f"{why}: kept is {self._ranges(name)}. Leave the version out to get the newest one."

    def _ranges(self, name: str) -> str:
        """Return the versions that are kept, as ranges without regard to which object has them."""
        ranges: list[tuple[int, int]] = []
        for stored, last in reversed(self._kept(name)):
            joins = ranges and ranges[-1][1] + 1 == stored.first_version
            first = ranges.pop()[0] if joins else stored.first_version
            ranges.append((first, last))
        return ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in ranges)

    def _unknown(self, name: str) -> str:
        known = list(self)
        if not known:
            return f"There is no dataset {name!r}: the store is empty. Load or put one first."
        listed = ", ".join(known[:_MOST_LISTED])
        more = f" and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
        return f"There is no dataset {name!r}.{nearest(name, known)} There are: {listed}{more}."


def _age(stored: StoredObject) -> tuple[int, int]:
    return stored.first_version, stored.created_ns
