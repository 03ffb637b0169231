"""A process forked from a warm one: it starts in milliseconds, tells what it does, and is killed as a crash would.

The parent has imported numpy, pandas, pyarrow and the package once; a child of it runs a function at once, where a
new interpreter would first spend half a second on imports. What the child says goes through a pipe, a message at a
time, and is there for the parent before the child goes on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from typing import Any

Say = Callable[[Any], None]

_WAIT_SECONDS = 60.0
_CHUNK_BYTES = 64 << 10  # 64 KiB


class Forked:
    """A forked child that runs `work`; it is killed on exit if it still runs.

    Parameters
    ----------
    work
        Called in the child with a function that sends a JSON value to the parent. When it returns the child ends with
        status 0; when it raises the child says `{"error": traceback}` and ends with status 1.
    """

    def __init__(self, work: Callable[[Say], object]) -> None:
        self._reading, writing = os.pipe()
        self._buffer = b""
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _run(work, writing)
        os.close(writing)

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def __repr__(self) -> str:
        return f"<Forked {self.pid} {'runs' if self._status is None else f'ended with {self._status}'}>"

    def hear(self, seconds: float = _WAIT_SECONDS) -> Any:
        """Return the next thing that it says; None when it has ended.

        Raises
        ------
        TimeoutError
            It says nothing, and lives.
        """
        while b"\n" not in self._buffer:
            if not select.select([self._reading], [], [], seconds)[0]:
                raise TimeoutError(f"process {self.pid} said nothing for {seconds:g} s")
            chunk = os.read(self._reading, _CHUNK_BYTES)
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def rest(self) -> list[Any]:
        """Return all that it has still said, until its end."""
        said = []
        while (message := self.hear()) is not None:
            said.append(message)
        return said

    def kill(self) -> list[Any]:
        """Kill it, wait until it is gone, and return what it had still said; a second call returns nothing."""
        if self._reading < 0:
            return []
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
        self.wait()
        said = self.rest()
        os.close(self._reading)
        self._reading = -1
        return said

    def wait(self) -> int:
        """Wait for its end and return its exit status; a signal is negative."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status


def _run(work: Callable[[Say], object], writing: int) -> None:
    """Do the work of a child and end it here: nothing of the parent's is unwound."""

    def say(value: Any) -> None:
        os.write(writing, json.dumps(value).encode() + b"\n")

    status = 1
    try:
        work(say)
        status = 0
    except BaseException:
        say({"error": traceback.format_exc(limit=-8)})
    finally:
        os._exit(status)
