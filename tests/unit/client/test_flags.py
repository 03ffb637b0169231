"""The flags of a process: found through its store, without a session and without a coordinator."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import jupyter_nq as nq
from jupyter_nq.client import api
from jupyter_nq.client import flags as client_flags
from jupyter_nq.client.cold.disk import machine
from jupyter_nq.client.session import Session
from jupyter_nq.errors import Halted, InvalidArgument, InvalidName
from jupyter_nq.testing import Child, wait_until
from jupyter_nq.testing.forked import Forked, Say


@pytest.fixture(autouse=True)
def store(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the store that the settings name; its flags are closed at the end."""
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir / "store"))
    monkeypatch.setenv("JUPYTER_NQ_SPILL", str(nq_store_dir / "disk"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    yield nq_store_dir / "store"
    for flag in client_flags._open.values():
        flag.close()
    client_flags._open.clear()
    nq.disconnect()


@pytest.mark.parametrize(("deadman", "beat"), [(1.0, "auto"), (-1.0, None), ("1", "manual")])
def test_a_heartbeat_that_is_none_makes_no_flag(deadman: float, beat: str | None) -> None:
    """It would be listed for ever, as clear, and nobody would be its owner."""
    with pytest.raises(InvalidArgument):
        nq.flag("engine", deadman=deadman, beat=beat)
    assert nq.flags() == []


def test_a_flag_needs_no_coordinator(store: Path) -> None:
    """Nothing listens, nothing is started, and the store is made if it is not there."""
    nq.flag("halt").set("limit")
    assert not (store / "ctl.sock").exists()
    assert [(state.name, state.is_set) for state in nq.flags()] == [("halt", True)]
    assert (store / "flags").stat().st_mode & 0o777 == 0o700


def test_a_coordinator_that_does_not_answer_changes_nothing(store: Path) -> None:
    """It holds its lock and its socket and says nothing, as one that was stopped."""
    with Child(
        "from jupyter_nq.client.session import Session\nsession = Session(sys.argv[1])\nsay()\ninput()", str(store)
    ) as host:
        host.line()
        os.kill(host.pid, signal.SIGSTOP)
        flag = nq.flag("halt")
        flag.set("limit")
        assert flag.is_set
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(store / "ctl.sock"))  # it is there, and nobody has been asked


def test_a_session_that_is_being_opened_is_not_waited_for() -> None:
    """A coordinator that does not answer keeps the thread that connects, and not the one that halts."""
    with api._lock:
        assert nq.flag("halt").set("limit").is_set


def test_one_object_for_each_name() -> None:
    """A cell that runs again has the same flag, with what it has seen; a closed one is opened anew."""
    flag = nq.flag("halt")
    assert nq.flag("halt") is flag
    assert nq.flag("other") is not flag
    flag.close()
    assert nq.flag("halt") is not flag
    assert not nq.flag("halt").is_set


def test_all_processes_of_the_store_share_it(store: Path) -> None:
    """A script halts the notebook, and its name is told."""
    flag = nq.flag("halt")
    code = "import jupyter_nq as nq\nnq.flag('halt').set('from a script')\nsay(nq.flag('halt').is_set)"
    with Child(code) as child:
        assert child.line() == "True"
    with pytest.raises(Halted, match=rf"by python\S* -c \(pid {child.pid}\), .*: from a script"):
        flag.check()


def test_who_is_the_notebook_that_jupyter_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path, and its file's name in a line; the program and the machine, too."""
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/desk/risk.ipynb")
    state = nq.flag("halt").set("limit")
    assert state.who is not None
    assert (state.who.notebook, state.who.pid, state.who.host) == ("/home/desk/risk.ipynb", os.getpid(), machine())
    assert str(state).startswith(f"halt was set by risk.ipynb (pid {os.getpid()}), ")


def test_the_flags_are_those_of_the_session_that_is_open(nq_store_dir: Path) -> None:
    """Connected elsewhere, a flag is of that store."""
    nq.flag("halt").set("here")
    nq.connect(nq_store_dir / "other")
    assert not nq.flag("halt").is_set
    assert [state.is_set for state in nq.flags()] == [False]
    nq.connect(nq_store_dir / "store")
    assert nq.flag("halt").state.why == "here"


def test_it_outlives_kernels_coordinator_and_machine(store: Path, nq_store_dir: Path) -> None:
    """All processes end and the store is gone: the next one finds it set, with who and why, before it was opened."""
    with Child("import jupyter_nq as nq\nnq.connect()\nnq.flag('halt').set('limit')\nsay('set')\ninput()") as child:
        assert child.line() == "set"
        child.kill()
    os.rename(store, nq_store_dir / "lost")
    (state,) = nq.flags()
    assert (state.is_set, state.why, state.durable) == (True, "limit", True)
    with Session(store):
        assert nq.flag("halt").is_set


def test_flags_lists_what_only_the_disk_has(store: Path) -> None:
    """And what is damaged, as set."""
    for name in ("b", "a", "c"):
        nq.flag(name).set(name)
        nq.flag(name).close()
    (store / "flags" / "a").unlink()
    (store / "flags" / "b").write_bytes(b"")
    states = nq.flags()
    assert [(state.name, state.is_set, state.unreadable is None) for state in states] == [
        ("a", True, True),
        ("b", True, False),
        ("c", True, True),
    ]


def test_a_dead_man_is_an_argument(store: Path) -> None:
    """The owner's cell may run again; a script that ends without a release has set it."""
    code = "import jupyter_nq as nq\nfor _ in range(2):\n    nq.flag('engine', deadman=30)\nsay()\ninput()"
    with Child(code) as child:
        child.line()
        flag = nq.flag("engine")
        assert not flag.is_set
        owner = flag.state.owner
        assert owner is not None
        assert (owner.who.pid, owner.seconds) == (child.pid, 30.0)
        child.tell()
        child.wait()
        wait_until(lambda: flag.is_set, timeout=5.0)
    assert "ended without a release" in flag.state.why


def test_a_forked_child_opens_its_own() -> None:
    """It is a watcher of its own then, and its parent's flag goes on."""
    flag = nq.flag("halt")

    def works(say: Say) -> None:
        own = nq.flag("halt")
        say([own is flag, own.is_set, len(own.acknowledged(0.0))])
        own.set("by the child")

    with Forked(works) as child:
        assert child.hear() == [False, False, 2]
        child.wait()
    assert flag.state.why == "by the child"


def test_odd_arguments_are_refused() -> None:
    """A name that is none, and a way to beat without a switch."""
    with pytest.raises(InvalidName):
        nq.flag("../halt")
    with pytest.raises(InvalidArgument, match="deadman=SECONDS"):
        nq.flag("halt", beat="manual")
