"""`wait_until` returns what it waited for, or says what never came."""

from __future__ import annotations

import threading

import pytest

from jupyter_nq.testing import wait_until


def test_the_result_is_returned() -> None:
    """The first true value ends the wait."""
    ready = threading.Event()
    timer = threading.Timer(0.02, ready.set)
    timer.start()
    assert wait_until(lambda: ready.is_set() and "ready") == "ready"
    timer.join()


def test_a_wait_in_vain_names_what_was_waited_for() -> None:
    """The error quotes the message, or the predicate's name."""
    with pytest.raises(TimeoutError, match=r"waited 0\.01 s in vain for the second kernel"):
        wait_until(lambda: False, timeout=0.01, message="the second kernel")

    def never() -> bool:
        return False

    with pytest.raises(TimeoutError, match="for never"):
        wait_until(never, timeout=0.0)
