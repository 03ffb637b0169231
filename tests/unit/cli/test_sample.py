"""`sample` writes the files that the reader knows."""

from __future__ import annotations

from pathlib import Path

from jupyter_nq.bars.sample import LAYOUTS
from jupyter_nq.cli.parser import _LAYOUTS

from .conftest import Run


def test_writes_and_lists(run: Run, tmp_path: Path) -> None:
    """Every file is listed; the same seed writes the same bytes, another one others."""
    where = tmp_path / "data"
    code, said, _ = run("sample", where, "--rows", "60")
    files = sorted(path.name for path in where.iterdir())
    assert code == 0
    assert all(name in said for name in files)
    assert "NQ - 30 min - ETH.csv" in files
    first = (where / "NQ - 30 min - ETH.csv").read_bytes()
    run("sample", where, "--rows", "60", "--force")
    assert (where / "NQ - 30 min - ETH.csv").read_bytes() == first
    run("sample", where, "--rows", "60", "--seed", "8", "--force")
    assert (where / "NQ - 30 min - ETH.csv").read_bytes() != first
    assert first.count(b"\n") == 61


def test_one_layout(run: Run, tmp_path: Path) -> None:
    """`--layout` writes only what was asked for, and its help names all layouts."""
    run("sample", tmp_path, "--rows", "10", "--layout", "iso", "--layout", "5min")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ES_30min.csv", "NQ - 5 min - ETH.csv"]
    assert [part.split()[0] for part in _LAYOUTS.split(", ")] == list(LAYOUTS)


def test_replaces_nothing(run: Run, tmp_path: Path) -> None:
    """A file that is there stays, and nothing is written beside it."""
    real = tmp_path / "NQ - 30 min - ETH.csv"
    real.write_text("mine")
    code, _, error = run("sample", tmp_path)
    assert code == 2
    assert "--force" in error
    assert [path.name for path in tmp_path.iterdir()] == [real.name]
    assert real.read_text() == "mine"


def test_wrong_use_is_one_line(run: Run, tmp_path: Path) -> None:
    """An unknown layout and a directory that cannot be made are one sentence each."""
    (tmp_path / "file").touch()
    for line in (["sample", tmp_path, "--layout", "30mn"], ["sample", "/proc/nowhere"], ["sample", tmp_path / "file"]):
        code, _, error = run(*line)
        assert code == 2
        assert error.startswith("jupyter nq: ")
        assert error.count("\n") == 1
        assert "Errno" not in error
