"""What an idle server pays for the extension: memory above a bare one, and processor time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.integration.jupyter_process import JupyterProcess

pytestmark = pytest.mark.performance

IDLE_SECONDS = 20.0
# DESIGN's budgets are 40 MB and 0.1 % of a core; a build only fails beyond ten times the latter.
MEMORY_LIMIT_BYTES, CPU_LIMIT_SHARE = 40 << 20, 0.01
HEAVY = ("libarrow", "pandas", "numpy")

PUT = "import numpy as np, jupyter_nq as nq; nq.put('a', {'x': np.arange(100.0)}); held = nq.get('a')"


def test_idle_server_costs_little(tmp_path: Path, nq_store_dir: Path) -> None:
    """Prints resident memory above a bare server and the share of a core, measured with nobody at work."""
    with JupyterProcess(tmp_path / "bare", nq_store_dir, extension=False) as server:
        bare = _resident_bytes(server.pid)
    with JupyterProcess(tmp_path / "nq", nq_store_dir, "--NQApp.identity_seconds=2") as server:
        assert server.rest("GET", "jupyter-nq/datasets") == []
        before = _cpu_seconds(server.pid)
        threading.Event().wait(IDLE_SECONDS)
        share = (_cpu_seconds(server.pid) - before) / IDLE_SECONDS
        added = _resident_bytes(server.pid) - bare
    print(f"idle server: {added / 1e6:.1f} MB above a bare one, {100 * share:.3f} % of a core")
    assert added < MEMORY_LIMIT_BYTES
    assert share < CPU_LIMIT_SHARE


def test_hosting_server_loads_no_data_library(tmp_path: Path, nq_store_dir: Path) -> None:
    """Datasets come and go, are listed and dropped, and the server still has no numpy, pandas or Arrow mapped."""
    with JupyterProcess(tmp_path / "nq", nq_store_dir) as server:
        server.kernel("a.ipynb").run(PUT)
        assert server.rest("GET", "jupyter-nq/datasets/a")["rows"] == 100
        server.rest("DELETE", "jupyter-nq/datasets/a")
        maps = Path(f"/proc/{server.pid}/maps").read_text()
    assert [library for library in HEAVY if library in maps] == []


def _resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) << 10


def _cpu_seconds(pid: int) -> float:
    """Return the time that all threads ran; finer than the clock ticks of /proc/pid/stat."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
