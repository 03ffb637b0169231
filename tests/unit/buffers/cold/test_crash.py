"""kill -9 while objects are frozen and thawed: a copy, and an object, is there whole or not at all."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.buffers import ColdCopies, ObjectInfo, Store, freeze, thaw
from tests.unit.buffers.child import Child
from tests.unit.buffers.cold.objects import committed, versions
from tests.unit.buffers.conftest import make_bars


@pytest.fixture
def info(store: Store) -> ObjectInfo:
    """Give an object of three versions with a note."""
    return versions(store)


def _files(cold: ColdCopies) -> list[str]:
    return sorted(path.name for path in cold.path.rglob("*") if path.is_file())


_STAGES = [
    "freezing._write",
    "freezing._write_chunks",
    "freezing.encode_detail",
    "replacing.os.fsync",
    "replacing.os.rename",
    "replacing.sync_directory",
]


@pytest.mark.parametrize("stage", _STAGES)
@pytest.mark.parametrize("older", [True, False], ids=["replacing", "new"])
def test_a_killed_freeze_leaves_a_whole_copy_or_none(
    store: Store, cold: ColdCopies, info: ObjectInfo, stage: str, older: bool
) -> None:
    """Before the rename there is the older copy or none, behind it the new one; the rest is swept."""
    if older:
        freeze(store, info.id, cold)
    store.append(info.id, pa.table({"x": [0.25], "n": [3], "s": ["later"]}))
    module, _, name = stage.partition(".")
    code = f"""
from pathlib import Path
from jupyter_nq.buffers import ColdCopies, freeze
from jupyter_nq.buffers.cold import freezing, replacing
cold = ColdCopies(sys.argv[2])
{module}.{name} = lambda *a, **k: die()
freeze(store, sys.argv[3], cold)
"""
    with Child(store.path, code, str(cold.path), info.id) as child:
        assert child.wait() == -9
    assert cold.sweep() != []
    assert cold.sweep() == cold.damaged() == []
    renamed = stage == "replacing.sync_directory"
    assert [found.rows for found in cold.scan()] == ([info.rows + 1] if renamed else [info.rows] * older)
    assert len(_files(cold)) == len(cold.scan())
    assert freeze(store, info.id, cold).rows == info.rows + 1


@pytest.mark.parametrize("stage", ["allocate", "_check_text", "write_note", "os.rename", "read"])
def test_a_killed_thaw_leaves_a_whole_object_or_none(
    store: Store, other: Store, cold: ColdCopies, info: ObjectInfo, stage: str
) -> None:
    """The file under construction is swept, and the next thaw succeeds."""
    freeze(store, info.id, cold)
    code = f"""
from jupyter_nq.buffers import ColdCopies, thaw
from jupyter_nq.buffers.cold import thawing
if sys.argv[4] == "read":
    thawing._Copy.read_chunks = lambda *a, **k: die()
else:
    thawing.{stage} = lambda *a, **k: die()
thaw(store, sys.argv[3], ColdCopies(sys.argv[2]))
"""
    with Child(other.path, code, str(cold.path), info.id, stage) as child:
        assert child.wait() == -9
    assert other.scan() == other.damaged() == []
    assert other.sweep() != []
    assert other.used_bytes() == 0
    assert thaw(other, info.id, cold) == info


def test_random_kills_tear_nothing(store: Store, other: Store, cold: ColdCopies) -> None:
    """Processes that freeze and thaw all the time are killed at random moments: what is there is sound."""
    info = store.write("t", make_bars(30_000))
    code = """
from jupyter_nq.buffers import ColdCopies, Store, freeze, thaw
other, cold = Store(sys.argv[2]), ColdCopies(sys.argv[3])
say("go")
while True:
    freeze(store, sys.argv[4], cold)
    thaw(other, sys.argv[4], cold)
    other.collect(sys.argv[4])
    say("again")
"""
    random = np.random.default_rng(0)
    for _ in range(3):
        with Child(store.path, code, str(other.path), str(cold.path), info.id) as child:
            assert child.line() == "go"
            for _ in range(int(random.integers(0, 3))):
                assert child.line() == "again"
            threading.Event().wait(float(random.random()) / 50)
            child.kill()
        assert cold.damaged() == other.damaged() == []
        for found in other.scan():
            assert other.verify(found.id)
            assert other.collect(found.id)
        cold.sweep()
        other.sweep()
        if cold.exists(info.id):
            assert thaw(other, info.id, cold) == info
            assert committed(other, info) == committed(store, info)
            assert other.collect(info.id)
    assert _files(cold) in ([], [f"{info.id}.cold"])
    assert other.used_bytes() == 0


def test_two_at_once(store: Store, other: Store, cold: ColdCopies) -> None:
    """Threads that freeze and thaw the same object wait for each other and all succeed."""
    info = store.write("t", make_bars(20_000))
    failures: list[BaseException] = []

    def both() -> None:
        try:
            for _ in range(5):
                assert freeze(store, info.id, cold).rows == 20_000
                assert thaw(other, info.id, cold) == info
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=both) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert _files(cold) == [f"{info.id}.cold"]
