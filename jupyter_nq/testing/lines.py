"""Kill a piece of work at every line of a package that it runs, one after the other.

What a process leaves in a file that it has mapped changes between two system calls, where `syscalls` sees nothing. So
the work is done in a forked child that counts the lines it runs, and that dies before the one that is wanted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from jupyter_nq.testing.forked import Forked, Say

_KILLED = -9


def lines(work: Callable[[], object], package: str) -> list[str]:
    """Return the lines of `package` that `work` runs, as `file:number`, in their order.

    Raises
    ------
    RuntimeError
        The work failed.
    """

    def counted(say: Say) -> None:
        seen: list[str] = []
        _traced(work, package, seen.append)
        say(seen)

    with Forked(counted) as child:
        found = child.hear()
    if not isinstance(found, list):
        raise RuntimeError(f"the work whose lines were to be recorded failed: {found}")
    return found


def killed_before(work: Callable[[], object], package: str, number: int) -> bool:
    """Do `work` in a child that is killed before the line of a number, from 0; False when it ended without that."""
    left = number

    def die_in_time(_line: str) -> None:
        nonlocal left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    with Forked(lambda say: _traced(work, package, die_in_time)) as child:
        child.rest()
        return child.wait() == _KILLED


def _traced(work: Callable[[], object], package: str, note: Callable[[str], object]) -> None:
    part = f"{os.sep}{package.replace('.', os.sep)}{os.sep}"

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        path = frame.f_code.co_filename
        if part not in path:
            return None
        if event == "line":
            note(f"{path.rpartition(part)[2]}:{frame.f_lineno}")
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
