"""The watch, tick by tick on samples made by hand, and its thread."""

from __future__ import annotations

import gc
import json
import logging
import os
import threading
import weakref
from collections.abc import Iterator

import pytest

from jupyter_nq.client.memory.sample import MemorySample
from jupyter_nq.client.memory.thresholds import MemoryEvent
from jupyter_nq.client.memory.watch import EVENTS, MemoryWatch
from jupyter_nq.testing import wait_until
from tests.unit.client.memory.samples import sample


def watching(*samples: MemorySample) -> MemoryWatch:
    """Return a watch that finds one sample after the other."""
    found: Iterator[MemorySample] = iter(samples)
    return MemoryWatch(lambda: next(found), interval_seconds=60.0)


def test_thresholds_call_with_the_event() -> None:
    """Only for their own metric, once until it was clearly below, and the event is remembered."""
    watch = watching(*(sample(at, pool=pool, system=100) for at, pool in enumerate([800, 900, 910, 840, 950])))
    calls: list[MemoryEvent] = []
    watch.add_threshold("pool", 0.9, calls.append)
    watch.add_threshold("system", 0.9, lambda event: pytest.fail("the system is not full"))
    for _ in range(5):
        watch.tick()
    assert [(event.metric, event.value, event.threshold) for event in calls] == [
        ("pool", 0.9, 0.9),
        ("pool", 0.95, 0.9),
    ]
    assert watch.events() == tuple(calls)
    assert (calls[0].done, calls[0].why) == ("rang", "pool reached 90%")
    assert calls[0].at == sample(1).at


def test_a_threshold_can_be_forgotten() -> None:
    """It does not ring again, and forgetting it twice is no error."""
    watch = watching(sample(pool=1_000), sample(pool=1_000))
    threshold = watch.add_threshold("pool", 0.5)
    watch.remove_threshold(threshold)
    watch.remove_threshold(threshold)
    watch.tick()
    assert watch.events() == ()
    watch.add_threshold("pool", 0.5)
    watch.tick()
    assert [event.done for event in watch.events()] == ["rang"]


def test_a_callback_that_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The event says so, others are called, and the watch goes on."""
    watch = watching(sample(pool=1_000))
    calls: list[MemoryEvent] = []
    watch.add_threshold("pool", 0.5, lambda event: 1 / 0)
    watch.add_threshold("pool", 0.6, calls.append)
    with caplog.at_level(logging.CRITICAL, "jupyter_nq"):
        watch.tick()
    assert [event.done for event in watch.events()] == [
        "callback failed: ZeroDivisionError('division by zero')",
        "rang",
    ]
    assert len(calls) == 1


def test_what_is_done_at_a_sample_is_remembered() -> None:
    """Whatever the hook returns, after the thresholds rang."""
    done = MemoryEvent(sample().at, "pool", 1.0, 0.9, "freed", "full")
    watch = MemoryWatch(lambda: sample(pool=1_000), 60.0, lambda found: done)
    watch.add_threshold("pool", 0.9)
    watch.tick()
    assert [event.done for event in watch.events()] == ["rang", "freed"]


def test_the_history_is_bounded() -> None:
    """The oldest event goes first."""
    watch = watching()
    for number in range(EVENTS + 5):
        watch.record(MemoryEvent(sample().at, "", None, None, str(number), ""))
    assert (len(watch.events()), watch.events()[0].done) == (EVENTS, "5")


def test_the_forecast_rests_on_the_samples() -> None:
    """Those without a pool are left out, and without any there is no answer."""
    watch = watching(*(sample(at, pool=None if at == 3 else 10 * at) for at in range(10)))
    assert watch.forecast().seconds is None
    for _ in range(10):
        watch.tick()
    assert watch.forecast().seconds == pytest.approx(91)
    told = json.loads(json.dumps(watch.told()))
    assert (told["monitoring"], told["events"]) == (False, [])
    assert told["forecast"]["why"] == "9 samples in 9 s grow by 10 B/s"


def test_the_thread_ticks_until_it_is_closed() -> None:
    """Starting and closing twice is fine, and it can be started again."""
    watch = MemoryWatch(sample, interval_seconds=0.001)
    assert repr(watch) == "<MemoryWatch not running, 0 samples, 0 events>"
    watch.start()
    watch.start()
    assert sum(thread.name == "jupyter-nq-memory" for thread in threading.enumerate()) == 1
    assert repr(watch).startswith("<MemoryWatch every 0.001 s")
    wait_until(watch.samples)
    watch.close()
    watch.close()
    assert not watch.running
    watch.start()
    assert watch.running
    watch.close()


def test_a_callback_may_close_the_watch() -> None:
    """The thread does not wait for itself."""
    watch = MemoryWatch(lambda: sample(pool=1_000), interval_seconds=0.001)
    watch.add_threshold("pool", 0.5, lambda event: watch.close())
    watch.start()
    wait_until(watch.events)
    wait_until(lambda: not any(thread.name == "jupyter-nq-memory" for thread in threading.enumerate()))


def test_a_watch_that_is_forgotten_ends() -> None:
    """Nobody has to close it: the thread does not keep it alive."""
    watch = MemoryWatch(sample, interval_seconds=0.001)
    watch.start()
    thread, gone = watch._thread, weakref.ref(watch)
    assert thread is not None
    del watch
    wait_until(lambda: gc.collect() is not None and gone() is None)
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_a_sample_that_fails_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The thread goes on, and takes the next."""
    turns = iter(range(1_000_000))

    def take() -> MemorySample:
        turn = next(turns)
        if turn < 5:
            raise OSError("not now")
        return sample()

    watch = MemoryWatch(take, interval_seconds=0.001)
    with caplog.at_level(logging.CRITICAL, "jupyter_nq"):
        watch.start()
        wait_until(watch.samples)
        watch.close()
    assert [event.done for event in watch.events()] == ["failed: OSError('not now')"]


def test_a_forked_child_has_no_thread() -> None:
    """It can close the watch, or start one of its own, whatever the parent's thread was at."""
    watch = MemoryWatch(sample, interval_seconds=0.001)
    watch.start()
    watch._lock.acquire()  # as the thread may have done just now
    pid = os.fork()
    if pid == 0:
        try:
            quiet = not watch.running
            watch.close()
            watch.start()
            wait_until(lambda: len(watch.samples()) > 2)
            watch.close()
            os._exit(0 if quiet else 1)
        except BaseException:
            os._exit(2)
    watch._lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert watch.running
    watch.close()
