"""Notebooks of a real server that register, see each other, and hand data over while a cell blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_nq.testing import wait_until
from tests.integration.jupyter_process import JupyterProcess, Kernel

_BLOCKS = """
import pathlib
from jupyter_nq.testing import wait_until
pathlib.Path("blocked").touch()
wait_until(pathlib.Path("go").exists, 60)
assert "features" not in globals(), "no variable changes under a running cell"
"""
_FRAME = "import pandas as pd\nframe = pd.DataFrame({'close': [1.5, 2.5, 3.5]})"


@pytest.fixture
def server(nq_store_dir: Path, tmp_path: Path) -> Iterator[JupyterProcess]:
    """Give a server that hosts the store."""
    with JupyterProcess(tmp_path, nq_store_dir) as running:
        yield running


def _notebook(server: JupyterProcess, path: str) -> Kernel:
    kernel = server.kernel(path)
    kernel.run("%load_ext jupyter_nq")
    kernel.run("import jupyter_nq as nq")
    return kernel


def test_a_notebook_gets_data_while_its_cell_blocks(server: JupyterProcess) -> None:
    """By its registered name and by its path; its variable changes when the next cell begins, and not before."""
    execution, risk = _notebook(server, "execution.ipynb"), _notebook(server, "risk.ipynb")
    execution.run(_FRAME)
    risk.run("row = nq.register('risk_management', 'risk', ['limits'])")
    risk.run("%nq_sync --accept features as features")
    risk.start(_BLOCKS)
    for version, target in enumerate(("risk_management", "risk.ipynb"), start=1):
        said = execution.run(f"%nq_sync {target} features frame")
        assert re.search(rf"{target} \(pid \d+\) holds features v{version} after [\d.]+ m?s", said), said
    assert "risk.ipynb" in server.holders("features")
    wait_until(lambda: server.holders("features") == {"risk.ipynb"}, message="the sender to have let go")
    listed = execution.run("print(*[(n.name, n.type, n.path, n.holds) for n in nq.notebooks() if n.type], sep='\\n')")
    assert listed == "('risk_management', 'risk', 'risk.ipynb', ('features',))"
    (server.root / "go").touch()
    risk.finish()
    said = risk.run("print(list(features['close']), features['close'].to_numpy().flags.writeable)")
    assert re.match(r"features is features v2 now, from execution\.ipynb \(pid \d+\)\n\[1\.5, 2\.5, 3\.5\] False", said)


def test_a_notebook_that_ends_is_known_no_longer(server: JupyterProcess) -> None:
    """Its name is free, and who hands something to it is told who is there."""
    execution, risk = _notebook(server, "execution.ipynb"), _notebook(server, "risk.ipynb")
    risk.run("row = nq.register('risk_management')")
    with pytest.raises(AssertionError, match="NameTaken"):
        execution.run("nq.register('risk_management')")
    server.rest("DELETE", f"api/sessions/{risk.session}")
    told = "try:\n    nq.sync('risk_management', 'd', 1)\nexcept nq.NQError as exc:\n    print(type(exc).__name__, exc)"
    assert execution.run(told).startswith("UnknownNotebook No notebook 'risk_management' is connected.")
    assert execution.run("print(nq.register('risk_management').name)") == "risk_management"
