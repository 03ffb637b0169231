"""What this process works on, and what of it has been superseded: told without asking anybody.

Whatever is mapped is remembered here, by a weak reference, for as long as a view of it lives. Whether it still is the
newest version is in shared memory: the name is a link, and the object's header has the number of its rows. A version
that was asked for by its number, or got from a snapshot, is old on purpose: nobody is told that it is behind.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_nq.buffers import Handle, Store
from jupyter_nq.buffers.handle import Watch
from jupyter_nq.client.holding import shows
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.origin import dataset_of, origin_of
from jupyter_nq.client.records import Stored
from jupyter_nq.errors import ChecksumError, CoordinatorUnavailable, InvalidArgument, UnknownDataset

if TYPE_CHECKING:
    from jupyter_nq.client.objects import Objects

_MOST_KEPT = 64


@dataclass(frozen=True)
class Behind:
    """A version that is worked on here, and is not the newest one of its name any more."""

    name: str
    version: int
    """The version that is worked on."""
    newest: int | None
    """None when the name was dropped."""
    how: str
    """`appended to`, `replaced` or `dropped`."""
    rows: int
    """Of the version that is worked on."""
    newest_rows: int
    pid: int = 0
    """Process that wrote what replaced it; 0 when that is not known."""
    is_own: bool = False
    """Whether this process made the newest version itself, or dropped the name."""

    def __str__(self) -> str:
        if self.newest is None:
            return f"{self.name} v{self.version}: dropped"
        return f"{self.name} v{self.version}: {self.how}, the newest is v{self.newest} with {self.newest_rows:,} rows"


class _Worked(NamedTuple):
    """One mapping of a version."""

    name: str
    id: str
    version: int
    rows: int
    watch: Watch
    on_purpose: bool
    """Whether this very version was wanted."""


class Working:
    """The versions that this process works on.

    Parameters
    ----------
    store
        Where they are.
    channel
        To ask for the newest version of a name that is not in memory.
    """

    def __init__(self, store: Store, channel: Channel) -> None:
        # _lock guards _worked; whoever loops over it takes a copy. What is gone is forgotten whenever somebody looks,
        # and when there are more than _most.
        self._store = store
        self._channel = channel
        self._lock = threading.Lock()
        self._worked: dict[int, _Worked] = {}
        self._most = _MOST_KEPT
        self._numbers = itertools.count()
        self._appended: dict[str, int] = {}  # name -> newest version that was appended here; replaced as a whole
        self._dropped: frozenset[str] = frozenset()  # names that were dropped here; replaced as a whole

    def __repr__(self) -> str:
        return f"<Working on {len(list(self._alive()))} views of {self._store.path}>"

    def note(self, handle: Handle, *, on_purpose: bool) -> None:
        """Remember that a handle's version is worked on, until its last view is gone; `on_purpose`, in this version."""
        info = handle.info
        found = _Worked(info.name, info.id, handle.version, handle.rows, handle.watch(), on_purpose)
        with self._lock:
            self._worked[next(self._numbers)] = found
            too_many = len(self._worked) > self._most
        if too_many:
            self._most = max(_MOST_KEPT, 2 * len(list(self._alive())))

    def appended(self, stored: Stored) -> Stored:
        """Take in that this process made a version by appending; returns it."""
        self._appended = {**self._appended, stored.name: stored.version}
        return stored

    def dropped(self, name: str) -> None:
        """Take in that this process dropped a name."""
        self._dropped = self._dropped | {name}

    def behind(self) -> list[Behind]:
        """Return what is worked on and has been superseded, each version of a name once, by name."""
        links: dict[str, str | None] = {}
        found = {}
        for one, rows_now in self._alive():
            if one.name not in links:
                links[one.name] = self._linked(one.name)
            if not one.on_purpose and (links[one.name] != one.id or rows_now != one.rows):
                found[one.name, one.version] = one
        return [told for _, one in sorted(found.items()) if (told := self._told(one, links[one.name])) is not None]

    def is_current(self, data: Any) -> bool:
        """Tell whether a view shows, or all that is worked on of a name is, its newest version; see `nq.is_current`."""
        if isinstance(data, str):
            self._refuse_unknown(data)
            return not any(one.name == data for one in self.behind())
        shown = [(one, rows_now) for one, rows_now in self._alive() if shows(data, one.watch.addresses())]
        if shown:
            return all(self._linked(one.name) == one.id and rows_now == one.rows for one, rows_now in shown)
        if (origin := origin_of(data)) is None:
            dataset_of(data)  # raises, and says what to write
            raise InvalidArgument("This shows no shared dataset. Write the name, as nq.ls() has it.")
        try:
            return self._newest(origin.dataset) == origin.version
        except UnknownDataset:
            return False

    def addresses(self, name: str, version: int) -> tuple[tuple[int, int], ...]:
        """Return where the views of a version lie that are worked on."""
        alive = (one for one, _ in self._alive() if (one.name, one.version) == (name, version))
        return tuple(where for one in alive for where in one.watch.addresses())

    def newest_of(self, name: str) -> tuple[str, int | None] | None:
        """Return which object a name means now and how many rows that has in memory; None when it means none."""
        linked = self._linked(name)
        if linked is None:
            return None
        with suppress(UnknownDataset, ChecksumError):
            return linked, self._store.committed_rows(linked)
        return linked, None

    def _newest(self, name: str) -> int:
        return int(self._channel.request("find", name=name)["version"])

    def _refuse_unknown(self, name: str) -> None:
        if not any(one.name == name for one, _ in self._alive()):
            self._newest(name)  # raises with the nearest names

    def _alive(self) -> Iterator[tuple[_Worked, int]]:
        """Yield what has a view left, with the rows of its object now; forget the rest."""
        with self._lock:
            known = list(self._worked.items())
        for number, one in known:
            with suppress(ChecksumError):  # whoever reads it is told
                rows_now = one.watch.rows()
                if rows_now is not None:
                    yield one, rows_now
                    continue
                with self._lock:
                    self._worked.pop(number, None)

    def _linked(self, name: str) -> str | None:
        try:
            return self._store.resolve(name)
        except UnknownDataset:
            return None

    def _told(self, one: _Worked, linked: str | None) -> Behind | None:
        """Return how a version was superseded; None when its successor is damaged, which whoever gets it is told."""
        if linked is None:
            return Behind(one.name, one.version, None, "dropped", one.rows, 0, is_own=one.name in self._dropped)
        how = "appended to" if linked == one.id else "replaced"
        try:
            info = self._store.info(linked)
        except UnknownDataset:  # it left memory
            return Behind(one.name, one.version, self._newest(one.name), how, one.rows, 0)
        except ChecksumError:
            return None
        pid = 0 if linked == one.id else info.owner_pid
        is_own = pid == os.getpid() or self._appended.get(one.name) == info.version
        return Behind(one.name, one.version, info.version, how, one.rows, info.rows, pid, is_own)


def is_current(session: Objects, data: Any) -> bool:
    """Tell whether a frame, table or array shows the newest version of its dataset; False when that was dropped.

    Parameters
    ----------
    data
        A view, as `get` and `load` give it; a copy of bars, which say what they are; or a name, which means everything
        that this process works on of it.

    Raises
    ------
    UnknownDataset
        There is no dataset of this name, and nothing of it is worked on.
    InvalidArgument
        It shows no shared dataset, and does not say what it is.
    """
    return session.working.is_current(data)


def stale(session: Objects) -> list[Behind]:
    """Return what this process works on and is not the newest version any more, by name; printed, each is a line.

    A version that was asked for by its number, or got from a snapshot, is old on purpose and not among them.
    """
    return session.working.behind()


def publisher(session: Objects, behind: Behind) -> str | None:
    """Return who published what replaced a version, by notebook or program; None when it is not known."""
    if behind.how != "replaced":
        return None
    with suppress(CoordinatorUnavailable):
        for row in session.channel.request("ls"):
            if row["name"] == behind.name and row["version"] == behind.newest and row["owner"]["who"]:
                return str(row["owner"]["who"])
    return f"pid {behind.pid}" if behind.pid else None
