"""Progress of work that lasts: nothing for two seconds, then one line that updates itself.

The line is rewritten with a carriage return, which a terminal, JupyterLab and a saved notebook all
understand; it is wiped when the work ends, so that only the result stays in the output. The object
is handed to the session as its `progress` callback. An interrupt arrives between two calls of it,
or in one, and travels through the session, which removes what it had begun.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

_REFRESH_SECONDS = 0.2


class ProgressLine:
    """A callback that shows how far some work is, once it has lasted `after_seconds`.

    Parameters
    ----------
    label
        What is going on, for example `NQ 30min`.
    after_seconds
        How long the work may last before the line appears.
    stream
        Where the line goes; standard output unless given.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        label: str,
        after_seconds: float,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._next = self._started + after_seconds
        self._width = 0

    def __call__(self, fraction: float) -> None:
        """Take note that `fraction`, 0 to 1, of the work is done."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _REFRESH_SECONDS
        text = f"{self._label}: {min(max(fraction, 0.0), 1.0):.0%}, {now - self._started:.0f} s"
        self._write(f"\r{text:<{self._width}}")
        self._width = max(self._width, len(text))

    def close(self) -> None:
        """Wipe the line, if there is one."""
        if self._width:
            self._write(f"\r{' ' * self._width}\r")
            self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, text: str) -> None:
        stream = self._stream or sys.stdout
        stream.write(text)
        stream.flush()
