"""A process with a channel: a real one, that can be told things, stopped, and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

_PRELUDE = """
import os, signal, sys, threading
import numpy as np
from jupyter_nq.buffers import Store
from jupyter_nq.client.channel import Channel
from jupyter_nq.config import Settings
settings = Settings(connect_seconds=10)
def say(*words):
    print(*words, flush=True)
def put(name, rows=10):
    plan = store.plan(np.arange(float(rows)))
    ticket = channel.request("reserve", name=name, bytes=plan.nbytes)["ticket"]
    info = store.write(name, plan)
    return channel.request("publish", id=info.id, ticket=ticket)
store = Store(sys.argv[1])
"""


class Child:
    """A Python process that runs `code` with `store`, `Channel`, `put` and `say` at hand."""

    def __init__(self, store_dir: Path, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + code, str(store_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
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

    def kill(self) -> None:
        """Kill it as a crash would, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait(timeout=60)
