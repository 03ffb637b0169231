"""Many chunks in a real kernel: a function of a cell in forked workers, shared data in them, progress, an interrupt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.lone_kernel import Kernel

_SETUP = """
%load_ext jupyter_nq
import os, threading
import numpy as np, pandas as pd
import jupyter_nq as nq
nq.put("prices", pd.DataFrame({"price": np.arange(1000.0)}))
def total(rows):
    return float(nq.get("prices")["price"].iloc[rows[0]:rows[1]].sum()), os.getpid()
"""
_SHARED = """
found = nq.process_concurrent([(n, n + 100) for n in range(0, 1000, 100)], total, 2, "processes")
print(sum(one for one, _ in found), os.getpid() in {pid for _, pid in found}, float(nq.get("prices")["price"].sum()))
"""
_WAITING = """
import pathlib
from jupyter_nq.testing import wait_until
def wait(number):
    pathlib.Path(f"worker-{os.getpid()}").touch()
    threading.Event().wait(60)
def tell():
    wait_until(lambda: len(list(pathlib.Path().glob("worker-*"))) == 2)
    print("begun", flush=True)
threading.Thread(target=tell).start()
nq.process_concurrent(range(8), wait, 2, "processes")
"""
_SLOW = """
from nq_magics.progress import ProgressLine
from jupyter_nq.client.processing import concurrent
concurrent.display = lambda label: ProgressLine(label, 0.0)
nq.process_concurrent(range(4), abs, 2)
"""


@pytest.fixture
def kernel(nq_store_dir: Path, tmp_path: Path) -> Iterator[Kernel]:
    """Give a kernel with a shared frame and a function over it."""
    started = Kernel(nq_store_dir, tmp_path)
    try:
        assert started.run(_SETUP).status == "ok"
        yield started
    finally:
        started.close()


def test_forked_workers_share_the_data(kernel: Kernel) -> None:
    """Each maps what the chunk names; the kernel that hosts the coordinator goes on as before, also a second time."""
    for _ in range(2):
        outcome = kernel.run(_SHARED)
        assert (outcome.tracebacks, outcome.out.split()) == ([], ["499500.0", "False", "499500.0"])


def test_an_interrupt_of_the_cell(kernel: Kernel, tmp_path: Path) -> None:
    """The cell ends with it, the workers are gone, and the kernel goes on."""
    outcome = kernel.run(_WAITING, interrupt_at="begun")
    assert "KeyboardInterrupt" in outcome.tracebacks[0]
    pids = [path.name.removeprefix("worker-") for path in tmp_path.glob("worker-*")]
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert kernel.run("print(1)").out == "1\n"


def test_progress_is_shown(kernel: Kernel) -> None:
    """On the line that all long work has."""
    assert "4 chunks: 100%" in kernel.run(_SLOW).out
