"""Forked children: what they say arrives, also what they said before they were killed."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked, Say


def test_what_a_child_says_arrives_in_order_and_its_end_is_told() -> None:
    """Any JSON value; then None, and the status 0."""
    with Forked(lambda say: [say(value) for value in (1, "two", [3])]) as child:
        assert [child.hear(), child.hear(), child.hear(), child.hear()] == [1, "two", [3], None]
        assert child.wait() == 0
        assert "ended with 0" in repr(child)


def test_a_killed_child_is_gone_and_its_last_words_are_kept() -> None:
    """Killing twice is fine."""

    def work(say: Say) -> None:
        say("first")
        say("last")
        signal.pause()

    with Forked(work) as child:
        assert child.hear() == "first"
        wait_until(lambda: psutil.Process(child.pid).status() == "sleeping", message="it to have said the last")
        assert child.kill() == ["last"]
        assert child.wait() == -signal.SIGKILL
        assert child.kill() == []
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_child_that_raises_sends_its_traceback() -> None:
    """The last lines of it, and status 1."""

    def work(say: Say) -> None:
        raise LookupError("not here")

    with Forked(work) as child:
        (message,) = child.rest()
        assert "LookupError: not here" in message["error"]
        assert child.wait() == 1


def test_a_silent_child_is_given_up() -> None:
    """The wait has an end, and the child is killed when the block is left."""
    with Forked(lambda say: signal.pause()) as child, pytest.raises(TimeoutError, match=r"said nothing for 0\.01 s"):
        child.hear(0.01)
