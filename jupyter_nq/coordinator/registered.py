"""What processes say of themselves: a name, a type and what they can do, for as long as they are connected.

A name belongs to one living process at a time. The process that has it may say it again, over another connection too,
so that it keeps its name when it reconnects before its former connection is known to have ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from jupyter_nq.errors import InvalidArgument, NameTaken, UnknownNotebook, nearest

MOST_NAMES = 256
"""Of one process."""


@dataclass(frozen=True, slots=True)
class Introduced:
    """An event of the desk: a peer says what it is, or (`gone`) that it is that no longer.

    Without a name it speaks of its whole process. `since_ns` is UTC, since the epoch.
    """

    peer: int
    name: str | None
    type: str | None = None
    capabilities: tuple[str, ...] = ()
    since_ns: int = 0
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Registration:
    """What a process is registered as."""

    peer: int
    pid: int
    name: str | None
    type: str | None
    capabilities: tuple[str, ...]
    since_ns: int

    def row(self) -> dict[str, object]:
        """Return what others see, by name."""
        return {
            "pid": self.pid,
            "name": self.name,
            "type": self.type,
            "capabilities": list(self.capabilities),
            "since_ns": self.since_ns,
        }


class Registered:
    """The registrations of all connected processes; only the desk changes it."""

    def __init__(self) -> None:
        self._rows: dict[str | int, Registration] = {}  # by name; by pid without one

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Registration]:
        return iter(self._rows.values())

    def named(self, name: str) -> Registration | None:
        """Return who has a name; None when nobody has it."""
        return self._rows.get(name)

    def add(self, pid: int, who: str, event: Introduced) -> None:
        """Take in what a process says of itself.

        Parameters
        ----------
        pid
            Of the process.
        who
            The process that has the name now, as one reads it.

        Raises
        ------
        NameTaken
            Another process has the name.
        InvalidArgument
            The process has as many names as one may have.
        """
        key = pid if event.name is None else event.name
        known = self._rows.get(key)
        if known is not None and known.pid != pid:
            raise NameTaken(
                f"The name {event.name!r} is taken: {who} (pid {known.pid}) has registered it. Take another name, or "
                "end that process."
            )
        if known is None and sum(row.pid == pid for row in self) >= MOST_NAMES:
            raise InvalidArgument(f"This process has registered {MOST_NAMES} names already. Take some back first.")
        fresh = Registration(event.peer, pid, event.name, event.type, event.capabilities, event.since_ns)
        self._rows[key] = fresh if known is None else replace(fresh, since_ns=min(known.since_ns, fresh.since_ns))

    def remove(self, pid: int, name: str | None) -> None:
        """Forget what a process said of itself; `UnknownNotebook` when it did not."""
        key = pid if name is None else name
        known = self._rows.get(key)
        if known is None or known.pid != pid:
            mine = [row.name for row in self if row.pid == pid and row.name is not None]
            what = "registered nothing without a name" if name is None else f"has not registered {name!r}"
            raise UnknownNotebook(f"This process {what}.{nearest(name or '', mine)}")
        del self._rows[key]

    def left(self, peer: int) -> None:
        """Forget what was said over a connection that ended."""
        self._rows = {key: row for key, row in self._rows.items() if row.peer != peer}
