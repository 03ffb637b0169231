"""The main job with real servers, real kernels and plain scripts over one store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_nq.bars.sample import write_sample
from jupyter_nq.testing import wait_until
from tests.integration.jupyter_process import JupyterProcess, Kernel, script

ROWS = 20_000

LOADED = "%load_ext jupyter_nq\nimport jupyter_nq as nq"
ADDRESS = """
import numpy as np
def inside(frame, column):
    values = frame[column].array
    values = values.view("i8") if column == "timestamp" else values.to_numpy()
    at = values.__array_interface__["data"][0]
    spans = [line.split()[0].split("-") for line in open("/proc/self/maps") if "/obj/" in line]
    return any(int(low, 16) <= at < int(high, 16) for low, high in spans)
"""
RSS_ANON = 'int(next(l for l in open("/proc/self/status") if l.startswith("RssAnon")).split()[1]) * 1024'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory with generated bar files in the vendors' layouts."""
    directory = tmp_path / "data"
    write_sample(directory, rows=ROWS, seed=1)
    return directory


@pytest.fixture
def server(tmp_path: Path, nq_store_dir: Path, data: Path) -> Iterator[JupyterProcess]:
    """A running Jupyter server over a private store."""
    with JupyterProcess(tmp_path / "server", nq_store_dir, f"--NQApp.data_dir={data}") as running:
        yield running


def _load_extension(kernel: Kernel) -> Kernel:
    kernel.run(LOADED)
    return kernel


def test_second_kernel_maps_in_milliseconds_what_the_first_parsed(server: JupyterProcess) -> None:
    """The second `%nq_load` maps: fast, inside the shared segment, read-only, and it outlives the first kernel."""
    timed = "import time; start = time.perf_counter()\n%nq_load NQ 30min as bars\ntook = time.perf_counter() - start"
    first = _load_extension(server.kernel("execution.ipynb"))
    assert "parsed" in first.run(timed)
    second = _load_extension(server.kernel("risk.ipynb"))
    assert "mapped" in second.run(timed)
    parsed, mapped = (float(kernel.run("print(took)")) for kernel in (first, second))
    print(f"%nq_load, connection included: {parsed * 1e3:.1f} ms, in a second kernel {mapped * 1e3:.2f} ms")
    assert mapped < parsed / 5
    second.run(ADDRESS)
    assert second.run("print(all(inside(bars, c) for c in bars.columns))") == "True"
    refused = second.run("try:\n    bars.loc[0, 'close'] = 1.0\nexcept ValueError as exc:\n    print(exc)")
    assert "read-only" in refused
    wait_until(lambda: server.holders("NQ.30min") == {"execution.ipynb", "risk.ipynb"}, message="both holders")
    total = second.run("print(bars.close.sum())")
    os.kill(int(first.run("import os; print(os.getpid())")), signal.SIGKILL)
    assert second.run("print(bars.close.sum())") == total
    again = second.run("%nq_load NQ 30min as again\nprint(again.equals(bars))")
    assert again.endswith("True")


def test_a_gigabyte_costs_a_reader_almost_nothing(server: JupyterProcess) -> None:
    """Mapping a 1 GB object adds under 2 MB of private memory."""
    if os.statvfs("/dev/shm").f_bavail * os.statvfs("/dev/shm").f_frsize < 3 << 30:
        pytest.skip("needs 3 GB free in /dev/shm")
    writer = _load_extension(server.kernel("writer.ipynb"))
    writer.run("import numpy as np; nq.put('big', np.ones((8, 1 << 24)))")
    reader = _load_extension(server.kernel("reader.ipynb"))
    reader.run("import numpy as np; small = nq.put('small', np.ones(8)); small = nq.get('small', as_='numpy')")
    before = int(reader.run(f"print({RSS_ANON})"))
    reader.run("big = nq.get('big', as_='numpy'); total = big.sum()")
    grown = int(reader.run(f"print({RSS_ANON})")) - before
    assert reader.run("print(big.nbytes, total)") == f"{1 << 30} {float(1 << 27)}"
    print(f"private memory of a reader of 1 GB: {grown / 1e6:+.2f} MB")
    assert grown < 2 << 20


def test_eight_kernels_parse_once(server: JupyterProcess, tmp_path: Path) -> None:
    """Eight kernels that load at the same moment cause one parse; with the builder killed, one more."""
    big = tmp_path / "big"
    write_sample(big, rows=300_000, seed=2, layouts=["1min"])
    go = tmp_path / "go"
    code = (
        "import os\n"
        f"while not os.path.exists({str(go)!r}): pass\n"
        f"mapped = nq.connect().map('NQ', '1min', data_dir={str(big)!r})\n"
    )
    kernels = [_load_extension(server.kernel(f"k{i}.ipynb")) for i in range(8)]
    pids = {int(kernel.run("import os; print(os.getpid())")): kernel for kernel in kernels}
    for kernel in kernels:
        kernel.start(code)
    go.touch()
    builder = wait_until(lambda: _builder(server.store, pids), 30, "a kernel that builds")
    os.kill(builder, signal.SIGKILL)
    left = [kernel for pid, kernel in pids.items() if pid != builder]
    for kernel in left:
        kernel.finish()
    assert sorted(kernel.run("print(mapped.parsed)") for kernel in left) == ["False"] * 6 + ["True"]
    assert {kernel.run("print(mapped.handle.rows, mapped.handle.version)") for kernel in left} == {"300000 1"}


def _builder(store: Path, pids: dict[int, Kernel]) -> int | None:
    """Return the pid of the kernel that holds the build lock."""
    inodes = {str(path.stat().st_ino) for path in (store / "tmp").glob("*.build")}
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and words[5].split(":")[-1] in inodes and int(words[4]) in pids:
            return int(words[4])
    return None


FEED = """
import sys, time
import jupyter_nq as nq, numpy as np
held = nq.put("feed", np.arange(1000.0)) and nq.get("feed", as_="numpy")
for line in sys.stdin:
    word = line.strip()
    if word == "sum":
        print(held.sum(), flush=True)
    elif word == "host":
        print(nq.status().host, flush=True)
    elif word == "put":
        print(nq.put("late", np.ones(3)).version, flush=True)
"""


def _ask(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_script_hosts_hands_over_and_outlives_the_server(tmp_path: Path, nq_store_dir: Path, data: Path) -> None:
    """A script that was first hands over to the server, reads on across its kill -9, and meets the next one."""
    option = f"--NQApp.data_dir={data}"
    with script(FEED, tmp_path / "feed", nq_store_dir) as feed:
        assert _ask(feed, "host") == "feed.py"
        with JupyterProcess(tmp_path / "one", nq_store_dir, option) as one:
            wait_until(lambda: _ask(feed, "host") == "jupyter server", message="the hand-over")
            assert one.holders("feed") == {"feed.py"}
            kernel = _load_extension(one.kernel("execution.ipynb"))
            kernel.run("%nq_load NQ 30min as bars")
            identity = kernel.run("print(nq.connect().open('NQ.30min').info.id)")
            one.stop(signal.SIGKILL)
            assert _ask(feed, "sum") == "499500.0"
            assert _ask(feed, "put") == "1"
        with JupyterProcess(tmp_path / "two", nq_store_dir, option) as two:
            wait_until(lambda: "feed.py" in two.holders("feed"), message="the script's return by itself")
            assert _ask(feed, "host") == "jupyter server"
            kernel = _load_extension(two.kernel("execution.ipynb"))
            assert "mapped" in kernel.run("%nq_load NQ 30min as bars")
            assert kernel.run("print(nq.connect().open('NQ.30min').info.id)") == identity


def test_terminal_and_second_server_see_the_same_desk(
    server: JupyterProcess, tmp_path: Path, nq_store_dir: Path
) -> None:
    """`jupyter nq ls`, and the kernels and the panel of a second server of the user, show the same datasets."""
    first = _load_extension(server.kernel("execution.ipynb"))
    first.run("%nq_load NQ 30min as bars")
    with JupyterProcess(tmp_path / "other", nq_store_dir) as other:
        second = _load_extension(other.kernel("risk.ipynb"))
        assert second.run("print([d.name for d in nq.ls()])") == "['NQ.30min']"
        second.run("%nq_get NQ.30min as bars")
        both = {"execution.ipynb", "risk.ipynb"}
        wait_until(lambda: server.holders("NQ.30min") == both, message="both holders at the first server")
        wait_until(lambda: other.holders("NQ.30min") == both, message="both holders at the second server")
        command = [sys.executable, "-m", "jupyter_nq.cli", "--store", str(nq_store_dir), "ls", "--json"]
        listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    rows = listed["datasets"] if isinstance(listed, dict) else listed
    assert [row["name"] for row in rows] == ["NQ.30min"]
    assert {holder["who"] for holder in rows[0]["holders"]} == both


def test_kernel_of_a_base_install_shares_too(server: JupyterProcess, tmp_path: Path) -> None:
    """A kernel of another environment, with only the base install, loads, puts and is named."""
    python = os.environ.get("JUPYTER_NQ_BASE_PYTHON")
    if not python:
        pytest.skip("JUPYTER_NQ_BASE_PYTHON names no Python with a base install of jupyter-nq")
    first = _load_extension(server.kernel("execution.ipynb"))
    first.run("%nq_load NQ 30min as bars")
    server.install_kernel("base", python)
    other = _load_extension(server.kernel("base.ipynb", kernel_name="base"))
    assert other.run("import sys; print(sys.executable)") == python
    assert "mapped" in other.run("%nq_load NQ 30min as bars")
    other.run("%nq_put mine bars")
    other.run("%nq_load NQ 5min as five")
    assert first.run("print(nq.get('mine').equals(bars))") == "True"
    wait_until(lambda: "base.ipynb" in server.holders("NQ.5min"), message="the other environment's notebook by name")
    other.run("%nq_drop mine")
    assert "mine" not in first.run("print([d.name for d in nq.ls()])")
