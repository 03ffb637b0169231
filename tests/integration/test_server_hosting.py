"""Which process hosts the coordinator as servers come and go, and what a server does that cannot."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from jupyter_nq.testing import wait_until
from tests.integration.jupyter_process import Answer, JupyterProcess, script

HOLD = """
import sys
import numpy as np
import jupyter_nq as nq
nq.put("feed", np.arange(10.0))
held = nq.get("feed", as_="numpy")
print("ready", flush=True)
for line in sys.stdin:
    print(nq.status().host_pid, flush=True)
"""


def _host(server: JupyterProcess) -> int:
    try:
        return int(server.rest("GET", "jupyter-nq/status")["host"]["pid"])
    except Answer as exc:
        if exc.code != 503:
            raise
        return 0


def _ask(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("host\n")
    process.stdin.flush()
    return int(process.stdout.readline())


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_second_server_takes_over_from_the_first(tmp_path: Path, nq_store_dir: Path, end: signal.Signals) -> None:
    """The second is a client of the first; when that ends, however it ends, the second hosts and names go on."""
    with JupyterProcess(tmp_path / "one", nq_store_dir) as one, JupyterProcess(tmp_path / "two", nq_store_dir) as two:
        kernel = two.kernel("risk.ipynb")
        kernel.run("import numpy as np, jupyter_nq as nq; nq.put('a', np.ones(9)); held = nq.get('a', as_='numpy')")
        assert (_host(one), _host(two)) == (one.pid, one.pid)
        wait_until(lambda: one.holders("a") == {"risk.ipynb"}, 20, "the second server's notebook at the first")
        one.stop(end)
        wait_until(lambda: _host(two) == two.pid, 20, "the second server to host")
        wait_until(lambda: two.holders("a") == {"risk.ipynb"}, 20, "the kernel's return by itself")
        assert kernel.run("print(held.sum())") == "9.0"


def test_script_hosts_again_when_the_server_ends(tmp_path: Path, nq_store_dir: Path) -> None:
    """A server takes the coordinator from a script; the script takes it back when the server is killed."""
    with script(HOLD, tmp_path / "feed", nq_store_dir) as feed:
        assert feed.stdout is not None
        assert feed.stdout.readline() == "ready\n"
        assert _ask(feed) == feed.pid
        with JupyterProcess(tmp_path / "one", nq_store_dir) as one:
            wait_until(lambda: _ask(feed) == one.pid, 20, "the hand-over")
            wait_until(lambda: one.holders("feed") == {"feed.py"}, 20, "the script by its program")
            one.stop(signal.SIGKILL)
            assert _ask(feed) == feed.pid


def test_server_lives_on_without_a_store(tmp_path: Path) -> None:
    """A foreign directory costs one error in the log and a 503; kernels start, and the server heals by itself."""
    foreign = tmp_path / "s"
    foreign.mkdir(mode=0o700)
    (foreign / "thesis.txt").write_text("mine")
    with JupyterProcess(tmp_path / "one", foreign) as server:
        with pytest.raises(Answer) as caught:
            server.rest("GET", "jupyter-nq/datasets")
        assert (caught.value.code, caught.value.body["reason"]) == (503, "StoreError")
        assert server.kernel("a.ipynb").run("print(1)") == "1"
        assert len(re.findall("jupyter-nq shares nothing", server.log)) == 1
        assert "Traceback" not in server.log
        (foreign / "thesis.txt").unlink()
        wait_until(lambda: _host(server) == server.pid, 20, "the server to host after all")
        assert "jupyter-nq shares again." in server.log


def test_port_and_url_of_a_server_do_not_matter(tmp_path: Path, nq_store_dir: Path) -> None:
    """The store is the address: a server under another base_url serves the same desk."""
    with JupyterProcess(tmp_path / "one", nq_store_dir, base_url="/user/n.q~1/") as server:
        assert _host(server) == server.pid
        assert server.rest("GET", "jupyter-nq/datasets") == []
