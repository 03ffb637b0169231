"""The demo's last page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from jupyter_nq.cli.demo import summary
from jupyter_nq.cli.demo.notebook_run import CellRun, NotebookRun
from jupyter_nq.cli.demo.run import _tell_kept

PARSED = "NQ.30min v1: 20,000 bars, 2023-01-01 23:00 to 2024-09-09 12:00 UTC, parsed in 412 ms\n  zone: UTC"
MAPPED = "NQ.30min v1: 20,000 bars, 2023-01-01 23:00 to 2024-09-09 12:00 UTC, mapped in 398 ms"


def _run(name: str, text: str, grown: int = 2 << 20) -> NotebookRun:
    cells = [
        CellRun("%nq_load NQ 30min as bars", text, 0.412, grown),
        CellRun("# Trend of the closes\nx = 1", "", 0.003, -(1 << 20)),
    ]
    return NotebookRun(Path(name), 12, cast(Any, None), cells, 40 << 20)


def test_notebook() -> None:
    """A notebook shows its cells in their own words, with time and memory."""
    lines = summary.notebook_table(_run("a.ipynb", PARSED)).splitlines()
    assert lines[0] == (
        "a.ipynb (pid 12): 2 cells in 415 ms, private memory 40.0 MiB before, 41.0 MiB after (+1.0 MiB)"
    )
    assert lines[2].split() == ["%nq_load", "NQ", "30min", "as", "bars", "412", "ms", "+2.0", "MiB"]
    assert lines[3].split() == ["Trend", "of", "the", "closes", "3.00", "ms", "-1.0", "MiB"]


def test_memory_that_shrank_has_one_sign() -> None:
    """A kernel that gave memory back shows a minus."""
    assert "(-3.0 MiB)" in summary.notebook_table(_run("a.ipynb", PARSED, -2 << 20)).splitlines()[0]


def test_loads() -> None:
    """Who parsed comes first, who mapped next, the later load last."""
    runs = [_run("a.ipynb", MAPPED), _run("b.ipynb", PARSED)]
    rows = [line.split("  ") for line in summary.load_table(runs, {"NQ.30min": 0.0009}).splitlines()[1:]]
    words = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert words == [
        ["NQ.30min", "b.ipynb", "parsed", "412 ms", "+2.0 MiB"],
        ["NQ.30min", "a.ipynb", "mapped", "398 ms", "+2.0 MiB"],
        ["NQ.30min", "again, afterwards", "mapped", "0.90 ms"],
    ]
    assert summary.parses(runs) == {"NQ.30min": 1}
    assert summary.parses([runs[0]]) == {"NQ.30min": 0}


def test_desk() -> None:
    """Shared bytes are counted once, copies once for each holder."""
    row = {"name": "x", "version": 2, "rows": 1000, "bytes": 1 << 20}
    held = {**row, "holders": [{"who": "a.ipynb"}, {"who": "b.ipynb"}]}
    text = summary.desk_table([held, {**row, "name": "y", "holders": []}])
    assert text.splitlines()[1].split() == ["x", "v2", "1,000", "1.0", "MiB", "a.ipynb,", "b.ipynb"]
    assert text.splitlines()[2].endswith("nobody")
    assert summary.shared_line([held]).startswith("1.0 MiB of shared memory")
    assert "2.0 MiB" in summary.shared_line([held])


def test_what_is_kept_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """`--keep` names every directory that stays, and how to remove the store."""
    _tell_kept(Path("/tmp/work"), Path("/dev/shm/store"), None)
    _tell_kept(Path("/tmp/work"), Path("/dev/shm/store"), "/my/bars")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Kept: /tmp/work (notebooks, bar files in data, server files)"
    assert lines[1].startswith("Kept: /dev/shm/store (the store; jupyter nq clean --store /dev/shm/store --yes")
    assert lines[2] == "Kept: /tmp/work (notebooks, server files)"
