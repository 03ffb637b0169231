"""Snapshots across processes: one moment, the same bytes for everybody, and nothing that stays behind."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.client.session import Session
from jupyter_nq.client.versions.snapshots import snapshot, snapshot_of, snapshots, taken_line
from jupyter_nq.config import Settings
from jupyter_nq.errors import (
    ChecksumError,
    InvalidArgument,
    InvalidName,
    StoreError,
    UnknownDataset,
    UnknownSnapshot,
)
from jupyter_nq.testing.leftovers import settle
from tests.unit.client.child import session_child


def test_versions_stay_whatever_happens_to_their_names(session: Session) -> None:
    """Replaced, appended to and dropped; released, they go, and frames that were got stay readable."""
    for name in ("a", "b", "c"):
        session.put(name, pd.DataFrame({"x": np.arange(5.0)}))
    taken = snapshot(session, label="x")
    session.put("a", np.zeros(3))
    session.append("b", {"x": np.ones(2)})
    session.drop("c")
    session.put("c", np.zeros(4))
    frames = {name: taken.get(name) for name in taken}
    for frame in frames.values():
        assert frame["x"].tolist() == [0, 1, 2, 3, 4]
        assert not frame["x"].to_numpy().flags.writeable
    assert session.get("a", version=1)["x"].tolist() == [0, 1, 2, 3, 4]
    assert settle(session.store) == []
    assert "is in the snapshot x" in session.gc().text()
    assert taken.release()
    assert not taken.release()
    assert frames["c"]["x"].sum() == 10
    del frames, frame
    assert settle(session.store) == []
    with pytest.raises(UnknownDataset, match="released"):
        taken.get("a")


def test_a_version_that_left_the_list_of_its_header(session: Session) -> None:
    """An object remembers few of its versions, a snapshot its rows."""
    session.put("a", {"x": np.arange(4000.0)})
    with snapshot(session, "a") as taken:
        for number in range(200):
            session.append("a", {"x": np.array([float(number)])})
        with pytest.raises(UnknownDataset):
            session.get("a", version=1)
        with taken.open("a") as handle:
            assert (handle.version, handle.rows) == (1, 4000)
        assert taken.get("a", "numpy", columns=["x"], start=3998)["x"].tolist() == [3998.0, 3999.0]
    assert snapshots(session) == []


def test_all_versions_are_of_one_moment(session: Session) -> None:
    """Two datasets that are always put one after the other never differ by more than the put between them."""
    done = threading.Event()

    def publish() -> None:
        number = 0
        while not done.is_set():
            number += 1
            session.put("first", np.full(4, number))
            session.put("second", np.full(4, number))

    for name in ("first", "second"):
        session.put(name, np.zeros(4))
    writer = threading.Thread(target=publish)
    writer.start()
    try:
        for _ in range(50):
            with snapshot(session) as taken:
                first, second = (int(taken.get(name, "numpy")[0]) for name in ("first", "second"))
                assert first - second in (0, 1)
                assert taken.versions["first"] - taken.versions["second"] == first - second
    finally:
        done.set()
        writer.join()
    assert settle(session.store) == []


def test_another_process_finds_it_and_it_outlives_its_taker(session: Session) -> None:
    """By its label, after the one that took it was killed, and after the coordinator was."""
    session.put("a", np.arange(5))
    with session_child(
        session.store.path,
        "from jupyter_nq.client.versions import snapshots\n"
        "snapshots.snapshot(session, label='x')\nsay('taken')\ninput()\n",
    ) as child:
        assert child.line() == "taken"
        child.kill()
    session.put("a", np.zeros(3))
    assert snapshot_of(session, "x").get("a", "numpy").tolist() == [0, 1, 2, 3, 4]
    (listed,) = snapshots(session)
    assert listed.replaced_bytes > 0
    assert (listed.versions, list(listed), len(listed)) == ({"a": 1}, ["a"], 1)
    assert taken_line(listed) == "snapshot x: 1 dataset (a v1)"
    assert repr(listed).endswith(": a v1>")


def test_a_coordinator_that_is_killed(nq_store_dir: Path) -> None:
    """The next one keeps what the snapshot has, and frees it with the release."""
    code = """
from jupyter_nq.client.versions.snapshots import snapshot
session.put('a', np.arange(5))
snapshot(session, label='x')
say(session.channel.is_host)
input()
"""
    with session_child(nq_store_dir, code) as child:
        assert child.line() == "True"
        child.kill()
    with Session(settings=Settings(store_dir=str(nq_store_dir), connect_seconds=20)) as session:
        session.put("a", np.zeros(3))
        assert settle(session.store) == []
        taken = snapshot_of(session, "x")
        assert taken.get("a", "numpy", verify="first").tolist() == [0, 1, 2, 3, 4]
        taken.release()
        assert settle(session.store) == []
        assert len(session.store.scan()) == 1


@pytest.mark.usefixtures("disk")
def test_what_is_on_the_disk_is_brought_back(session: Session) -> None:
    """It stays in memory then, until the snapshot is released."""
    session.put("a", np.arange(50_000))
    session.put("b", np.arange(10))
    assert [stored.name for stored in session.spill("a")] == ["a"]
    taken = snapshot(session)
    assert taken.versions == {"a": 1, "b": 1}
    assert session.spill() == []
    taken.release()
    assert {stored.name for stored in session.spill()} == {"a", "b"}


def test_damage_is_found_on_request(session: Session) -> None:
    """And then there is no snapshot."""
    session.put("a", np.arange(10_000))
    whole = snapshot(session, "a", verify=True)
    with open(session.store.path / "obj" / session.store.resolve("a"), "r+b") as file:
        file.seek(5000)
        file.write(b"x")
    assert whole.get("a", "numpy").size == 10_000
    for check in (whole.verify, lambda: whole.get("a", verify="always"), lambda: snapshot(session, "a", verify=True)):
        with pytest.raises(ChecksumError):
            check()
    assert [one.label for one in snapshots(session)] == [whole.label]


def test_mistakes(session: Session) -> None:
    """Each is named, with what there is."""
    with pytest.raises(StoreError, match="store is empty"):
        snapshot(session)
    session.put("signals", np.arange(3))
    with pytest.raises(InvalidName):
        snapshot(session, "../x")
    with pytest.raises(InvalidArgument, match="label"):
        snapshot(session, label=".x")
    with pytest.raises(UnknownDataset, match="signal"):
        snapshot(session, "signal")
    taken = snapshot(session, label="close")
    with pytest.raises(UnknownDataset, match=r"has no dataset 'signal'\. Did you mean"):
        taken.get("signal")
    with pytest.raises(UnknownSnapshot, match="Did you mean"):
        snapshot_of(session, "clos")
    with pytest.raises(InvalidArgument, match="verify"):
        taken.get("signals", verify="yes")
