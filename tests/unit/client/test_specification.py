"""The specification's Python examples: each runs as it is written, on sample files, with a real session and store.

Only what an example imports from the specification's modules is imported from `jupyter_nq`, and names that the page
leaves undefined are defined beforehand, for all examples alike. What is not there yet is in `LATER`, by name; the lines
of an example that need it are left out, until the name exists: then `test_later` fails, and it goes from the list.
"""

from __future__ import annotations

import ast
import inspect
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import jupyter_nq as nq
from jupyter_nq.errors import NameTaken
from jupyter_nq.testing import Child, wait_until

from .specification import CONFIGURATION, EXAMPLES

LATER = (
    "PerformanceMonitor",
    "PerformanceTimer",
    "ScalabilityManager",
    "ScalingConfiguration",
)
"""What the examples use and `jupyter_nq` has not got yet."""

NOTHING_LEFT = (
    "Benchmarking Suite",
    "Multi-GPU Processing",
    "Auto-scaling",
)
"""Examples that do not run yet at all."""

MADE_OF_LATER = {
    "benchmark_suite": "PerformanceMonitor",
    "memory_manager": "MemoryManager",
    "performance_monitor": "PerformanceMonitor",
    "scalability_manager": "ScalabilityManager",
}
"""What the page's examples call their objects -> what these are made of."""

ENDLESS = "Example 3: Real-time Stream Processing"
"""Runs until it is interrupted."""

MODULES = (
    "unified_data_loader",
    "memory_manager",
    "performance_monitor",
    "data_flow_coordinator",
    "scalability_manager",
)

PREAMBLE = """
import os
import time

from jupyter_nq import DataFlowCoordinator, DataStreamType, MemoryManager, UnifiedDataLoader, create_notebook_client

config = {"development": {"profiling": {"enabled": False}}}
data_loader = UnifiedDataLoader()
memory_manager = MemoryManager()
data = data_loader.load_data("30min")
feature_data = data[["timestamp", "rsi_14"]]
coordinator = DataFlowCoordinator()
execution_client = create_notebook_client("execution_engine", "execution", coordinator)
output_stream = execution_client.create_data_stream("output", DataStreamType.SIGNALS)
processed = []


def process_chunk(chunk):
    return chunk["close"].mean()


def process_message(message_data):
    if len(processed) == 3:
        raise KeyboardInterrupt
    processed.append(message_data)
    return message_data
"""

RISK = 'risk_client = create_notebook_client("risk_management", "risk", coordinator)\n'
"""The other notebook of the examples, which may be another process."""


@pytest.fixture(autouse=True)
def store(nq_store_dir: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make a private store and the sample files those that this process uses by itself."""
    nq.disconnect()
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(data))
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
    level = logging.root.level
    yield
    logging.root.setLevel(level)
    nq.disconnect()


class WithoutLater(ast.NodeTransformer):
    """Takes imports from `jupyter_nq`, and leaves out every statement that needs what is not there yet."""

    def __init__(self) -> None:
        self.left_out: list[str] = []

    def visit(self, node: ast.AST) -> Any:
        """Look at statements from the outside in."""
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            node.module = "jupyter_nq"
            node.names = [alias for alias in node.names if alias.name not in LATER]
            return node if node.names else None
        if isinstance(node, ast.With):
            node.items = [item for item in node.items if not self.needs_later(item)]
            if not node.items:
                return [self.visit(inner) for inner in node.body]
        if isinstance(node, (ast.Assign, ast.Expr)) and self.needs_later(node):
            return None
        if isinstance(node, ast.While):
            return None if self.needs_later(node) else self.generic_visit(node)
        return self.generic_visit(node)

    def needs_later(self, node: ast.AST) -> bool:
        """Tell whether anything in a statement is made of what is not there yet."""
        named = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        later = {name for name in named if MADE_OF_LATER.get(name, name) in LATER}
        self.left_out += sorted(later)
        return bool(later)


def runnable(example: str) -> tuple[ast.Module, list[str]]:
    """Return an example as it can run now, and the names for which lines are left out."""
    without = WithoutLater()
    tree = without.visit(ast.parse(EXAMPLES[example]))
    tree.body = [node for node in tree.body if node is not None]
    return ast.fix_missing_locations(tree), without.left_out


def run(example: str, *, alone: bool = True) -> dict[str, Any]:
    """Run the preamble and an example; returns its names. The other notebook is this process too, when it is alone."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(PREAMBLE + RISK if alone else PREAMBLE, "preamble", "exec"), names)
    exec(compile(runnable(example)[0], example, "exec"), names)
    return names


@pytest.mark.parametrize("example", [name for name in EXAMPLES if name not in (*NOTHING_LEFT, ENDLESS)])
def test_examples_run(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example that has a line to run runs."""
    for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")
    run(example)


@pytest.mark.parametrize("name", LATER)
def test_later(name: str) -> None:
    """What exists is used: a name that `jupyter_nq` has by now is taken from the list, so that its examples run."""
    assert not hasattr(nq, name), f"jupyter_nq.{name} exists: take it from LATER"


def test_nothing_is_left_out_in_silence() -> None:
    """The lists say exactly which examples lack lines, and which have none left."""
    assert [name for name in EXAMPLES if not runnable(name)[0].body] == list(NOTHING_LEFT)
    partly = {name for name in EXAMPLES if runnable(name)[1]} - set(NOTHING_LEFT)
    assert partly <= {"Basic Usage", "Distributed Processing", "Advanced Usage with Coordination"}
    named = {name for text in EXAMPLES.values() for name in re.findall(r"\b[A-Z]\w+[a-z]\w+\b", text)}
    assert set(LATER) <= named


def test_the_examples_are_the_specification_s() -> None:
    """Each Python example of the page is here, to the letter; skipped where the page is not at hand."""
    told = os.environ.get("JUPYTER_NQ_SPECIFICATION")
    path = Path(told) if told else Path(__file__).parents[4] / "shared" / "spec" / "original-readme.md"
    if not path.is_file():
        pytest.skip("the specification is not here; JUPYTER_NQ_SPECIFICATION names it")
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S) == list(EXAMPLES.values())
    assert re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S) == [CONFIGURATION]


def test_basic_usage() -> None:
    """Both timeframes are loaded, and lie in shared memory under the names that they were given."""
    names = run("Basic Usage")
    assert len(names["data_30min"]) == 2_000
    assert len(names["data_5min"]) == 12_000
    pd.testing.assert_frame_equal(nq.get("nq_5min"), names["data_5min"])
    pd.testing.assert_frame_equal(names["memory_manager"].retrieve_data("nq_30min"), names["data_30min"])
    names["memory_manager"].cleanup()


def test_basic_data_loading(capsys: pytest.CaptureFixture[str]) -> None:
    """The rows are printed."""
    run("Example 1: Basic Data Loading")
    assert capsys.readouterr().out == "Loaded 2000 rows\n"


def test_chunks() -> None:
    """The last chunk's result is that of its rows, and every notebook has it and the data."""
    names = run("Example 2: Memory-Optimized Processing")
    assert names["chunk"].index[0] == 0
    assert names["result"] == names["data"]["close"].mean()
    assert nq.get("result_0") == names["result"]
    pd.testing.assert_frame_equal(nq.get("nq_data"), names["data"])


def test_validation(capsys: pytest.CaptureFixture[str]) -> None:
    """Sample bars are valid."""
    names = run("Validation Scripts")
    assert capsys.readouterr().out == "Validation result: True\n"
    result = names["result"]
    assert result.name == "nq_30min"
    assert (result.errors, result.statistics["rows"]) == ([], 2_000)


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


def test_the_loader_as_the_notebooks_use_it(data: Path) -> None:
    """The signature and every method, with the arguments that the specification's notebooks pass."""
    loader = nq.UnifiedDataLoader(
        data_dir=str(data),
        chunk_size=10000,
        cache_enabled=True,
        validation_enabled=True,
        preprocessing_enabled=True,
        config=None,
    )
    order = ["data_dir", "chunk_size", "cache_enabled", "validation_enabled", "preprocessing_enabled", "config"]
    assert list(inspect.signature(nq.UnifiedDataLoader).parameters)[:6] == order
    frame = loader.load_data(timeframe="30min", start_date="2020-07-01", end_date="2020-07-31", columns=None)
    assert list(frame.columns[:6]) == ["timestamp", "open", "high", "low", "close", "volume"]
    assert len(frame.columns) > 6
    assert len(list(loader.load_chunked_data("30min", chunk_size=None))) == 1
    aligned = loader.load_multiple_timeframes(["30min", "5min"], align_timestamps=True)
    assert len(aligned["30min"]) == len(aligned["5min"])
    assert loader.get_available_timeframes() == ["5min", "5min_extended", "30min"]
    assert loader.get_data_statistics("30min")["rows"] == 2_000
    loader.preload_data(["30min", "5min"])
    assert loader.get_performance_metrics()["loads"] >= 2
    loader.monitor_data_completeness("30min")
    assert loader.get_completeness_report()["30min"]["present"] == 2_000
    loader.clear_cache()
    assert nq.ls() == []


def test_the_manager_as_the_notebooks_use_it(data: Path) -> None:
    """The signatures and every method, with the arguments that the specification's notebooks pass."""
    manager = nq.MemoryManager(shared_pool_size_gb=4.0, enable_monitoring=True, monitoring_interval=5.0)
    order = ["shared_pool_size_gb", "enable_monitoring", "monitoring_interval"]
    assert list(inspect.signature(nq.MemoryManager).parameters)[:3] == order
    assert list(inspect.signature(manager.store_data).parameters) == ["key", "data", "force"]
    assert manager.store_data("frame", pd.DataFrame({"close": [1.0, 2.0]}), force=False)
    assert list(manager.retrieve_data("frame")["close"]) == [1.0, 2.0]
    report = manager.get_memory_report()
    assert 0 < report["system_memory"]["usage_percent"] < 100
    assert report["system_memory"]["available_gb"] > 0
    assert report["shared_pool"]["objects"] == 1
    manager.set_optimization_level("conservative")
    manager.optimize_memory()
    loader = manager.create_memory_mapped_loader(str(next(data.glob("*30 min*"))))
    assert len(loader) == 2_000
    manager.cleanup()
    pool = nq.SharedMemoryPool()
    assert pool.store("value", {"stop": 1.5})
    assert pool.retrieve("value") == {"stop": 1.5}
    assert pool.exists("value")
    assert pool.remove("value")
    pool.clear()
    assert pool.get_stats()["objects"] == 0


def test_preprocessing() -> None:
    """The preprocessor keeps the bars and adds features and their scaled copies, none of them made 0."""
    config: dict[str, Any] = {}
    bars = nq.UnifiedDataLoader(preprocessing_enabled=False).load_data("30min")
    found = nq.DataPreprocessor(config).preprocess_data(bars)
    pd.testing.assert_frame_equal(found[list(bars.columns)], bars)
    assert {"rsi_14", "rsi_14_scaled"} <= set(found.columns)
    assert found["sma_20"].isna().sum() == 19


def test_the_configuration_file(tmp_path: Path, data: Path) -> None:
    """The page's `config.yaml` says how loader and manager work, but for the directory, which is the authors'."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIGURATION)
    loader = nq.UnifiedDataLoader(config=path)
    assert repr(loader) == "<UnifiedDataLoader of NQ in /home/QuantNova/GrandModel/colab/data/>"
    path.write_text(CONFIGURATION.replace("/home/QuantNova/GrandModel/colab/data/", str(data)))
    frames = list(nq.UnifiedDataLoader(config=path).load_chunked_data("5min"))
    assert [len(frame) for frame in frames] == [10_000, 2_000]
    assert "rsi_14" in frames[0].columns
    with nq.MemoryManager(config=path) as manager:
        report = manager.get_memory_report()
        assert report["monitoring"]
        assert (report["shared_pool"]["limit_bytes"], report["shared_pool"]["eviction_policy"]) == (4 << 30, "lru")
