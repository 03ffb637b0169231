"""`status` and `ls`, with and without a coordinator, for people and for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.cli.view import NO_COORDINATOR
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.config import load_settings

from .conftest import Run


@pytest.fixture
def coordinator(store: Store) -> Iterator[Channel]:
    """Host the store's coordinator in this process."""
    with Channel(store.path, load_settings(store_dir=str(store.path))) as channel:
        yield channel


def test_nothing_there(run: Run, tmp_path: Path) -> None:
    """A store that nobody used yet is no error, and looking does not make it."""
    absent = tmp_path / "store"
    code, said, _ = run("status", "--store", absent)
    assert code == 0
    assert "nothing was shared there yet" in said
    assert run("ls", "--store", absent)[1] == f"{absent}: nothing was shared there yet.\n"
    assert json.loads(run("status", "--json", "--store", absent)[1])["exists"] is False
    assert not absent.exists()


def test_headers_tell_without_a_coordinator(run: Run, store: Store, hold: Callable[[str], int]) -> None:
    """Without a coordinator the headers and the lock table are read, and the command says so."""
    pid = hold("NQ.30min")
    code, said, _ = run("ls", "--store", store.path)
    lines = said.splitlines()
    assert code == 0
    assert lines[0].split() == ["name", "version", "rows", "size", "age", "held", "by"]
    assert lines[1].split()[:3] == ["NQ.30min", "v1", "2,000"]
    assert lines[1].endswith(f"(pid {pid})")
    assert lines[2].split()[:3] == ["signals", "v3", "10"]
    assert lines[2].endswith("nobody")
    assert lines[3] == NO_COORDINATOR
    assert "coordinator  none runs" in run("status", "--store", store.path)[1]


def test_no_command_hosts(run: Run, store: Store) -> None:
    """Looking leaves no coordinator behind: no socket, no lock file."""
    run("ls", "--store", store.path)
    run("status", "--store", store.path)
    assert sorted(os.listdir(store.path)) == ["names", "obj", "pool", "store.json", "streams", "tmp"]


def test_json_has_plain_numbers(run: Run, store: Store, hold: Callable[[str], int]) -> None:
    """Programs get numbers, ISO times, and null for what is not there."""
    pid = hold("signals")
    document = json.loads(run("ls", "--json", "--store", store.path)[1])
    signals = document["datasets"][1]
    assert document["source"] == "headers"
    assert (signals["name"], signals["version"], signals["rows"]) == ("signals", 3, 10)
    assert signals["bytes"] >= 8192
    assert signals["created"].endswith("+00:00")
    assert [(h["pid"], h["kernel_id"], h["version"]) for h in signals["holders"]] == [(pid, None, 3)]
    status = json.loads(run("status", "--json", "--store", store.path)[1])
    assert status["coordinator"] is None
    assert status["datasets"] == 2
    assert 0 < status["pool"]["used_bytes"] < status["pool"]["limit_bytes"]


def test_the_coordinator_answers(run: Run, store: Store, coordinator: Channel) -> None:
    """With a coordinator its answer is shown, with who it is."""
    document = json.loads(run("ls", "--json", "--store", store.path)[1])
    assert document["source"] == "coordinator"
    assert [dataset["name"] for dataset in document["datasets"]] == ["NQ.30min", "signals"]
    assert NO_COORDINATOR not in run("ls", "--store", store.path)[1]
    said = run("status", "--store", store.path)[1]
    assert f"pid {os.getpid()}" in said
    assert "problem      none" in said
    assert json.loads(run("status", "--json", "--store", store.path)[1])["coordinator"]["pid"] == os.getpid()


def test_empty_store(run: Run, nq_store_dir: Path) -> None:
    """A store without datasets says so."""
    Store(nq_store_dir)
    assert run("ls", "--store", nq_store_dir)[1] == f"{nq_store_dir} holds no dataset.\n"


def test_the_environment_names_the_store(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --store the environment variable decides."""
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(store.path))
    assert json.loads(run("status", "--json")[1])["store"] == str(store.path)


def test_a_foreign_directory_is_one_line(run: Run, tmp_path: Path) -> None:
    """A directory that is no store is one sentence on standard error and exit code 2."""
    (tmp_path / "letter.txt").write_text("dear")
    code, said, error = run("ls", "--store", tmp_path)
    assert (code, said) == (2, "")
    assert error.startswith("jupyter nq: ")
    assert error.count("\n") == 1


def test_what_cannot_be_a_store_is_an_error(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a link to nothing and somebody else's directory are no empty stores."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "mine").mkdir()
    for name, says in (("file", "not a directory"), ("link", "cannot be opened"), ("mine", None)):
        code, said, error = run("ls", "--store", tmp_path / name)
        assert (code, says or "") == ((2, says) if says else (0, ""))
        assert says in error if says else "nothing was shared there yet" in said
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert "belongs to user" in run("ls", "--store", tmp_path / "theirs")[2]


def test_unknown_setting_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong settings file is one sentence too."""
    file = tmp_path / "nq.yaml"
    file.write_text("pool_byte: 1\n")
    monkeypatch.setenv("JUPYTER_NQ_CONFIG", str(file))
    code, _, error = run("status")
    assert code == 2
    assert "Did you mean 'pool_bytes'" in error
