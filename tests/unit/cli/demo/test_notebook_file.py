"""Notebook files: the examples are sound, and what the demo writes is a valid notebook."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from jupyter_nq.cli.demo import notebook_file
from jupyter_nq.cli.demo.place import FINE, NOTEBOOKS, copy_notebooks, examples


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_examples_are_committed_without_outputs(name: str) -> None:
    """The example notebooks are valid, start clean, and say what each code cell does."""
    book = nbformat.read(examples() / name, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert all(cell.source.startswith(("# ", "%")) for cell in code)
    assert len({cell.id for cell in book.cells}) == len(book.cells)


def test_copies(tmp_path: Path) -> None:
    """A copy is the example itself, or sets another timeframe behind the parameters."""
    for copy in copy_notebooks(tmp_path, FINE):
        assert notebook_file.read(copy) == notebook_file.read(examples() / copy.name)
    for copy in copy_notebooks(tmp_path, "30min"):
        nbformat.validate(nbformat.read(copy, as_version=4))
        sources = [cell["source"] for cell in notebook_file.code_cells(notebook_file.read(copy))]
        assert "fine_timeframe = " in sources[0]
        assert sources[1] == "fine_timeframe = '30min'"


def test_outputs_are_valid(tmp_path: Path) -> None:
    """Each kind of message becomes an output that the format allows; others show nothing."""
    contents = {
        "stream": {"name": "stdout", "text": "hi\n"},
        "display_data": {"data": {"text/html": "<p>"}, "metadata": {}, "transient": {}},
        "execute_result": {"data": {"text/plain": "3"}, "metadata": {}, "execution_count": 1},
        "error": {"ename": "E", "evalue": "v", "traceback": ["E: v"]},
        "comm_open": {},
    }
    outputs = [found for kind, content in contents.items() if (found := notebook_file.output(kind, content))]
    book = notebook_file.read(examples() / NOTEBOOKS[0])
    notebook_file.code_cells(book)[0]["outputs"] = outputs
    notebook_file.write(book, tmp_path / "a.ipynb")
    nbformat.validate(nbformat.read(tmp_path / "a.ipynb", as_version=4))
    assert notebook_file.plain_text(outputs) == "hi\n3"
