"""When a value rings: once as it reaches a threshold, and again only after it has been clearly below.

Plain state without clock or thread, moved by `Threshold.rings`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from jupyter_nq.client.memory.sample import METRICS
from jupyter_nq.errors import InvalidArgument, nearest

HYSTERESIS = 0.05
"""How far below its threshold a value must fall before it can ring again, as a fraction."""


@dataclass(frozen=True)
class MemoryEvent:
    """Something that the watch noticed, or did."""

    at: datetime
    """UTC."""
    metric: str
    """One of "system", "cgroup", "pool", "gpu"; "" for what was asked for, or went wrong."""
    value: float | None
    """Share in use, 0 to 1."""
    threshold: float | None
    """The fraction that it reached."""
    done: str
    """What was done about it, with figures."""
    why: str
    """The reason in words."""


Callback = Callable[[MemoryEvent], object]
"""Called in the watch's thread; what it returns is not looked at."""


class Threshold:
    """A fraction of one metric, whether it rang already, and whom it calls.

    >>> full = Threshold("pool", 0.9)
    >>> [full.rings(value) for value in (0.89, 0.91, 0.92, 0.88, 0.91, 0.84, 0.9)]
    [False, True, False, False, False, False, True]
    """

    def __init__(self, metric: str, fraction: float, callback: Callback | None = None) -> None:
        self.metric = checked_metric(metric)
        self.fraction = checked_fraction(fraction)
        self.callback = callback
        self._rang = False  # the mutable state; only the watch's tick changes it

    def __repr__(self) -> str:
        return f"<Threshold {self.metric} at {self.fraction:.0%}, {'reached' if self._rang else 'not reached'}>"

    def rings(self, value: float | None) -> bool:
        """Take the newest value and tell whether it has just reached the threshold; None is no value."""
        if value is None:
            return False
        if self._rang:
            self._rang = value >= self.fraction - HYSTERESIS
            return False
        self._rang = value >= self.fraction
        return self._rang


def checked_metric(metric: str) -> str:
    """Return `metric` when it is one of `METRICS`; else raise `InvalidArgument`."""
    if metric not in METRICS:
        raise InvalidArgument(
            f"There is no metric {metric!r}.{nearest(str(metric), METRICS)} Use {', '.join(METRICS)}."
        )
    return metric


def checked_fraction(fraction: float) -> float:
    """Return `fraction` when it is above 0 and at most 1; else raise `InvalidArgument`."""
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 < fraction <= 1:
        raise InvalidArgument(f"fraction={fraction!r} is no share above 0 and at most 1. 90 % is 0.9.")
    return float(fraction)
