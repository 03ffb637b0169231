"""Live bars in this process: a worker in a thread of its own, and what a notebook sees of it."""

from __future__ import annotations

import atexit
import logging
import math
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_nq.bars.columns import iso
from jupyter_nq.client.live.clocks import Clock
from jupyter_nq.client.live.rows import AHEAD, DISORDERED, LATE, OUTSIDE
from jupyter_nq.client.live.worker import Worker
from jupyter_nq.sizes import counted
from jupyter_nq.streams.waiting import wait_for_any

if TYPE_CHECKING:
    from jupyter_nq.streams.waiting import Bell

_LONGEST_WAIT_SECONDS = 1.0
_STOP_SECONDS = 30.0

_log = logging.getLogger("jupyter_nq")
_running: weakref.WeakSet[Live] = weakref.WeakSet()


@dataclass(frozen=True)
class LiveStatus:
    """How live bars are doing."""

    state: str
    """`running`, `stopped`, or `failed`."""
    error: str | None
    """Why it failed."""
    time_ns: int
    """Of its clock, ns UTC."""
    bars: Mapping[str, int]
    """Timeframe -> closed bars that were published."""
    late: int
    """Rows that came for a bar that was closed, for each length of bar; they are on the stream of late rows."""
    outside: int
    """Rows outside the sessions, also there."""
    disordered: int
    """Small bars that did not come in their order, also there."""
    ahead: int
    """Rows that lie in the future of the clock and of the rows before them, also there."""
    skipped: int
    """Rows that history or an earlier worker had, for each length of bar."""
    incomplete: int
    """Bars that were not published because rows of them are missing."""
    gaps: int
    """Places where rows are missing."""
    lag: int
    """Messages of the source that were not read."""

    def __str__(self) -> str:
        bars = ", ".join(f"{count:,} of {label}" for label, count in self.bars.items())
        shown = {"late": self.late, "outside": self.outside, "out of order": self.disordered, "lag": self.lag}
        shown |= {"ahead of the clock": self.ahead, "incomplete": self.incomplete, "gaps": self.gaps}
        told = "".join(f", {name} {count:,}" for name, count in shown.items() if count)
        failed = f": {self.error}" if self.error else ""
        return f"{self.state} at {iso(self.time_ns)}, closed bars {bars}{told}{failed}"


class Live:
    """Live bars that are being built, until `stop`.

    Parameters
    ----------
    out
        What the names of its streams begin with.
    worker
        What builds them; from now on used by this alone.
    clock
        The worker's.
    """

    def __init__(self, out: str, worker: Worker, clock: Clock) -> None:
        # The worker belongs to the thread once that runs, and to who stops it when it has ended; its counts are read
        # from anywhere. _stopping is an event, _error and _time_ns are written by the thread.
        self.out = out
        """What the names of its streams begin with."""
        self.worker = worker
        """What builds them; the thread's own once that runs."""
        self._clock = clock
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self._time_ns = clock.now_ns()
        self._thread = threading.Thread(target=self._run, name=f"jupyter-nq-live-{out}", daemon=True)
        _running.add(self)

    def __repr__(self) -> str:
        return f"<Live {self.out}, {self.status}>"

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def streams(self) -> dict[str, str]:
        """Return timeframe -> name of the tape of its closed bars."""
        return {lane.output.label: lane.output.closed.name for lane in self.worker.lanes}

    @property
    def forming(self) -> dict[str, str]:
        """Return timeframe -> name of the stream of its open bar; subscribe to it with `conflate=True`."""
        return {lane.output.label: lane.output.forming.name for lane in self.worker.lanes}

    @property
    def late(self) -> int:
        """How many rows came for a bar that was closed, for each length of bar; they changed nothing."""
        return self.worker.counts[LATE]

    @property
    def status(self) -> LiveStatus:
        """Return how it is doing."""
        counts, lanes = self.worker.counts, self.worker.lanes
        alive = self._thread.is_alive() and not self._stopping.is_set()
        return LiveStatus(
            "failed" if self._error is not None else "running" if alive else "stopped",
            None if self._error is None else str(self._error),
            self._time_ns,
            {lane.output.label: lane.output.bars for lane in lanes},
            counts[LATE],
            counts[OUTSIDE],
            counts[DISORDERED],
            counts[AHEAD],
            counts["skipped"],
            sum(lane.builder.incomplete for lane in lanes),
            counts["gaps"],
            self.worker.lag,
        )

    def start(self) -> Live:
        """Begin: what is there is dealt with at once, so that what is wrong with it is raised here, the rest later."""
        try:
            self.worker.catch_up()
        except BaseException:
            self.stop()
            raise
        self._time_ns = self._clock.now_ns()
        for before in unstopped():
            if before.out == self.out and before.status.state == "failed":
                _running.discard(before)
        self._thread.start()
        return self

    def stop(self) -> LiveStatus:
        """End it, after the step that may be under way; the streams stay. Stopping twice is fine."""
        self._stopping.set()
        if self._thread.is_alive():
            for bell in self.worker.bells:
                bell.ring()
            self._thread.join(_STOP_SECONDS)
        found = self.status
        if not self._thread.is_alive():
            self.worker.close()
            _running.discard(self)
        return found

    # -- the thread ------------------------------------------------------------------------------
    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                seen = [(bell, bell.seen()) for bell in self.worker.bells]
                busy = self.worker.step()
                self._time_ns = self._clock.now_ns()
                if not busy and not self._stopping.is_set():
                    self._wait(seen)
        except Exception as exc:  # it is shown in the status
            self.worker.close()  # whoever begins anew finds the names free
            self._error = exc
            _log.warning("live bars of %s have ended: %s", self.out, exc)

    def _wait(self, seen: list[tuple[Bell, int]]) -> None:
        seconds = self.worker.wait_seconds()
        wait_for_any(seen, _LONGEST_WAIT_SECONDS if math.isinf(seconds) else min(seconds, _LONGEST_WAIT_SECONDS))


def running() -> list[Live]:
    """Return the live bars that this process builds."""
    return sorted((live for live in list(_running) if live.status.state == "running"), key=lambda live: live.out)


def unstopped() -> list[Live]:
    """Return the live bars of this process that nobody has stopped: those that run, and those that have failed."""
    return sorted((live for live in list(_running) if live.status.state != "stopped"), key=lambda live: live.out)


def stopped_line(live: Live, status: LiveStatus) -> str:
    """Return what is said of live bars that were stopped."""
    if status.error is not None:
        return f"{live.out} had ended: {status.error} Its streams stay"
    return f"{live.out} is stopped: {counted(sum(status.bars.values()), 'closed bar')}; its streams stay"


def _stop_all() -> None:
    for live in list(_running):
        live.stop()


atexit.register(_stop_all)
