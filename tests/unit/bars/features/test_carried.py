"""One contract: whole, chunked, streamed, restored, plain and compiled have the same bits; nothing looks ahead."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.features.pipeline import Features
from jupyter_nq.bars.features.steps import log_growth
from jupyter_nq.bars.instruments import EQUITY
from tests.unit.bars.features.made import EVERY, assert_same_bits, bars, column, engine, missing, starts, table

ENGINES = ("plain", "compiled")


def _features(wanted: Sequence[str] = EVERY) -> Features:
    return Features(wanted, calendar=EQUITY, minutes=30)


def _in_pieces(given: pa.Table, cuts: Sequence[int], features: Features) -> pa.Table:
    edges = [0, *sorted(cuts), given.num_rows]
    return pa.concat_tables(features.add(given.slice(a, b - a)) for a, b in pairwise(edges))


some_bars = st.builds(
    bars,
    st.integers(1, 1_500),
    st.integers(0, 2**32),
    offset=st.sampled_from([300.0, 15_000.0, 1e7, -20.0]),
    tick=st.sampled_from([0.25, None]),
    flat=st.sampled_from([0.0, 0.5]),
)


@pytest.mark.parametrize("name", ENGINES)
@settings(deadline=None, max_examples=40)
@given(bars=some_bars, data=st.data())
def test_chunked_is_whole(name: str, bars: pa.Table, data: st.DataObject) -> None:
    """Any cuts, empty pieces included, prices below zero included."""
    cuts = data.draw(st.lists(st.integers(0, bars.num_rows), max_size=12))
    with engine(name):
        assert_same_bits(_in_pieces(bars, cuts, _features()), _features().compute(bars))


@settings(deadline=None, max_examples=25)
@given(bars=some_bars)
def test_plain_is_compiled(bars: pa.Table) -> None:
    """The two engines give the same bits."""
    with engine("plain"):
        plain = _features().compute(bars)
    with engine("compiled"):
        assert_same_bits(_features().compute(bars), plain)


@settings(deadline=None, max_examples=25)
@given(bars=some_bars, data=st.data())
def test_missing_values_in_pieces(bars: pa.Table, data: st.DataObject) -> None:
    """Prices that are NaN, anywhere: pieces of the one engine give the bits of the whole of the other."""
    rows = st.lists(st.integers(0, bars.num_rows - 1), max_size=6)
    given = missing(missing(bars, data.draw(rows)), data.draw(rows), data.draw(st.sampled_from([["high"], ["close"]])))
    cuts = data.draw(st.lists(st.integers(0, bars.num_rows), max_size=12))
    with engine("plain"):
        plain = _features().compute(given)
    with engine("compiled"):
        assert_same_bits(_in_pieces(given, cuts, _features()), plain)


@pytest.mark.parametrize("name", ENGINES)
def test_streamed_is_whole(name: str) -> None:
    """Bar by bar, over the places where sums are added up afresh."""
    given = bars(2_200, 5, tick=None)
    with engine(name):
        features = _features()
        streamed = pa.concat_tables(features.add(batch) for batch in given.to_batches(max_chunksize=1))
        assert_same_bits(streamed, _features().compute(given))
        assert features.rows == 2_200


@pytest.mark.parametrize("cut", [1, 40, 1500])
def test_restored_is_whole(cut: int) -> None:
    """The state goes through JSON as text, mid-stream, and into another object."""
    given = bars(2_000, 6, tick=None)
    features = _features()
    first = features.add(given.slice(0, cut))
    text = json.dumps(features.state, allow_nan=False)
    second = Features.restore(json.loads(text)).add(given.slice(cut))
    assert_same_bits(pa.concat_tables([first, second]), _features().compute(given))


def test_blocks_do_not_show() -> None:
    """A batch of several blocks equals one that was cut elsewhere, and the rows of each block its own."""
    given = bars(70_000, 7, tick=None)
    wanted = (
        "sma(20)",
        "zscore(50)",
        "macd",
        "stochastic",
        "vwap",
        "log_returns",
        "highest(close,300)",
        "lag(close,9)",
    )
    with engine("compiled"):
        whole = _features(wanted).compute(given)
        assert_same_bits(_in_pieces(given, [10_000, 10_001, 50_123], _features(wanted)), whole)


@settings(deadline=None, max_examples=40)
@given(bars=some_bars, data=st.data())
def test_the_future_changes_nothing(bars: pa.Table, data: st.DataObject) -> None:
    """Whatever prices and volumes come later, and whether any come, past features keep every bit."""
    now = data.draw(st.integers(1, bars.num_rows))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    prices = np.stack([column(bars, name).copy() for name in ("open", "high", "low", "close")])
    volume = bars["volume"].to_numpy().copy()
    prices[:, now:] *= random.lognormal(0, 3, prices[:, now:].shape)
    volume[now:] = random.integers(0, 10**6, len(volume) - now)
    other = table(starts(bars.num_rows), prices, volume)
    for columns in (other, other.slice(0, now)):
        assert_same_bits(
            _features().compute(columns).select(_features().columns).slice(0, now),
            _features().compute(bars).select(_features().columns).slice(0, now),
        )


def test_the_real_file_in_chunks(real_file: Path) -> None:
    """The whole file at once, in chunks of 777 rows and in quarters: the same bits in both engines."""
    given = load_bars(real_file, timeframe="30min", symbol="NQ").table
    with engine("plain"):
        whole = _features().compute(given)
    with engine("compiled"):
        assert_same_bits(_in_pieces(given, range(777, given.num_rows, 777), _features()), whole)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 64, 1000])
def test_logarithms_do_not_depend_on_the_chunk(size: int) -> None:
    """numpy's vector loop and its rest agree bit for bit, wherever the pieces begin."""
    random = np.random.default_rng(11)
    x, y = random.lognormal(0, 1, (2, 4_001))
    whole = log_growth(x, y)
    for begin in range(0, 3_000, 37):
        piece = slice(begin, begin + size)
        assert (log_growth(x[piece], y[piece]).view("i8") == whole[piece].view("i8")).all()


@pytest.mark.parametrize("wanted", EVERY)
def test_each_feature_leads_with_as_many_nan_as_it_says(wanted: str) -> None:
    """Warm-up is NaN in exactly the rows that the catalogue names, and no 0 stands in for it."""
    given = bars(300, 12, tick=None, flat=0.0)
    features = _features([wanted])
    found = features.compute(given)
    for name in features.columns:
        values = column(found, name)
        assert np.flatnonzero(np.isnan(values)).tolist() == list(range(features.lead)), name
