"""Have memory back: one's own garbage first, then what nobody needs in the store, then what can go to disk.

`relieve` does what a level allows and says what came of it. `Pressure` decides when that is done unasked: when
something is filled to the level's mark, at most once per interval, and more and more rarely while nothing comes of it.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa

from jupyter_nq.buffers.platform import private_bytes
from jupyter_nq.client.memory.levels import Level
from jupyter_nq.client.memory.sample import MemorySample
from jupyter_nq.client.records import Stored
from jupyter_nq.sizes import counted, size

_WATCHED = ("pool", "cgroup", "system")  # the first to reach the mark is named
_LONGEST_PAUSE = 64  # intervals
_USEFUL = 0.1  # of what must go: a relief that frees less was of little use
_BELOW = 0.05  # of what is full: relief aims that far below the mark, so that it is not at it again at once


class Collected(Protocol):
    """What the store's own collection freed."""

    @property
    def objects(self) -> int:
        """Objects that are gone."""

    @property
    def bytes(self) -> int:
        """Bytes of shared memory that are free again."""


class Freeing(Protocol):
    """What relief needs of a session."""

    def gc(self) -> Collected:
        """Free old versions, leftovers and spare segments that nobody needs."""

    def spill(self, *names: str, bytes: int | None = None) -> Sequence[Stored]:
        """Write datasets to disk that nobody holds; the named ones, or so many bytes, or all that can go."""


@dataclass(frozen=True)
class Relief:
    """What was done to have memory back, and what came of it."""

    at: datetime
    """UTC."""
    level: str
    why: str
    """Who asked, or what was full."""
    collected_objects: int
    """Python objects of this process that only their own cycle still held."""
    private_bytes: int
    """By how much this process's own memory shrank; 0 when it did not."""
    pool_objects: int
    """Objects of the store that are gone."""
    pool_bytes: int
    """Bytes of shared memory that they took."""
    spilled: tuple[Stored, ...]
    """Datasets that lie on disk now."""
    seconds: float
    """How long it took."""

    def __str__(self) -> str:
        parts = [
            f"{size(self.private_bytes)} of this process ({counted(self.collected_objects, 'Python object')})",
            f"{size(self.pool_bytes)} of the pool ({counted(self.pool_objects, 'object')})",
            f"{size(self.spilled_bytes)} to disk ({counted(len(self.spilled), 'dataset')})",
        ]
        return f"{self.level}: {', '.join(parts)} in {1e3 * self.seconds:.0f} ms"

    def row(self) -> dict[str, Any]:
        """Return the relief as values that JSON can hold."""
        names = [stored.name for stored in self.spilled]
        return {**asdict(self), "at": self.at.isoformat(), "spilled": names, "spilled_bytes": self.spilled_bytes}

    @property
    def spilled_bytes(self) -> int:
        """Bytes of shared memory of what lies on disk now."""
        return sum(stored.bytes for stored in self.spilled)

    @property
    def freed_bytes(self) -> int:
        """Everything that came back."""
        return self.private_bytes + self.pool_bytes + self.spilled_bytes


def relieve(session: Freeing, level: Level, why: str, spill_bytes: int | None = None) -> Relief:
    """Do what a level allows.

    Parameters
    ----------
    spill_bytes
        How much to write to disk at most, where the level writes at all, beside what the collection frees; None
        writes everything that can go.
    """
    began, at = time.perf_counter(), datetime.now(UTC)
    found, private = _own_garbage() if level.own else (0, 0)
    objects = pool_bytes = 0
    if level.collects:
        collected = session.gc()
        objects, pool_bytes = collected.objects, collected.bytes
    spilled: Sequence[Stored] = ()
    if level.spills and (spill_bytes is None or spill_bytes > pool_bytes):
        spilled = session.spill(bytes=None if spill_bytes is None else spill_bytes - pool_bytes)
    seconds = time.perf_counter() - began
    return Relief(at, level.name, why, found, private, objects, pool_bytes, tuple(spilled), seconds)


def _own_garbage() -> tuple[int, int]:
    """Collect this process's garbage; returns the objects found and the bytes that the system has back."""
    before = private_bytes(os.getpid()) or 0
    found = gc.collect()
    pa.default_memory_pool().release_unused()
    return found, max(0, before - (private_bytes(os.getpid()) or 0))


@dataclass(frozen=True)
class Need:
    """Something is as full as a level suffers it."""

    metric: str
    """What is full: "pool", "cgroup" or "system"."""
    value: float
    """Share in use, 0 to 1."""
    mark: float
    """The share from which relief is due."""
    excess_bytes: int
    """What must go to be clearly below."""

    @property
    def why(self) -> str:
        """The need in words."""
        return f"{self.metric} is {self.value:.0%} full, relief is due from {self.mark:.0%}"


class Pressure:
    """When relief is due. Used by one thread; `_next` and `_pause` are the state.

    Parameters
    ----------
    interval_seconds
        The least time between two reliefs.
    """

    def __init__(self, interval_seconds: float) -> None:
        self._interval = self._pause = interval_seconds
        self._next = float("-inf")

    def need(self, sample: MemorySample, level: Level) -> Need | None:
        """Return what is full and may be relieved now; None when there is nothing to do, or it is too soon."""
        if level.pressure is None or sample.seconds < self._next:
            return None
        for metric in _WATCHED:
            value = sample.fraction(metric)
            if value is not None and value >= level.pressure:
                excess = sample.excess_bytes(metric, level.pressure - _BELOW)
                return Need(metric, value, level.pressure, excess)
        return None

    def relieved(self, seconds: float, freed_bytes: int, excess_bytes: int) -> None:
        """Remember a relief at a monotonic second: the next pause is twice as long when it was of little use."""
        helped = freed_bytes > 0 and freed_bytes >= _USEFUL * excess_bytes
        self._pause = self._interval if helped else min(2 * self._pause, _LONGEST_PAUSE * self._interval)
        self._next = seconds + self._pause
