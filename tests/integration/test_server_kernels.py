"""Two real kernels under a real server: the coordinator knows which process is which notebook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_nq.testing import wait_until
from tests.integration.jupyter_process import JupyterProcess

PUT = """
import numpy as np
import jupyter_nq as nq
print(nq.put("signals", {"close": np.arange(1000.0)}).version)
"""
GET = """
import jupyter_nq as nq
frame = nq.get("signals")
print(len(frame))
"""


@pytest.fixture
def server(tmp_path: Path, nq_store_dir: Path) -> Iterator[JupyterProcess]:
    """Give a running server on a private store."""
    with JupyterProcess(tmp_path / "a", nq_store_dir) as server:
        yield server


def test_holders_are_shown_by_their_notebooks(server: JupyterProcess) -> None:
    """Two notebooks hold one dataset; both names appear, a rename is followed, a shutdown lets go."""
    engine, risk = server.kernel("desk/engine.ipynb"), server.kernel("risk.ipynb")
    assert engine.run(PUT) == "1"
    assert risk.run(GET) == "1000"
    assert engine.run(GET) == "1000"
    wait_until(lambda: server.holders("signals") == {"engine.ipynb", "risk.ipynb"}, 20, "both notebooks")

    (row,) = server.rest("GET", "jupyter-nq/datasets")
    by_path = {holder["path"]: holder for holder in row["holders"]}
    assert by_path["desk/engine.ipynb"]["kernel_id"] == engine.id
    assert by_path["risk.ipynb"]["pid"] == int(risk.run("import os; print(os.getpid())"))

    renamed = {"path": "limits.ipynb", "name": "limits.ipynb"}
    server.rest("PATCH", f"api/sessions/{risk.session}", renamed)
    wait_until(lambda: server.holders("signals") == {"engine.ipynb", "limits.ipynb"}, 20, "the new name")

    server.rest("DELETE", f"api/sessions/{risk.session}")
    wait_until(lambda: server.holders("signals") == {"engine.ipynb"}, 20, "the holder to leave")


def test_load_cell_of_the_panel_runs(server: JupyterProcess) -> None:
    """The text that the panel inserts loads the dataset in another kernel."""
    server.kernel("a.ipynb").run(PUT)
    cell = server.rest("GET", "jupyter-nq/datasets/signals")["load"]
    other = server.kernel("b.ipynb")
    other.run(cell)
    assert other.run("print(len(signals))") == "1000"


def test_child_of_a_kernel_counts_as_its_notebook(server: JupyterProcess) -> None:
    """A subprocess of a notebook is shown under the notebook's name."""
    kernel = server.kernel("a.ipynb")
    kernel.run(PUT)
    kernel.run(
        "import subprocess, sys\n"
        "code = \"import jupyter_nq as nq; frame = nq.get('signals'); print('held', flush=True); input()\"\n"
        "child = subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()"
    )
    wait_until(lambda: server.holders("signals") == {"a.ipynb"}, 20, "the notebook's name")
    kernel.run("child.communicate(b'x')")
    wait_until(lambda: server.holders("signals") == set(), 20, "the child to leave")


def test_kernel_that_greets_before_the_server_looked_is_named(tmp_path: Path, nq_store_dir: Path) -> None:
    """The coordinator asks the servers about a process that it does not know: nobody waits for the next look."""
    with JupyterProcess(tmp_path / "a", nq_store_dir, "--NQApp.identity_seconds=3600") as server:
        kernel = server.kernel("a.ipynb")
        kernel.run(PUT)
        kernel.run(GET)
        wait_until(lambda: server.holders("signals") == {"a.ipynb"}, 20, "the notebook's name")
