"""Turn the signals that end a program into one exception, so that what was started is stopped in order."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """The signals' switch: they raise `KeyboardInterrupt` until `ignore` is called."""

    def __init__(self) -> None:
        # Signals arrive in the main thread only, between two of its steps; nothing else changes these two.
        self._ignored = False
        self._cancel: Callable[[], object] | None = None

    def ignore(self) -> None:
        """Let nothing interrupt what comes now: the clean-up, which is short."""
        self._ignored = True

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine; a signal cancels it, and raises `KeyboardInterrupt` when it has ended.

        An exception out of nowhere would hit any step of the event loop; a cancellation is delivered to the
        coroutine, which can clean up.
        """
        noted: list[bool] = []  # signals while the loop is set up and torn down, which nothing may interrupt
        self._cancel = lambda: noted.append(True)
        try:
            result = asyncio.run(self._watched(coroutine, noted))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            self._cancel = None
        if noted:
            raise KeyboardInterrupt
        return result

    async def _watched(self, coroutine: Coroutine[Any, Any, T], noted: list[bool]) -> T:
        loop = asyncio.get_running_loop()
        task = loop.create_task(coroutine)
        note, self._cancel = self._cancel, lambda: loop.call_soon_threadsafe(task.cancel)  # wakes the loop, too
        if noted:
            task.cancel()
        try:
            return await task
        finally:
            self._cancel = note

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handle one of the signals."""
        if self._ignored:
            return
        if self._cancel is None:
            raise KeyboardInterrupt(signal.Signals(number).name)
        self._cancel()


@contextmanager
def interruptible() -> Iterator[Signals]:
    """Raise `KeyboardInterrupt` on Ctrl-C, a polite kill and a closed terminal; old handlers come back after."""
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals  # only the main thread receives signals
        return
    before = {number: signal.signal(number, signals.receive) for number in _ENDING}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
