"""Whose the directory on the disk is: of one machine at a time, whatever else has stores at the same path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import ColdCopies, ColdInfo, new_key
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.client.cold import disk as disks
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import ConfigError, StoreError
from tests.unit.client.small import array, small_session

pytestmark = pytest.mark.usefixtures("disk")

_MACHINE = """
import os, subprocess, sys
store, spill_dir, name = sys.argv[1:]
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "x", store]).returncode:
    sys.exit(77)
import numpy as np
from jupyter_nq.client.cold import disk
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
disk.machine = lambda: name
session = Session(settings=Settings(store_dir=store + "/nq", spill_dir=spill_dir))
def value(dataset):
    try:
        return float(session.get(dataset)[0])
    except Exception as exc:
        return type(exc).__name__
for line in sys.stdin:
    print(eval(line), flush=True)
"""


class _Machine:
    """A process in a mount namespace of its own: its store has the path that the other's has, and other memory."""

    def __init__(self, store: Path, spill_dir: Path, name: str) -> None:
        command = ["unshare", "-m", sys.executable, "-c", _MACHINE, *map(os.fspath, (store, spill_dir)), name]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tells(self, expression: str) -> str:
        """Return what an expression is there."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(expression + "\n")
        self._child.stdin.flush()
        return self._child.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        self._child.communicate()


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Callable[[str], _Machine]]:
    """Give a function that starts a machine; all have one store path and one disk."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("a mount namespace needs the rights of root")
    (tmp_path / "mnt").mkdir()
    with ExitStack() as stack:

        def start(name: str) -> _Machine:
            machine = _Machine(tmp_path / "mnt", tmp_path / "shared", name)
            stack.callback(machine.close)
            return machine

        yield start


def _copies_of(machine: str, shared: Path) -> list[ColdInfo]:
    (sign,) = [path for path in shared.glob("*.host") if path.read_text().startswith(machine + "\n")]
    return ColdCopies(sign.with_suffix(""), create=False).scan()


def test_two_machines_with_one_disk_keep_out_of_each_others_way(boot: Callable[[str], _Machine]) -> None:
    """While one uses the directory, the other has its own; neither sees nor removes what the other put there."""
    one = boot("one")
    one.tells("session.put('spilled', np.full(1000, 1.0)) and session.spill('spilled')")
    one.tells("session.put('kept', np.full(1000, 1.0), durable=True)")
    two = boot("two")
    assert two.tells("value('kept')") == "UnknownDataset"
    two.tells("session.put('kept', np.full(1000, 2.0), durable=True) and session.drop('kept')")
    assert [one.tells(f"value('{name}')") for name in ("spilled", "kept")] == ["1.0", "1.0"]


def test_a_machine_that_ended_is_followed_by_one_of_another_name(
    boot: Callable[[str], _Machine], tmp_path: Path
) -> None:
    """A container has a new name each time: what was durable is there; the other one's directory stays as it was."""
    one = boot("one")
    one.tells("session.put('spilled', np.full(1000, 1.0)) and session.spill('spilled')")
    one.tells("session.put('kept', np.full(1000, 1.0), durable=True)")
    one.close()
    two = boot("two")
    assert [two.tells(f"value('{name}')") for name in ("kept", "spilled")] == ["1.0", "UnknownDataset"]
    two.tells("session.drop('kept')")
    two.close()
    three = boot("three")
    assert [three.tells(f"value('{name}')") for name in ("kept", "spilled")] == ["UnknownDataset", "UnknownDataset"]
    assert sorted(info.name for info in _copies_of("one", tmp_path / "shared")) == ["kept", "spilled"]


def test_a_machine_of_another_name_has_the_durable_streams(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its copies of datasets; what each publishes from then on is its own."""
    with small_session(nq_store_dir) as session:
        session.stream("s", durable=True).publish({"n": 0})
        session.stream("fleeting").publish({"n": 0})
    shutil.rmtree(nq_store_dir)
    with monkeypatch.context() as patched:
        patched.setattr(disks, "machine", lambda: "other")
        with small_session(nq_store_dir) as session:
            stream = session.stream("s")
            stream.publish({"n": 1})
            assert [m.data["n"] for m in stream.subscribe("earliest").get_messages()] == [0, 1]
            assert session.streaming.names() == ["s"]
        shutil.rmtree(nq_store_dir)
        with small_session(nq_store_dir) as session:
            assert session.stream("s").messages == 2
        shutil.rmtree(nq_store_dir)
    with small_session(nq_store_dir) as session:
        assert session.stream("s").messages == 1


def test_a_directory_that_another_store_of_this_name_uses_is_refused(
    nq_store_dir: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two containers may have one name: the second is told what to set, and works when the first has ended."""
    with small_session(nq_store_dir / "a") as session:
        session.put("kept", array(1), durable=True)
        session.put("spilled", array(2))
        session.spill("spilled")
    other = disks.Claim(nq_store_dir / "a")
    monkeypatch.setattr(other, "_whose", lambda: [disks.machine(), "another boot", "1"])
    other.hold()
    (nq_store_dir / "a").rename(nq_store_dir / "theirs")
    with pytest.raises(StoreError, match=r"is in use by a store of .* that is not this one\. Set spill_dir"):
        small_session(nq_store_dir / "a")
    assert len(list(disk.rglob("*.cold"))) == 2
    other.close()
    with small_session(nq_store_dir / "a") as session:
        assert session.get("kept", as_="numpy")[0] == 1


def test_an_older_host_of_the_same_machine_is_in_nobodys_way(nq_store_dir: Path) -> None:
    """Somebody removed the store while a process that hosted it goes on."""
    with small_session(nq_store_dir / "a") as session:
        session.put("kept", array(1), durable=True)
        (nq_store_dir / "a").rename(nq_store_dir / "gone")
        with small_session(nq_store_dir / "a") as again:
            assert again.get("kept", as_="numpy")[0] == 1
            again.put("kept", array(2))


def test_closing_a_claim_twice_is_fine(nq_store_dir: Path) -> None:
    """And one that never was needed holds nothing."""
    with small_session(nq_store_dir) as session:
        claim = disks.Claim(nq_store_dir)
        claim.hold()
        assert repr(claim).endswith("not held>")
        session.put("kept", array(1), durable=True)
        claim.close()
        claim.close()
        sign = disks.sign_of(Path(os.path.realpath(nq_store_dir / COLD)))
        assert sign.read_text().splitlines()[0] == disks.machine()


def test_nobody_writes_plain_copies_where_the_host_encrypts(
    nq_store_dir: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without the key leaves the data in memory, and says what it lacks."""
    monkeypatch.setenv("JUPYTER_NQ_KEY", new_key())
    with small_session(nq_store_dir) as host:
        host.put("secret", array(1))
        monkeypatch.delenv("JUPYTER_NQ_KEY")
        told = Settings(store_dir=str(nq_store_dir), spill_dir=str(disk))
        with Session(settings=told) as other, pytest.raises(ConfigError, match="encrypts what it writes to the disk"):
            other.put("mine", np.ones(10), durable=True)
        assert not list(disk.rglob("*.cold"))


def test_a_host_that_died_over_the_first_look_at_the_disk_is_followed_by_one_that_looks_again(
    nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not durable does not come back because the link to it was there first."""
    with small_session(nq_store_dir) as session:
        session.put("left", array(1))
        assert session.spill("left")
    shutil.rmtree(nq_store_dir)
    with monkeypatch.context() as patched:
        patched.setattr(ColdCopies, "remove", lambda *_: _die())
        with pytest.raises(StoreError, match="died"):
            small_session(nq_store_dir)
    with small_session(nq_store_dir) as session:
        assert session.ls() == []


def test_a_machine_that_died_over_taking_copies_takes_all_of_them_the_next_time(
    nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of them would be taken for all there are; one that was dropped meanwhile is not taken."""
    with small_session(nq_store_dir) as session:
        for name in ("one", "two", "three"):
            session.put(name, array(1), durable=True)
    shutil.rmtree(nq_store_dir)
    link, taken = os.link, []
    with monkeypatch.context() as patched:
        patched.setattr(disks, "machine", lambda: "other")
        patched.setattr(os, "link", lambda *paths: _die() if taken else taken.append(link(*paths)))
        with pytest.raises(StoreError, match="died"):
            small_session(nq_store_dir)
    with small_session(nq_store_dir) as session:
        session.drop("one")
    shutil.rmtree(nq_store_dir)
    monkeypatch.setattr(disks, "machine", lambda: "other")
    with small_session(nq_store_dir) as session:
        assert [row.name for row in session.ls()] == ["three", "two"]


def _die() -> None:
    raise StoreError("the host died")
