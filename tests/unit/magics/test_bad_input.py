"""Bad input: a sentence that says what to do, no traceback, and nothing left in namespace or store."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import jupyter_nq as nq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.magics.conftest import Shell

HEAD = "Timestamp,Open,High,Low,Close,Volume\n"


@pytest.fixture
def files(tmp_path: Path, sample_dir: Path) -> Path:
    """Give a directory of files that cannot be loaded without a question."""
    directory = tmp_path / "bad"
    directory.mkdir()
    (directory / "NQ_empty_5min.csv").touch()
    (directory / "binary.csv").write_bytes(bytes(range(256)) * 64)
    rows = "".join(f"03/04/2024 {hour:02}:00:00,100,101,99,100.5,7\n" for hour in range(10, 20))
    (directory / "either.csv").write_text(HEAD + rows)
    two = directory / "two"
    two.mkdir()
    for name in ("NQ_30min.csv", "NQ - 30 min - ETH.csv"):
        shutil.copy(sample_dir / "NQ - 30 min - ETH.csv", two / name)
    return directory


CASES = {
    "missing directory": ("%nq_load NQ 30min as bars --data-dir /nowhere", "/nowhere"),
    "missing file": ("%nq_load {files}/no such file.csv as bars", "no such file.csv"),
    "no matching file": ("%nq_load ZB 30min as bars", "ZB"),
    "several matching files": ("%nq_load NQ 30min as bars --data-dir {files}/two", "NQ_30min.csv"),
    "empty file": ("%nq_load {files}/NQ_empty_5min.csv as bars --symbol NQ", "NQ_empty_5min.csv"),
    "unreadable file": ("%nq_load {files}/binary.csv 30min as bars --symbol NQ", "binary.csv"),
    "ambiguous day order": ("%nq_load {files}/either.csv 1h as bars --symbol NQ", "either.csv"),
    "unknown symbol": ("%nq_load QN 30min as bars", "QN"),
    "unknown timeframe": ("%nq_load NQ soon as bars", "soon"),
    "timeframe without file": ("%nq_load NQ 7min as bars", "7min"),
    "unknown zone": ("%nq_load NQ 30min as bars --tz Mars/Olympus", "Mars/Olympus"),
    "bad edge": ("%nq_load NQ 30min as bars --edge middle", "middle"),
    "bad form": ("%nq_load NQ 30min as bars --as excel", "excel"),
    "bad date": ("%nq_load NQ 30min as bars --start soon", "soon"),
    "bad variable": ("%nq_load NQ 30min as class", "class"),
    "unknown option": ("%nq_load NQ 30min as bars --fast", "--fast"),
    "unknown dataset": ("%nq_get sginals as s", "signals"),
    "unknown version": ("%nq_get signals as s --version 9", "9"),
    "unknown column": ("%nq_get signals as s --columns colse", "colse"),
    "dropping what is not there": ("%nq_drop sginals", "signals"),
    "name with a slash": ("%nq_put ../x frame", "../x"),
    "name with a space": ('%nq_put "a b" frame', "a b"),
    "name to drop": ("%nq_drop ../x", "../x"),
    "unknown variable": ("%nq_put x fraem", "frame"),
    "unsupported data": ("%nq_put x words", "words"),
    "no server": ("%nq_status --require server", "server"),
    "missing argument": ("%nq_put x", "VAR"),
    "argument too many": ("%nq_ls all", "all"),
    "two timeframes": ("%nq_load NQ 30min 5min", "Two timeframes"),
    "word too many": ("%nq_load NQ 30min bars", "write `as bars`"),
    "into": ("%nq_load NQ 30min into bars", "write `as bars`"),
    "as with an equals sign": ("%nq_load NQ 30min as=bars", "`as bars`"),
    "columns with a space": ("%nq_load NQ 30min as bars --columns timestamp close", "write --columns timestamp,close"),
    "both day orders": ("%nq_load NQ 30min as bars --day-first --month-first", "exclude each other"),
    "two symbols": ("%nq_load ES 30min as bars --symbol NQ", "Two symbols"),
    "wrong timeframe": ("%nq_load {files}/either.csv 30min --symbol NQ --day-first", "Pass the timeframe that"),
    "an expression to share": ("%nq_put x frame.close", "nq.put('x', frame.close)"),
    "one of several names": ("%nq_drop signals sginals", "signals"),
    "desk with a word": ("%nq ls", "ls"),
}


@pytest.fixture
def prepared(shell: Shell, files: Path) -> Shell:
    """Give a shell with variables and one dataset."""
    shell.run("import numpy as np, pandas as pd\nframe = pd.DataFrame({'close': np.arange(9.0)})")
    shell.run("words = pd.DataFrame({'words': [('a', 1), ('b', 2)]})\n%nq_put signals frame")
    shell.ip.user_ns["files"] = str(files)
    return shell


@pytest.mark.parametrize(("line", "says"), CASES.values(), ids=CASES.keys())
def test_bad_input_is_one_line_and_leaves_nothing(prepared: Shell, line: str, says: str) -> None:
    """What is wrong is named in one line; variables and store are as before."""
    assert_refused(prepared, line, says)


def assert_refused(shell: Shell, line: str, says: str) -> None:
    """Run a line that must fail cleanly."""
    variables, stored = public(shell), shell.stored()
    ran = shell.run(line)
    assert ran.failed
    assert ran.err.startswith("UsageError: ")
    assert len(ran.err.splitlines()) == 1 or "both are possible:\n" in ran.err  # candidates stand side by side
    assert says in ran.err
    assert "Traceback" not in ran.out + ran.err
    assert public(shell) == variables
    assert shell.stored() == stored


def public(shell: Shell) -> set[str]:
    """Return the names of the user's variables."""
    return {name for name in shell.ip.user_ns if not name.startswith("_")}


def test_a_foreign_store_directory_is_refused(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that holds something else stays as it is."""
    (tmp_path / "photos").mkdir(mode=0o700)
    (tmp_path / "photos" / "a.jpg").touch()
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(tmp_path / "photos"))
    assert_refused(shell, "%nq_load NQ 30min as bars", "photos")
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["a.jpg"]


def test_a_quota_is_refused_before_anything_is_written(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the limit."""
    settings = tmp_path / "jupyter_nq.yaml"
    settings.write_text("pool_bytes: 20000\n")
    monkeypatch.setenv("JUPYTER_NQ_CONFIG", str(settings))
    shell.run("%nq_status")
    assert_refused(shell, "%nq_load NQ 30min as bars", "19.5 KiB")


@pytest.fixture
def tiny_store(nq_store_dir: Path) -> Iterator[Path]:
    """Give a store directory in a file system of 128 KiB."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k,mode=0700", "tmpfs", nq_store_dir], check=False)
    if made.returncode:
        pytest.skip("mounting a tmpfs needs the right to mount")
    yield nq_store_dir
    nq.disconnect()
    subprocess.run(["umount", "--lazy", nq_store_dir], check=True)


def test_a_tiny_store_is_refused(tiny_store: Path, shell: Shell) -> None:
    """A file system without room is an error in words, not a dead kernel."""
    shell.run("%nq_status")
    shell.ip.user_ns["big"] = np.zeros(1 << 20)
    assert_refused(shell, "%nq_load NQ 30min as bars", "NQ.30min")
    assert_refused(shell, "%nq_put big big", "big")


def test_an_unknown_setting_is_named(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first magic of a kernel with a wrong settings file says which line is wrong."""
    settings = tmp_path / "jupyter_nq.yaml"
    settings.write_text("pool_byte: 1\n")
    monkeypatch.setenv("JUPYTER_NQ_CONFIG", str(settings))
    assert_refused(shell, "%nq_status", "Did you mean 'pool_bytes'")
