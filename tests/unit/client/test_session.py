"""A session: put, get, append, list and drop, and what others see of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.coordinator.identity import program
from jupyter_nq.errors import (
    ChecksumError,
    CoordinatorUnavailable,
    InvalidArgument,
    InvalidName,
    StoreError,
    StoreFull,
    UnknownDataset,
    UnsupportedData,
)
from jupyter_nq.testing import wait_until


def _frame(rows: int = 100) -> pd.DataFrame:
    stamps = pd.date_range("2024-06-03", periods=rows, freq="30min", tz="UTC", unit="ns")
    return pd.DataFrame({"timestamp": stamps, "close": np.arange(rows) * 0.25, "volume": np.arange(rows)})


def test_what_was_put_comes_back(session: Session) -> None:
    """A frame comes back equal, zero-copy and read-only."""
    stored = session.put("a", _frame())
    assert (stored.name, stored.version, stored.rows) == ("a", 1, 100)
    found = session.get("a")
    pd.testing.assert_frame_equal(found, _frame())
    with pytest.raises(ValueError, match="read-only"):
        found.loc[0, "close"] = 1.0


def test_put_again_is_a_new_version_and_the_old_one_stays(session: Session) -> None:
    """Who holds version 1 keeps it while version 2 is there."""
    session.put("a", _frame(10))
    old = session.get("a")
    assert session.put("a", _frame(20)).version == 2
    assert (len(session.get("a")), len(old), len(session.get("a", version=1))) == (20, 10, 10)


def test_append_keeps_the_frames_that_exist(session: Session) -> None:
    """In place within the reserve, by one copy beyond it, with versions that count on."""
    session.put("a", _frame(100))
    frame = _frame(140)
    before = session.get("a")
    assert session.open("a").info.capacity_rows == 125, "a quarter of its rows, as configured"
    appended = session.append("a", frame.iloc[100:120])
    assert (appended.version, appended.rows) == (2, 120)
    same = session.open("a").info.id
    assert session.open("a", version=1).info.id == same
    grown = session.append("a", pd.concat([frame.iloc[120:140], frame.iloc[120:140]], ignore_index=True))
    assert (grown.version, grown.rows) == (3, 160)
    assert session.open("a").info.id != same
    pd.testing.assert_frame_equal(before, frame.iloc[:100])
    pd.testing.assert_frame_equal(session.get("a", stop=140), frame)


def test_rows_and_columns_are_selected_without_a_copy(session: Session) -> None:
    """A selection's memory lies inside the segment of the whole."""
    session.put("a", _frame())
    part = session.get("a", columns=["close"], start=10, stop=20)
    assert (part.shape, list(part.columns), part.index[0]) == ((10, 1), ["close"], 10)
    handle = session.open("a")
    values = session.get("a", as_="numpy", columns=["close"])["close"]
    assert not values.flags.owndata
    np.testing.assert_array_equal(handle.numpy(columns=["close"])["close"], values)
    with pytest.raises(InvalidArgument, match="Did you mean 'close'"):
        session.get("a", columns=["clos"])


def test_ls_names_holders_until_the_last_view_is_gone(session: Session) -> None:
    """A holder is listed while a view lives, and no longer."""
    session.put("a", _frame())
    assert [(d.name, d.version, d.rows, d.holders) for d in session.ls()] == [("a", 1, 100, ())]
    view = session.get("a")["close"].iloc[5:10]
    wait_until(lambda: [h.version for h in session.ls()[0].holders] == [1], message="the holder")
    del view
    wait_until(lambda: not session.ls()[0].holders, message="the release")


def test_drop_removes_the_name_and_holders_keep_their_view(session: Session) -> None:
    """After a drop the name is unknown, the view reads on, and the bytes go with the last view."""
    session.put("a", _frame())
    view = session.get("a")
    session.drop("a")
    assert session.ls() == []
    assert view["close"].sum() == _frame()["close"].sum()
    with pytest.raises(UnknownDataset):
        session.drop("a")
    del view
    wait_until(lambda: not list((session.store.path / "obj").iterdir()), message="the object to go")


def test_drop_of_several_names(session: Session) -> None:
    """All go; one that is not there, or is no name, is told before any is dropped."""
    for name in "abc":
        session.put(name, _frame(5))
    with pytest.raises(UnknownDataset, match="There is no dataset 'd'"):
        session.drop("a", "d")
    with pytest.raises(InvalidName, match="'d/' is not a dataset name"):
        session.drop("a", "d/")
    assert [row.name for row in session.ls()] == ["a", "b", "c"]
    session.drop("a", "b", "a")
    assert [row.name for row in session.ls()] == ["c"]


@pytest.mark.parametrize(
    "call",
    [
        lambda session, name: session.get(name),
        lambda session, name: session.get(name, version=1),
        lambda session, name: session.open(name),
        lambda session, name: session.put(name, b"x"),
        lambda session, name: session.empty(name, "f8", 1),
        lambda session, name: session.append(name, _frame(1)),
        lambda session, name: session.drop(name),
        lambda session, name: session.pin(name),
        lambda session, name: session.unpin(name),
        lambda session, name: session.spill(name),
    ],
)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        (["a", "b"], r"\['a', 'b'\], of type list, is not a dataset name. Use 1 to 128 letters"),
        (3, "3, of type int, is not a dataset name"),
        (None, "None, of type NoneType, is not"),
        (pd.DataFrame({"close": [1.0]}), "close 0 1.0, of type DataFrame, is not"),
        ("a b", "'a b' is not a dataset name"),
    ],
)
def test_what_is_no_name_is_told(session: Session, call: Callable[..., Any], name: Any, says: str) -> None:
    """Every call that takes a name says at once what it was given instead, and what a name is."""
    with pytest.raises(InvalidName, match=says):
        call(session, name)


def test_a_second_session_shares(session: Session) -> None:
    """Another session of the same directory is a client of the first, and sees the same."""
    session.put("a", _frame())
    with Session(session.store.path) as other:
        assert not other.channel.is_host
        pd.testing.assert_frame_equal(other.get("a"), _frame())
        other.put("b", np.arange(5))
        assert [d.name for d in session.ls()] == ["a", "b"]
        assert session.status().peers == 1, "two sessions of one process are one program"


def test_desk_is_status_datasets_and_notebooks(session: Session) -> None:
    """The desk shows the newest problem beside the rest."""
    session.put("a", _frame())
    session.report("a.csv: line 3 is not a bar")
    desk = wait_until(lambda: (d := session.desk()).status.problem and d, message="the problem")
    assert desk.status.problem == f"{program(os.getpid())}: a.csv: line 3 is not a bar"
    assert [d.name for d in desk.datasets] == ["a"]
    assert desk.status.pool_used_bytes == desk.datasets[0].bytes


@pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 129, "-a", "NQ\n", ".hidden", "Ν"])
def test_names_that_are_not_allowed(session: Session, name: str) -> None:
    """Every other name is refused before anything is written."""
    with pytest.raises(InvalidName):
        session.put(name, _frame())
    assert list((session.store.path / "obj").iterdir()) == list((session.store.path / "tmp").iterdir()) == []


def test_unknown_dataset_names_the_nearest(session: Session) -> None:
    """The message helps with a misspelt name."""
    session.put("signals", _frame())
    with pytest.raises(UnknownDataset, match="'signals'"):
        session.get("signal")


def test_unsupported_data_leaves_nothing(session: Session) -> None:
    """Objects of Python in a column are refused with its name, and nothing is left behind."""
    with pytest.raises(UnsupportedData, match="'who'"):
        session.put("a", pd.DataFrame({"who": [object(), object()]}))
    assert list((session.store.path / "obj").iterdir()) == list((session.store.path / "tmp").iterdir()) == []


def test_quota_is_checked_before_allocation(nq_store_dir: Path) -> None:
    """A request beyond the quota is refused by name of who fills it, and frees its reservation."""
    with Session(settings=Settings(store_dir=str(nq_store_dir), pool_bytes=1 << 20)) as session:
        session.put("small", np.zeros(1 << 16))
        kept = session.get("small", as_="numpy")
        with pytest.raises(StoreFull, match=r"needs 1\.0 MiB"):
            session.put("large", np.zeros(1 << 17))
        assert [p.name for p in (nq_store_dir / "obj").iterdir()] == [session.open("small").info.id]
        session.put("fits", np.zeros(1 << 14))
        assert kept.sum() == 0.0


def test_a_store_that_is_too_small_says_how_to_enlarge_it(session: Session) -> None:
    """Without a configured quota the limit is the file system's, and so is the remedy."""
    with pytest.raises(StoreFull, match=r"file system and memory cgroup leave.*--shm-size.*jupyter nq doctor"):
        session.channel.request("reserve", name="huge", bytes=1 << 50)


def test_a_damaged_dataset_may_be_put_again(session: Session) -> None:
    """Whoever opens it is told; a new version replaces it."""
    session.put("a", np.ones(10))
    with (session.store.path / "obj" / session.store.resolve("a")).open("r+b") as file:
        file.write(b"X")
    with pytest.raises(ChecksumError):
        session.get("a")
    assert session.put("a", np.ones(3)).version == 2
    assert len(session.get("a")) == 3


def test_a_failed_write_gives_its_reservation_back(session: Session) -> None:
    """An interrupt in the middle of a copy leaves no bytes and no reservation."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    free = session.status().pool_free_bytes
    with pytest.raises(KeyboardInterrupt):
        session.put("a", np.zeros(1 << 20), progress=interrupt)
    assert list((session.store.path / "obj").iterdir()) == list((session.store.path / "tmp").iterdir()) == []
    wait_until(lambda: session.status().pool_free_bytes >= free - (1 << 20), message="the reservation to go")
    assert session.notebooks()[0].holds == ()


def test_requiring_a_server_where_there_is_none(nq_store_dir: Path) -> None:
    """`require="server"` never hosts; it says how to start one."""
    with pytest.raises(CoordinatorUnavailable, match="jupyter"):
        Session(nq_store_dir, require="server", settings=Settings(store_dir=str(nq_store_dir), connect_seconds=0.3))


def test_foreign_directory_is_left_alone(tmp_path: Path) -> None:
    """A directory with somebody's files is not made a store."""
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match=str(tmp_path)):
        Session(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_closing_twice_and_frames_after_closing(nq_store_dir: Path) -> None:
    """A frame outlives its session; closing again changes nothing."""
    session = Session(nq_store_dir)
    assert "hosting" in repr(session)
    session.put("a", _frame())
    frame = session.get("a")
    session.close()
    session.close()
    assert len(frame) == 100


def test_what_was_put_is_got_whole(session: Session) -> None:
    """A column is hidden of bars alone, whatever its name, and a Series is one again."""
    session.put("mine", pd.DataFrame({"flags": [1, 2], "x": [3, 4]}))
    assert list(session.get("mine").columns) == ["flags", "x"]
    series = pd.Series([1.5, 2.5], name="x", index=pd.Index(["a", "b"], name="who"))
    session.put("series", series)
    pd.testing.assert_series_equal(session.get("series"), series)
