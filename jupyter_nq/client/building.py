"""Load once: of all processes that need one dataset at the same moment, one builds it.

The lock is an `flock` on `tmp/<key>.build`. Its holder writes progress into the file and, at the
end, unlinks it with the outcome inside. Whoever waited holds the same inode and reads the outcome
there after it got the lock:

* `done`: look again, the dataset is there;
* an error: the same error, raised here too;
* only progress: the builder died, so the waiter is the next builder.

A process that comes later finds no file, and makes a new one.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jupyter_nq.errors import BuildFailed, NQError, by_name

_POLL_SECONDS = 0.005  # how often a waiter looks at the lock; a build takes 100 ms and more
_OUTCOME_BYTES = 64 << 10

Progress = Callable[[float], None]


class Build:
    """The right to build one dataset, held by one process at a time."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path

    def progress(self, fraction: float) -> None:
        """Tell those who wait how far the build is, 0 to 1."""
        self._write({"progress": round(fraction, 3)})

    def finish(self, error: BaseException | None = None) -> None:
        """Leave the outcome to those who wait, and give the lock back."""
        if isinstance(error, NQError):
            self._write({"error": type(error).__name__, "message": str(error)})
        elif isinstance(error, Exception):
            self._write({"error": BuildFailed.__name__, "message": f"{type(error).__name__}: {error}"})
        elif error is None:
            self._write({"done": True})
        # An interrupt is no outcome: whoever waits next builds.
        if error is None or isinstance(error, Exception):
            with suppress(FileNotFoundError):
                self._path.unlink()
        os.close(self._fd)

    def _write(self, outcome: dict[str, object]) -> None:
        text = json.dumps(outcome).encode()[:_OUTCOME_BYTES]
        os.pwrite(self._fd, text.ljust(os.fstat(self._fd).st_size), 0)


@contextmanager
def build(directory: Path, key: str, waiting: Progress | None = None) -> Iterator[Build | None]:
    """Enter as the builder of `key`, or with None when another process has just built it.

    Parameters
    ----------
    directory
        The store's `tmp/`.
    key
        Content key of the dataset, hexadecimal.
    waiting
        Called with the builder's progress, 0 to 1, while another process builds; may raise to stop waiting.

    Raises
    ------
    NQError
        The error with which the builder that we waited for failed.
    """
    path = directory / f"{key}.build"
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            waited = _acquire(fd, waiting)
            outcome = _read(fd)
            gone = os.fstat(fd).st_nlink == 0
        except BaseException:
            os.close(fd)
            raise
        if not gone:
            break
        os.close(fd)
        if waited and "error" in outcome:
            raise by_name(str(outcome["error"]))(outcome["message"])
        if waited:
            yield None
            return
    held = Build(fd, path)
    try:
        yield held
    except BaseException as exc:
        held.finish(exc)
        raise
    held.finish()


def _acquire(fd: int, waiting: Progress | None) -> bool:
    """Take the exclusive lock; True when another process held it before."""
    waited = False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = True
            if waiting is not None:
                waiting(float(_read(fd).get("progress", 0.0)))  # type: ignore[arg-type]
            time.sleep(_POLL_SECONDS)
        else:
            return waited


def _read(fd: int) -> dict[str, object]:
    try:
        found = json.loads(os.pread(fd, _OUTCOME_BYTES, 0) or b"{}")
    except ValueError:  # read in the middle of a write: the next look sees it whole
        return {}
    return found if isinstance(found, dict) else {}
