"""Ray's object store against this package, in one interleaved run, by hand:

    python -m venv /tmp/against-ray
    /tmp/against-ray/bin/pip install ray .
    /tmp/against-ray/bin/python -m tests.performance.against_ray

Both put the same arrays and frames of 256 MB, and get them in the process that put them. What was put before is let
go each time, so that both write memory that they have had before. Ray starts a store of 1 GB of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import numpy as np
import pandas as pd

from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from tests.performance.measuring import medians

COLUMNS = 8
ROWS = 1 << 22  # of eight float64 columns: 256 MiB
ROUNDS = 15


def compare(session: Session, ray: object, data: object) -> dict[str, float]:
    """Return the median seconds of a put and a get of each side, and of a copy of the same bytes."""
    source = np.asarray(data)
    target = np.empty_like(source)
    put: Callable[[object], object] = ray.put  # type: ignore[attr-defined]
    get: Callable[[object], object] = ray.get  # type: ignore[attr-defined]
    held: dict[str, object] = {}

    def put_with_ray() -> None:
        held.clear()
        held["ref"] = put(data)

    calls = {
        "memcpy": lambda: np.copyto(target, source),
        "put, nq": lambda: session.put("a", data),
        "put, Ray": put_with_ray,
        "get, nq": lambda: session.get("a", as_="numpy" if isinstance(data, np.ndarray) else "pandas"),
        "get, Ray": lambda: get(held["ref"]),
    }
    return medians(calls, ROUNDS)


def main() -> None:
    """Print one line for an array and one for a frame."""
    import ray

    random = np.random.default_rng(1)
    array = random.random((ROWS, COLUMNS))
    frame = pd.DataFrame({f"c{i}": random.random(ROWS) for i in range(COLUMNS)})
    ray.init(num_cpus=1, object_store_memory=1 << 30, include_dashboard=False, log_to_driver=False)
    try:
        for what, data in (("array", array), ("frame", frame)):
            with (
                tempfile.TemporaryDirectory(prefix="nq-ray-", dir="/dev/shm") as where,
                Session(settings=Settings(store_dir=where)) as session,
            ):
                took = compare(session, ray, data)
                ratios = ", ".join(f"{k} {took['memcpy'] / s:.2f}x memcpy" for k, s in took.items() if k[:3] == "put")
                gets = ", ".join(f"{k} {s * 1e6:.0f} us" for k, s in took.items() if k[:3] == "get")
                print(f"{what} of 256 MB: {ratios}; {gets}")
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
