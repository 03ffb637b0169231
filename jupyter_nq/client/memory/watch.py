"""The watch over memory: a thread that takes a sample each interval, rings thresholds and remembers what happened.

`_samples`, `_events` and `_thresholds` are the mutable state; `_lock` guards them. Callbacks are called without it. The
thread knows the watch only weakly, so that a watch that is forgotten without being closed ends by itself. A forked
child has no thread.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from jupyter_nq.client.memory.forecast import WINDOW, Forecast, forecast
from jupyter_nq.client.memory.forking import renew_in_child
from jupyter_nq.client.memory.sample import MemorySample
from jupyter_nq.client.memory.thresholds import Callback, MemoryEvent, Threshold

EVENTS = 1_000
"""Events that are remembered; the oldest goes first."""

_TOLD = 100  # events that a report shows

_log = logging.getLogger("jupyter_nq")


class MemoryWatch:
    """Samples at intervals, with thresholds and a forecast.

    Parameters
    ----------
    take
        Returns a sample.
    interval_seconds
        Time between two samples of the thread.
    on_sample
        Called with each sample after the thresholds; what it did is remembered. None does nothing.
    """

    def __init__(
        self,
        take: Callable[[], MemorySample],
        interval_seconds: float = 5.0,
        on_sample: Callable[[MemorySample], MemoryEvent | None] | None = None,
    ) -> None:
        self._take = take
        self._interval = interval_seconds
        self._on_sample = on_sample
        self._lock = threading.Lock()
        self._samples: deque[MemorySample] = deque(maxlen=WINDOW)
        self._events: deque[MemoryEvent] = deque(maxlen=EVENTS)
        self._thresholds: list[Threshold] = []
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        renew_in_child(self)

    def __repr__(self) -> str:
        state = f"every {self._interval:g} s" if self.running else "not running"
        return f"<MemoryWatch {state}, {len(self._samples)} samples, {len(self._events)} events>"

    @property
    def running(self) -> bool:
        """Tell whether the thread takes samples."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self.running:
            return
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=_run, args=(weakref.ref(self), self._closing, self._interval), name="jupyter-nq-memory", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the thread; closing twice is fine. What was found stays readable."""
        self._closing.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def add_threshold(self, metric: str, fraction: float, callback: Callback | None = None) -> Threshold:
        """Have a callback called when a metric reaches a fraction, and again only after it was clearly below.

        Parameters
        ----------
        metric
            "system", "cgroup", "pool" (what all processes share, against its limit) or "gpu" (the fullest one).
        fraction
            Above 0 and at most 1.
        callback
            Called in the watch's thread with a `MemoryEvent`; None only remembers the event.

        Raises
        ------
        InvalidArgument
        """
        threshold = Threshold(metric, fraction, callback)
        with self._lock:
            self._thresholds.append(threshold)
        return threshold

    def remove_threshold(self, threshold: Threshold) -> None:
        """Forget a threshold; one that is not there is no error."""
        with self._lock:
            self._thresholds = [known for known in self._thresholds if known is not threshold]

    def tick(self) -> MemorySample:
        """Take a sample, remember it, ring, and do what is due; returns the sample."""
        sample = self._take()
        with self._lock:
            self._samples.append(sample)
            reached = [known for known in self._thresholds if known.rings(sample.fraction(known.metric))]
        for threshold in reached:
            self.record(_rung(threshold, sample))
        done = self._on_sample(sample) if self._on_sample is not None else None
        if done is not None:
            self.record(done)
        return sample

    def record(self, event: MemoryEvent) -> None:
        """Remember an event."""
        with self._lock:
            self._events.append(event)

    def events(self) -> tuple[MemoryEvent, ...]:
        """Return what happened, the oldest first."""
        with self._lock:
            return tuple(self._events)

    def samples(self) -> tuple[MemorySample, ...]:
        """Return the newest samples, the oldest first: as many as a forecast looks at."""
        with self._lock:
            return tuple(self._samples)

    def forecast(self) -> Forecast:
        """Return when the pool will be full, by the samples taken so far."""
        pools = [(sample.seconds, sample.pool) for sample in self.samples() if sample.pool is not None]
        limit = pools[-1][1].limit_bytes if pools else 0
        return forecast([at for at, _ in pools], [pool.used_bytes for _, pool in pools], limit)

    def told(self) -> dict[str, Any]:
        """Return `monitoring`, `forecast` and the newest `events` as values that JSON can hold."""
        return {
            "monitoring": self.running,
            "forecast": asdict(self.forecast()),
            "events": [{**asdict(event), "at": event.at.isoformat()} for event in self.events()[-_TOLD:]],
        }

    def after_fork(self) -> None:
        """In a child: forget the thread, which is not here, and locks that it may have held."""
        self._lock, self._closing, self._thread = threading.Lock(), threading.Event(), None


def _rung(threshold: Threshold, sample: MemorySample) -> MemoryEvent:
    """Call back, and return what happened as it is to be remembered."""
    value = sample.fraction(threshold.metric)
    why = f"{threshold.metric} reached {threshold.fraction:.0%}"
    event = MemoryEvent(sample.at, threshold.metric, value, threshold.fraction, "rang", why)
    if threshold.callback is None:
        return event
    try:
        threshold.callback(event)
    except Exception as exc:  # it is the user's: whatever it raises must not end the watch
        _log.exception("the callback of %r failed", threshold)
        return MemoryEvent(sample.at, threshold.metric, value, threshold.fraction, f"callback failed: {exc!r}", why)
    return event


def _run(ref: weakref.ref[MemoryWatch], closing: threading.Event, interval_seconds: float) -> None:
    """Tick until the watch is closed or gone."""
    told = ""
    while not closing.wait(interval_seconds):
        watch = ref()
        if watch is None:
            return
        try:
            watch.tick()
        except Exception as exc:  # the root of the thread: it goes on, and says once what is wrong
            if repr(exc) != told:
                told = repr(exc)
                _log.exception("%r met an error, and goes on", watch)
                watch.record(MemoryEvent(datetime.now(UTC), "", None, None, f"failed: {exc!r}", "a sample was due"))
        del watch
