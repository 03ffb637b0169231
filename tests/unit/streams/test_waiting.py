"""Bells: who waits is woken, and who was about to wait does not sleep."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from jupyter_nq.streams import waiting
from jupyter_nq.streams.waiting import Bell
from jupyter_nq.testing import wait_until


@pytest.fixture(params=["futex", "polled"])
def bell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bell:
    """Give a bell in private memory, with a futex and without."""
    if request.param == "polled":
        monkeypatch.setattr(waiting, "_FUTEX", None)
    memory = np.zeros(64, np.uint64)
    words = memoryview(memory.data)
    return Bell(words, memory.ctypes.data, 32, 33)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself: who is not woken sleeps for a minute."""
    monkeypatch.setattr("jupyter_nq.streams.waiting._LONGEST_SECONDS", 60.0)


@pytest.mark.usefixtures("patient")
def test_ringing_wakes_who_waits(bell: Bell) -> None:
    """A waiting thread goes on when it rings, long before its time is over."""
    began = time.monotonic()
    waiter = threading.Thread(target=lambda: bell.wait(bell.seen(), 60.0))
    waiter.start()
    wait_until(lambda: bell._words[33])
    bell.ring()
    waiter.join(60)
    assert time.monotonic() - began < 30


@pytest.mark.usefixtures("patient")
def test_ring_before_waiting_is_not_missed(bell: Bell) -> None:
    """Between looking and waiting it rings: the wait is none. Nor is it one when another's waking lowered the flag."""
    for ring in (bell.ring, bell.wake):
        seen = bell.seen()
        ring()
        began = time.monotonic()
        bell.wait(seen, 60.0)
        assert time.monotonic() - began < 30


def test_waiting_ends_in_time(bell: Bell) -> None:
    """Nothing rings: it ends after the time, and at once when there is none."""
    bell.wait(bell.seen(), 0.001)
    bell.wait(bell.seen(), 0.0)
    assert bell._words[33] == 1
