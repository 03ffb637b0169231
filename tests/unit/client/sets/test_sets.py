"""Working sets saved and restored: in the same store, in another one, and after the store was removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.client.bars.remembered import default_path, recall
from jupyter_nq.client.session import Session
from jupyter_nq.client.sets.document import path_of
from jupyter_nq.client.sets.restoring import Restoration, restore
from jupyter_nq.client.sets.saving import save
from jupyter_nq.client.versions.snapshots import snapshot
from jupyter_nq.config import Settings
from jupyter_nq.errors import UnreadableSource
from jupyter_nq.testing.leftovers import settle

pytestmark = [pytest.mark.usefixtures("disk"), pytest.mark.filterwarnings("ignore:.*start in hours when:UserWarning")]

Another = Callable[[str], Session]


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


@pytest.fixture
def another(nq_store_dir: Path, data: Path, tmp_path: Path) -> Iterator[Another]:
    """Give a function that opens an empty store, with another disk."""
    opened: list[Session] = []

    def open_another(name: str) -> Session:
        where = nq_store_dir.with_name(f"{nq_store_dir.name}-{name}")
        told = {"store_dir": str(where), "data_dir": str(data), "spill_dir": str(tmp_path / name)}
        opened.append(Session(settings=Settings(**told)))
        return opened[-1]

    yield open_another
    for session in opened:
        session.close()
        shutil.rmtree(session.store.path)


def _outcomes(done: Restoration) -> dict[str, str]:
    return {f"{item.kind} {item.name}": item.outcome for item in done.items}


def _source(session: Session) -> str:
    (name,) = [name for name in session.store.names() if name.startswith("NQ.")]
    return name


def test_nothing_to_do(session: Session) -> None:
    """What is there and the same is left as it is."""
    session.put("a", np.arange(5))
    session.load("NQ", "30min")
    session.pin("a")
    session.stream("ticks", {"x": "float64"})
    told = str(save(session, "desk"))
    assert told.endswith("desk.json: 2 datasets and 1 stream are saved")
    before = {row.name: row.version for row in session.ls()}
    done = restore(session, "desk")
    assert set(_outcomes(done).values()) == {"same"}
    assert done.ok
    assert str(done).endswith("desk.json: 4 same")
    assert {row.name: row.version for row in session.ls()} == before


def test_in_another_store(session: Session, another: Another) -> None:
    """Durable copies and files give the same bytes again; what was in memory alone is named as lost."""
    frame = pd.DataFrame({"x": np.arange(5.0), "s": list("abcde")}, index=pd.Index(list("vwxyz"), name="i"))
    session.put("frame", frame, durable=True)
    session.put("limits", {"max": 3}, durable=True)
    session.put("array", np.arange(12).reshape(3, 4), durable=True)
    session.put("gone", np.arange(3))
    bars = session.load("NQ", "30min", features=["sma(20)"])
    session.pin("limits")
    names = set(session.store.names())
    save(session, "desk")
    other = another("other")
    done = restore(other, "desk")
    assert [(item.name, item.why) for item in done.missing] == [
        ("gone", "it has no durable copy; it was put, not loaded from a file")
    ]
    assert not done.ok
    assert "dataset gone: lost, it has no durable copy" in str(done)
    assert set(other.store.names()) == names - {"gone"}
    pd.testing.assert_frame_equal(other.get("frame", verify="always"), frame)
    assert other.get("limits") == {"max": 3}
    assert other.get("array").shape == (3, 4)
    pd.testing.assert_frame_equal(other.load("NQ", "30min", features=["sma(20)"]), bars)
    rows = {row.name: row for row in other.ls()}
    assert rows["frame"].durable
    assert rows["limits"].pinned
    assert set(_outcomes(restore(other, "desk")).values()) == {"same", "lost"}
    assert settle(other.store) == []


def test_bars_are_the_same_bars(session: Session, another: Another) -> None:
    """A restored dataset is recognised by the next load, and refreshed by it."""
    session.load("NQ", "30min", tz="Asia/Jerusalem", edge="end")
    name = _source(session)
    save(session, "desk")
    other = another("other")
    assert restore(other, "desk").ok
    mapped = other.map("NQ", "30min")
    assert mapped.handle.info.name in (name, "NQ.30min")
    assert name in other.store.names()


def test_a_file_that_changed(session: Session, another: Another, data: Path) -> None:
    """What comes back is not what was saved, and that is said."""
    session.load("NQ", "30min")
    name = _source(session)
    save(session, "desk")
    file = next(path for path in data.iterdir() if "NQ - 30 min" in path.name)
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-5]))
    done = restore(another("other"), "desk")
    assert _outcomes(done)[f"dataset {name}"] == "changed"
    assert "which has changed since" in str(done)
    session.refresh(name)
    assert _outcomes(restore(session, "desk"))[f"dataset {name}"] == "refused"
    (lost,) = restore(session, "desk", overwrite=True).missing
    assert "has other bars by now" in lost.why


def test_a_newer_version_is_not_replaced_unasked(session: Session) -> None:
    """It is named with both versions; asked to, the saved content becomes the next version, if it can be had."""
    session.put("a", np.arange(5))
    session.put("b", np.arange(5))
    save(session, "desk")
    with snapshot(session, "a"):
        session.put("a", np.zeros(2))
        session.put("b", np.zeros(2))
        refused = restore(session, "desk")
        assert _outcomes(refused) == {"dataset a": "refused", "dataset b": "refused"}
        assert "version 2 is there, newer than version 1" in str(refused)
        assert session.get("a").tolist() == [0, 0]
        done = restore(session, "desk", overwrite=True)
    assert _outcomes(done) == {"dataset a": "restored", "dataset b": "lost"}
    assert session.get("a").tolist() == [0, 1, 2, 3, 4]
    assert [row.version for row in session.ls()] == [3, 2]


def test_what_was_said_of_files(session: Session, data: Path) -> None:
    """It is set again, and what was said since is left unless asked."""
    file = next(path for path in data.iterdir() if "NQ - 30 min" in path.name)
    session.load(file, tz="Asia/Jerusalem", edge="end")
    save(session, "desk")
    default_path().unlink()
    assert _outcomes(restore(session, "desk"))[f"profile {file}"] == "restored"
    known = recall(file)
    assert known is not None
    assert dict(known.given) == {"tz": "Asia/Jerusalem", "edge": "end"}
    session.load(file, tz="Asia/Jerusalem")
    assert _outcomes(restore(session, "desk"))[f"profile {file}"] == "refused"
    assert _outcomes(restore(session, "desk", overwrite=True))[f"profile {file}"] == "restored"


def test_streams_and_positions(session: Session, another: Another) -> None:
    """A consumer that is gone goes on where it was; one that has read on stays; a new stream has no old messages."""
    stream = session.stream("ticks", {"x": "float64"}, retention_bytes=1 << 20)
    with stream.subscribe("earliest", name="engine") as engine:
        for number in range(5):
            stream.publish((float(number),))
        engine.get_messages(2)
        engine.ack()
    save(session, "desk")
    assert _outcomes(restore(session, "desk")) == {"stream ticks": "same", "consumer engine of ticks": "same"}
    (session.store.path / "streams" / "ticks" / "consumers" / "engine").unlink()
    assert _outcomes(restore(session, "desk"))["consumer engine of ticks"] == "restored"
    with stream.subscribe(name="engine") as engine:
        assert [message.data["x"] for message in engine.get_messages(1)] == [2.0]
        engine.ack()
    assert _outcomes(restore(session, "desk"))["consumer engine of ticks"] == "refused"
    restore(session, "desk", overwrite=True)
    with stream.subscribe(name="engine") as engine:
        assert engine.lag == 3
    done = restore(another("other"), "desk")
    assert _outcomes(done) == {"stream ticks": "restored", "consumer engine of ticks": "lost"}
    assert "without the messages that it had" in str(done)
    session.drop_stream("ticks")
    session.stream("ticks", {"y": "float64"})
    (refused, lost) = restore(session, "desk").missing
    assert refused.outcome == "refused", "it is another stream"
    assert lost.kind == "consumer"


def test_a_damaged_file_changes_nothing(session: Session) -> None:
    """It is refused before anything is done."""
    session.put("a", np.arange(3))
    save(session, "desk")
    session.drop("a")
    path = path_of("desk")
    told = json.loads(path.read_text())
    told["pins"] = [5]
    path.write_text(json.dumps(told))
    with pytest.raises(UnreadableSource):
        restore(session, "desk")
    assert session.ls() == []


def test_a_schema_and_a_reading_that_cannot_be_understood(session: Session) -> None:
    """Each is told, and the rest restored."""
    session.put("a", np.arange(3))
    session.stream("ticks", {"x": "float64"}).close()
    save(session, "desk")
    path = path_of("desk")
    told = json.loads(path.read_text())
    told["streams"]["ticks"]["schema"] = "x" * 1000
    source = {"path": "/file.csv", "symbol": "NQ", "timeframe": "30min", "reading": {"moon": "full"}}
    told["datasets"]["b"] = {**told["datasets"]["a"], "source": source}
    path.write_text(json.dumps(told))
    done = restore(session, "desk")
    assert _outcomes(done) == {"dataset a": "same", "dataset b": "lost", "stream ticks": "refused"}
    assert "how it was read cannot be understood (TypeError: " in str(done)
    assert "its schema cannot be read: " in str(done)


def test_damaged_data_are_left_out_by_name(session: Session) -> None:
    """The rest is saved."""
    session.put("a", np.arange(3))
    session.put("b", np.arange(3))
    with open(session.store.path / "obj" / session.store.resolve("b"), "r+b") as file:
        file.write(b"xxxx")
    saved = save(session, "desk")
    assert saved.datasets == 1
    assert "not saved: dataset b" in str(saved)
