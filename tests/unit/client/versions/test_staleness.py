"""What this process works on, and what of it was superseded by another one."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_nq import testing
from jupyter_nq.client.session import Session
from jupyter_nq.client.versions.snapshots import snapshot
from jupyter_nq.client.versions.staleness import Behind, is_current, publisher, stale
from jupyter_nq.errors import InvalidArgument, UnknownDataset
from tests.unit.client.child import session_child


@pytest.fixture
def other(session: Session) -> Iterator[testing.Child]:
    """Another process, which does what it is told and says so."""
    with session_child(session.store.path, "while True:\n    exec(input())\n    say('done')\n") as child:
        yield child


def _does(other: testing.Child, code: str) -> None:
    other.tell(code)
    assert other.line() == "done"


def test_what_others_do_to_it_is_seen(session: Session, other: testing.Child) -> None:
    """Appended to, replaced, dropped; with both versions, and who wrote what replaced it."""
    for name in ("a", "b", "c", "d"):
        session.put(name, {"x": np.arange(100.0)})
    held = {name: session.get(name) for name in session.store.names()}
    assert stale(session) == []
    assert all(is_current(session, frame) for frame in held.values())
    _does(other, "session.append('a', {'x': np.ones(2)}); session.put('b', np.ones(3)); session.drop('c')")
    pid = other.pid
    assert stale(session) == [
        Behind("a", 1, 2, "appended to", 100, 102),
        Behind("b", 1, 2, "replaced", 100, 3, pid),
        Behind("c", 1, None, "dropped", 100, 0),
    ]
    assert [is_current(session, held[name]) for name in "abcd"] == [False, False, False, True]
    assert [str(one) for one in stale(session)][1:] == [
        "b v1: replaced, the newest is v2 with 3 rows",
        "c v1: dropped",
    ]
    appended, replaced, _ = stale(session)
    assert publisher(session, appended) is None
    assert publisher(session, replaced) == f"{Path(sys.executable).name} -c"
    newer = session.get("a")
    assert is_current(session, newer)
    assert not is_current(session, "a"), "the old frame is there too"
    del held
    gc.collect()
    assert stale(session) == []
    assert is_current(session, "a")


def test_what_this_process_made_is_its_own(session: Session) -> None:
    """It is behind all the same."""
    session.put("a", {"x": np.arange(5.0)})
    session.put("b", np.arange(3))
    frames = session.get("a"), session.get("b")
    session.append("a", {"x": np.ones(2)})
    session.put("b", np.arange(4))
    assert [(one.name, one.is_own) for one in stale(session)] == [("a", True), ("b", True)]
    session.drop("a")
    assert [(one.name, one.is_own, one.newest) for one in stale(session)] == [("a", True, None), ("b", True, 2)]
    assert len(frames) == 2


def test_what_is_gone_is_forgotten(session: Session) -> None:
    """A program that gets the same dataset again and again, and never asks, remembers few of them."""
    session.put("a", np.arange(5))
    held = session.get("a")
    for _ in range(500):
        session.get("a")
    assert len(session.working._worked) < 100
    assert is_current(session, held)


def test_old_on_purpose_is_no_news(session: Session) -> None:
    """A version by its number, and what a snapshot gives."""
    session.put("a", {"x": np.arange(5.0)})
    with snapshot(session) as taken:
        session.append("a", {"x": np.ones(2)})
        old, kept = session.get("a", version=1), taken.get("a")
        assert stale(session) == []
        assert not is_current(session, old)
        assert not is_current(session, kept)
        assert is_current(session, session.get("a", version=2))


def test_bars_that_were_copied_say_what_they_are(session: Session) -> None:
    """A view of features of them, too; any other copy does not."""
    bars = session.load("NQ", "30min")
    name = bars.attrs["nq"]["dataset"]
    copy = bars.copy()
    assert is_current(session, copy)
    with session.open(name) as handle:
        table = handle.arrow()
    session.drop(name)
    session.put(name, table)
    session.put(name, table)
    assert not is_current(session, copy)
    assert not is_current(session, bars)
    session.drop(name)
    assert not is_current(session, copy)
    with pytest.raises(InvalidArgument, match="does not say which dataset"):
        is_current(session, pd.DataFrame({"x": [1]}))
    with pytest.raises(UnknownDataset, match="no dataset 'nothing'"):
        is_current(session, "nothing")


@pytest.mark.usefixtures("disk")
def test_a_newer_version_that_left_memory(session: Session, other: testing.Child) -> None:
    """The coordinator is asked for its number."""
    session.put("a", np.arange(5))
    held = session.get("a")
    _does(other, "session.put('a', np.ones(9)); session.spill('a')")
    assert stale(session) == [Behind("a", 1, 2, "replaced", 5, 0)]
    assert not is_current(session, held)


def test_looking_asks_nobody(session: Session) -> None:
    """No request goes to the coordinator, and little is read."""
    session.put("a", np.arange(5))
    held = session.get("a")
    session.channel.close()
    assert stale(session) == []
    assert is_current(session, held)
    assert os.fspath(session.store.path) in repr(session.working)
