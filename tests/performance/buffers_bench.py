"""The rows about buffers of the design's budgets, side by side with Ray's object store: `.ci/bench`, or by hand

    python -m tests.performance.buffers_bench

in an environment that has this package with its test extra, and Ray if it is to be compared. Each table is one run:
what stands in it was measured in turns, and medians are shown. It takes some 9 GB of memory, and refuses to start
without them.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.platform import available_bytes, file_system_free
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.testing import Child
from tests.performance.measuring import medians
from tests.performance.test_buffers import READER

MIB, GIB = 1 << 20, 1 << 30
COLUMNS = 8
PUT_BYTES = 256 * MIB
PUBLISHED_BYTES = 4 * GIB
NEEDED_BYTES = 9 * GIB
ROUNDS = 11

Calls = dict[str, Callable[[], object]]


class Ray:
    """Ray's object store, as its users call it; what was put before is let go, so that its memory is used again."""

    def __init__(self) -> None:
        self._ray: Any = importlib.import_module("ray")
        self._ray.init(num_cpus=1, object_store_memory=3 * GIB, include_dashboard=False, log_to_driver=False)
        self._held: dict[str, Any] = {}

    def put(self, name: str, data: object) -> None:
        """Put under a name."""
        self._held.pop(name, None)
        self._held[name] = self._ray.put(data)

    def get(self, name: str) -> Any:
        """Get in the process that put."""
        return self._ray.get(self._held[name])

    def close(self) -> None:
        """End its processes."""
        self._held.clear()
        self._ray.shutdown()


def columns(nbytes: int) -> dict[str, np.ndarray]:
    """Return random columns of so many bytes together."""
    random = np.random.default_rng(1)
    return {f"c{i}": random.random(nbytes // COLUMNS // 8) for i in range(COLUMNS)}


def show(title: str, took: Mapping[str, float], base: str) -> None:
    """Print a table: milliseconds, and how many times as fast as one row each is."""
    print(f"\n{title}")
    for name, seconds in took.items():
        print(f"  {name:<44} {seconds * 1e3:10.3f} ms {took[base] / seconds:8.2f}x", flush=True)


def puts(path: Path, ray: Ray | None, what: str, data: Any, copy: Callable[[], object]) -> None:
    """Put 256 MB with a session, with the store alone, and with Ray, against copying the same bytes."""
    path.mkdir()
    with Session(settings=Settings(store_dir=str(path / "session"))) as session:
        store = Store(path / "store")

        def write(digest: bool) -> None:
            store.collect(store.write("a", data, digest=digest).id, 2 * PUT_BYTES)

        calls: Calls = {
            "memcpy, one thread": copy,
            "write without digest": lambda: write(False),
            "write with digest": lambda: write(True),
            "session.put (digest, name, version)": lambda: session.put("a", data),
        }
        if ray is not None:
            calls["Ray put"] = lambda: ray.put("a", data)
        show(f"put of 256 MB, {what}", medians(calls, ROUNDS), "memcpy, one thread")


def puts_of_both(path: Path, ray: Ray | None) -> None:
    """Put one array, and a frame, whose columns are copied one by one."""
    source = np.random.default_rng(1).random((PUT_BYTES // COLUMNS // 8, COLUMNS))
    target = np.empty_like(source)
    puts(path / "array", ray, "one array", source, lambda: np.copyto(target, source))
    frame = pd.DataFrame(columns(PUT_BYTES))
    parts = list(zip(target.reshape(COLUMNS, -1), (frame[name].to_numpy() for name in frame), strict=True))
    puts(path / "frame", ray, "a frame of 8 columns", frame, lambda: [np.copyto(*part) for part in parts])


def gets(path: Path, ray: Ray | None) -> None:
    """Get 1 MB to 1 GB as numpy, and as a frame, and read the same from zstd Parquet."""
    with Session(settings=Settings(store_dir=str(path))) as session:
        calls: Calls = {}
        for nbytes in (MIB, GIB):
            size = "1MB" if nbytes == MIB else "1GB"
            array, frame = np.zeros(nbytes // 8), pd.DataFrame(columns(nbytes), copy=False)
            session.put(f"array-{size}", array)
            session.put(f"frame-{size}", frame)
            calls[f"get, array of {size}"] = lambda size=size: session.get(f"array-{size}", as_="numpy")
            calls[f"get, frame of {size}"] = lambda size=size: session.get(f"frame-{size}")
            if ray is not None:
                ray.put(f"frame-{size}", frame)
                calls[f"Ray get, frame of {size}"] = lambda size=size: ray.get(f"frame-{size}")
        took = medians(calls, 200)
        with tempfile.TemporaryDirectory(prefix="nq-bench-") as disk:
            file = os.path.join(disk, "frame.parquet")
            pq.write_table(pa.Table.from_pandas(session.get("frame-1GB")), file, compression="zstd")
            took |= medians({"zstd Parquet to a frame of 1 GB": lambda: pq.read_table(file).to_pandas()}, 1)
        show("get", took, "get, frame of 1GB")


def publishes(path: Path) -> None:
    """Publish what was written in place, 1 MB and 4 GB, and come back to the caller."""
    took: dict[str, float] = {}
    with Session(settings=Settings(store_dir=str(path))) as session:
        for name, nbytes, rounds in (("1MB", MIB, ROUNDS), ("4GB", PUBLISHED_BYTES, 3)):
            seconds = []
            for turn in range(rounds):
                draft = session.empty(f"a{name}", dict.fromkeys(map(str, range(COLUMNS)), "f8"), nbytes // COLUMNS // 8)
                for values in draft.numpy().values():
                    values[:] = turn
                start = time.perf_counter()
                draft.publish()
                seconds.append(time.perf_counter() - start)
                draft.wait()
                del draft, values
                session.drop(f"a{name}")
                session.gc()
            took[f"publish of {name}"] = median(seconds)
    show("publish in place, until the caller goes on", took, "publish of 1MB")


def private_memory(path: Path) -> None:
    """Let a second process read all of a frame of 1 GB."""
    with Session(settings=Settings(store_dir=str(path))) as session:
        session.put("small", columns(MIB))
        session.put("large", columns(GIB))
        with Child(READER, os.fspath(path)) as child:
            print(f"\nprivate memory of a further process that reads a frame of 1 GB: {child.line()} KiB")


def main() -> None:
    """Print the tables."""
    free = min(available_bytes(), file_system_free(Path("/dev/shm")))
    if free < NEEDED_BYTES:
        sys.exit(f"This takes {NEEDED_BYTES:,} bytes of memory in /dev/shm, and {free:,} are free.")
    try:
        ray: Ray | None = Ray()
    except ModuleNotFoundError:
        ray = None
        print("Ray is not installed: it is left out.")
    try:
        with tempfile.TemporaryDirectory(prefix="nq-bench-", dir="/dev/shm") as where:
            puts_of_both(Path(where), ray)
            gets(Path(where, "g"), ray)
    finally:
        if ray is not None:
            ray.close()
    for number, part in enumerate((publishes, private_memory)):
        with tempfile.TemporaryDirectory(prefix="nq-bench-", dir="/dev/shm") as where:
            part(Path(where, str(number)))


if __name__ == "__main__":
    main()
