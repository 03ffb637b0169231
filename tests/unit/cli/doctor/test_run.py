"""`doctor`: one line per check, exit code 1 when one failed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from jupyter_nq.buffers import Store
from jupyter_nq.cli.doctor import run as doctor
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.config import load_settings
from tests.unit.cli.conftest import Run

ALWAYS = 11  # the checks that need no store


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
