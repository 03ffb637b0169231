"""Kill a piece of work at every one of its system calls, one after the other.

What a process leaves behind when it dies is decided between two system calls. `strace` can end a process at the very
call that is wanted: it is attached to a child forked from this warm process, which waits at a gate until then. First
the calls that touch a directory are recorded, then each gets a child that dies at it, before it is carried out; so the
next point is the moment after it.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jupyter_nq.testing.forked import Forked, Say

_CALL = re.compile(r"(?:\[pid +\d+\] |\d+ +)?([a-z_0-9]+)\(")
_KILLED = -9


@dataclass(frozen=True)
class Point:
    """One system call of a piece of work."""

    call: str
    """Its name, such as `rename`."""
    number: int
    """Which of the calls of this name it is, from 1."""
    line: str
    """As strace shows it."""


def available() -> bool:
    """Tell whether strace is here and may attach to a child of this process."""
    if shutil.which("strace") is None:
        return False
    try:
        return _traced(lambda: None, ["-e", "trace=close", "-o", os.devnull]) == 0
    except OSError:
        return False


def points(work: Callable[[], object], where: Path) -> list[Point]:
    """Return the system calls of `work` that name a path below `where`, or a descriptor of one, in their order.

    Raises
    ------
    OSError
        The work, or strace, failed.
    """
    with tempfile.NamedTemporaryFile("r") as log:
        if _traced(work, ["-y", "-o", log.name]):
            raise OSError("the work whose system calls were to be recorded failed")
        lines = log.read().splitlines()
    found, counts = [], Counter[str]()
    for line in lines:
        match = _CALL.match(line)
        if match is None:
            continue
        call = match[1]
        counts[call] += 1
        if str(where) in line:
            found.append(Point(call, counts[call], line))
    return found


def killed_at(work: Callable[[], object], point: Point) -> bool:
    """Do `work` in a child that is killed at a point; False when it ended without coming there."""
    inject = f"inject={point.call}:signal=KILL:when={point.number}"
    return _traced(work, ["-e", f"trace={point.call}", "-e", inject, "-o", os.devnull]) == _KILLED


def _traced(work: Callable[[], object], options: list[str]) -> int:
    """Do `work` in a child under strace, from its first call on; returns the child's exit status."""
    with _gate() as (entrance, opening):

        def behind_the_gate(say: Say) -> None:
            gc.collect()
            gc.disable()  # what is garbage of the parent's would be closed at a moment of its own
            say("ready")
            os.read(entrance, 1)
            work()

        with Forked(behind_the_gate) as child:
            child.hear()
            tracer = subprocess.Popen(
                ["strace", *options, "-p", str(child.pid)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
            )
            with tracer:
                assert tracer.stderr is not None
                said = tracer.stderr.readline()
                if "attached" not in said:
                    raise OSError(f"strace cannot attach: {said.strip()}")
                os.write(opening, b"x")
                child.rest()
                status = child.wait()
                tracer.stderr.read()
            return status


@contextmanager
def light_children() -> Iterator[None]:
    """Leave what this process has made so far out of every collection of garbage, also of its children's.

    A child collects before it is traced, which copies the pages of all objects: seconds in a process that has run
    thousands of tests.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _gate() -> Iterator[tuple[int, int]]:
    entrance, opening = os.pipe()
    try:
        yield entrance, opening
    finally:
        os.close(entrance)
        os.close(opening)
