"""The clock by which live bars are closed: the machine's, or that of a replay.

A replay's clock is a tape beside its rows. A value there is published after all rows that were complete by then, so
that whoever reads the clock first and the rows after it has them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import pyarrow as pa

from jupyter_nq.errors import UnknownStream
from jupyter_nq.streams import Stream
from jupyter_nq.streams.waiting import Bell

_STAMP = pa.timestamp("ns", tz="UTC")
CLOCK_SCHEMA = pa.schema([pa.field(name, _STAMP, nullable=False) for name in ("at", "begin", "end")])
"""Of a replay's clock: the time of the session, and the first and the last that it will have."""


class Clock(Protocol):
    """What tells a worker the time."""

    @property
    def begin_ns(self) -> int | None:
        """Where the recorded time begins, ns UTC; None of a clock that does not begin."""

    def now_ns(self) -> int:
        """Return the time, ns UTC."""

    def latest_ns(self) -> int:
        """Return the time, ns UTC, or a later one, behind which a row that was published by now cannot lie."""

    def seconds_until(self, instant_ns: int) -> float:
        """Return how long to wait for an instant, at most; infinity when its bell rings by then."""

    def bells(self) -> list[Bell]:
        """Return what rings when the time moves on."""

    def close(self) -> None:
        """Let go of it."""


class SystemClock:
    """The machine's clock.

    Parameters
    ----------
    time_ns
        Returns the nanoseconds since 1970, UTC.
    """

    begin_ns: int | None = None

    def __init__(self, time_ns: Callable[[], int] = time.time_ns) -> None:
        self._time_ns = time_ns
        self._offset_ns = self._time_ns() - time.monotonic_ns()  # the largest so far

    def __repr__(self) -> str:
        return "<SystemClock>"

    def now_ns(self) -> int:
        """Return the time, ns UTC."""
        return self._time_ns()

    def latest_ns(self) -> int:
        """Return the time as if the clock had never been set back."""
        monotonic_ns = time.monotonic_ns()
        self._offset_ns = max(self._offset_ns, self._time_ns() - monotonic_ns)
        return self._offset_ns + monotonic_ns

    def seconds_until(self, instant_ns: int) -> float:
        """Return how long an instant is ahead."""
        return max(0.0, (instant_ns - self.now_ns()) / 1e9)

    def bells(self) -> list[Bell]:
        """Return nothing: it moves by itself."""
        return []

    def close(self) -> None:
        """Do nothing."""


class ReplayClock:
    """The clock of a replay, read from its stream. Used by one thread.

    Raises
    ------
    UnknownStream
        The stream has no time yet.
    """

    def __init__(self, stream: Stream) -> None:
        self._name = stream.name
        self._subscription = stream.subscribe(-1, conflate=True)
        self._now_ns = 0
        self.begin_ns: int | None = None
        self.end_ns = 0
        if self.now_ns() == 0:
            self.close()
            raise UnknownStream(f"The replay's clock {self._name!r} has no time: its replay never began. Run it again.")

    def __repr__(self) -> str:
        return f"<ReplayClock {self._name}>"

    def now_ns(self) -> int:
        """Return the time of the session, ns UTC."""
        table = self._subscription.read_table()
        if table is not None and table.num_rows:
            at, begin, end = (table[name][-1].value for name in CLOCK_SCHEMA.names)
            self._now_ns, self.begin_ns, self.end_ns = max(self._now_ns, at), begin, end
        return self._now_ns

    def latest_ns(self) -> int:
        """Return the last time that it will have."""
        return self.end_ns

    def seconds_until(self, instant_ns: int) -> float:
        """Return infinity: the bell rings when the time moves on."""
        return float("inf")

    def bells(self) -> list[Bell]:
        """Return the bell of its stream."""
        return [self._subscription.bell]

    def close(self) -> None:
        """Let go of the stream. Closing twice is fine."""
        self._subscription.close()
