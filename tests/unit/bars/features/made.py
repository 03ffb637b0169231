"""Bars made for one test, and the two engines to compute their features with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from jupyter_nq.bars.compiled import Kernels
from jupyter_nq.bars.features import pipeline
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.bars.sessions.calendar import sessions

FIRST_NS = 1_715_000_000_000_000_000
"""6 May 2024, a Monday."""
MINUTE_NS = 60_000_000_000

EVERY = (
    "returns", "log_returns", "typical", "range", "body", "upper_wick", "lower_wick", "close_position", "gap",
    "lag(close,1)", "lag(returns,3)", "lag(volume,7)", "momentum(10)", "roc(5)", "sma(20)", "sma(volume,7)",
    "sma(returns,5)", "ema(20)", "ema(log_returns,4)", "ema(close,1)", "highest(20)", "highest(close,1)", "lowest(9)",
    "zscore(50)", "zscore(returns,6)", "volatility(30)", "rsi(14)", "rsi(2)", "atr(14)", "atr(1)", "bollinger(20,2)",
    "bollinger(7,2.5)", "bollinger_position(20)", "macd(12,26,9)", "macd(3,5,1)", "stochastic(14,3,3)",
    "stochastic(5,1,1)", "relative_volume(20)", "vwap", "hour", "day_of_week", "month", "minute_of_session",
    "session_progress", "minutes_to_close", "is_rth",
)  # fmt: skip


def starts(rows: int, minutes: int = 30) -> npt.NDArray[np.int64]:
    """Return the starts of bars that fill sessions of the equity calendar."""
    sess = sessions(EQUITY, FIRST_NS, FIRST_NS + (rows * minutes * 3 + 20_000) * MINUTE_NS)
    step = minutes * MINUTE_NS
    parts = [np.arange(o, c, step) for o, c in zip(sess.opens.tolist(), sess.closes.tolist(), strict=True)]
    return np.concatenate(parts)[:rows]


def table(stamps: npt.NDArray[np.int64], prices: npt.NDArray[np.float64], volume: npt.NDArray[np.int64]) -> pa.Table:
    """Return bars; `prices` has the shape (4, rows)."""
    columns = [pa.array(stamps, BAR_SCHEMA.field("timestamp").type), *map(pa.array, prices), pa.array(volume)]
    return pa.table([*columns, pa.array(np.zeros(len(volume), np.uint32))], BAR_SCHEMA)


def bars(
    rows: int, seed: int = 1, *, offset: float = 15_000.0, tick: float | None = 0.25, flat: float = 0.1
) -> pa.Table:
    """Return a walk with stretches that are flat, on a tick or on none, with some bars of no volume."""
    random = np.random.default_rng(seed)
    moves = random.standard_normal(rows) * 8
    moves[np.convolve(random.random(rows) < flat / 40, np.ones(40))[:rows] > 0] = 0.0
    close = np.cumsum(moves) * (tick or 0.1)
    quiet = moves == 0.0
    high = close + np.where(quiet, 0.0, random.random(rows) * 3)
    low = close - np.where(quiet, 0.0, random.random(rows) * 3)
    open_ = np.where(quiet, close, low + (high - low) * random.random(rows))
    prices = np.stack([open_, high, low, close]) + offset
    if tick is not None:
        prices = np.rint(prices / tick) * tick
    volume = random.integers(0, 3000, rows) * (random.random(rows) > 0.05)
    return table(starts(rows), prices, volume)


def missing(given: pa.Table, rows: Sequence[int], names: Sequence[str] = PRICES) -> pa.Table:
    """Return the bars with NaN for prices of some rows."""
    for name in names:
        values = column(given, name).copy()
        values[list(rows)] = np.nan
        given = given.set_column(given.column_names.index(name), name, pa.array(values))
    return given


def column(found: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """Return a column as numpy values."""
    return found[name].to_numpy()


def assert_same_bits(found: pa.Table, expected: pa.Table) -> None:
    """Compare all columns bit for bit; every NaN is like another."""
    assert found.column_names == expected.column_names
    for name in expected.column_names:
        a, b = found[name].to_numpy(), expected[name].to_numpy()
        assert a.dtype == b.dtype
        assert len(a) == len(b)
        if a.dtype == np.float64:
            wrong = np.flatnonzero((a.view("i8") != b.view("i8")) & ~(np.isnan(a) & np.isnan(b)))
            assert not len(wrong), f"{name} differs first in row {wrong[0]}: {a[wrong[0]]!r}, not {b[wrong[0]]!r}"
        else:
            assert (a == b).all()


@contextmanager
def engine(name: str) -> Iterator[None]:
    """Compute with the plain kernels, or with the compiled ones."""
    usual = pipeline.KERNELS
    if name == "compiled":
        pytest.importorskip("numba")
        usual.wait()
    else:
        pipeline.KERNELS = Kernels(usual.module, usual._practise)
    try:
        yield
    finally:
        pipeline.KERNELS = usual
