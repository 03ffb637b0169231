"""The specification's loader over a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.bars.sample import write_sample
from jupyter_nq.client.bars import cache
from jupyter_nq.client.bars.loader import UnifiedDataLoader
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


BARS = ["timestamp", "open", "high", "low", "close", "volume"]


def test_features_beside_the_bars(loader: UnifiedDataLoader, tmp_path: Path) -> None:
    """They are those of `features=True`, in one shared dataset; switched off, the bars are shown alone."""
    shown = loader.load_data("30min")
    assert list(shown.columns[:6]) == BARS
    wanted = loader._session.load("NQ", "30min", data_dir=tmp_path, features=True)
    pd.testing.assert_frame_equal(shown, wanted)
    with pytest.raises(ValueError, match="read-only"):
        shown["rsi_14"].to_numpy()[0] = 0.0
    assert {dataset.name for dataset in loader._session.ls()} == {"NQ.30min", "NQ.30min-features"}
    plain = UnifiedDataLoader(tmp_path, preprocessing_enabled=False, session=loader._session)
    assert list(plain.load_data("30min").columns) == BARS
    chunk = next(loader.load_chunked_data("30min", 100, columns=["close", "rsi_14"]))
    assert list(chunk.columns) == ["close", "rsi_14"]
    longer = loader.load_multiple_timeframes(["5min", "30min"])["30min"]
    assert list(longer.columns) == list(shown.columns)


def test_every_load_is_validated(loader: UnifiedDataLoader, tmp_path: Path) -> None:
    """Errors are warned of once, the report is kept; a changed file is validated again, switched off nothing is."""
    assert loader.validation_report("30min").is_valid
    name = "NQ - 30 min - ETH.csv"
    lines = (tmp_path / name).read_text().splitlines(keepends=True)
    stamp, open_, _, low, close, volume = lines[700].split(",")
    lines[700] = ",".join([stamp, open_, low, low, close, volume])
    (tmp_path / name).write_text("".join(lines))
    silent = UnifiedDataLoader(tmp_path, validation_enabled=False, session=loader._session)
    silent.load_data("30min")
    with pytest.warns(UserWarning, match=r"NQ.30min has errors: .*validation_report\('30min'\) shows all") as told:
        first = loader.load_data("30min")
    assert told[0].filename == __file__
    pd.testing.assert_frame_equal(loader.load_data("30min"), first)
    report = loader.validation_report("30min")
    assert not report.is_valid
    assert report is loader.validation_report("30min")
    assert silent.validation_report("30min").errors == report.errors


def test_validation_as_configured(loader: UnifiedDataLoader, tmp_path: Path) -> None:
    """Rules of one's own stand in the section of the validator."""
    config = {"data_loading": {"data_dir": str(tmp_path)}, "validation": {"rules": {"wide": "high - low > 1"}}}
    own = UnifiedDataLoader(config=config, session=loader._session)
    assert "wide" in {finding.rule for finding in own.validation_report("30min").findings}


def test_what_is_loaded_is_warned_of_whatever_the_report_does(tmp_path: Path, nq_store_dir: Path) -> None:
    """An action changes the table of the report, not the bars: in frame and chunks the error is still there."""
    write_sample(tmp_path, rows=ROWS, seed=4)
    file = tmp_path / "NQ - 30 min - ETH.csv"
    lines = file.read_text().splitlines(keepends=True)
    stamp, open_, high, low, close, volume = lines[700].split(",")
    lines[700] = ",".join([stamp, open_, low, high, close, volume])
    file.write_text("".join(lines))
    with Session(nq_store_dir) as session:
        config = {"validation": {"actions": {"ohlc order": "drop"}}}
        own = UnifiedDataLoader(tmp_path, config=config, session=session)
        with pytest.warns(UserWarning, match="1 bar whose high or low does not contain"):
            list(own.load_chunked_data())
        with pytest.warns(UserWarning, match="1 bar whose high or low does not contain"):
            assert len(own.load_data()) == ROWS
        report = own.validation_report()
        assert report.is_valid
        assert report.table is not None
        assert report.table.num_rows == ROWS - 1


def test_archives(loader: UnifiedDataLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the cache a dropped dataset is restored, without it is parsed; clearing removes the archive too."""
    monkeypatch.setenv("JUPYTER_NQ_CACHE", str(tmp_path / "archives"))
    monkeypatch.setattr(cache, "FEW_ROWS", 1)
    session = loader._session
    uncached = UnifiedDataLoader(tmp_path, cache_enabled=False, session=session)
    uncached.preload_data(["30min"])
    session.cache.wait()
    assert session.cache.usage().archives == 0
    session.drop("NQ.30min")
    loader.preload_data(["30min", "5min"])
    session.cache.wait()
    session.drop("NQ.30min")
    loader.load_data("30min")
    metrics = loader.get_performance_metrics()
    assert (metrics["loads"], metrics["parsed"], metrics["restored"]) == (3, 2, 1)
    session.drop("NQ.30min")
    uncached.load_data("30min")
    assert uncached.get_performance_metrics()["parsed"] == 2
    assert session.cache.usage().archives == 2
    (tmp_path / "NQ - 5 min - ETH.csv").unlink()
    loader.clear_cache()
    assert session.cache.usage().archives == 1, "that of the file which is gone has no name any more"
    assert session.ls() == []


def test_progress_of_preloading(loader: UnifiedDataLoader) -> None:
    """From 0 to 1 over all timeframes, never backwards; raising gives up."""
    told: list[float] = []
    loader.preload_data(["30min", "5min"], told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 2
    with pytest.raises(InvalidArgument, match="Write a list"):
        loader.preload_data("30min")
    loader.clear_cache()

    def give_up(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loader.preload_data(["30min"], give_up)


def test_switches(loader: UnifiedDataLoader, tmp_path: Path) -> None:
    """An argument wins over the configuration, which may be a YAML file; what is no switch is refused."""
    path = tmp_path / "config.yaml"
    path.write_text(f'data_loading:\n  data_dir: "{tmp_path}"\n  preprocessing_enabled: false\n')
    session = loader._session
    assert list(UnifiedDataLoader(config=path, session=session).load_data().columns) == BARS
    both = UnifiedDataLoader(config=str(path), preprocessing_enabled=True, session=session)
    assert "rsi_14" in both.load_data().columns
    for value in ("yes", 1, "false"):
        with pytest.raises(ConfigError, match=r"validation_enabled=.* neither True nor False"):
            UnifiedDataLoader(config={"validation_enabled": value}, session=session)
    with pytest.raises(ConfigError, match="is no file"):
        UnifiedDataLoader(config=tmp_path / "none.yaml", session=session)


def test_configuration(loader: UnifiedDataLoader, tmp_path: Path) -> None:
    """The section of the specification's file, or the section alone; a key that nothing reads is refused."""
    config = {"data_loading": {"data_dir": str(tmp_path), "chunk_size": 700}, "scalability": {"max_workers": 8}}
    for given in (config, config["data_loading"]):
        own = UnifiedDataLoader(config=given, session=loader._session)
        assert [len(chunk) for chunk in own.load_chunked_data()] == [700, 700, 100]
        assert repr(own) == f"<UnifiedDataLoader of NQ in {tmp_path}>"
    for given in ({"chunksize": 3}, {"chunksize": 3, "validation": {}, "scalability": {}}):
        with pytest.raises(ConfigError, match=r"no key 'chunksize'.*chunk_size"):
            UnifiedDataLoader(config=given, session=loader._session)
    mixed = {"data_dir": str(tmp_path), "chunk_size": 700, "symbol": "NQ", "rules": {"wide": "high - low > 1"}}
    assert len(next(UnifiedDataLoader(config=mixed, session=loader._session).load_chunked_data())) == 700
    with pytest.raises(ConfigError, match="data_loading is 7"):
        UnifiedDataLoader(config={"data_loading": 7}, session=loader._session)
    with pytest.raises(ConfigError, match="chunk_size=0 is not a number of rows"):
        UnifiedDataLoader(chunk_size=0, session=loader._session)
    for rows in (0, -1, 2.5, True):
        with pytest.raises(ConfigError, match="not a number of rows"):
            list(loader.load_chunked_data(chunk_size=rows))  # type: ignore[arg-type]
