"""What the tests of the commands share: a store with datasets, a process that holds one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.cli import main

_HOLDER = """
import sys
from jupyter_nq.buffers import Store
held = Store(sys.argv[1], create=False).open(sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("JUPYTER_NQ_STORE", "JUPYTER_NQ_DATA", "JUPYTER_NQ_CONFIG", "JUPYTER_NQ_SPILL", "JUPYTER_NQ_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process and return exit code, output and errors."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def put(store: Store, name: str, rows: int = 1000, version: int = 1) -> str:
    """Publish an object as the coordinator would, and return its id."""
    info = store.write(name, pd.DataFrame({"close": np.arange(rows, dtype=float)}))
    store.stamp(info.id, version)
    store.link(name, info.id)
    return info.id


@pytest.fixture
def store(nq_store_dir: Path) -> Store:
    """Give a store with two datasets and no coordinator."""
    made = Store(nq_store_dir)
    put(made, "NQ.30min", 2000)
    put(made, "signals", 10, version=3)
    return made


@pytest.fixture
def hold(store: Store) -> Iterator[Callable[[str], int]]:
    """Start a process that holds a dataset; returns its pid."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str) -> int:
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(store.path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process.pid

    yield start
    for process in started:
        process.communicate()
