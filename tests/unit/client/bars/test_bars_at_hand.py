"""Joining, resampling and checking what a notebook has: names, frames, tables, files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import jupyter_nq as nq
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.sample import write_sample
from jupyter_nq.client.origin import Origin, origin_of
from jupyter_nq.errors import InvalidArgument, UnknownDataset, UnreadableSource, UnsupportedData

ROWS = 1_500


@pytest.fixture
def data_dir(nq_store_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a directory of sample bars, which the module functions use."""
    write_sample(tmp_path, rows=ROWS, seed=4)
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(tmp_path))
    yield tmp_path
    nq.disconnect()


@pytest.mark.usefixtures("data_dir")
def test_a_dataset_is_resampled_by_name_and_as_a_frame() -> None:
    """Both give the same bars, which say what they are; the volume is all there."""
    frame = nq.load("NQ", "30min")
    by_name = nq.resample("NQ.30min", "2h")
    by_frame = nq.resample(frame, "2h")
    pd.testing.assert_frame_equal(by_name, by_frame)
    assert list(by_name.columns) == list(frame.columns), "flags are as hidden as in a load"
    assert by_name["volume"].sum() == frame["volume"].sum()
    assert origin_of(by_name) == Origin("NQ.30min", 1, "NQ", 120, EQUITY)
    table = nq.resample(nq.load("NQ", "30min", as_="arrow"), "1D", hours="rth", as_="arrow")
    assert origin_of(table) == Origin("NQ.30min", 1, "NQ", 1440, EQUITY)
    bare = frame.assign()
    bare.attrs = {}
    pd.testing.assert_frame_equal(nq.resample(bare, "2h", source_timeframe="30min", symbol="NQ"), by_frame)


@pytest.mark.usefixtures("data_dir")
def test_a_join_knows_what_it_joins() -> None:
    """The suffix is the right timeframe; nothing is joined that had not closed; what is missing is NaN and NaT."""
    frame = nq.load("NQ", "30min")
    slow = nq.resample(frame, "3h")
    joined = nq.asof("NQ.30min", slow)
    assert len(joined) == len(frame)
    assert "flags" not in joined.columns
    flagged = nq.load("NQ", "30min", columns=[*frame.columns, "flags"])
    assert "flags" in nq.asof(flagged, slow).columns
    assert "flags" in nq.resample(flagged, "3h").columns
    assert {"close_3h", "timestamp_3h", "age_3h"} < set(joined.columns)
    known = joined["timestamp_3h"].notna()
    closed = joined["timestamp"] + pd.Timedelta(minutes=30)
    session_end = joined["timestamp_3h"] + pd.Timedelta(hours=3)
    early = (session_end > closed) & known
    assert (joined["age_3h"][known] >= pd.Timedelta(0)).all()
    assert early.sum() < 0.1 * known.sum(), "only bars that their session cut short"
    assert joined["close_3h"].isna().sum() == (~known).sum() > 0
    again = nq.asof(joined, slow, suffix="_again", tolerance_minutes=0, as_="arrow")
    assert again["close_again"].null_count > 0
    assert nq.asof(frame, slow, at="open")["close_3h"].isna().sum() > joined["close_3h"].isna().sum()


def holiday(start: str, bars: int, minutes: int) -> pd.DataFrame:
    """Return bars from a time of New York on."""
    stamps = pd.date_range(start, periods=bars, freq=f"{minutes}min", tz="America/New_York").tz_convert("UTC")
    prices = dict.fromkeys(("open", "high", "low", "close"), 70.0)
    return pd.DataFrame({"timestamp": stamps.as_unit("ns"), **prices, "volume": 1})


@pytest.mark.usefixtures("data_dir")
def test_a_join_takes_the_sessions_of_each_side() -> None:
    """On Memorial Day equity closes at 13:00 and crude at 14:30: crude's bar of 12:00 is not known at 13:00."""
    crude = holiday("2024-05-27 09:00", 2, 180)
    crude.attrs["nq"] = {
        "dataset": "CL.3h", "version": 1, "symbol": "CL", "minutes": 180, "calendar": "CME Globex Energy and Metals",
    }  # fmt: skip
    joined = nq.asof(holiday("2024-05-27 12:00", 2, 30), crude, timeframe="30min", symbol="NQ")
    assert (joined["timestamp_3h"] == crude["timestamp"][0]).all()
    assert joined["age_3h"].tolist() == [pd.Timedelta(minutes=30), pd.Timedelta(hours=1)]


@pytest.mark.usefixtures("data_dir")
def test_what_cannot_be_joined() -> None:
    """Each refusal says what to pass."""
    frame = nq.load("NQ", "30min")
    bare = pd.DataFrame({"timestamp": frame["timestamp"], "x": 1.0})
    with pytest.raises(InvalidArgument, match="the DataFrame does not tell how long its bars are"):
        nq.asof(frame, bare)
    assert nq.asof(frame, bare, right_timeframe="30min")["x_30min"].isna().sum() == 0
    with pytest.raises(UnknownDataset, match=r"NQ\.30min"):
        nq.asof("NQ.30mim", frame)
    with pytest.raises(InvalidArgument, match="'numpy' is neither 'pandas' nor 'arrow'"):
        nq.resample(frame, "2h", as_="numpy")
    with pytest.raises(UnsupportedData, match="list is neither"):
        nq.resample([1], "2h")
    bare["open"] = bare["high"] = bare["low"] = bare["close"] = bare["volume"] = 1
    with pytest.raises(InvalidArgument, match="Pass symbol='NQ'"):
        nq.resample(bare, "2h", source_timeframe="30min")
    nq.put("array", np.arange(3))
    with pytest.raises(UnsupportedData, match="'array' is an array"):
        nq.resample("array", "2h", source_timeframe="30min")


def test_validation_of_everything_at_hand(data_dir: Path) -> None:
    """A symbol, a file, a dataset's name, a frame and a table give the same findings."""
    path = next(path for path in data_dir.iterdir() if "30 min" in path.name)
    frame = nq.load("NQ", "30min")
    reports = [
        nq.validate("NQ", "30min"),
        nq.validate(path),
        nq.validate("NQ.30min"),
        nq.validate(frame),
        nq.validate(nq.load("NQ", "30min", as_="arrow")),
    ]
    found = [[(f.rule, f.count, f.rows) for f in report.findings] for report in reports]
    assert all(each == found[0] for each in found)
    assert [bool(report.not_checked) for report in reports] == [False] * 5
    assert reports[2].name == reports[3].name == "NQ.30min"
    own = nq.validate("30min", rules={"wide": "high > low"})
    assert "wide" in {f.rule for f in own.findings}
    bare = pd.DataFrame(frame.to_dict("list"))
    assert nq.validate(bare).not_checked
    assert not nq.validate(bare, "30min", symbol="NQ").not_checked


def test_what_cannot_be_validated(data_dir: Path) -> None:
    """Arguments that make no sense, and things that are no bars."""
    frame = nq.load("NQ", "30min")
    with pytest.raises(InvalidArgument, match="these bars have been read"):
        nq.validate(frame, tz="UTC")
    with pytest.raises(UnsupportedData, match="dict is neither a file"):
        nq.validate({})
    with pytest.raises(UnknownDataset):
        nq.validate("NQ.5mim")
    unnamed = data_dir / "bars.csv"
    unnamed.write_text("timestamp,open,high,low,close,volume\n2024-06-12 10:00:00,1,1,1,1,1\n")
    with pytest.raises(UnreadableSource, match="does not tell which instrument it holds"):
        nq.validate(unnamed)


@pytest.mark.usefixtures("data_dir")
def test_iterating_a_file_shares_nothing() -> None:
    """Batches of so many rows are the table of a load; a span narrows them; the store stays empty."""
    batches = list(nq.iterate("NQ", "30min", rows=400))
    assert [batch.num_rows for batch in batches] == [400, 400, 400, 300]
    assert nq.ls() == []
    whole = nq.load(
        "NQ", "30min", columns=["timestamp", "open", "high", "low", "close", "volume", "flags"], as_="arrow"
    )
    together = pa.Table.from_batches(batches).combine_chunks()
    assert together.equals(whole.replace_schema_metadata(None))
    day = pd.Timestamp(whole["timestamp"][700].as_py()).strftime("%Y-%m-%d")
    (part,) = nq.iterate("NQ", "30min", start=day, end=day)
    assert {str(stamp.date()) for stamp in part["timestamp"].to_pylist()} == {day}
    with pytest.raises(InvalidArgument, match="at least one row"):
        nq.iterate("NQ", "30min", rows=0)


@pytest.mark.usefixtures("data_dir")
def test_rolls() -> None:
    """Of a dataset and a frame; without an instrument the argument is named."""
    frame = nq.load("NQ", "30min")
    assert nq.rolls("NQ.30min") == nq.rolls(frame)
    bare = frame.assign()
    bare.attrs = {}
    with pytest.raises(InvalidArgument, match="Pass symbol='NQ'"):
        nq.rolls(bare, timeframe="30min")
    assert nq.rolls(bare, timeframe="30min", symbol="NQ") == nq.rolls(frame)
