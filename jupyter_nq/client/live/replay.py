"""A replay: a recorded session fed into streams of the sandbox, with a clock of its own.

Rows go out when they were complete, then the clock moves to that time: in this order, so that whoever reads the clock
first and the rows after it has all that there is. The streams are the replay's own, made anew each time.
"""

from __future__ import annotations

import atexit
import logging
import math
import threading
import time
import weakref
from collections.abc import Callable

from jupyter_nq.bars.columns import iso
from jupyter_nq.client.live.script import Script, Step
from jupyter_nq.errors import InvalidArgument, NQError, StreamFull
from jupyter_nq.streams import Stream

Pause = Callable[[float], bool]
"""Waits so many seconds, or until the replay is stopped, and tells whether it was."""

MAX = "max"
_MOST_ROWS = 512  # of a message, so that each finds room in the smallest stream
_LOOK_SECONDS = 0.2
_STOP_SECONDS = 30.0
_log = logging.getLogger("jupyter_nq")
_running: weakref.WeakSet[Replay] = weakref.WeakSet()


class Replay:
    """A session that is being fed, until it is over or stopped.

    Parameters
    ----------
    script
        What is fed, and when.
    rows, clock
        Streams of the sandbox; closed at the end.
    speed
        Seconds of the session in a second; infinity for as fast as the consumers allow that gate.
    pause, monotonic
        How time passes; real unless given.
    """

    def __init__(
        self,
        script: Script,
        rows: Stream,
        clock: Stream,
        speed: float,
        *,
        pause: Pause | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        # _stopping and _ended are events; the rest is written by the thread alone, and read from anywhere.
        self.name = rows.name
        """Stream of the rows: what `nq.live` takes as its source."""
        self.clock_name = clock.name
        """Stream of the clock."""
        self._script, self._rows, self._clock = script, rows, clock
        self._speed = speed
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._pause = pause or self._stopping.wait
        self._monotonic = monotonic
        self._time_ns = script.begin_ns
        self._waits_for = ""
        self._error: NQError | None = None
        self.rows = 0
        """How many were published."""
        self._thread = threading.Thread(target=self._run, name=f"jupyter-nq-{rows.name}", daemon=True)
        self._say_time(script.begin_ns)
        _running.add(self)

    def __repr__(self) -> str:
        return f"<Replay {self.name}, {self.state} at {iso(self._time_ns)}, {self.progress:.0%}, {self.rows:,} rows>"

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def progress(self) -> float:
        """How much of the session is over, from 0 to 1."""
        return (self._time_ns - self._script.begin_ns) / (self._script.end_ns - self._script.begin_ns)

    @property
    def state(self) -> str:
        """`running`, `waits: ` and for whom, `done`, `stopped`, or `failed: ` and why."""
        if self._error is not None:
            return f"failed: {self._error}"
        if not self._ended.is_set():
            return f"waits: {self._waits_for}" if self._waits_for else "running"
        return "done" if self._time_ns == self._script.end_ns else "stopped"

    @property
    def running(self) -> bool:
        """Tell whether rows are still to come."""
        return not self._ended.is_set()

    def start(self) -> Replay:
        """Begin, in a thread of its own."""
        self._thread.start()
        return self

    def wait(self, progress: Callable[[float], object] | None = None) -> Replay:
        """Wait for its end; an interrupt leaves it running.

        Parameters
        ----------
        progress
            Called with 0 to 1 while it runs; what it raises ends the waiting.
        """
        while not self._ended.wait(_LOOK_SECONDS):
            if progress is not None:
                progress(self.progress)
        return self

    def stop(self) -> None:
        """End it now; its streams stay, and the clock stands still. Stopping twice is fine."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        else:
            self._end()

    # -- the thread ------------------------------------------------------------------------------
    def _run(self) -> None:
        began = self._monotonic()
        try:
            for step in self._script.steps():
                if not self._due(step.instant_ns, began) or not self._feed(step):
                    break
        except NQError as exc:
            self._error = exc
            _log.warning("the replay %s has ended: %s", self.name, exc)
        finally:
            self._end()

    def _end(self) -> None:
        self._ended.set()
        self._rows.close()
        self._clock.close()
        _running.discard(self)

    def _due(self, instant_ns: int, began: float) -> bool:
        """Wait until an instant of the session; False when the replay was stopped."""
        if math.isinf(self._speed):
            return not self._stopping.is_set()
        ahead = (instant_ns - self._script.begin_ns) / 1e9 / self._speed - (self._monotonic() - began)
        return not self._pause(max(0.0, ahead))

    def _feed(self, step: Step) -> bool:
        """Publish a step's rows, then its time; False when the replay was stopped while a consumer was waited for."""
        for first in range(step.first, step.stop, _MOST_ROWS):
            piece = self._script.rows.slice(first, min(_MOST_ROWS, step.stop - first))
            if not self._publish(piece):
                return False
            self.rows += piece.num_rows
        self._say_time(step.instant_ns)
        return True

    def _publish(self, piece: object) -> bool:
        while not self._stopping.is_set():
            try:
                self._rows.publish(piece)
            except StreamFull as exc:  # after a while, in which the replay may have been stopped
                self._waits_for = str(exc).partition(". ")[0]
            else:
                self._waits_for = ""
                return True
        return False

    def _say_time(self, instant_ns: int) -> None:
        self._clock.publish_rows([(instant_ns, self._script.begin_ns, self._script.end_ns)])
        self._time_ns = instant_ns


def speed_of(given: str | float) -> float:
    """Return the speed of a replay: seconds of the session in a second, infinity for "max".

    Raises
    ------
    InvalidArgument
        It is none.

    >>> speed_of("60x"), speed_of("max"), speed_of(2)
    (60.0, inf, 2.0)
    """
    if given == MAX:
        return math.inf
    try:
        speed = float(given.removesuffix("x") if isinstance(given, str) else given)
    except (TypeError, ValueError):
        speed = math.nan
    if not 0 < speed < math.inf or isinstance(given, bool):
        raise InvalidArgument(f"speed={given!r} is neither 'max' nor a speed such as '60x'.")
    return speed


def running() -> list[Replay]:
    """Return the replays that this process feeds."""
    return sorted((replay for replay in list(_running) if replay.running), key=lambda replay: replay.name)


def _stop_all() -> None:
    for replay in list(_running):
        replay.stop()


atexit.register(_stop_all)
