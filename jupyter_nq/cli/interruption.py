"""Turn the signals that end a program into one exception, so that what was started is stopped in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """The signals' switch: they raise `KeyboardInterrupt` until `ignore` is called."""

    def __init__(self) -> None:
        self._ignored = False

    def ignore(self) -> None:
        """Let nothing interrupt what comes now: the clean-up, which is short."""
        self._ignored = True

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handle one of the signals."""
        if not self._ignored:
            raise KeyboardInterrupt(signal.Signals(number).name)


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
