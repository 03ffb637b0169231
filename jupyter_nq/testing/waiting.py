"""Wait for something another process or thread does: poll with a deadline, never a blind pause."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.001
_LONGEST_PAUSE_SECONDS = 0.05


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, message: str = "") -> T:
    """Return the first true result of `predicate`.

    Parameters
    ----------
    predicate
        Called again and again; its exceptions are the caller's.
    timeout
        Seconds until the wait is given up.
    message
        What was waited for, in words; the error quotes it.

    Raises
    ------
    TimeoutError
        The predicate stayed false.

    >>> wait_until(lambda: "ready")
    'ready'
    """
    never = threading.Event()
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE_SECONDS
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain for {message or getattr(predicate, '__name__', 'it')}")
        never.wait(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
