"""DataPreprocessor: a frame in, the frame with features out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from jupyter_nq.bars.features.pipeline import Features
from jupyter_nq.bars.features.preprocess import DataPreprocessor
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.errors import ConfigError, InvalidArgument, UnsupportedData
from tests.unit.bars.features.made import bars, column

BARS = ("timestamp", "open", "high", "low", "close", "volume")


def _frame(rows: int = 300) -> pd.DataFrame:
    return bars(rows).select(BARS).to_pandas()


def test_features_and_scaled_features() -> None:
    """Columns are added, rows and index kept, the input not touched; no warm-up is 0."""
    given = _frame()
    given.index = range(1000, 1300)
    before = given.copy()
    preprocessor = DataPreprocessor()
    found = preprocessor.preprocess_data(given)
    pd.testing.assert_frame_equal(given, before)
    pd.testing.assert_frame_equal(found[list(BARS)], before)
    assert tuple(found.columns) == BARS + preprocessor.columns
    expected = Features().compute(bars(300))
    np.testing.assert_array_equal(found["rsi_14"], column(expected, "rsi_14"))
    assert found["sma_20"].isna().sum() == 19
    assert found["sma_20_scaled"].isna().sum() == 21
    assert "hour" in found
    assert "hour_scaled" not in found
    assert repr(DataPreprocessor({"features": ["sma(20)"]})) == "<DataPreprocessor sma(20): zscore, expanding>"


def test_later_rows_change_nothing() -> None:
    """By default nothing looks ahead, scaling included."""
    whole = DataPreprocessor().preprocess_data(_frame(300))
    part = DataPreprocessor().preprocess_data(_frame(300).iloc[:200])
    pd.testing.assert_frame_equal(part, whole.iloc[:200], check_exact=True)


@pytest.mark.parametrize("scaler", ["minmax", "robust", None])
def test_configured(scaler: str | None) -> None:
    """Features, calendar, scaler, mode and window are the configuration's."""
    config = {"features": ["vwap", "rsi(5)"], "calendar": EQUITY, "scaler": scaler, "mode": "rolling", "window": 30}
    preprocessor = DataPreprocessor(config)
    found = preprocessor.preprocess_data(_frame().set_index("timestamp"))
    added = ("vwap", "rsi_5") + (("vwap_scaled", "rsi_5_scaled") if scaler else ())
    assert preprocessor.columns == added
    assert tuple(found.columns) == BARS[1:] + added
    if scaler:
        assert found["rsi_5_scaled"].notna().any()
    else:
        assert repr(preprocessor).endswith("not scaled>")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"scalers": "zscore"}, "no setting 'scalers'. Did you mean 'scaler'"),
        ({"scaler": "z-score"}, "scaler='z-score'.*zscore, minmax, robust, or None"),
        ({"mode": "fixed"}, "mode='fixed'.*expanding, rolling"),
        ({"features": ["vwap"]}, "needs the sessions"),
    ],
)
def test_configurations_that_are_refused(config: dict[str, Any], message: str) -> None:
    """The error comes when the object is made, and names what is possible."""
    with pytest.raises(ConfigError, match=message):
        DataPreprocessor(config)


@pytest.mark.parametrize("scaler", ["zscore", "minmax", "robust"])
@pytest.mark.parametrize("window", ["'5'", "5.0", "true", "", "1"])
def test_a_window_from_yaml(scaler: str, window: str) -> None:
    """What is not a whole number of rows is refused when the object is made."""
    config = yaml.safe_load(f"scaler: {scaler}\nmode: rolling\nwindow: {window}\n")
    with pytest.raises(InvalidArgument, match=r"window=.*: a window is a whole number of rows, at least 2"):
        DataPreprocessor(config)


@pytest.mark.parametrize("scaler", ["zscore", "minmax", "robust"])
def test_the_first_two_scaled_values_are_nan(scaler: str) -> None:
    """Of each column, whatever the scaler: none is scaled by a size that is not known yet."""
    found = DataPreprocessor({"features": ["sma(20)", "range"], "scaler": scaler}).preprocess_data(_frame(60))
    assert np.flatnonzero(found["sma_20_scaled"].isna()).tolist() == list(range(21))
    assert np.flatnonzero(found["range_scaled"].isna()).tolist() == [0, 1]


def test_frames_that_are_refused() -> None:
    """Not a frame, with another column of a feature's name, without one that is needed, in the wrong order."""
    preprocessor = DataPreprocessor({"features": ["sma(20)"]})
    with pytest.raises(UnsupportedData, match=r"a Table is not a pandas\.DataFrame"):
        preprocessor.preprocess_data(bars(3))
    once = preprocessor.preprocess_data(_frame(30))
    assert preprocessor.preprocess_data(once).equals(once), "what is there already is taken"
    for other in (once.iloc[5:], once.assign(sma_20="x"), once.assign(sma_20=0.0)):
        with pytest.raises(InvalidArgument, match="another column 'sma_20' already"):
            preprocessor.preprocess_data(other)
    with pytest.raises(ConfigError, match=r"scaler=\['zscore'\]"):
        DataPreprocessor({"scaler": ["zscore"]})
    with pytest.raises(InvalidArgument, match="no column 'close'"):
        preprocessor.preprocess_data(_frame(30).drop(columns=["close"]))
    with pytest.raises(InvalidArgument, match="strictly increase"):
        preprocessor.preprocess_data(_frame(30).iloc[::-1])
