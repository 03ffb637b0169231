"""The magics in real kernels, over their message protocol: outputs, errors, interrupt, completion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from jupyter_nq.bars.sample import write_sample
from jupyter_nq.testing import wait_until
from tests.integration.lone_kernel import SECONDS, Kernel, running

_ROWS = 20_000
_MANY_ROWS = 600_000  # parsing them takes long enough to be interrupted


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give sample files in the vendors' layouts."""
    directory = tmp_path_factory.mktemp("data")
    write_sample(directory, rows=_ROWS, seed=3)
    return directory


@pytest.fixture
def kernels(nq_store_dir: Path, data_dir: Path) -> Iterator[tuple[Kernel, Kernel]]:
    """Give two kernels on one store."""
    with running(nq_store_dir, data_dir, (None, None)) as (first, second):
        yield first, second


def test_one_kernel_parses_and_the_other_maps(kernels: tuple[Kernel, Kernel]) -> None:
    """The second kernel's load is one line, in milliseconds, and both see each other on the desk."""
    first, second = kernels
    parsed = first.run("%nq_load NQ 30min as bars\nprint(len(bars), bars.timestamp.is_monotonic_increasing)")
    assert re.search(rf"^NQ\.30min v1: {_ROWS:,} bars, .* UTC, parsed in", parsed.out, re.MULTILINE), parsed
    assert f"{_ROWS} True" in parsed.out
    timed = second.run(
        "import time; wall, cpu = time.perf_counter(), time.thread_time()\n%nq_load NQ 30min as bars\n"
        "print(time.perf_counter() - wall, time.thread_time() - cpu)"
    )
    assert "v1" in timed.out
    assert "mapped in" in timed.out
    assert len(timed.out.splitlines()) == 2
    wall, cpu = map(float, timed.out.splitlines()[-1].split())
    print(f"\nwarm %nq_load in a second kernel: {wall * 1e3:.1f} ms, of which this thread computed {cpu * 1e3:.1f} ms")
    assert cpu < 0.05  # ten times the budget; the wall clock also counts what else the machine does
    assert "<table>" in second.run("%nq").results[0]["text/html"]
    wait_until(  # a process announces what it holds within some 20 ms; two holders and one host have a pid
        lambda: second.run("%nq").results[0]["text/plain"].count("(pid ") == 3,
        message="both kernels to be shown as holders",
    )


def test_errors_are_one_line_on_stderr(kernels: tuple[Kernel, Kernel]) -> None:
    """A notebook shows `UsageError: ...`, the cell counts as failed, and there is no traceback."""
    kernel, _ = kernels
    for line, says in (
        ("%nq_load NQ soon as bars", "soon"),
        ("%nq_get nothing as bars", "nothing"),
        ('%nq_put "a b" kernel', "variable"),
        ("%nq_status --require server", "server"),
    ):
        failed = kernel.run(line)
        lines = [text for text in failed.err.splitlines() if text]
        assert failed.status == "error"
        assert failed.tracebacks == []
        assert len(lines) == 1, failed
        assert lines[0].startswith("UsageError: ")
        assert says in lines[0]
    assert "NameError" in kernel.run("bars").tracebacks[0]


def test_an_interrupt_cancels_a_load(kernels: tuple[Kernel, Kernel], nq_store_dir: Path, tmp_path: Path) -> None:
    """The stop button during a parse: one line, a failed cell, no variable, nothing new in the store."""
    kernel, other = kernels
    write_sample(tmp_path, rows=_MANY_ROWS, seed=3, layouts=["1min"])
    kernel.run("%config NQMagics.progress_after_seconds = 0")
    before = _objects(nq_store_dir)
    line = f'%nq_load NQ 1min as bars --data-dir "{tmp_path}"'
    stopped = kernel.run(line, interrupt_at="%")
    assert stopped.status == "error"
    assert stopped.tracebacks == []
    assert stopped.err.split("\r")[-1].strip() == "UsageError: interrupted: nothing was shared"
    assert "NameError" in kernel.run("bars").tracebacks[0]
    assert _objects(nq_store_dir) == before
    assert f"{_MANY_ROWS:,} bars" in other.run(line).out


def test_the_lab_completes(kernels: tuple[Kernel, Kernel]) -> None:
    """Tab in a cell goes through the kernel's protocol, also on the second line and after `=`."""
    first, second = kernels
    first.run("import numpy as np\na = np.ones(3)\n%nq_put signals a")
    assert second.complete("%nq_get sig") == ["signals"]
    assert second.complete("x = 1\ny = %nq_get sig") == ["signals"]
    assert second.complete("%nq_load NQ --ed") == ["--edge"]


def test_help_opens_in_the_pager(kernels: tuple[Kernel, Kernel]) -> None:
    """`%nq_load?` shows usage and examples."""
    kernel, _ = kernels
    found = kernel._client.inspect("%nq_load", reply=True, timeout=SECONDS)["content"]
    assert "[PATH|SYMBOL] [TIMEFRAME] [as VAR]" in found["data"]["text/plain"]


def test_a_notebook_runs(nq_store_dir: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole notebook under nbclient, and its saved outputs."""
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(data_dir))
    cells = ["%load_ext jupyter_nq", "%nq_load NQ 30min as bars", "%nq_put closes bars", "%nq_ls", "%nq_drop closes"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    NotebookClient(notebook, timeout=SECONDS).execute()
    printed = ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]
    assert notebook.cells[0].outputs == []
    assert f"NQ.30min v1: {_ROWS:,} bars" in printed[1]
    assert "closes v1" in printed[2]
    assert "NQ.30min" in notebook.cells[3].outputs[0].data["text/html"]
    assert "closes is dropped" in printed[4]


def _objects(store: Path) -> set[str]:
    found = {str(p.relative_to(store)) for name in ("obj", "names", "tmp") for p in (store / name).glob("*")}
    return {path for path in found if not path.endswith(".build")}
