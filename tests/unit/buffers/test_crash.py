"""kill -9 at every stage of a write: no torn object, no lost one, no byte left behind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.testing import wait_until
from tests.unit.buffers.child import Child

_STAGES = ["store.make_room", "writing.copy_lanes", "writing.root_digest", "writing.write_header", "store.os.rename"]


@pytest.mark.parametrize("stage", _STAGES)
def test_a_killed_write_leaves_no_object_and_an_orphan_that_is_swept(store: Store, stage: str) -> None:
    """Before the rename there is no object; the file under construction is provably dead."""
    module, _, function = stage.partition(".")
    code = f"""
from jupyter_nq.buffers import {module} as module
module.{function} = lambda *a, **k: die()
store.write("a", np.ones(1 << 18))
"""
    with Child(store.path, code) as child:
        assert child.wait() == -9
    assert store.scan() == store.damaged() == []
    (orphan,) = store.sweep()
    assert orphan.suffix == ".part"
    assert store.used_bytes() == 0
    assert store.sweep() == []


def test_a_writer_killed_after_the_seal_leaves_a_whole_object(store: Store) -> None:
    """It is complete, has no version, and a sweep takes it because its writer is gone."""
    with Child(store.path, "store.write('a', np.ones(1000)); die()") as child:
        assert child.wait() == -9
    (info,) = store.scan()
    assert (info.version, info.rows) == (0, 1000)
    assert store.verify(info.id)
    assert store.sweep() == [store.path / "obj" / info.id]
    assert store.used_bytes() == 0


def test_a_sweep_takes_nothing_from_the_living(store: Store) -> None:
    """A file under construction, an unpublished object of a living writer, and a held one stay."""
    code = """
kept = store.write("b", np.ones(10))
def hold(fraction):
    say("writing"); input()
store.write("a", np.ones(10), progress=hold)
say("done"); input()
"""
    with Child(store.path, code) as child:
        assert child.line() == "writing"
        assert store.sweep() == []
        child.tell()
        assert child.line() == "done"
        assert store.sweep() == []
        assert {info.name for info in store.scan()} == {"a", "b"}
        views = [store.open_id(info.id).numpy() for info in store.scan()]
        child.kill()
    assert store.sweep() == []
    assert [v.sum() for v in views] == [10.0, 10.0]
    del views
    assert len(store.sweep()) == 2


def test_published_objects_outlive_their_writer(store: Store) -> None:
    """A sweep takes no object that has a version."""
    code = "info = store.write('a', np.ones(10)); store.stamp(info.id, 1); store.link('a', info.id); die()"
    with Child(store.path, code) as child:
        assert child.wait() == -9
    assert store.sweep() == []
    assert store.open("a").numpy().sum() == 10


def test_random_kills_tear_nothing(store: Store) -> None:
    """Writers killed at random moments leave only sound objects, and the sweep returns the bytes."""
    code = """
say("go")
while True:
    value = np.random.randint(1000)
    info = store.write("a", np.full(20_000, value), meta={"value": value})
"""
    random = np.random.default_rng(0)
    for _ in range(5):
        with Child(store.path, code) as child:
            assert child.line() == "go"
            seen = len(store.scan())
            wait_until(lambda seen=seen: len(store.scan()) > seen, message="an object")  # type: ignore[misc]
            wanted = int(random.integers(1, 4000))
            wait_until(lambda wanted=wanted: os.getpid() and _spin(wanted), message="a moment")  # type: ignore[misc]
            child.kill()
        assert store.damaged() == []
        for info in store.scan():
            with store.open_id(info.id) as handle:
                assert (handle.numpy() == info.meta["value"]).all()
    store.sweep()
    assert store.used_bytes() == 0


def _spin(turns: int) -> bool:
    return sum(range(turns)) >= 0


def test_interrupts_leave_nothing(nq_store_dir: Path) -> None:
    """SIGINT in the middle of a write removes the file, and the process can go on."""
    code = """
def interrupt(fraction):
    os.kill(os.getpid(), signal.SIGINT)
try:
    store.write("a", np.ones(1 << 18), progress=interrupt)
except KeyboardInterrupt:
    say(store.used_bytes())
info = store.write("a", np.ones(10))
say(info.rows)
"""
    Store(nq_store_dir)
    with Child(nq_store_dir, code) as child:
        assert (child.line(), child.line()) == ("0", "10")


def test_a_planted_link_is_not_followed(store: Store, bars: pd.DataFrame, tmp_path: Path) -> None:
    """A symbolic link among the objects is refused, and its target is untouched."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (store.path / "obj" / ("a" * 32)).symlink_to(victim)
    (store.path / "tmp" / "x.build").symlink_to(victim)
    assert store.scan() == []
    assert len(store.damaged()) == 1
    with pytest.raises(OSError, match="symbolic"), store.lock("x"):
        pass
    store.sweep()
    assert victim.read_text() == "precious"
