"""A real second process for a test: told things over its pipes, stopped, and killed as a crash would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

_WAIT_SECONDS = 60.0
_PRELUDE = """
import os, signal, sys, threading
def say(*words):
    print(*words, flush=True)
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Child:
    """A Python process that runs `code`; it is killed on exit if it still runs.

    In `code`, `say(...)` prints a line for `line()`, `input()` returns what `tell` sends, `die()` ends it by
    SIGKILL, and `sys.argv[1:]` are the arguments. It inherits the descriptors `pass_fds`.
    """

    def __init__(self, code: str, *arguments: str, pass_fds: Sequence[int] = ()) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self.process.pid

    def line(self) -> str:
        """Return the next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, text: str = "") -> None:
        """Send it a line; `input()` returns it there."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def wait(self) -> int:
        """Wait for its end and return its exit status; a signal is negative."""
        return self.process.wait(timeout=_WAIT_SECONDS)

    def kill(self) -> None:
        """Kill it as a crash would, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()
