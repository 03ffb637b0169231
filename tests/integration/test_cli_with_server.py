"""The commands in a plain terminal while a Jupyter server and a notebook work on the store."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from jupyter_nq.bars.sample import write_sample
from jupyter_nq.cli.demo.jupyter_server import JupyterServer
from jupyter_nq.cli.demo.notebook_run import attach
from jupyter_nq.testing import wait_until


@pytest.fixture
def server(tmp_path: Path, nq_store_dir: Path) -> Iterator[JupyterServer]:
    """Run a Jupyter server on sample data."""
    write_sample(tmp_path / "data", rows=500, layouts=["30min"])
    variables = {"JUPYTER_NQ_STORE": str(nq_store_dir), "JUPYTER_NQ_DATA": str(tmp_path / "data")}
    made = JupyterServer(tmp_path / "home", tmp_path, variables)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def nq(store: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does."""
    command = [sys.executable, "-m", "jupyter_nq.cli", *arguments, "--store", str(store)]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def load_in_a_notebook(server: JupyterServer, root: Path) -> int:
    """Load bars in a notebook's kernel, which keeps them; return its pid."""
    cells = [nbformat.v4.new_code_cell("%load_ext jupyter_nq"), nbformat.v4.new_code_cell("%nq_load NQ 30min as bars")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "book.ipynb")
    kernel_id = server.open_notebook("book.ipynb")
    pid = server.kernel_pid(kernel_id)

    async def run() -> None:
        book = attach(root / "book.ipynb", pid, server.runtime / f"kernel-{kernel_id}.json")
        try:
            await book.wait_ready()
            await book.execute(lambda _: None)
        finally:
            book.client.stop_channels()

    asyncio.run(run())
    return pid


def test_a_terminal_beside_a_server(server: JupyterServer, tmp_path: Path, nq_store_dir: Path) -> None:
    """A plain terminal sees the server as host and the notebook as holder, and cleans nothing that is held."""
    pid = load_in_a_notebook(server, tmp_path)

    def holders() -> list[dict[str, object]]:
        document = json.loads(nq(nq_store_dir, "ls", "--json").stdout)
        return [holder for dataset in document["datasets"] for holder in dataset["holders"] if holder["path"]]

    (holder,) = wait_until(holders, message="the notebook as a holder")
    assert (holder["who"], holder["path"], holder["pid"]) == ("book.ipynb", "book.ipynb", pid)
    assert "  book.ipynb\n" in nq(nq_store_dir, "ls").stdout
    assert f"jupyter server (pid {server.pid})" in nq(nq_store_dir, "status").stdout
    assert "answers in" in nq(nq_store_dir, "doctor").stdout
    cleaned = nq(nq_store_dir, "clean", "--yes")
    assert cleaned.returncode == 1
    assert "NQ.30min: held by book.ipynb\n" in cleaned.stdout
    server.stop()
    after = nq(nq_store_dir, "ls")
    assert "NQ.30min" in after.stdout
    assert "No coordinator runs here" in after.stdout
    assert nq(nq_store_dir, "clean", "--yes").returncode == 0
    assert not nq_store_dir.exists()


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    """`jupyter nq ... | head -0` ends quietly."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "jupyter_nq.cli", "status", "--store", str(tmp_path / "store")]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
