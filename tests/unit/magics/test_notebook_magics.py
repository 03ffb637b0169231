"""The magics about notebooks, typed into a real shell."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

import pytest

import jupyter_nq as nq
from jupyter_nq.client.records import Notebook
from jupyter_nq.coordinator import notebooks
from jupyter_nq.testing import wait_until
from nq_magics.notebook_display import NotebooksView
from tests.unit.magics.conftest import Shell


def test_notebooks_are_listed(shell: Shell) -> None:
    """A row for each, with what it is, holds and publishes; the value is a sequence of notebooks."""
    shell.run("import jupyter_nq as nq; row = nq.register('execution_engine', 'execution', ['orders', 'hedges'])")
    shell.run("nq.put('limits', {'max': 3}); held = nq.connect().open('limits'); nq.stream('ticks').publish(b'x')")
    view = shell.run("%nq_notebooks").value
    assert isinstance(view, NotebooksView)
    head, line = repr(view).splitlines()
    assert head.split() == ["name", "type", "capabilities", "process", "since", "holds", "publishes", "reads"]
    assert line.startswith("execution_engine  execution  orders, hedges")
    assert f"(pid {os.getpid()})" in line
    assert line.split()[-2:] == ["limits", "ticks"]
    assert view[0] == nq.notebooks()[0]
    shell.run("held.close()")


def test_names_cannot_break_the_table() -> None:
    """Whatever a path or a capability holds: escaped in both forms."""
    row = Notebook("<b>\x1b.ipynb", 7, "k", "<b>\x1b.ipynb", (), None, None, ("<i>",), datetime.now(UTC))
    view = NotebooksView([row])
    assert "\x1b" not in repr(view)
    assert "&lt;b&gt;\\x1b.ipynb (pid 7)" in view._repr_html_()
    assert "<i>" not in view._repr_html_()
    assert repr(NotebooksView([])) == "Nobody is connected."


def test_a_variable_is_handed_over(shell: Shell) -> None:
    """To a notebook by its name, in one line with version and time; the target's inbox has it."""
    shell.run("import jupyter_nq as nq; nq.register('risk'); limits = {'max': 3}")
    assert shell.run("%nq_sync --accept").out.endswith(
        "everything that is handed over is accepted: nq.synced(name) returns what came\n"
    )
    out = shell.run("%nq_sync risk limits limits").out
    assert re.fullmatch(rf"risk \(pid {os.getpid()}\) holds limits v1 after [\d.]+ m?s\n", out)
    assert nq.synced("limits").data == {"max": 3}
    shell.run("nq.put('limits', {'max': 4})")
    assert "holds limits v2" in shell.run(f"%nq_sync {os.getpid()} limits --timeout 5").out
    assert nq.synced("limits").data == {"max": 4}


def test_an_accepted_variable_changes_between_two_cells(shell: Shell) -> None:
    """Never under the cell that runs: at the start of the next, with a line about it; what is there comes at once."""
    shell.run("import jupyter_nq as nq")
    assert "features becomes what comes, between two cells" in shell.run("%nq_sync --accept f as features").out
    same = "pid = __import__('os').getpid(); nq.sync(pid, 'f', {'x': 1})\nprint('features' in globals())"
    assert shell.run(same).out == "False\n"
    wait_until(lambda: nq.synced("f").version == 1)
    first = _next_cell(shell, 1)
    assert re.match(rf"features is f v1 now, from \S.* \(pid {os.getpid()}\)\n", first)
    assert shell.ip.user_ns["features"] == {"x": 1}
    shell.run("nq.sync(pid, 'f', {'x': 2}); nq.sync(pid, 'f', {'x': 3})")
    assert "features is f v3 now" in _next_cell(shell, 3)
    assert shell.ip.user_ns["features"] == {"x": 3}
    shell.run("%nq_sync --accept f as other")
    _next_cell(shell, 3)
    assert shell.ip.user_ns["other"] == {"x": 3}


def _next_cell(shell: Shell, version: int) -> str:
    """Run an empty cell once a version has come for its variable, and return what it printed."""
    magics = shell.ip.magics_manager.registry["NotebookMagics"]
    wait_until(lambda: any(arrival.version == version for arrival in magics._arrived.values()))
    return shell.run("pass").out


def test_unloading_ends_it(shell: Shell) -> None:
    """No variable changes after the extension is gone."""
    shell.run("%nq_sync --accept f as features")
    magics = shell.ip.magics_manager.registry["NotebookMagics"]
    magics.stop_all()
    nq.sync(os.getpid(), "f", {"x": 1})
    assert "features" not in shell.run("pass").out
    assert "features" not in shell.ip.user_ns


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%nq_sync", "Whom, and which dataset?"),
        ("%nq_sync risk", "Whom, and which dataset?"),
        ("%nq_sync risk limits as x", "Only --accept assigns a variable"),
        ("%nq_sync risk limits nothing", "There is no variable 'nothing'"),
        ("%nq_sync risk limits {1: 2}", "is not a variable"),
        ("%nq_sync --accept a b as x", "One variable is for one dataset"),
        ("%nq_sync --timeout soon risk limits", "soon"),
        ("%nq_sync rsik limits limits", "No notebook 'rsik' is connected. Did you mean 'risk'?"),
    ],
)
def test_what_cannot_be_done_is_told(shell: Shell, line: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one sentence, as a failed cell."""
    monkeypatch.setattr(notebooks, "SETTLING_SECONDS", 0.0)
    shell.run("import jupyter_nq as nq; nq.register('risk'); limits = {'max': 3}")
    ran = shell.run(line)
    assert ran.failed
    assert says in ran.err
