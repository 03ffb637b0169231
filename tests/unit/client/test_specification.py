"""The specification's Python examples: each runs as it is written, on sample files, with a real session and store.

Only what an example imports from the specification's modules is imported from `jupyter_nq`, and names that the page
leaves undefined are defined beforehand, for all examples alike. What is not there yet is in `LATER`, by name; the lines
of an example that need it are left out, until the name exists: then `test_later` fails, and it goes from the list.
"""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import jupyter_nq as nq

from .specification import CONFIGURATION, EXAMPLES
from .specification_run import ENDLESS, LATER, NOTHING_LEFT, run, runnable, store

__all__ = ["store"]  # a fixture


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
