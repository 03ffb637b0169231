"""A clock that a test moves."""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_nq.streams.waiting import Bell


@dataclass
class ManualClock:
    """Says the time that it was told."""

    time_ns: int
    begin_ns: int | None = None
    latest: int | None = None
    """What no row lies behind; None sets no limit."""

    def now_ns(self) -> int:
        """Return the time, ns UTC."""
        return self.time_ns

    def latest_ns(self) -> int:
        """Return the limit."""
        return 1 << 62 if self.latest is None else self.latest

    def seconds_until(self, instant_ns: int) -> float:
        """Return infinity: it moves when it is told."""
        return float("inf")

    def bells(self) -> list[Bell]:
        """Return none."""
        return []

    def close(self) -> None:
        """Do nothing."""
