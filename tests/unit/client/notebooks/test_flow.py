"""The specification's coordinator and clients over a real store."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.client.notebooks.data_stream import DataStreamType, StreamStatus, checked_type
from jupyter_nq.client.notebooks.flow import DataFlowCoordinator, create_notebook_client
from jupyter_nq.client.session import Session
from jupyter_nq.errors import InvalidArgument, NameTaken, NotDelivered, UnknownNotebook, UnknownStream
from jupyter_nq.testing import wait_until
from tests.unit.client.child import session_child


@pytest.fixture
def coordinator(session: Session) -> DataFlowCoordinator:
    """Give the coordinator of the test's store."""
    return DataFlowCoordinator(session=session)


def test_two_clients_of_one_process_are_two_notebooks(session: Session, coordinator: DataFlowCoordinator) -> None:
    """Each has its name, its inbox and its own place in a stream."""
    execution = create_notebook_client("execution", "execution", coordinator)
    risk = create_notebook_client("risk", "risk", coordinator)
    assert [(row.name, row.type) for row in session.notebooks()] == [("execution", "execution"), ("risk", "risk")]
    assert execution.sync_data("risk", "limits", {"max": 1})
    assert risk.sync_data("execution", "limits", {"max": 2})
    assert (risk.synced("limits").data, execution.synced("limits").data) == ({"max": 1}, {"max": 2})
    assert risk.synced("limits").sender == "execution"
    ours, theirs = execution.create_data_stream("s"), risk.get_data_stream("s")
    ours.publish({"x": 1})
    late = risk.get_data_stream("s")
    ours.publish(np.arange(2))
    assert [len(handle.get_messages()) for handle in (ours, theirs, late)] == [2, 2, 1]
    assert theirs.get_messages() == []


def test_a_client_is_made_again(session: Session, coordinator: DataFlowCoordinator) -> None:
    """As when its cell runs again: what came is there, and the former one takes nothing along when it ends."""
    former = create_notebook_client("risk", "risk", coordinator)
    former.sync_data("risk", "limits", {"max": 1})
    again = create_notebook_client("risk", "risk", coordinator)
    assert again.get_synced_data("limits") == {"max": 1}
    former.cleanup()
    assert again.sync_data("risk", "limits", {"max": 2})
    again.cleanup()
    again.cleanup()
    assert [row.name for row in session.notebooks()] == [None]
    with pytest.raises(UnknownNotebook):
        coordinator.synchronize_data("execution", "risk", "limits")
    assert session.get("limits") == {"max": 2}


def test_what_is_not_delivered_is_an_error(
    session: Session, coordinator: DataFlowCoordinator, nq_store_dir: Path
) -> None:
    """`sync_data` never returns False: an unknown target, and one that has not asked, say so."""
    client = create_notebook_client("execution", "execution", coordinator)
    with pytest.raises(UnknownNotebook, match="Did you mean 'execution'"):
        client.sync_data("exekution", "limits", {"max": 1})
    code = (
        "from jupyter_nq.client.notebooks.registering import register\nregister(session, 'deaf')\nsay('is')\ninput()\n"
    )
    with session_child(nq_store_dir, code) as child:
        assert child.line() == "is"
        with pytest.raises(NotDelivered, match=r"'deaf'.*has not asked for anything"):
            client.sync_data("deaf", "limits", {"max": 1})
        with pytest.raises(NameTaken, match=str(child.pid)):
            create_notebook_client("deaf", "risk", coordinator)


def test_capabilities_are_added(session: Session, coordinator: DataFlowCoordinator) -> None:
    """Once each; what is no word is refused and not kept."""
    client = create_notebook_client("risk", "risk", coordinator)
    for capability in ("limits", "halt", "limits"):
        client.add_capability(capability)
    with pytest.raises(InvalidArgument):
        client.add_capability("")
    (row,) = session.notebooks()
    assert row.capabilities == client.capabilities == ("limits", "halt")


def test_callbacks_of_a_handle(coordinator: DataFlowCoordinator) -> None:
    """They are called with what was published, arrays included; pausing holds them, stopping ends them."""
    stream = coordinator.create_stream("s", "signals", "risk")
    seen: list[Any] = []
    listener = stream.subscribe(seen.append)
    assert stream.subscribe(seen.append) is listener
    stream.publish(np.arange(3))
    wait_until(lambda: seen)
    np.testing.assert_array_equal(seen[0].data, np.arange(3))
    stream.pause()
    assert stream.status is StreamStatus.PAUSED
    stream.publish({"x": 1})
    assert [len(stream.get_messages()), len(seen)] == [2, 1]
    stream.resume()
    wait_until(lambda: len(seen) == 2)
    assert stream.get_stats()["callbacks"] == 1
    assert (stream.get_stats()["stream_type"], stream.get_stats()["meant_for"]) == ("signals", ["risk"])
    stream.unsubscribe(seen.append)
    with pytest.raises(InvalidArgument, match="is not subscribed"):
        stream.unsubscribe(seen.append)
    with stream:
        stream.subscribe(seen.append)
    stream.stop()
    for act in (stream.pause, stream.resume, lambda: stream.subscribe(seen.append)):
        with pytest.raises(InvalidArgument, match="is stopped"):
            act()
    with pytest.raises(InvalidArgument, match="closed here"):
        stream.publish(1)
    assert repr(stream) == "<DataStream s, signals, stopped>"


def test_a_handle_lives_while_it_calls_somebody(coordinator: DataFlowCoordinator) -> None:
    """Its maker need not keep it; its client's end ends it."""
    seen: list[Any] = []
    client = create_notebook_client("risk", "risk", coordinator)
    client.create_data_stream("s").subscribe(seen.append)
    gc.collect()
    publisher = coordinator.get_stream("s")
    publisher.publish({"x": 1})
    wait_until(lambda: seen)
    client.cleanup()
    assert publisher.get_stats()["consumers"] == [] or wait_until(lambda: not publisher.get_stats()["consumers"])


def test_frames_are_read_as_they_were(coordinator: DataFlowCoordinator) -> None:
    """With their metadata, through `nq.stream` too; an array there is bytes that say what they are."""
    stream = coordinator.create_stream("s")
    reader = coordinator.session.stream("s").subscribe()
    frame = pd.DataFrame({"x": [1.5, 2.5]})
    stream.publish(frame, metadata={"timestamp": 1.0})
    stream.publish(np.array([1.5]))
    first, second = reader.get_messages()
    pd.testing.assert_frame_equal(first.data, frame)
    assert first.metadata == {"timestamp": 1.0}
    assert bytes(second.data) == np.array([1.5]).tobytes()
    assert second.metadata["nq.array"] == {"dtype": "<f8", "shape": [1], "form": "numpy"}
    reader.close()


def test_streams_that_were_made_go_without_persistence(session: Session) -> None:
    """Those that were there before, and those of a coordinator that keeps them, stay."""
    session.stream("before")
    with DataFlowCoordinator(session=session) as keeps:
        keeps.create_stream("kept")
    with DataFlowCoordinator(session=session, enable_persistence=False) as leaves:
        for name in ("before", "made", "removed"):
            leaves.create_stream(name)
        leaves.remove_stream("removed")
        with pytest.raises(UnknownStream):
            leaves.get_stream("removed")
    leaves.cleanup()
    assert session.streaming.names() == ["before", "kept"]


def test_a_coordinator_of_another_directory_has_a_session_of_its_own(session: Session, tmp_path: Path) -> None:
    """It closes that with itself; nothing of it is in this store."""
    other = DataFlowCoordinator(tmp_path / "store")
    create_notebook_client("risk", "risk", other)
    status = other.get_coordination_status()
    assert (status["store"]["store"], status["notebooks"][0]["name"]) == (str(tmp_path / "store"), "risk")
    assert [row.name for row in session.notebooks()] == [None]
    other.cleanup()
    assert "closed" in repr(other.session.channel)


def test_what_makes_no_coordinator_is_refused(session: Session, tmp_path: Path) -> None:
    """Before anything is opened."""
    for options, says in [
        ({"where": tmp_path, "coordination_dir": tmp_path}, "Say one of them"),
        ({"where": tmp_path, "session": session}, "Say session or where"),
        ({"enable_persistence": "yes"}, "neither True nor False"),
    ]:
        with pytest.raises(InvalidArgument, match=says):
            DataFlowCoordinator(**options)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="no DataFlowCoordinator"):
        create_notebook_client("risk", "risk", session)  # type: ignore[arg-type]


def test_stream_types() -> None:
    """By member, name or value; an unknown one is told the nearest."""
    assert checked_type(DataStreamType.MARKET_DATA) is checked_type("MARKET_DATA") is checked_type("market_data")
    with pytest.raises(
        InvalidArgument,
        match=r"'marketdata'\. Did you mean 'MARKET_DATA' or 'market_data'.*The types are: MARKET_DATA, F",
    ):
        checked_type("marketdata")


def test_consumers_are_names(coordinator: DataFlowCoordinator) -> None:
    """And nothing is made of anything else."""
    with pytest.raises(InvalidArgument, match="no names of notebooks"):
        coordinator.create_stream("s", consumers=[3])  # type: ignore[list-item]
    assert coordinator.create_stream("t", consumers="risk").consumers == ("risk",)
