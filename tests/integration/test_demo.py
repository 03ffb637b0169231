"""`jupyter nq demo`, whole: a real server, two real kernels, and nothing left at the end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import psutil
import pytest

from jupyter_nq.bars.sample import write_sample
from jupyter_nq.cli import main
from jupyter_nq.testing import wait_until


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Send the demo's temporary files to a directory of the test, and spoil the user's Jupyter."""
    made, user = tmp_path / "scratch", tmp_path / "user"
    made.mkdir()
    user.mkdir()
    for name in ("jupyter_config.py", "jupyter_server_config.py", "ipython_config.py"):
        (user / name).write_text("raise SystemExit('the configuration of the user was read')")
    (user / "jupyter_nq.yaml").write_text("nonsense: 1\n")
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH", "IPYTHONDIR", "JUPYTER_PATH"):
        monkeypatch.setenv(name, str(user))
    monkeypatch.setenv("JUPYTER_NQ_CONFIG", str(user / "jupyter_nq.yaml"))
    monkeypatch.setenv("JUPYTER_PORT", "1")
    monkeypatch.setenv("TMPDIR", str(made))
    monkeypatch.setattr("tempfile.tempdir", str(made))
    return made


def started_for(store: Path) -> list[psutil.Process]:
    """Return the processes whose environment names the store: the demo's server and kernels."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("JUPYTER_NQ_STORE") == str(store):
                found.append(process)
        except psutil.Error:
            continue  # it ended meanwhile, or is not ours
    return found


@contextmanager
def demo(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run the demo as a user does; it is ended politely if the test does not end it."""
    command = [sys.executable, "-m", "jupyter_nq.cli", "demo", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def read_until(process: subprocess.Popen[str], line: str) -> None:
    """Read what the demo prints, up to a line that holds the text."""
    assert process.stdout is not None
    assert process.stderr is not None
    while line not in (said := process.stdout.readline()):
        assert said, process.stderr.read()


def test_the_main_job(scratch: Path, nq_tmpfs: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """In a store of 64 MB both notebooks run at once, one parses, both map, and nothing stays."""
    store = nq_tmpfs("64m")
    assert main(["demo", "--store", str(store), "--rows", "3000"]) == 0
    said = capsys.readouterr().out
    for name in map(re.escape, ("NQ.30min", "NQ.5min")):
        assert len(re.findall(rf"{name} +\w+\.ipynb +parsed", said)) == 1
        assert len(re.findall(rf"{name} +\w+\.ipynb +mapped", said)) == 1
        assert re.search(rf"{name} .* execution_engine.ipynb, risk_management.ipynb\n", said)
    assert re.search(r"signals +v1 +2,940 .* risk_management.ipynb", said)
    assert len(re.findall(r"private memory [\d.]+ MiB before, [\d.]+ MiB after", said)) == 2
    assert "counted once" in said
    assert "Everything that was started is stopped." in said
    assert list(scratch.iterdir()) == []
    assert list(store.iterdir()) == []
    assert started_for(store) == []


def test_a_notebook_that_fails(
    scratch: Path, nq_store_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cell's error is the demo's: exit code 1 with its text, and nothing stays."""
    data = tmp_path / "data"
    write_sample(data, rows=500, layouts=["30min", "5min"])
    (data / "NQ - 5 min - ETH.csv").write_text("Timestamp,Open,High,Low,Close,Volume\nbroken,1,1,1,1,1\n")
    assert main(["demo", "--store", str(nq_store_dir), "--data", str(data)]) == 1
    error = capsys.readouterr().err
    assert "ipynb failed:\n%nq_load NQ {fine_timeframe} as fine" in error
    assert "UsageError" in error
    assert list(scratch.iterdir()) == []
    assert list(nq_store_dir.iterdir()) == []
    assert started_for(nq_store_dir) == []


@pytest.mark.parametrize("line", ["Jupyter server", "two kernels", "%nq_load NQ 30min"])
def test_interrupted(scratch: Path, nq_store_dir: Path, line: str) -> None:
    """Ctrl-C at any time stops the server and its kernels and removes the files."""
    with demo("--store", nq_store_dir, "--rows", "3000") as process:
        read_until(process, line)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in error
    assert "Traceback" not in error
    assert list(scratch.iterdir()) == []
    assert list(nq_store_dir.iterdir()) == []
    assert started_for(nq_store_dir) == []


def test_interrupted_while_the_server_starts(scratch: Path, nq_store_dir: Path) -> None:
    """A polite kill before the server answers stops it too."""
    with demo("--store", nq_store_dir, "--rows", "3000") as process:
        wait_until(lambda: started_for(nq_store_dir), timeout=60, message="the server's process")
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(scratch.iterdir()) == []
    assert started_for(nq_store_dir) == []


def test_kept_with_own_files(
    scratch: Path, nq_store_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--data` with one timeframe is enough; `--keep` leaves executed notebooks and a store to look at."""
    data = tmp_path / "data"
    write_sample(data, rows=2000, layouts=["30min"])
    store = nq_store_dir / "s"
    assert main(["demo", "--keep", "--store", str(store), "--data", str(data)]) == 0
    (work,) = scratch.iterdir()
    for path in work.glob("*.ipynb"):
        book = nbformat.read(path, as_version=4)
        nbformat.validate(book)
        assert any(cell.outputs for cell in book.cells if cell.cell_type == "code")
    assert len(list(work.glob("*.ipynb"))) == 2
    assert started_for(store) == []
    assert main(["demo", "--store", str(store)]) == 2
    assert "The demo needs a store of its own" in capsys.readouterr().err
