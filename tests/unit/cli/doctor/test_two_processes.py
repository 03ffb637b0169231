"""The doctor's checks that need a second process, and that process's orders."""

from __future__ import annotations

import io
import json
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_nq.cli.doctor import peer as orders
from jupyter_nq.cli.doctor import two_processes
from jupyter_nq.cli.doctor.findings import Failed, Finding
from jupyter_nq.cli.doctor.futex import Word, call_number
from jupyter_nq.cli.doctor.two_processes import Peer

Check = Callable[[Path, Peer], Finding]
CHECKS = ["lock", "crash", "mapping", "wake", "rename", "credentials"]


@pytest.mark.parametrize("name", CHECKS)
def test_check_passes_here(name: str, nq_store_dir: Path) -> None:
    """Each check finds a sound directory sound, with a figure."""
    with Peer() as peer:
        found = getattr(two_processes, name)(nq_store_dir, peer)
    assert found.ok, found
    assert any(letter.isdigit() for letter in found.figure)


@pytest.mark.parametrize("name", CHECKS)
def test_check_without_an_answer(name: str, nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process that is gone is a finding with a fix, not an exception."""
    monkeypatch.setattr(two_processes, "_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(two_processes, "_RENAME_SECONDS", 0.01)
    with Peer() as peer:
        monkeypatch.setattr(peer, "send", lambda *a, **k: None)
        found = getattr(two_processes, name)(nq_store_dir, peer)
    assert not found.ok
    assert found.fix


def test_lock_that_does_not_exclude(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system whose locks do not exclude is found."""
    monkeypatch.setattr(two_processes.fcntl, "flock", lambda *_: None)
    with Peer() as peer:
        assert "two processes hold" in two_processes.lock(nq_store_dir, peer).figure


def test_wake_without_futex(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the call is not known, waiting polls, which works."""
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(NotImplementedError):
        call_number()
    with Peer() as peer:
        found = two_processes.wake(nq_store_dir, peer)
    assert found.ok
    assert "polls" in found.figure


def test_an_error_of_the_peer_is_reported(nq_store_dir: Path) -> None:
    """What goes wrong in the second process appears in the first."""
    with Peer() as peer, pytest.raises(Failed, match="FileNotFoundError"):
        peer.ask("lock", path=str(nq_store_dir / "absent"))


def test_word_times_out_and_wakes(tmp_path: Path) -> None:
    """A wait ends with the value or with the deadline."""
    path = tmp_path / "word"
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        word = Word(mapping)
        with pytest.raises(TimeoutError):
            word.wait_for(1, 0.01)
        waiter = threading.Thread(target=word.wait_for, args=(7, 10.0))
        waiter.start()
        word.set(7)
        waiter.join()
        assert word.value == 7
        word.close()


def test_word_in_a_sandbox(tmp_path: Path) -> None:
    """A call that the system refuses raises its error."""
    path = tmp_path / "word"
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        word = Word(mapping, number=100_000)  # no such call: ENOSYS, as a sandbox answers
        with pytest.raises(OSError, match="not implemented"):
            word.set(1)
        word.close()


def test_orders_of_the_peer(tmp_path: Path) -> None:
    """The orders do what the doctor expects, in this process too."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"ab" + bytes(2))
    assert orders.lock(str(file)) == {"taken": True}
    assert orders.lock(str(file)) == {"taken": False}
    orders.unlock(str(file))
    orders.mirror(str(file))
    assert file.read_bytes() == b"abab"
    os.symlink("last", link)
    assert orders.follow(str(link), "last") == {"reads": 1, "missing": 0}


def test_the_peer_obeys_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line in, one line out, errors included."""
    lines = [{"do": "mirror", "path": str(tmp_path / "absent")}, {"do": "lock", "path": str(tmp_path / "absent")}]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(map(json.dumps, lines))))
    orders.main()
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["error"].split(":")[0] for answer in answers] == ["FileNotFoundError"] * 2


def test_orders_of_two_sides(tmp_path: Path) -> None:
    """Echo and connect meet their other side."""
    path = tmp_path / "word"
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        word = Word(mapping)
        side = threading.Thread(target=orders.echo, args=(str(path), 1))
        side.start()
        word.set(1)
        word.wait_for(2, 5.0)
        side.join()
        word.close()
    with two_processes.socket.socket(two_processes.socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)
        side = threading.Thread(target=orders.connect, args=(str(tmp_path), "s"))
        side.start()
        connection, _ = listener.accept()
        connection.sendall(b"!")
        side.join()
        connection.close()
