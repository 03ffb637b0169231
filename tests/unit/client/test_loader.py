"""The specification's loader over a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.bars.sample import write_sample
from jupyter_nq.client.loader import UnifiedDataLoader
from jupyter_nq.client.session import Session
from jupyter_nq.errors import ConfigError, InvalidArgument

ROWS = 1_500


@pytest.fixture
def loader(nq_store_dir: Path, tmp_path: Path) -> Iterator[UnifiedDataLoader]:
    """Give a loader of sample bars."""
    write_sample(tmp_path, rows=ROWS, seed=4)
    with Session(nq_store_dir) as session:
        yield UnifiedDataLoader(tmp_path, session=session)


def test_chunks_are_views_that_count_on(loader: UnifiedDataLoader) -> None:
    """Put together they are the whole frame, index included, and they lie in its memory."""
    whole = loader.load_data("30min")
    chunks = list(loader.load_chunked_data("30min", chunk_size=400))
    assert [len(chunk) for chunk in chunks] == [400, 400, 400, 300]
    assert [chunk.index[0] for chunk in chunks] == [0, 400, 800, 1200]
    pd.testing.assert_frame_equal(pd.concat(chunks), whole)
    closes = chunks[1]["close"].to_numpy()
    with pytest.raises(ValueError, match="read-only"):
        closes[0] = 0.0
    assert len(list(loader.load_chunked_data("30min"))) == 1, "10,000 rows unless given"


def test_chunks_of_a_span(loader: UnifiedDataLoader) -> None:
    """Dates and columns narrow what is cut."""
    whole = loader.load_data("30min")
    day = whole["timestamp"].iloc[100].strftime("%Y-%m-%d")
    found = pd.concat(loader.load_chunked_data("30min", 7, day, day, ["timestamp", "close"]))
    assert list(found.columns) == ["timestamp", "close"]
    assert set(found["timestamp"].dt.strftime("%Y-%m-%d")) == {day}


def test_aligned_timeframes_know_no_future(loader: UnifiedDataLoader) -> None:
    """Each longer bar is shown from the row at whose close it had closed."""
    frames = loader.load_multiple_timeframes(["5min", "30min"])
    assert list(frames) == ["5min", "30min"]
    assert len(frames["5min"]) == len(frames["30min"]) == len(loader.load_data("5min"))
    closes = frames["5min"]["timestamp"] + pd.Timedelta(minutes=5)
    known = frames["30min"]["timestamp"] + pd.Timedelta(minutes=30)
    shown = known.notna()
    assert shown.any()
    assert (known[shown] <= closes[shown]).all()
    apart = loader.load_multiple_timeframes(["5min", "30min"], align_timestamps=False)
    assert len(apart["30min"]) == ROWS
    with pytest.raises(InvalidArgument, match=r"Write a list: \['5min'\]"):
        loader.load_multiple_timeframes("5min")
    assert loader.load_multiple_timeframes([]) == {}


def test_aligned_timeframes_of_a_span(loader: UnifiedDataLoader) -> None:
    """The span is the shortest's; a longer bar from before it is known at its first row."""
    whole = loader.load_data("5min")
    start = whole["timestamp"].iloc[600].strftime("%Y-%m-%dT%H:%M")
    frames = loader.load_multiple_timeframes(["5min", "30min"], start_date=start)
    assert len(frames["5min"]) == len(whole) - 600
    assert frames["30min"]["timestamp"].notna().iloc[0] == (frames["30min"]["close"].notna().iloc[0])


def test_statistics_are_those_of_the_frame(loader: UnifiedDataLoader) -> None:
    """Counted anew from the frame."""
    frame, found = loader.load_data("30min"), loader.get_data_statistics("30min")
    assert (found["dataset"], found["version"], found["rows"]) == ("NQ.30min", 1, ROWS)
    assert found["total_volume"] == frame["volume"].sum()
    assert (found["lowest"], found["highest"]) == (frame["low"].min(), frame["high"].max())
    assert np.isclose(found["mean_close"], frame["close"].mean(), rtol=1e-12)
    assert found["zero_volume_rows"] == (frame["volume"] == 0).sum()
    assert found["first"] == frame["timestamp"].iloc[0].strftime("%Y-%m-%dT%H:%M:%SZ")


def test_preloading_and_clearing(loader: UnifiedDataLoader) -> None:
    """What was preloaded is mapped; after clearing it is parsed again, and a frame stays readable."""
    loader.preload_data(["30min", "5min"])
    frame = loader.load_data("30min")
    metrics = loader.get_performance_metrics()
    assert (metrics["loads"], metrics["parsed"], metrics["mapped"]) == (3, 2, 1)
    assert metrics["seconds"] >= metrics["slowest_seconds"] > 0
    loader._session.drop("NQ.5min")
    loader.clear_cache()
    assert loader.get_performance_metrics()["loads"] == 0
    assert loader._session.ls() == []
    assert frame["close"].iloc[-1] > 0
    loader.load_data("30min")
    assert loader.get_performance_metrics()["parsed"] == 1


def test_completeness(loader: UnifiedDataLoader) -> None:
    """Sample bars lack the last part of early closes and nothing else; the report keeps what was looked at."""
    assert loader.get_completeness_report() == {}
    found = loader.monitor_data_completeness("30min")
    report = loader.get_completeness_report()
    assert list(report) == ["30min"]
    assert found.present == report["30min"]["present"] == ROWS
    assert report["30min"]["missing_sessions"] == []
    assert report["30min"]["missing"] == found.expected - ROWS
    assert found.share > 0.99


def test_configuration(loader: UnifiedDataLoader, tmp_path: Path) -> None:
    """The section of the specification's file, or the section alone; a key that nothing reads is refused."""
    config = {"data_loading": {"data_dir": str(tmp_path), "chunk_size": 700}, "scalability": {"max_workers": 8}}
    for given in (config, config["data_loading"]):
        own = UnifiedDataLoader(config=given, session=loader._session)
        assert [len(chunk) for chunk in own.load_chunked_data()] == [700, 700, 100]
        assert repr(own) == f"<UnifiedDataLoader of NQ in {tmp_path}>"
    with pytest.raises(ConfigError, match=r"no key 'chunksize'.*chunk_size"):
        UnifiedDataLoader(config={"chunksize": 3}, session=loader._session)
    for rows in (0, -1, 2.5, True):
        with pytest.raises(ConfigError, match="not a number of rows"):
            list(loader.load_chunked_data(chunk_size=rows))  # type: ignore[arg-type]
