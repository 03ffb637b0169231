"""`rotate`: the copies of a store get the current master key, with a coordinator or after a restart without."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import ColdCopies, new_key
from jupyter_nq.cli.rotate import _show
from jupyter_nq.client.session import Session
from jupyter_nq.config import load_settings

from .conftest import Run


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a configured key file with one key, and a disk."""
    monkeypatch.setenv("JUPYTER_NQ_SPILL", str(tmp_path / "disk"))
    monkeypatch.delenv("JUPYTER_NQ_KEY", raising=False)
    path, settings = tmp_path / "keys", tmp_path / "jupyter_nq.yaml"
    path.touch(mode=0o600)
    path.write_text(new_key() + "\n")
    settings.write_text(f"key_file: {path}\n")
    monkeypatch.setenv("JUPYTER_NQ_CONFIG", str(settings))
    return path


def _fill(store: Path, keys: Path) -> None:
    with Session(settings=load_settings(store_dir=str(store), key_file=str(keys))) as session:
        session.put("limits", np.arange(10), durable=True)


def test_a_new_key(run: Run, nq_store_dir: Path, keys: Path, tmp_path: Path) -> None:
    """The summary is printed, and a second run has nothing to do."""
    _fill(nq_store_dir, keys)
    new = new_key()
    keys.write_text(f"{new}\n{keys.read_text()}")
    code, said, error = run("rotate", "--store", nq_store_dir)
    assert (code, error) == (0, "")
    assert f"Master key {new.partition(':')[0]}: 1 sealed (" in said
    (directory,) = (path for path in (tmp_path / "disk").rglob("*.cold"))
    assert [info.key_id for info in ColdCopies(directory.parent).scan()] == [new.partition(":")[0]]
    assert "0 sealed (0 B), 1 had it already" in run("rotate", "--store", nq_store_dir)[1]


def test_a_key_that_is_lost(run: Run, nq_store_dir: Path, keys: Path) -> None:
    """Exit code 1, and the copy is named with the key that it needs."""
    _fill(nq_store_dir, keys)
    keys.write_text(new_key())
    code, said, _ = run("rotate", "--store", nq_store_dir)
    assert code == 1
    assert "refused   limits v1: The master key" in said


def test_no_key_and_no_copies(run: Run, nq_store_dir: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without copies there is nothing to do; with some and without a key it says where keys go."""
    code, said, _ = run("rotate", "--store", nq_store_dir)
    assert (code, "nothing was written to the disk" in said) == (0, True)
    _fill(nq_store_dir, keys)
    monkeypatch.delenv("JUPYTER_NQ_CONFIG")
    code, said, error = run("rotate", "--store", nq_store_dir)
    assert (code, said) == (2, "")
    assert "This process has no master key. Set JUPYTER_NQ_KEY" in error
    monkeypatch.setenv("JUPYTER_NQ_KEY", base64.b64encode(bytes(32)).decode())
    assert run("rotate", "--store", nq_store_dir)[0] == 1


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """One line that is written over, and ends."""
    for fraction in (0.25, 1.0):
        _show(fraction)
    assert capsys.readouterr().err == "\r 25%\r100%\n"
