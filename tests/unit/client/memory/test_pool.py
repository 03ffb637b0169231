"""The pool over a real store, with real second processes."""

from __future__ import annotations

import doctest
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import jupyter_nq as nq
from jupyter_nq.client.memory import pool as module
from jupyter_nq.client.memory.pool import SharedMemoryPool
from jupyter_nq.client.session import Session
from jupyter_nq.errors import ConfigError, InvalidArgument, InvalidName, StoreFull, UnsupportedData
from jupyter_nq.testing import wait_until
from tests.unit.client.memory.child import Child


@pytest.fixture
def pool(session: Session) -> SharedMemoryPool:
    """A pool of 4 GB."""
    return SharedMemoryPool(session=session)


@pytest.fixture
def own_session(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make a private store the one that this process uses by itself."""
    nq.disconnect()
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    yield
    nq.disconnect()


@pytest.mark.usefixtures("own_session")
def test_examples() -> None:
    """The example of the docstring holds, through the process's own session."""
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"close": [1.0, 2.0], "volume": [3, 4], "flags": [5, 6]}, index=pd.Index([7, 8], name="i")),
        pd.Series([1.0, np.nan], name="signal"),
        np.arange(6.0).reshape(3, 2),
        np.arange(3),
        {"contracts": 3, "stops": [1.5, None]},
        [1, "two"],
        2.5,
        b"raw",
    ],
)
def test_what_is_stored_comes_back(pool: SharedMemoryPool, data: Any) -> None:
    """As what it was, with its dtypes and its index."""
    assert pool.store("data", data)
    found = pool.retrieve("data")
    if isinstance(data, pd.DataFrame):
        pd.testing.assert_frame_equal(found, data)
    elif isinstance(data, pd.Series):
        pd.testing.assert_series_equal(found, data)
    elif isinstance(data, np.ndarray):
        np.testing.assert_array_equal(found, data, strict=True)
    elif isinstance(data, bytes):
        assert bytes(found) == data
    else:
        assert found == data


def test_tables_come_back_as_frames(pool: SharedMemoryPool) -> None:
    """The other forms are those of `get`."""
    pool.store("table", pa.table({"x": [1, 2]}))
    assert pool.retrieve("table")["x"].tolist() == [1, 2]


def test_bars_come_back_as_a_load_shows_them(session: Session, pool: SharedMemoryPool) -> None:
    """Without the hidden column, and their name cannot be stored over."""
    bars = session.load("30min")
    assert list(pool.retrieve("NQ.30min").columns) == list(bars.columns)
    with pytest.raises(UnsupportedData, match="put the data under another name"):
        pool.store("NQ.30min", bars)
    assert pool.store("mine", bars).rows == len(bars)


def test_storing_says_what_it_made(pool: SharedMemoryPool) -> None:
    """Name, version, rows and bytes, which is true; a view of the old version stays."""
    first = pool.store("signals", np.arange(1000.0))
    old = pool.retrieve("signals")
    second = pool.store("signals", np.arange(2000.0))
    assert first
    assert (first.version, first.rows, second.version, second.rows) == (1, 1000, 2, 2000)
    assert (len(old), len(pool.retrieve("signals"))) == (1000, 2000)


def test_what_one_process_stores_another_retrieves(nq_store_dir: Path, pool: SharedMemoryPool) -> None:
    """Without a copy on either side, and it stays when the writer is killed."""
    code = """
pool.store("theirs", pd.DataFrame({"close": np.arange(1000.0)}))
say(pool.retrieve("ours")["close"].sum(), pool.exists("ours"), pool.get_stats()["objects"])
input()
die()
"""
    pool.store("ours", pd.DataFrame({"close": np.ones(500)}))
    with Child(nq_store_dir, code) as child:
        assert child.line() == "500.0 True 1"
        found = pool.retrieve("theirs")
        child.tell()
        child.wait()
        assert found["close"].sum() == 499_500
        assert pool.retrieve("theirs")["close"].iloc[-1] == 999
    with pytest.raises(ValueError, match="read-only"):
        found["close"].to_numpy()[0] = 1.0


def test_what_nobody_stored(pool: SharedMemoryPool) -> None:
    """Is None, does not exist, and removing it is told by False."""
    assert pool.retrieve("nothing") is None
    assert not pool.exists("nothing")
    assert pool.remove("nothing") is False
    pool.store("something", 1)
    assert pool.exists("something")
    assert pool.remove("something") is True
    assert not pool.exists("something")


@pytest.mark.parametrize("key", ["", "../up", "a b", "x" * 129, 3, None])
def test_keys_are_names(pool: SharedMemoryPool, key: Any) -> None:
    """Checked everywhere, before anything is done."""
    for call in (pool.retrieve, pool.exists, pool.remove, lambda name: pool.store(name, 1)):
        with pytest.raises(InvalidName):
            call(key)
    assert pool.get_stats()["misses"] == 0


def test_figures_are_true(session: Session, pool: SharedMemoryPool) -> None:
    """Of this pool, and of the store beside it."""
    others = session.put("others", np.zeros(1 << 17))
    assert pool.get_stats()["hit_rate"] is None
    stored = [pool.store("a", np.zeros(1 << 17)), pool.store("b", np.zeros(10)), pool.store("b", np.zeros(1000))]
    pool.retrieve("a"), pool.retrieve("others"), pool.retrieve("c"), pool.retrieve("a")
    there = others.bytes + stored[0].bytes + stored[2].bytes
    wait_until(lambda: session.status().pool_used_bytes == there, message="the first version of b to be freed")
    found = pool.get_stats()
    assert found == {
        "objects": 2,
        "spilled_objects": 0,
        "bytes": stored[0].bytes + stored[2].bytes,
        "limit_bytes": 4 << 30,
        "used_fraction": (stored[0].bytes + stored[2].bytes) / (4 << 30),
        "eviction_policy": "lru",
        "stores": 3,
        "hits": 3,
        "misses": 1,
        "evictions": 0,
        "hit_rate": 0.75,
        "store_used_bytes": there,
        "store_limit_bytes": session.status().pool_limit_bytes,
        "store_spare_bytes": session.status().pool_spare_bytes,
        "store_objects": 3,
    }
    session.drop("a")
    assert (pool.get_stats()["objects"], pool.get_stats()["bytes"]) == (1, stored[2].bytes)
    assert repr(pool) == f"<SharedMemoryPool 12.0 KiB of 4.0 GiB in {session.store.path}>"


def test_clear_removes_only_what_this_pool_stored(nq_store_dir: Path, session: Session, pool: SharedMemoryPool) -> None:
    """Not what another process stored, nor what it put in the place of ours."""
    for name in ("ours", "replaced", "dropped"):
        pool.store(name, np.zeros(10))
    view = pool.retrieve("ours")
    code = 'pool.store("theirs", 1); pool.store("replaced", 2); session.drop("dropped"); say("done"); input()'
    with Child(nq_store_dir, code) as child:
        assert child.line() == "done"
        assert pool.clear() == 1
        assert [dataset.name for dataset in session.ls()] == ["replaced", "theirs"]
    assert pool.clear() == 0
    assert pool.retrieve("replaced") == 2
    assert view.sum() == 0.0


def test_the_limit_is_the_pool_s_own(session: Session) -> None:
    """What others stored does not count; a name that is replaced makes room for itself."""
    pool = SharedMemoryPool(max_size_gb=(1 << 20) / (1 << 30), session=session)
    session.put("others", np.zeros(1 << 18))
    pool.store("a", np.zeros(60_000))
    pool.store("a", np.zeros(70_000))
    with pytest.raises(StoreFull, match=r"'b' needs .*may store 1.0 MiB .*taken by a \(.*pass force=True") as found:
        pool.store("b", np.zeros(70_000))
    assert "others" not in str(found.value)
    with pytest.raises(StoreFull, match=r"and 0 B are taken\. Make a pool with a larger size"):
        SharedMemoryPool(max_size_gb=1e-5, session=session).store("c", np.zeros(70_000), force=True)
    assert [dataset.name for dataset in session.ls()] == ["a", "others"]
    session.drop("a")
    assert pool.store("b", np.zeros(70_000)), "what somebody else dropped takes no room"


def test_two_threads_do_not_fill_the_same_room(session: Session) -> None:
    """Of ten that store at once, as many succeed as fit."""
    pool = SharedMemoryPool(max_size_gb=(1 << 20) / (1 << 30), session=session)

    def store(number: int) -> bool:
        try:
            return bool(pool.store(f"part{number}", np.zeros(30_000)))
        except StoreFull:
            return False

    with ThreadPoolExecutor(10) as threads:
        assert sum(threads.map(store, range(10))) == 4
    assert pool.get_stats()["bytes"] <= 1 << 20


def test_what_somebody_drops_at_once_was_stored(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Storing is no error then, but it is not this pool's any more."""
    pool, put = SharedMemoryPool(session=session), session.put

    def put_and_drop(name: str, data: Any) -> Any:
        stored = put(name, data)
        session.drop(name)
        return stored

    pool.store("signals", 1)
    monkeypatch.setattr(session, "put", put_and_drop)
    assert pool.store("signals", 2).version == 2
    assert (pool.get_stats()["stores"], pool.get_stats()["objects"]) == (2, 0)
    assert pool.clear() == 0


def test_a_pool_does_not_raise_the_limit_of_the_store(nq_tmpfs: Any) -> None:
    """Its 4 GB are a wish: what the store refuses is refused, with what the store says."""
    with Session(nq_tmpfs("8m")) as session:
        pool = SharedMemoryPool(session=session)
        assert pool.store("small", np.zeros(100_000))
        with pytest.raises(StoreFull, match="'large' needs"):
            pool.store("large", np.zeros(1_000_000))
        assert pool.get_stats()["stores"] == 1


def test_a_forked_child_works(pool: SharedMemoryPool) -> None:
    """It stores and retrieves over a line of its own, even if another thread was at the pool as it was forked."""
    pool.store("ours", np.arange(10.0))
    pool._lock.acquire(), pool._storing.acquire()
    pid = os.fork()
    if pid == 0:
        try:
            right = pool.retrieve("ours").sum() == 45.0 and pool.store("child", np.zeros(5)).version == 1
            os._exit(0 if right else 1)
        except BaseException:
            os._exit(2)
    pool._lock.release(), pool._storing.release()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(pool.retrieve("child")) == 5
    assert pool.get_stats()["objects"] == 1


@pytest.mark.parametrize("size", [0, -1, "4", None, True, float("nan"), float("inf")])
def test_only_sizes_are_sizes(session: Session, size: Any) -> None:
    """A number of gigabytes above 0."""
    with pytest.raises(ConfigError, match=r"such as 4\.0"):
        SharedMemoryPool(size, session=session)


def test_policies_are_checked(session: Session) -> None:
    """By name."""
    with pytest.raises(InvalidArgument, match="lru, lfu, fifo"):
        SharedMemoryPool(eviction_policy="random", session=session)
    assert SharedMemoryPool(eviction_policy="fifo", session=session).get_stats()["eviction_policy"] == "fifo"
