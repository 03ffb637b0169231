"""Bars with features as a shared dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import jupyter_nq as nq
from jupyter_nq.bars.features.pipeline import Features
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.sample import write_sample
from jupyter_nq.errors import InvalidArgument, UnsupportedData


@pytest.fixture
def data_dir(nq_store_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a directory of sample bars, which the module functions use."""
    write_sample(tmp_path, rows=900, seed=4)
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(tmp_path))
    yield tmp_path
    nq.disconnect()


@pytest.mark.usefixtures("data_dir")
def test_features_are_columns_beside_the_bars() -> None:
    """Bit for bit those of the pipeline; the bars are those of a plain load; the frame is shared and read-only."""
    bars = nq.load("NQ", "30min", as_="arrow")
    frame = nq.load("NQ", "30min", features=["sma(20)", "rsi(14)"])
    expected = Features(["sma(20)", "rsi(14)"], calendar=EQUITY, minutes=30).compute(bars)
    for name in ("sma_20", "rsi_14", "close"):
        np.testing.assert_array_equal(frame[name], expected[name].to_numpy())
    assert list(frame.columns) == [*bars.column_names, "sma_20", "rsi_14"]
    assert frame["sma_20"].isna().sum() == 19
    with pytest.raises(ValueError, match="read-only"):
        frame["sma_20"].to_numpy()[0] = 1.0
    assert nq.validate(frame).not_checked == (), "it says what its bars are"


@pytest.mark.usefixtures("data_dir")
def test_they_are_computed_once() -> None:
    """The second load maps the first one's object; other features are another dataset; the usual ones have a name."""
    session = nq.connect()
    first = session.map("NQ", "30min", features=["ema(10)"])
    again = session.map("NQ", "30min", features="ema(10)")
    assert (first.how, again.how) == ("parsed and computed", "mapped")
    assert first.handle.info.id == again.handle.info.id
    other = session.map("NQ", "30min", features=["ema(11)"])
    assert other.how == "computed"
    usual = session.map("NQ", "30min", features=True)
    names = {dataset.name for dataset in nq.ls()}
    assert {"NQ.30min", "NQ.30min-features", first.handle.info.name, other.handle.info.name} == names
    assert usual.handle.info.name == "NQ.30min-features"
    with pytest.raises(UnsupportedData, match="holds what"):
        nq.put("NQ.30min-features", pd.DataFrame({"x": [1.0]}))


def test_a_changed_file_is_a_new_version(data_dir: Path) -> None:
    """With one bar less, features are computed anew, and the older frame stays as it was."""
    before = nq.load("NQ", "30min", features=["ema(10)"])
    path = next(path for path in data_dir.iterdir() if "30 min" in path.name)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    after = nq.load("NQ", "30min", features=["ema(10)"])
    assert (len(before), len(after)) == (900, 899)
    pd.testing.assert_frame_equal(after, before[:-1])
    name = next(d.name for d in nq.ls() if "features" in d.name)
    assert next(d.version for d in nq.ls() if d.name == name) == 2


@pytest.mark.usefixtures("data_dir")
def test_mistakes() -> None:
    """No feature, and one that is none."""
    with pytest.raises(InvalidArgument, match="names no feature"):
        nq.load("NQ", "30min", features=[])
    with pytest.raises(InvalidArgument, match="rsi"):
        nq.load("NQ", "30min", features=["rsj(14)"])
    assert isinstance(nq.load("NQ", "30min", features=["rsi(14)"], as_="arrow"), pa.Table)
