"""A child process that checks inputs, and says on its output which one it is at.

`driver` starts it. Each line of its output is the number of the input that it begins with, or a failure as JSON. Its
memory is limited, so that a reader that fills it is an error.
"""

from __future__ import annotations

import json
import resource
import tempfile
from dataclasses import asdict
from pathlib import Path

import psutil
import pyarrow as pa

from tests.fuzz.checks import Checker
from tests.fuzz.inputs import make

ROOM_BYTES = 2 << 30  # 2 GiB of address space beyond what the libraries take


def run(*arguments: str) -> None:
    """Check the inputs `first`, `first + step` and so on, up to before `last`; `every` reads each in every way."""
    seed, first, last, step, every = map(int, arguments)
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory(prefix="nq-fuzz-", dir=_fast_directory()) as directory:
        checker = Checker(Path(directory) / "NQ.csv")
        checker.check(make(0, 0), 0, every=True)
        limit = psutil.Process().memory_info().vms + ROOM_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for number in range(first, last, step):
            print(number, flush=True)
            for failure in checker.check(make(seed, number), number, every=bool(every)):
                print(json.dumps({"number": number} | asdict(failure)), flush=True)
    print("done", flush=True)


def _fast_directory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
