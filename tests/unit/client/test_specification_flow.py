"""The specification's examples about coordination, streams and synchronisation: in one process, and in two."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import jupyter_nq as nq
from jupyter_nq.errors import NameTaken
from jupyter_nq.testing import Child, wait_until

from .specification import EXAMPLES
from .specification_run import ENDLESS, PREAMBLE, run, store

__all__ = ["store"]  # a fixture

_RISK_NOTEBOOK = """
import jupyter_nq as nq
coordinator = nq.DataFlowCoordinator(sys.argv[1])
risk_client = nq.create_notebook_client("risk_management", "risk", coordinator)
say("ready")
"""


@pytest.fixture
def risk(nq_store_dir: Path) -> Iterator[Callable[[str], Child]]:
    """Give a function that starts the risk notebook in a process of its own; its further code runs then."""
    children: list[Child] = []

    def start(code: str) -> Child:
        children.append(Child(_RISK_NOTEBOOK + code, str(nq_store_dir)))
        assert children[-1].line() == "ready"
        return children[-1]

    yield start
    for child in children:
        child.__exit__()


def test_registration() -> None:
    """Both notebooks are registered with their types, by one process."""
    names = run("Notebook Registration")
    assert {(row.name, row.type) for row in nq.notebooks()} == {
        ("execution_engine", "execution"),
        ("risk_management", "risk"),
    }
    assert names["risk_client"].notebook_id == "risk_management"


def test_streams() -> None:
    """The creator reads what it published, with its metadata and its time, under the stream's name."""
    names = run("Data Streams")
    (message,) = names["messages"]
    pd.testing.assert_frame_equal(message.data, names["data"])
    assert (message.sequence_number, message.stream_id) == (0, "market_data")
    assert 0 < message.metadata["timestamp"] <= time.time()
    assert message.timestamp.timestamp() == pytest.approx(message.metadata["timestamp"], abs=10)
    assert names["stream"].consumers == ("risk_management",)


def test_synchronization() -> None:
    """It succeeds because the other notebook holds the data, in its inbox."""
    names = run("Data Synchronization")
    assert names["success"] is True
    arrival = names["risk_client"].synced("processed_features")
    pd.testing.assert_frame_equal(arrival.data, names["feature_data"])
    assert (arrival.sender, arrival.version) == ("execution_engine", 1)


def test_streams_between_two_processes(risk: Callable[[str], Child]) -> None:
    """The other notebook opened the stream first, and reads what the example publishes."""
    child = risk("""
stream = risk_client.create_data_stream("market_data", nq.DataStreamType.MARKET_DATA)
say("reads")
(message,) = stream.get_messages(max_messages=10, timeout=60)
say(len(message.data), list(message.metadata), message.sequence_number)
""")
    assert child.line() == "reads"
    names = run("Data Streams", alone=False)
    assert child.line() == "2000 ['timestamp'] 0"
    assert len(names["messages"]) == 1


def test_synchronization_between_two_processes(risk: Callable[[str], Child]) -> None:
    """Its cell blocks meanwhile; then it has the data, and who sent them."""
    child = risk("""
input()
arrival = risk_client.synced("processed_features")
say(list(arrival.data.columns), len(arrival.data), arrival.sender)
""")
    assert run("Data Synchronization", alone=False)["success"] is True
    child.tell()
    assert child.line() == "['timestamp', 'rsi_14'] 2000 execution_engine"


def test_registration_between_two_processes(risk: Callable[[str], Child]) -> None:
    """The example's own registration of the other notebook is refused while that lives in another process."""
    child = risk("input()")
    with pytest.raises(NameTaken, match=rf"'risk_management' is taken.*\(pid {child.pid}\)"):
        run("Notebook Registration", alone=False)


def test_processing_in_real_time(risk: Callable[[str], Child]) -> None:
    """What another process publishes is processed and published on, in order, until the loop is interrupted."""
    risk("""
from jupyter_nq.testing import wait_until
wait_until(lambda: "realtime_data" in {row.name for row in risk_client.get_streams()}, timeout=60)
stream = risk_client.get_data_stream("realtime_data")
wait_until(lambda: stream.get_stats()["consumers"], timeout=60)
for price in range(4):
    stream.publish({"price": price})
input()
""")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(PREAMBLE, "preamble", "exec"), names)
    with pytest.raises(KeyboardInterrupt):
        exec(compile(EXAMPLES[ENDLESS], ENDLESS, "exec"), names)
    assert names["processed"] == [{"price": 0}, {"price": 1}, {"price": 2}]
    assert [message.data for message in names["output_stream"].get_messages()] == names["processed"]


def test_the_client_as_the_notebooks_use_it() -> None:
    """The signatures and every method, with the arguments that the specification's notebooks pass."""
    assert list(inspect.signature(nq.create_notebook_client).parameters) == [
        "notebook_id",
        "notebook_type",
        "coordinator",
    ]
    coordinator = nq.DataFlowCoordinator(coordination_dir=os.environ["JUPYTER_NQ_STORE"], enable_persistence=True)
    client = nq.create_notebook_client("risk_management", "risk", coordinator)
    client.add_capability("limits")
    assert coordinator.get_coordination_status()["notebooks"][0]["capabilities"] == ("limits",)
    stream = coordinator.create_stream("signals", nq.DataStreamType.SIGNALS, ["risk_management"])
    assert client.get_data_stream("signals").stream_type is nq.DataStreamType.SIGNALS
    seen: list[Any] = []
    stream.subscribe(seen.append)
    coordinator.get_stream("signals").publish({"side": "buy"}, {"model": "v7"})
    wait_until(lambda: seen)
    assert (seen[0].data, seen[0].metadata) == ({"side": "buy"}, {"model": "v7"})
    stream.unsubscribe(seen.append)
    stream.pause()
    stream.resume()
    assert stream.get_stats()["messages"] == 1
    stream.stop()
    assert coordinator.synchronize_data("risk_management", "risk_management", "limits", {"max": 3})
    assert client.get_synced_data("limits") == {"max": 3}
    coordinator.register_notebook("hedger", "hedge")
    coordinator.unregister_notebook("hedger")
    assert coordinator.remove_stream("signals") == 1
    client.cleanup()
    coordinator.cleanup()
