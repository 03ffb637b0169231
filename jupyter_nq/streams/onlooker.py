"""Looking at all streams of a store again and again, cheaply, and without taking part in any.

What a look costs is opening the small file of each consumer; control files stay mapped between two looks. The rate of
a stream is what came between them: an onlooker that begins knows none.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_nq.errors import ChecksumError, UnknownStream
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.directory import names
from jupyter_nq.streams.figures import figures

_WINDOW_SECONDS = 1.0
_OLDEST_SECONDS = 10.0  # between two looks; what was counted earlier says nothing about now
_MOST_MAPPED = 256  # each mapping keeps a descriptor


class Rate:
    """Messages per second: over the last second, or since the look before when that is longer ago."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()

    def __repr__(self) -> str:
        return f"<Rate over {len(self._looks)} looks>"

    def add(self, at_seconds: float, messages: int) -> float | None:
        """Take how many messages there were at a time; returns the rate, None at the first look for a while."""
        looks = self._looks
        looks.append((at_seconds, messages))
        while at_seconds - looks[0][0] > _OLDEST_SECONDS:
            looks.popleft()
        while len(looks) > 2 and at_seconds - looks[1][0] >= _WINDOW_SECONDS:
            looks.popleft()
        since, before = looks[0]
        return (messages - before) / (at_seconds - since) if at_seconds > since else None


class Onlooker:
    """Sees the streams of a directory; used by one thread at a time.

    Parameters
    ----------
    parent
        Directory of the streams.
    clock
        Seconds that never go back.
    """

    def __init__(self, parent: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.parent = parent
        self._clock = clock
        self._mapped: dict[str, MappedControl] = {}
        self._rates: dict[str, Rate] = {}  # by the id of the stream, so that one that was made anew has another
        self.damaged: dict[str, str] = {}
        """Streams that the last look left out, and why."""

    def __repr__(self) -> str:
        return f"<Onlooker of {self.parent}, {len(self._rates)} streams>"

    def look(self) -> list[dict[str, Any]]:
        """Return each stream's figures by name, with its `rate`, when it was made, and how it behaves.

        Raises
        ------
        StoreError
            The directory cannot be read.
        """
        self.damaged = {}
        found = {name: control for name in names(self.parent) if (control := self._control(name)) is not None}
        self._mapped = dict(list(found.items())[:_MOST_MAPPED])
        rates = {control.static.stream_id: self._rate(control) for control in found.values()}
        self._rates = rates
        return [self._seen(control) for control in found.values()]

    def _control(self, name: str) -> MappedControl | None:
        """Map a control file, unless it is mapped; None for one that is damaged, or was dropped just now."""
        there = self._mapped.get(name)
        if there is not None and not there.closed:
            return there
        try:
            return MappedControl(self.parent / name)
        except UnknownStream:
            return None
        except (ChecksumError, OSError) as exc:  # the latter of what is no directory, or not ours
            self.damaged[name] = str(exc)
            return None

    def _rate(self, control: MappedControl) -> Rate:
        return self._rates.get(control.static.stream_id) or Rate()

    def _seen(self, control: MappedControl) -> dict[str, Any]:
        static = control.static
        seen = figures(control)
        rate = self._rates[static.stream_id].add(self._clock(), seen["messages"])
        return {
            **seen,
            "rate": rate,
            "created_ns": static.created_ns,
            "overflow": static.options["overflow"],
            "exclusive": static.lanes == 1,
        }
