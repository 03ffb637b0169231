"""The magics about notebooks, typed into a real shell."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import jupyter_nq as nq
from jupyter_nq.client.records import Notebook
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
