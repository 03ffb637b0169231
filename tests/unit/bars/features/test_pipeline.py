"""The pipeline: what goes in, what comes out, and steps of one's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jupyter_nq.bars.features import pipeline
from jupyter_nq.bars.features.pipeline import Features
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.errors import InvalidArgument
from tests.unit.bars.features.made import assert_same_bits, bars, column, engine, missing, starts, table


def test_the_columns_that_come_out() -> None:
    """Given columns first and not copied, then float64 that is not nullable, each in one piece."""
    given = bars(100).replace_schema_metadata({"symbol": "NQ"})
    features = Features(["sma(20)", "bollinger"])
    found = features.compute(given)
    assert found.column_names == [*given.column_names, *features.columns]
    assert found.schema.metadata == {b"symbol": b"NQ"}
    assert found["close"].chunk(0).buffers()[1].address == given["close"].chunk(0).buffers()[1].address
    for name in features.columns:
        field = found.schema.field(name)
        assert (field.type, field.nullable, found[name].num_chunks, found[name].null_count) == (
            pa.float64(),
            False,
            1,
            0,
        )
    assert features.lead == 19
    assert features.rows == 0, "computing a whole table carries nothing"
    assert repr(features) == "<Features sma(20), bollinger(20,2): 0 rows>"


def test_no_rows_and_one_row() -> None:
    """Both have all columns; one bar has its range and no past."""
    features = Features()
    empty = features.compute(BAR_SCHEMA.empty_table())
    assert empty.num_rows == 0
    assert empty.column_names[-1] == "day_of_week"
    found = features.add(bars(1).to_batches()[0])
    assert found["range"][0].as_py() >= 0
    assert np.isnan(found["returns"][0].as_py())


def test_prices_that_have_no_ratio() -> None:
    """Returns from zero or below are NaN, and volatility is itself again when they have left its window."""
    given = bars(400, 5, flat=0.0)
    close = column(given, "close").copy()
    close[100:103] = [0.0, -37.63, 5.0]
    given = table(given["timestamp"].to_numpy().view("i8"), np.stack([close] * 4), np.ones(400, np.int64))
    found = Features(["returns", "log_returns", "volatility(30)", "roc(1)"]).compute(given)
    assert np.flatnonzero(np.isnan(column(found, "returns"))).tolist() == [0, 101, 102]
    assert np.flatnonzero(np.isnan(column(found, "roc_1"))).tolist() == [0, 101, 102]
    assert np.flatnonzero(np.isnan(column(found, "log_returns"))).tolist() == [0, 100, 101, 102]
    assert np.isnan(column(found, "volatility_30")).sum() == 30 + 30 + 2
    assert not np.isnan(column(found, "volatility_30")[132:]).any()


@pytest.mark.parametrize("name", ["plain", "compiled"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_no_number_leaves_windows_again(name: str, value: float) -> None:
    """Sums heal as soon as it is out of the window, in both engines."""
    given = bars(300, 5, tick=None, flat=0.0)
    prices = np.stack([column(given, n) for n in ("open", "high", "low", "close")])
    prices[3, 150] = value
    broken = table(given["timestamp"].to_numpy().view("i8"), prices, given["volume"].to_numpy())
    with engine(name), np.errstate(invalid="ignore"):
        found = Features(["sma(20)", "bollinger(20)"]).compute(broken)
        whole = Features(["sma(20)", "bollinger(20)"]).compute(given)
    for column_name in found.column_names[-4:]:
        np.testing.assert_allclose(column(found, column_name)[170:], column(whole, column_name)[170:], rtol=1e-12)


@pytest.mark.parametrize("name", ["plain", "compiled"])
@pytest.mark.parametrize("rows", [1, 2, 3, 10])
def test_extremes_of_a_window_with_a_missing_value(name: str, rows: int) -> None:
    """NaN as long as the window holds one, wherever the series begins, the first row included."""
    given = missing(bars(100, 5, tick=None), [0, 33, 34, 60, 99], ["close"])
    wanted = Features([f"highest(close,{rows})", f"lowest(close,{rows})"])
    for begin in range(rows + 1):
        part = given.slice(begin)
        windows = np.lib.stride_tricks.sliding_window_view(column(part, "close"), rows)
        with engine(name):
            found = wanted.compute(part)
        for feature, expected in zip(wanted.columns, (windows.max(axis=1), windows.min(axis=1)), strict=True):
            np.testing.assert_array_equal(column(found, feature), np.append(np.full(rows - 1, np.nan), expected))


def test_extremes_of_returns_that_do_not_exist() -> None:
    """A price below zero has no return after it, and a window with that row no largest one, whatever row is first."""
    given = bars(120, 5, offset=20_000.0)
    close = column(given, "close").copy()
    close[50] = -3.0
    given = given.set_column(4, "close", pa.array(close))
    for begin in range(12):
        found = column(Features(["highest(returns,10)"]).compute(given.slice(begin)), "highest_returns_10")
        assert (np.flatnonzero(np.isnan(found)) + begin).tolist() == [*range(begin, begin + 10), *range(51, 61)]


@pytest.mark.parametrize("name", ["plain", "compiled"])
@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ("sma(20)", [20]),
        ("highest(20)", [20]),
        ("lowest(9)", [9]),
        ("zscore(50)", [50]),
        ("volatility(30)", [31]),
        ("bollinger(20,2)", [20, 20, 20]),
        ("bollinger_position(20)", [20]),
        ("stochastic(14,3,3)", [16, 18]),
        ("stochastic(5,1,1)", [5, 5]),
    ],
)
def test_a_window_is_nan_while_it_holds_a_missing_bar(name: str, wanted: str, rows: list[int]) -> None:
    """Each column for as many rows as it reads and no more; the others are as if nothing were missing."""
    given = bars(300, 5, tick=None, flat=0.0)
    with engine(name):
        found, whole = (Features([wanted]).compute(t) for t in (missing(given, [150]), given))
    for feature, held in zip(Features([wanted]).columns, rows, strict=True):
        expected = column(whole, feature).copy()
        expected[150 : 150 + held] = np.nan
        np.testing.assert_allclose(column(found, feature), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["plain", "compiled"])
def test_a_missing_close_among_flat_bars(name: str) -> None:
    """The place of no price between two that are equal is none, and not 0."""
    given = table(starts(60), np.full((4, 60), 100.0), np.ones(60, np.int64))
    with engine(name):
        found = Features(["stochastic(5,1,1)"]).compute(missing(given, [30], ["close"]))
    assert np.flatnonzero(np.isnan(column(found, "stochastic_k_5_1_1"))).tolist() == [0, 1, 2, 3, 30]
    assert set(column(found, "stochastic_k_5_1_1")[31:]) == {0.0}


@pytest.mark.parametrize("name", ["plain", "compiled"])
@pytest.mark.parametrize("row", [3, 50])
@pytest.mark.parametrize("names", [["high", "low"], ["high"], ["low"], ["close"]])
def test_a_true_range_of_a_missing_price(name: str, row: int, names: list[str]) -> None:
    """It is none, not 0, and the mean that it goes into is none from there on: of a close, one bar later."""
    given = missing(bars(100, 5, tick=None), [row], names)
    with engine(name):
        found = column(Features(["atr(14)"]).compute(given), "atr_14")
    assert np.isnan(found).tolist() == [i < 14 or i >= row + (names == ["close"]) for i in range(100)]


def test_steps_of_ones_own() -> None:
    """They are given the bars with their features, batch by batch, in order."""

    def spread(batch: pa.Table) -> pa.Table:
        return batch.append_column("spread", pc.subtract(batch["sma_5"], batch["sma_20"]))

    def doubled(batch: pa.Table) -> pa.Table:
        return batch.append_column("twice", pc.multiply(batch["spread"], 2.0))

    given = bars(60)
    found = Features(["sma(5)", "sma(20)"], then=[spread, doubled]).compute(given)
    np.testing.assert_array_equal(column(found, "twice"), 2 * (column(found, "sma_5") - column(found, "sma_20")))
    with pytest.raises(InvalidArgument, match=r"the step shorter must return a pyarrow\.Table with the 60 rows"):
        Features(["sma(5)"], then=[shorter]).compute(given)


def shorter(batch: pa.Table) -> pa.Table:
    """A step that loses a row."""
    return batch.slice(1)


def test_a_frame_comes_back_as_a_frame() -> None:
    """Of a pandas frame, stamps in a column or in the index, the same values, in pieces too; nothing is taken over."""
    given = bars(200)
    table = Features(["sma(20)", "minute_of_session"], calendar="CME Globex Equity").compute(given)
    frame = given.to_pandas()
    for each in (frame, frame.set_index("timestamp")):
        features = Features(["sma(20)", "minute_of_session"], calendar="CME Globex Equity")
        found = pd.concat([features.add(each.iloc[:77]), features.add(each.iloc[77:])])
        assert list(found.columns) == [*each.columns, "sma_20", "minute_of_session"]
        assert_same_bits(pa.table(found.reset_index()).select(features.columns), table.select(features.columns))
    with pytest.raises(InvalidArgument, match="a column 'sma_20' already"):
        Features(["sma(20)"]).add(frame.assign(sma_20=1.0))


def test_an_error_changes_nothing() -> None:
    """After a batch that is refused, the next one continues where the last good one ended."""
    given = bars(200)
    features = Features(["sma(20)", "ema(20)"])
    first = features.add(given.slice(0, 100))
    with pytest.raises(InvalidArgument, match=r"not after .* the last one taken"):
        features.add(given.slice(50, 10))
    with pytest.raises(InvalidArgument, match="no column 'close'"):
        features.add(given.slice(100).drop_columns(["close"]))
    second = features.add(given.slice(100))
    assert_same_bits(pa.concat_tables([first, second]), features.compute(given))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rename_columns(["time", *t.column_names[1:]]), "no column 'timestamp'"),
        (lambda t: t.append_column("sma_20", t["close"]), "have a column 'sma_20' already"),
        (lambda t: t.take([1, 0, 2]), r"do not strictly increase in 1 row, first in row 1 \(2024-05-"),
        (lambda t: t.set_column(4, "close", pa.array([1.0, None, 2.0])), "'close' has 1 null\\."),
        (lambda t: t.set_column(4, "close", pa.array(["1", "x", "2"])), "'close' is string and cannot be double"),
        (lambda t: t.set_column(0, "timestamp", t["timestamp"].cast(pa.timestamp("ns"))), "not a time with a zone"),
    ],
)
def test_bars_that_are_refused(change: object, message: str) -> None:
    """Each error names the column and what to do."""
    with pytest.raises(InvalidArgument, match=message):
        Features(["sma(20)"]).compute(change(bars(3)))


def test_columns_of_other_kinds_are_converted() -> None:
    """Integers, several chunks, another unit and zone of the stamps: the values count."""
    given = bars(100, tick=1.0)
    ints = given.set_column(4, "close", pa.array(column(given, "close").astype("i4")))
    ints = ints.set_column(0, "timestamp", given["timestamp"].cast(pa.timestamp("us", "America/New_York")))
    other = pa.concat_tables([ints.slice(0, 40), ints.slice(40, 0), ints.slice(40)])
    found, expected = (Features(["sma(20)", "hour"]).compute(t) for t in (other, given))
    assert_same_bits(found.select(["sma_20", "hour"]), expected.select(["sma_20", "hour"]))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("history"),
        lambda state: state.update(version=99),
        lambda state: state.update(rows=None),
        lambda state: state["carried"].update({"sma(20)": [1.0]}),
    ],
)
def test_a_state_that_is_none(change: object) -> None:
    """Another version, a missing part, a wrong length: refused, with what to do."""
    features = Features(["sma(20)"])
    features.add(bars(30))
    state = features.state
    change(state)
    with pytest.raises(InvalidArgument, match="Compute afresh"):
        Features.restore(state)


def test_many_small_batches_start_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that has become long goes on with compiled kernels as soon as they are there, with the same bits."""
    pytest.importorskip("numba")
    given = bars(300)
    with engine("plain"):
        monkeypatch.setattr(pipeline, "SMALL", 150)
        features = Features(["sma(20)"])
        parts = [features.add(given.slice(a, 100)) for a in (0, 100)]
        assert "compil" in repr(pipeline.KERNELS)
        pipeline.KERNELS.wait()
        parts.append(features.add(given.slice(200)))
        assert_same_bits(pa.concat_tables(parts), features.compute(given))


_FRESH = """
import sys, time
begin = time.perf_counter()
from jupyter_nq.bars import load_bars
table = load_bars(sys.argv[1], timeframe="30min", symbol="NQ").table
loaded = time.perf_counter()
from jupyter_nq.bars.features.pipeline import Features, KERNELS
found = Features(calendar="CME Globex Equity", minutes=30).compute(table)
assert found.num_rows == table.num_rows and found.num_columns >= 30
assert "numba" not in sys.modules and "pandas" not in sys.modules, "something slow was imported"
print(loaded - begin, time.perf_counter() - loaded)
"""


def test_first_use_on_the_real_file(real_file: Path) -> None:
    """In a fresh process, imports included: no longer than loading takes, and neither numba nor pandas is imported."""
    done = subprocess.run([sys.executable, "-c", _FRESH, real_file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loading, using = map(float, done.stdout.split())
    print(f"imports included, loading takes {loading:.2f} s and the first use {using:.2f} s")
    assert using < 3 * loading, "four times what was measured"
