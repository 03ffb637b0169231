"""Room for bytes that are about to be allocated: promised by the coordinator, made by putting datasets on the disk.

The coordinator says what may leave memory; who needs the room writes it to the disk, because it has the libraries
for that and the time, and then asks again. Somebody may map a dataset meanwhile: then it stays, and others go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from jupyter_nq.client.line.channel import Channel
from jupyter_nq.errors import StoreFull
from jupyter_nq.sizes import size

_MOST_ROUNDS = 50
_T = TypeVar("_T")


@dataclass(frozen=True)
class Promise:
    """Room that the coordinator keeps."""

    ticket: int
    spare_bytes: int | None
    """What spare segments may keep, so that all together stays within the quota."""


class Room:
    """Where a session gets its promises.

    Parameters
    ----------
    channel
        The session's.
    make_way
        Puts objects, by their ids, on the disk; as many as it can.
    """

    def __init__(self, channel: Channel, make_way: Callable[[Sequence[str]], None]) -> None:
        self._channel = channel
        self._make_way = make_way

    def __repr__(self) -> str:
        return f"<Room over {self._channel!r}>"

    @contextmanager
    def promised(self, name: str, nbytes: int, *, back: bool = False) -> Iterator[Promise]:
        """Have the quota keep room; given back when what it was for fails.

        Parameters
        ----------
        name, nbytes
            What needs room, and how much.
        back
            It left memory before and comes back: the quota of one process (`notebook_bytes`) is for what it writes.
            A host that does not know this counts it all the same.

        Raises
        ------
        StoreFull
            Nothing more may leave memory, and the message names what takes the room, and why it stays; or the disk
            does not take what may.
        """
        what = f"{name!r} needs {size(nbytes)} of memory"
        promise = self._ask("reserve", {"name": name, "bytes": nbytes, "back": back}, what)
        try:
            yield promise
        except BaseException:
            self._channel.note("release", ticket=promise.ticket)
            raise

    def for_lane(self, stream: str, claim: Callable[[], _T]) -> _T:
        """Have room kept for what a publisher of a stream may write, until `claim` has made it count by itself.

        Raises
        ------
        StoreFull, UnknownStream
        """
        promise = self._ask("lane", {"name": stream}, f"The stream {stream!r} needs memory for another publisher")
        try:
            return claim()
        finally:
            self._channel.note("release", ticket=promise.ticket, tidy=True)

    def _ask(self, op: str, wanted: dict[str, Any], what: str) -> Promise:
        for _ in range(_MOST_ROUNDS):
            granted = self._channel.request(op, **wanted, evict=True)
            if "evict" not in granted:
                return Promise(granted["ticket"], granted.get("spare"))
            try:
                self._make_way(granted["evict"])
            except StoreFull as exc:
                raise StoreFull(f"{what}, and what could have left it for the disk has not: {exc}") from exc
        granted = self._channel.request(op, **wanted)  # raises, with who holds what
        return Promise(granted["ticket"], granted.get("spare"))
