"""The features that others define, against TA-Lib: values within 1e-9, and the same leading NaN."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.features.pipeline import Features
from tests.unit.bars.features.made import bars, column, engine, missing, table

talib = pytest.importorskip("talib")

Floats = npt.NDArray[np.float64]

WANTED = (
    "sma(20)", "ema(20)", "rsi(14)", "atr(14)", "bollinger(20,2)", "macd(12,26,9)", "stochastic(14,3,3)",
    "highest(close,20)", "lowest(close,20)", "roc(10)", "momentum(10)",
)  # fmt: skip


def _reference(given: pa.Table) -> dict[str, Floats]:
    high, low, close = (column(given, name) for name in ("high", "low", "close"))
    macd = talib.MACD(close, 12, 26, 9)
    slow_k, slow_d = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    return {
        "sma_20": talib.SMA(close, 20),
        "ema_20": talib.EMA(close, 20),
        "rsi_14": talib.RSI(close, 14),
        "atr_14": talib.ATR(high, low, close, 14),
        "bollinger_upper_20_2": upper,
        "bollinger_middle_20_2": middle,
        "bollinger_lower_20_2": lower,
        "macd_12_26_9": macd[0],
        "macd_signal_12_26_9": macd[1],
        "macd_histogram_12_26_9": macd[2],
        "stochastic_k_14_3_3": slow_k,
        "stochastic_d_14_3_3": slow_d,
        "highest_close_20": talib.MAX(close, 20),
        "lowest_close_20": talib.MIN(close, 20),
        "roc_10": talib.ROC(close, 10),
        "momentum_10": talib.MOM(close, 10),
    }


SCALE_OF = {"macd": "close", "stochastic": 100.0, "rsi": 100.0, "roc": 100.0, "momentum": "close"}
"""What a difference is relative to where the value itself may be near 0 by cancellation: prices, or 100 percent."""


def _assert_equal(given: pa.Table, tolerance: float = 1e-9) -> None:
    found = Features(WANTED).compute(given)
    close = np.abs(column(given, "close"))
    for name, expected in _reference(given).items():
        ours = column(found, name)
        assert (np.isnan(ours) == np.isnan(expected)).all(), name
        scale = SCALE_OF.get(name.split("_")[0])
        size = close if scale == "close" else np.abs(expected) if scale is None else scale
        worst = np.nanmax(np.abs(ours - expected) / np.maximum(size, 1e-300))
        assert worst < tolerance, f"{name}: {worst:.2e}"


@pytest.mark.parametrize("name", ["plain", "compiled"])
def test_the_real_file(real_file: Path, name: str) -> None:
    """All of its rows, in both engines."""
    with engine(name):
        _assert_equal(load_bars(real_file, timeframe="30min", symbol="NQ").table)


@pytest.mark.parametrize("offset", [50.0, 15_000.0, 1e6])
@pytest.mark.parametrize("tick", [0.25, None])
def test_generated_bars(offset: float, tick: float | None) -> None:
    """Walks with flat stretches, on a tick and on none, near 0 and far from it."""
    given = bars(20_000, 3, offset=offset + 10_000.0, tick=tick, flat=0.3)
    _assert_equal(given, 1e-9 if offset < 1e6 else 1e-8)  # there TA-Lib's own variance has lost its digits


@pytest.mark.parametrize("name", ["plain", "compiled"])
@pytest.mark.parametrize("row", [5, 150])
def test_what_is_smoothed_over_all_rows_keeps_a_missing_bar(name: str, row: int) -> None:
    """NaN as TA-Lib's from the bar on, in the warm-up too; RSI as well, of which TA-Lib makes 0."""
    given = missing(bars(300, 5, tick=None), [row])
    wanted = Features(["ema(20)", "rsi(14)", "atr(14)", "macd(12,26,9)"])
    with engine(name):
        found = wanted.compute(given)
    for feature in wanted.columns:
        ours, expected = column(found, feature), _reference(given)[feature]
        assert np.isnan(ours[row:]).all(), feature
        assert feature == "rsi_14" or (np.isnan(ours) == np.isnan(expected)).all(), feature


def test_prices_that_never_move() -> None:
    """Flat bars: what TA-Lib says where it says something, 0 for RSI and stochastic; else NaN."""
    rows = 400
    given = table(bars(rows)["timestamp"].to_numpy().view("i8"), np.full((4, rows), 101.3), np.full(rows, 5))
    _assert_equal(given)
    found = Features(["rsi(14)", "stochastic", "zscore(50)", "bollinger_position", "volatility(30)"]).compute(given)
    assert set(column(found, "rsi_14")[14:]) == {0.0}
    assert set(column(found, "stochastic_k_14_3_3")[17:]) == {0.0}
    assert np.isnan(column(found, "zscore_50")).all()
    assert np.isnan(column(found, "bollinger_position_20_2")).all()
    assert set(column(found, "volatility_30")[30:]) == {0.0}


def test_z_score_and_volatility() -> None:
    """By TA-Lib's deviations, where prices have not lost their digits in its sums of squares."""
    given = bars(5_000, 4, offset=2_000.0, tick=None, flat=0.0)
    close = column(given, "close")
    found = Features(["zscore(50)", "volatility(30)", "log_returns"]).compute(given)
    z = (close - talib.SMA(close, 50)) / talib.STDDEV(close, 50)
    np.testing.assert_allclose(column(found, "zscore_50"), z, rtol=1e-9, atol=1e-8)
    moved = column(found, "log_returns")
    windows = np.lib.stride_tricks.sliding_window_view(moved[1:], 30)
    np.testing.assert_allclose(column(found, "volatility_30")[30:], windows.std(axis=1, ddof=1), rtol=1e-9)


@pytest.mark.parametrize("jump", [1e3, 1e6, 1e9])
def test_spread_keeps_its_digits(jump: float) -> None:
    """After a jump, a spike and a fall back, deviations equal those of each window by itself; TA-Lib's do not."""
    random = np.random.default_rng(8)
    close = random.standard_normal(4_000).cumsum() + 500.0
    close[1500:2500] += jump
    close[3000] += jump
    given = table(bars(4_000)["timestamp"].to_numpy().view("i8"), np.stack([close] * 4), np.ones(4_000, np.int64))
    found = Features(["bollinger(20,1)", "sma(20)"]).compute(given)
    windows = np.lib.stride_tricks.sliding_window_view(close, 20)
    spread = (column(found, "bollinger_upper_20_1") - column(found, "bollinger_lower_20_1"))[19:] / 2
    limit = 1e-9 * windows.std(axis=1) + 4e-16 * np.abs(windows).max(axis=1)
    assert (np.abs(spread - windows.std(axis=1)) <= limit).all()
    np.testing.assert_allclose(column(found, "sma_20")[19:], windows.mean(axis=1), rtol=1e-11)
