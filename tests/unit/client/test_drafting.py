"""Drafts: filled in place, published as versions, and gone when they are not."""

from __future__ import annotations

import errno
import gc
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.buffers import drafts
from jupyter_nq.client.records import Stored
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import ChecksumError, InvalidArgument, InvalidName, StoreError, StoreFull, UnsupportedData
from jupyter_nq.testing import wait_until
from tests.unit.client.child import Child

ROWS = 1 << 18  # 2 MiB of float64


def test_a_draft_becomes_the_next_version(session: Session) -> None:
    """It is filled in place, published without a copy, digested behind that, and may be appended to."""
    for version in (1, 2):
        with session.empty("a", {"x": "f8", "n": "i8"}, ROWS) as draft:
            assert draft.columns == ("x", "n")
            draft["x"][:] = version
            draft.numpy()["n"][:] = np.arange(ROWS)
            stored = draft.publish()
        assert stored == Stored("a", version, ROWS, draft.nbytes)
        assert draft.wait(30)
        frame = session.get("a", verify="always")
        assert (frame["x"] == version).all()
        assert frame["n"].iloc[-1] == ROWS - 1
    assert session.ls()[0].bytes == stored.bytes
    assert session.append("a", {"x": np.ones(3), "n": np.ones(3, "i8")}).rows == ROWS + 3


def test_an_array_and_a_schema(session: Session) -> None:
    """A dtype and a shape make an array; an Arrow schema keeps what it says of its columns."""
    draft = session.empty("array", "f4", (10, 4))
    assert draft.columns == ()
    draft.numpy()[:] = 3
    with pytest.raises(UnsupportedData, match="has no columns"):
        draft["x"]
    draft.publish()
    assert session.get("array", as_="numpy").tolist() == [[3] * 4] * 10
    schema = pa.schema([pa.field("t", pa.timestamp("ns", "UTC"))], metadata={"source": "test"})
    table = session.empty("table", schema, 2)
    table["t"][:] = np.array(["2024-01-01", "2024-01-02"], "M8[ns]")
    table.publish()
    found = session.get("table", as_="arrow")
    assert found.schema.metadata[b"source"] == b"test"
    assert found["t"][1].as_py().isoformat() == "2024-01-02T00:00:00+00:00"
    assert draft.wait(30)
    assert table.wait(30)


def test_a_published_draft_is_over(session: Session) -> None:
    """Its views stay, and writing there reaches nobody; publishing again, or asking it for columns, is an error."""
    draft = session.empty("a", {"x": "f8"}, ROWS)
    view = draft["x"]
    view[:] = 1
    assert not draft.wait(0)
    assert "being written" in repr(draft)
    draft.publish()
    assert "published" in repr(draft)
    assert draft.wait(30)
    view[:] = 2
    assert (session.get("a", as_="numpy", verify="always")["x"] == 1).all()
    for use in (lambda: draft["x"], lambda: draft.columns, draft.numpy, draft.publish):
        with pytest.raises(InvalidArgument, match="The draft of a is published"):
            use()
    draft.discard()
    assert (session.get("a", as_="numpy")["x"] == 1).all()


def test_views_are_a_lease_that_others_see(session: Session) -> None:
    """What was dropped stays under an old view, and its memory is not written again before the view is gone."""
    draft = session.empty("a", "f8", ROWS)
    view = draft.numpy()
    view[:] = 1
    draft.publish()
    assert draft.wait(30)
    wait_until(lambda: [h.pid for h in session.ls()[0].holders] == [os.getpid()], message="the holder")
    session.drop("a")
    for value in range(3):
        session.put("b", np.full(ROWS, float(value)))
    view[0] = 7
    assert (session.get("b", as_="numpy") == 2).all()
    assert (view[1:] == 1).all()
    del view
    wait_until(lambda: len(session.store.scan()) == 1, message="the old object to go")


def test_what_is_not_published_is_removed(session: Session) -> None:
    """By leaving the block, by an error in it, by discarding, and with the draft; the quota has its bytes again."""
    with session.empty("a", "f8", ROWS):
        pass
    with pytest.raises(ZeroDivisionError), session.empty("a", "f8", ROWS) as draft:
        1 / 0  # noqa: B018
    with pytest.raises(KeyboardInterrupt), session.empty("a", "f8", ROWS):
        raise KeyboardInterrupt
    session.empty("a", "f8", ROWS)
    gc.collect()
    assert session.store.used_bytes() == 0
    assert session.status().pool_used_bytes == 0
    with pytest.raises(InvalidArgument, match="discarded"):
        draft.publish()
    assert session.ls() == []


def test_a_draft_counts_once_against_the_quota(nq_tmpfs: Callable[[str], Path]) -> None:
    """Its bytes are used from the start, and a draft beyond the quota is refused before anything is allocated."""
    settings = Settings(store_dir=str(nq_tmpfs("64m") / "s"), pool_bytes=10 << 20)
    with Session(settings=settings) as session:
        draft = session.empty("a", "f8", 3 << 18)
        assert session.status().pool_used_bytes == draft.nbytes
        with pytest.raises(StoreFull, match="pool_bytes"):
            session.empty("b", "f8", 3 << 18)
        session.put("b", np.ones(1 << 17))
        draft.publish()
        assert draft.wait(30)
        assert session.store.used_bytes() == sum(row.bytes for row in session.ls())
        del draft


@pytest.mark.parametrize(
    ("name", "schema", "rows", "error"),
    [("a/b", "f8", 1, InvalidName), ("a", {"x": "U3"}, 1, UnsupportedData), ("a", "f8", -1, InvalidArgument)],
)
def test_refusals_leave_nothing(session: Session, name: str, schema: object, rows: object, error: type) -> None:
    """Names, columns and rows are checked before anything is allocated."""
    with pytest.raises(error):
        session.empty(name, schema, rows)
    assert session.store.used_bytes() == 0


def test_a_dataset_of_a_file_is_refused(session: Session) -> None:
    """At the start, and when it was loaded meanwhile."""
    draft = session.empty("NQ.30min", "f8", 10)
    session.load("NQ", "30min")
    with pytest.raises(UnsupportedData, match="Drop it first"):
        draft.publish()
    draft.discard()
    with pytest.raises(UnsupportedData, match="Drop it first"):
        session.empty("NQ.30min", "f8", 10)


def test_a_refused_name_leaves_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the coordinator does not name it, the object goes; views stay readable."""
    draft = session.empty("a", "f8", ROWS)
    view = draft.numpy()
    view[:] = 1

    ask = session.channel.request

    def refuse(op: str, **arguments: object) -> object:
        if op == "publish":
            raise StoreError("no")
        return ask(op, **arguments)

    with monkeypatch.context() as patch:
        patch.setattr(session.channel, "request", refuse)
        with pytest.raises(StoreError, match="no"):
            draft.publish()
    assert draft.wait(30)
    assert "lost" in repr(draft)
    assert (view == 1).all()
    del view
    assert session.ls() == []
    wait_until(lambda: not session.store.scan(), message="the object to go")


def test_views_that_stay_shared_are_told(
    session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the system refuses a copy-on-write mapping, there is never a digest, and the log says so."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    monkeypatch.setattr(drafts.platform, "map_private", fail)
    draft = session.empty("a", "f8", ROWS)
    with caplog.at_level(logging.WARNING, "jupyter_nq"):
        draft.publish()
        assert draft.wait(30)
    assert "a is published, but has no digest" in caplog.text
    with pytest.raises(ChecksumError, match=r"has no digest to compare with \(it is off\)"):
        session.get("a", verify="always")


def test_a_killed_drafter_leaves_nothing(session: Session) -> None:
    """kill -9 before the publish leaves an orphan that is swept; after it the object, which gets its digest."""
    code = """
from jupyter_nq.client.session import Session
s = Session(settings=Settings(store_dir=sys.argv[1]))
done = s.empty("done", "f8", 1 << 18)
done.numpy()[:] = 4
done.publish()
draft = s.empty("a", "f8", 1 << 18)
draft.numpy()[:] = 1
die()
"""
    with Child(session.store.path, code) as child:
        assert child.wait() == -9
    session.store.sweep()
    assert [row.name for row in session.ls()] == ["done"]
    assert (session.get("done", as_="numpy", verify="always") == 4).all()
    assert session.store.used_bytes() == session.ls()[0].bytes


def test_a_forked_child_has_no_part_in_it(session: Session) -> None:
    """It cannot publish, and its end removes nothing."""
    draft = session.empty("a", "f8", ROWS)
    draft.numpy()[:] = 1
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            draft.numpy()[:] = 2
            draft.discard()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    draft.publish()
    assert draft.wait(30)
    assert (session.get("a", as_="numpy") == 1).all()
