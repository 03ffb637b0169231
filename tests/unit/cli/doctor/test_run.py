"""`doctor`: one line per check, exit code 1 when one failed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.cli.doctor import run as doctor
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.config import load_settings
from tests.unit.cli.conftest import Run

ALWAYS = 13  # the checks that need no store


def test_a_sound_place(run: Run, nq_store_dir: Path) -> None:
    """Everything works in an empty private directory, and nothing stays there."""
    code, said, _ = run("doctor", "--store", nq_store_dir)
    lines = said.splitlines()
    assert code == 0
    assert lines[-1] == "Everything works."
    assert len(lines) == ALWAYS + 1
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert list(nq_store_dir.iterdir()) == []


def test_a_store_with_objects(run: Run, store: Store) -> None:
    """In a store the digests of all objects are compared and the coordinator is looked for."""
    code, said, _ = run("doctor", "--store", store.path)
    assert code == 0
    assert "2 objects" in said
    assert "none runs" in said


def test_the_coordinator_answers(store: Store) -> None:
    """A coordinator's answer is timed; a dead one's socket is noticed."""
    settings = load_settings(store_dir=str(store.path))
    with Channel(store.path, settings):
        assert f"pid {os.getpid()}, answers in" in doctor.coordinator(store.path, settings).figure
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(store.path / "ctl.sock"))
    found = doctor.coordinator(store.path, settings)
    assert found.ok
    assert "left its socket" in found.figure


def test_a_damaged_object(run: Run, store: Store) -> None:
    """A flipped bit and a cut file are found, and the exit code is 1."""
    one, two = (store.path / "obj" / target for target in store.names().values())
    with one.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(b"\xff")
    os.truncate(two, 5000)
    code, said, _ = run("doctor", "--store", store.path)
    line = next(line for line in said.splitlines() if line.startswith("failed"))
    assert code == 1
    assert "digests" in line
    assert "close" in line
    assert two.name in line
    assert "1 of the checks failed." in said


def test_a_foreign_directory(run: Run, tmp_path: Path) -> None:
    """In a directory that is not ours nothing is tried."""
    (tmp_path / "letter.txt").write_text("dear")
    code, said, _ = run("doctor", "--store", tmp_path)
    assert code == 1
    assert said.splitlines()[0].startswith("failed  directory")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_small_store(run: Run, nq_tmpfs: Callable[[str], Path]) -> None:
    """64 MB are enough."""
    assert run("doctor", "--store", nq_tmpfs("64m"))[0] == 0


def test_settings_of_the_host_are_tried(run: Run, store: Store, tmp_path: Path) -> None:
    """What the coordinator's host tells its clients is what they would use."""
    hosted = load_settings(store_dir=str(store.path), spill_dir=str(tmp_path / "disk"), key_file=str(tmp_path / "none"))
    with Channel(store, hosted):
        code, said, _ = run("doctor", "--store", store.path)
    assert code == 1
    assert f"failed  keys              The key file {tmp_path / 'none'} cannot be read" in said
    assert str(tmp_path / "disk") in said


def test_settings_that_nothing_can_be_written_with(
    run: Run, nq_store_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk and keys that are not as they are named are said before the first dataset needs them."""
    (tmp_path / "jupyter_nq.yaml").write_text(f"key_file: {tmp_path / 'absent'}\n")
    monkeypatch.setenv("JUPYTER_NQ_CONFIG", str(tmp_path / "jupyter_nq.yaml"))
    monkeypatch.setenv("JUPYTER_NQ_SPILL", "/proc/disk")
    code, said, _ = run("doctor", "--store", nq_store_dir)
    assert code == 1
    assert [line.split()[1] for line in said.splitlines() if line.startswith("failed")] == ["disk", "keys"]
    assert said.splitlines()[-1] == "2 of the checks failed."
