"""Memory for the next write: prepared in a pause, for who writes, within its share, and given up when unwanted."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.client import sparing
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.testing import Child, wait_until
from jupyter_nq.testing.forked import Forked

_DATA = np.ones(1 << 18)  # 2 MiB


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparing, "IDLE_SECONDS", 0.01)


def test_who_writes_finds_memory_for_the_next_write(nq_store_dir: Path) -> None:
    """After a pause there is one segment, which the next put takes; the panel's figures show it."""
    with Session(nq_store_dir) as session:
        session.put("a", _DATA)
        wait_until(lambda: len(session.store.pool.spares()) == 1)
        (spare,) = session.store.pool.spares()
        assert session.status().pool_spare_bytes == spare.nbytes
        wait_until(lambda: not any(row["reserved_bytes"] for row in session.channel.request("notebooks")))
        session.put("b", _DATA)
        assert os.stat(session.store.path / "obj" / session.store.resolve("b")).st_ino == spare.inode[1]
        assert (session.get("b", as_="numpy") == 1).all()


def test_small_data_and_readers_prepare_nothing(nq_store_dir: Path) -> None:
    """No thread is started for them."""
    with Session(nq_store_dir) as session, Session(nq_store_dir) as reader:
        session.put("a", np.ones(10))
        reader.get("a")
        assert session._writer.sparing._thread is None
        assert reader._writer.sparing._thread is None


@pytest.mark.parametrize(
    "settings",
    [
        {"spare_share": 0.0},
        {"pool_bytes": 9 << 20, "spare_share": 0.1},
        {"pool_bytes": 5 << 20, "spare_share": 1.0},  # no room for a segment and the write that it would be for
    ],
)
def test_beyond_its_share_nothing_is_prepared(nq_store_dir: Path, settings: dict[str, float]) -> None:
    """The coordinator refuses; the put itself is as always."""
    with Session(settings=Settings(store_dir=str(nq_store_dir), **settings)) as session:
        session.put("a", _DATA)
        thread = session._writer.sparing._thread
        if thread is not None:
            thread.join()
        assert session.store.pool.spares() == []


def test_a_coordinator_frees_what_nobody_used(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody has written for the time that spare memory waits, it is given back."""
    monkeypatch.setattr("jupyter_nq.coordinator.freeing.SPARE_SECONDS", 0.5)
    with Session(nq_store_dir) as session:
        session.put("a", _DATA)
        wait_until(lambda: len(session.store.pool.spares()) == 1)
        wait_until(lambda: session.store.pool.spares() == [])


def test_a_closed_session_prepares_nothing(nq_store_dir: Path) -> None:
    """Its thread has ended when `close` returns, however soon that is."""
    with Session(nq_store_dir) as session:
        session.put("a", _DATA)
        thread = session._writer.sparing._thread
    assert thread is None or not thread.is_alive()
    assert os.listdir(session.store.path / "tmp") == []


_FORKS = """
import os
import numpy as np
from jupyter_nq.client import sparing
from jupyter_nq.client.session import Session
from jupyter_nq.testing import wait_until
sparing.IDLE_SECONDS = 0.01
session = Session(sys.argv[1])
session.put("a", np.ones(1 << 18))
wait_until(lambda: len(session.store.pool.spares()) == 1)
child = os.fork()
if not child:
    session.put("b", np.ones(1 << 18))
    session.put("c", np.ones(1 << 18))
    wait_until(lambda: len(session.store.pool.spares()) == 1)
    os._exit(0)
say(os.waitpid(child, 0)[1])
"""


def test_a_forked_child_prepares_its_own(nq_store_dir: Path) -> None:
    """The thread of its parent is not its own: it starts one, and is not stopped by the lock of another."""
    with Child(_FORKS, os.fspath(nq_store_dir)) as child:
        assert child.line() == "0"


def test_a_child_that_is_forked_while_the_thread_is_at_work_can_write(nq_store_dir: Path) -> None:
    """What the thread of its parent had locked at that moment is not locked in the child for ever."""
    with Session(nq_store_dir) as session:
        session.put("a", _DATA)
        with session._writer.sparing._lock, Forked(lambda say: say(session.put("b", _DATA).version)) as child:
            assert child.hear(20.0) == 1
