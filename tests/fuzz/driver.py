"""Many inputs, checked in child processes: one that dies or hangs is a failure of the input that it was at.

The state of a lane is its child and the number of the input that the child is at; one thread owns it.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 20.0
"""Time for one input; the slowest takes a tenth of a second on an idle machine."""
_START_SECONDS = 120.0  # to import the package and compile its kernels
_MOST_FAILURES = 50
# At the end of the path, so that the package that is installed comes before the one of the checkout.
_WORKER = f"import sys; sys.path.append({str(ROOT)!r}); from tests.fuzz import worker; worker.run(*sys.argv[1:])"


@dataclass(frozen=True)
class Found:
    """An input that was not read as it should be."""

    number: int
    reader: str
    what: str


def run(
    inputs: int, seed: int, *, lanes: int = 2, every: bool = False, report: Callable[[int], None] | None = None
) -> list[Found]:
    """Check the inputs 0 to `inputs` of a seed, and return the failures of the first lanes that have too many.

    Parameters
    ----------
    lanes
        Child processes at a time.
    every
        Read every input in every way, and not in one of them.
    report
        Called with the number of an input that a lane has reached, every thousand of its own.
    """
    with ThreadPoolExecutor(lanes) as pool:
        found = pool.map(lambda lane: list(_lane(inputs, seed, lane, lanes, every, report)), range(lanes))
        return sorted((failure for each in found for failure in each), key=lambda failure: failure.number)


def _lane(
    inputs: int, seed: int, first: int, step: int, every: bool, report: Callable[[int], None] | None
) -> Iterator[Found]:
    """Check every `step`-th input; a child that ended badly is followed by one that begins behind its input."""
    failures = 0
    while first < inputs and failures < _MOST_FAILURES:
        child = _Child(seed, first, inputs, step, every)
        with child:
            for line in child.lines():
                if line.startswith("{"):
                    failures += 1
                    yield Found(**json.loads(line))
                elif report is not None and line.isdigit() and int(line) // step % 1000 == 999:
                    report(int(line))
        if child.failure is None:
            return
        failures += 1
        yield Found(child.at, "process", child.failure)
        first = child.at + step


class _Child:
    """One child process."""

    def __init__(self, seed: int, first: int, last: int, step: int, every: bool) -> None:
        command = [sys.executable, "-W", "error", "-c", _WORKER]
        self._process = subprocess.Popen(
            [*command, *map(str, (seed, first, last, step, int(every)))],
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._started = False
        self.at = first
        """The input that it is at."""
        self.failure: str | None = None
        """How it ended, None when it finished."""

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def lines(self) -> Iterator[str]:
        """Yield its output, line by line, until it finishes, dies or takes too long for an input."""
        rest = b""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while True:
            seconds = LIMIT_SECONDS if self._started else _START_SECONDS
            if not select.select([descriptor], [], [], seconds)[0]:
                self.failure = f"no answer after {seconds:.0f} s"
                return
            data = os.read(descriptor, 1 << 16)
            if not data:
                self.failure = self._death()
                return
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                text = line.decode()
                if text == "done":
                    return
                if text.isdigit():
                    self.at, self._started = int(text), True
                yield text

    def _death(self) -> str:
        _, errors = self._process.communicate()
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:]
        return f"ended with {self._process.returncode}: {' '.join(last)}"


def _environment() -> dict[str, str]:
    """Return the environment of a child: a thread for each library, and no tracer, which would take too long."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return plain | {"ARROW_IO_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
