"""Run code in another process: a real one, with its own descriptors, that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

_PRELUDE = """
import os, signal, sys
import numpy as np
from jupyter_nq.buffers import Store
store = Store(sys.argv[1])
def say(text):
    print(text, flush=True)
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Child:
    """A Python process that runs `code` with `store`, `say` and `die` at hand."""

    def __init__(self, store_dir: Path, code: str, *args: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + code, str(store_dir), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.communicate()

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
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        """Kill it as a crash would, and wait until it is gone."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)
