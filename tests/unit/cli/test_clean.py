"""`clean`: removes what was left, refuses what is held, touches nothing else."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.cli import clean
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.mutex.mutex import Mutex
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings, load_settings
from jupyter_nq.streams import Options, Stream, make_stream

from .conftest import Run


def test_nothing_there(run: Run, tmp_path: Path) -> None:
    """A store that is not there needs no cleaning."""
    assert run("clean", "--store", tmp_path / "store")[0] == 0


@pytest.mark.parametrize("content", [{}, {"letter.txt": "dear"}, {"store.json": '{"magic": "other"}'}])
def test_only_our_directories(run: Run, tmp_path: Path, content: dict[str, str]) -> None:
    """A directory without our marker is refused and stays as it is."""
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    code, said, error = run("clean", "--yes", "--store", tmp_path)
    assert (code, said) == (2, "")
    assert error.count("\n") == 1
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == content


def test_lists_first(run: Run, store: Store) -> None:
    """Without --yes and without a terminal it lists and removes nothing."""
    code, said, _ = run("clean", "--store", store.path)
    assert code == 0
    assert "not held  NQ.30min v1" in said
    assert f"not held  the store {store.path}" in said
    assert "Nothing was removed" in said
    assert len(store.names()) == 2


def test_asks_in_a_terminal(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal the answer decides."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    run("clean", "--store", store.path)
    assert store.path.exists()
    monkeypatch.setattr("builtins.input", lambda _: "Yes")
    run("clean", "--store", store.path)
    assert not store.path.exists()


@pytest.mark.parametrize("hosted", [False, True])
def test_streams_go_that_nobody_uses(run: Run, store: Store, hosted: bool) -> None:
    """One that somebody publishes to or reads stays, and its user is named."""
    make_stream(store.path / STREAMS, "left")
    make_stream(store.path / STREAMS, "used")
    with ExitStack() as stack:
        if hosted:
            stack.enter_context(Session(settings=Settings(store_dir=str(store.path))))
        stack.enter_context(Stream(store.path / STREAMS / "used")).publish("x")
        code, said, _ = run("clean", "--yes", "--store", store.path)
        assert code == 1
        assert "not held  the stream left (0 messages)" in said
        assert f"refused   the stream used: in use by pid {os.getpid()}" in said
        assert os.listdir(store.path / STREAMS) == ["used"]


@pytest.mark.parametrize("hosted", [False, True])
def test_durable_streams_stay(run: Run, store: Store, hosted: bool) -> None:
    """Nobody uses it, and it is told as what is to stay, as a durable dataset is."""
    make_stream(store.path / STREAMS, "kept", options=Options(durable=True))
    with ExitStack() as stack:
        if hosted:
            stack.enter_context(Session(settings=Settings(store_dir=str(store.path))))
        _, said, _ = run("clean", "--yes", "--store", store.path)
        assert "durable   the stream kept (0 messages)" in said
        assert os.listdir(store.path / STREAMS) == ["kept"]


def test_removes_everything_that_was_left(run: Run, store: Store) -> None:
    """Objects, a damaged one, temporary files, names, the dead socket and the directory go."""
    (store.path / "tmp" / "dead.part").write_bytes(b"x")
    (store.path / "tmp" / "name.link").symlink_to("../obj/x")
    (store.path / "obj" / ("0" * 32)).write_bytes(b"torn")
    (store.path / "names" / "lost").symlink_to("../obj/" + "1" * 32)
    for info in store.scan():
        store.annotate(info.id, b"note")
    (store.path / "notes" / ("1" * 32)).write_bytes(b"of an object that is gone")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(store.path / "ctl.sock"))
    code, said, _ = run("clean", "--yes", "--store", store.path)
    assert code == 0
    assert all(part in said for part in ("dead.part", "name.link", "damaged object 0000", "socket ctl.sock"))
    assert not store.path.exists()


def test_refuses_what_is_held(run: Run, store: Store, hold: Callable[[str], int]) -> None:
    """A held object stays with its name, and its holder is named; the others go."""
    pid = hold("NQ.30min")
    code, said, _ = run("clean", "--yes", "--store", store.path)
    assert code == 1
    assert f"(pid {pid})" in next(line for line in said.splitlines() if line.startswith("refused"))
    assert list(store.names()) == ["NQ.30min"]
    assert [info.name for info in store.scan()] == ["NQ.30min"]


def test_refuses_a_file_that_is_being_written(run: Run, store: Store) -> None:
    """A temporary file whose writer lives stays."""
    part = store.path / "tmp" / "live.part"
    with part.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, said, _ = run("clean", "--yes", "--store", store.path)
        assert code == 1
        assert "live.part: a process is writing it" in said
        assert part.exists()


def test_refuses_what_is_not_ours_among_the_objects(run: Run, store: Store) -> None:
    """A file without an object's name, an object that is about to be published, and a held damaged one stay."""
    (store.path / "obj" / "letter.txt").write_text("dear")
    damaged = store.path / "obj" / ("0" * 32)
    damaged.write_bytes(b"torn")
    fresh = store.write("fresh", {"x": np.zeros(3)})
    with damaged.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        code, said, _ = run("clean", "--yes", "--store", store.path)
    assert code == 1
    assert "letter.txt: not a file of the package" in said
    assert f"process {os.getpid()} is about to publish it" in said
    assert "a process holds it" in said
    assert sorted(os.listdir(store.path / "obj")) == sorted([damaged.name, fresh.id, "letter.txt"])


def test_keeps_files_of_others(run: Run, store: Store) -> None:
    """A file that the package did not write stays, and the store with it."""
    letter = store.path / "letter.txt"
    letter.write_text("dear")
    code, said, _ = run("clean", "--yes", "--store", store.path)
    assert code == 1
    assert "letter.txt" in said
    assert letter.read_text() == "dear"
    assert store.names() == {}
    assert Store(store.path, create=False).epoch == store.epoch


def test_through_the_coordinator(run: Run, store: Store) -> None:
    """With a coordinator the datasets that nobody holds are dropped through it; the store stays."""
    with Channel(store.path, load_settings(store_dir=str(store.path))) as channel:
        handle = store.open("NQ.30min")
        channel.hold(handle.info.id, 1)
        channel.request("status")  # the hold is announced before any request
        code, said, _ = run("clean", "--yes", "--store", store.path)
        assert code == 1
        assert "not held  dataset signals" in said
        assert "NQ.30min: held by" in said
        assert f"({os.getpid()})" in said
        assert [row["name"] for row in channel.request("ls")] == ["NQ.30min"]
        handle.close()


def test_a_coordinator_that_is_starting(run: Run, store: Store) -> None:
    """While another process takes the coordinator's lock nothing is removed."""
    descriptor = os.open(store.path / "coordinator.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(clean.StoreError, match="just starting"):
        clean.empty(store.path, keep_directory=False)
    os.close(descriptor)
    assert len(store.names()) == 2


def test_empty(store: Store, tmp_path: Path) -> None:
    """`empty` keeps the directory when told to, removes an empty one, and ignores a missing one."""
    clean.empty(store.path, keep_directory=True)
    assert list(store.path.iterdir()) == []
    clean.empty(store.path, keep_directory=True)
    assert store.path.exists()
    (tmp_path / "e").mkdir()
    clean.empty(tmp_path / "e", keep_directory=False)
    assert not (tmp_path / "e").exists()
    assert clean.empty(tmp_path / "absent", keep_directory=False).removed == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_store_of_another_user(run: Run, store: Store) -> None:
    """Another user's store is refused."""
    os.chown(store.path, 12345, -1)
    assert "belongs to uid 12345" in run("clean", "--yes", "--store", store.path)[2]
    os.chown(store.path, 0, -1)


def test_pipes_and_directories_are_refused_and_wait_for_nobody(run: Run, store: Store) -> None:
    """Nobody opens what is not a plain file: a pipe would wait for its writer for ever."""
    os.mkfifo(store.path / "tmp" / "pipe.part")
    (store.path / "tmp" / "folder").mkdir()
    os.mkfifo(store.path / "obj" / ("0" * 32))
    code, said, _ = run("clean", "--yes", "--store", store.path)
    assert code == 1
    assert said.count("not a file of the package") == 3
    assert store.path.exists()


def test_a_store_that_somebody_begins_to_use_meanwhile_stays(
    run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is refused in one line, and what was put there is kept."""
    forget = clean.Drops.read

    def put_meanwhile(drops: clean.Drops) -> dict[str, int]:
        store.write("late", np.zeros(3))
        return forget(drops)

    monkeypatch.setattr(clean.Drops, "read", put_meanwhile)
    code, said, error = run("clean", "--yes", "--store", store.path)
    assert (code, error) == (1, "")
    assert "somebody began to use it meanwhile" in said
    assert "Removed 2 of 3" in said
    assert [info.name for info in store.scan()] == ["late"]


def test_what_hosts_left_beside_the_objects_goes_too(run: Run, store: Store) -> None:
    """The kept quota and the records of drops are the package's own."""
    with Channel(store.path, load_settings(store_dir=str(store.path)), role="server") as channel:
        handle = store.open("signals")
        channel.request("drop", name="signals")
    handle.close()
    assert {"drops", "policy.json"} <= set(os.listdir(store.path))
    assert run("clean", "--yes", "--store", store.path)[0] == 0
    assert not store.path.exists()


@pytest.mark.parametrize("there", [True, False])
def test_archives_go_too(run: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """Archives of parsed files are listed with their place and removed; other files there stay, without a store too."""
    place = tmp_path / "archives"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("JUPYTER_NQ_CACHE", str(place))
    archive, other = place / f"{'a' * 32}.parquet", place / "mine.parquet"
    archive.write_bytes(b"x" * 2048)
    other.write_text("mine")
    where = store.path if there else tmp_path / "store"
    listed = f"not held  1 archive of parsed files in {place} (2.0 KiB)"
    assert listed in run("clean", "--store", where)[1].splitlines()
    assert archive.exists()
    code, said, _ = run("clean", "--yes", "--store", where)
    assert (code, listed in said) == (0, True)
    assert said.endswith(f"Removed {4 if there else 1} of {4 if there else 1}.\n")
    assert list(place.iterdir()) == [other]


def test_copies_of_files_elsewhere_go_too(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of files elsewhere are listed with their place and removed, without a store too."""
    monkeypatch.setenv("JUPYTER_NQ_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "cache" / "fetched"
    (place / ("a" * 32)).mkdir(parents=True)
    (place / ("a" * 32) / "NQ_5min.csv").write_bytes(b"x" * 2048)
    code, said, _ = run("clean", "--yes", "--store", tmp_path / "store")
    assert f"not held  1 copy of a file elsewhere in {place} (2.0 KiB)" in said.splitlines()
    assert (code, place.exists()) == (0, False)


def test_copies_on_the_disk_go_and_durable_ones_stay(
    run: Run, nq_store_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a coordinator the store is removed, and the next one at its place has the durable dataset again."""
    monkeypatch.setenv("JUPYTER_NQ_SPILL", str(tmp_path / "disk"))
    with Session(nq_store_dir) as session:
        session.put("kept", np.arange(5), durable=True)
        session.put("cold", np.arange(5))
        session.put("warm", np.arange(5))
        session.spill("cold")
        session.pin("warm")
        code, said, _ = run("clean", "--yes", "--store", nq_store_dir)
        assert "durable   kept v1 (" in said
        assert "not held  dataset cold (" in said
        assert [row.name for row in session.ls()] == ["kept"]
        session.put("cold", np.arange(5))
        session.spill("cold")
    code, said, _ = run("clean", "--yes", "--store", nq_store_dir)
    assert code == 0
    assert "not held  copy of cold v" in said
    assert "on the disk (" in said
    assert "durable   kept v1 (" in said
    assert not nq_store_dir.exists()
    assert len(list((tmp_path / "disk").rglob("*.cold"))) == 1
    with Session(nq_store_dir) as session:
        assert [(row.name, row.durable) for row in session.ls()] == [("kept", True)]
        assert session.get("kept", as_="numpy").tolist() == list(range(5))
        session.drop("kept")
    run("clean", "--yes", "--store", nq_store_dir)
    assert not list((tmp_path / "disk").iterdir())


def test_mutexes(run: Run, store: Store) -> None:
    """One that somebody has stays, and the store with it; the others go."""
    Mutex(store.path, "free").acquire().release()
    with Mutex(store.path, "orders"):
        code, said, _ = run("clean", "--yes", "--store", store.path)
        assert code == 1
        assert "not held  the mutex free" in said
        assert re.search(rf"refused   the mutex orders: .* \(pid {os.getpid()}\), since .* has it", said)
        assert [path.name for path in (store.path / "mutexes").iterdir()] == ["orders"]
    assert run("clean", "--yes", "--store", store.path)[0] == 0
    assert not store.path.exists()
