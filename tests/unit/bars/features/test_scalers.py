"""Scalers: fits, what they refuse, causal modes, and the way through JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.bars.features.scalers import SCALERS, MinMax, Robust, Scaler, ZScore
from jupyter_nq.errors import InvalidArgument, UnsupportedData
from tests.unit.bars.features.made import assert_same_bits, bars, column, engine, starts

KINDS = (ZScore, MinMax, Robust)


def _data(rows: int = 300, seed: int = 1) -> pa.Table:
    """Two columns, one with NaN at its beginning and in its middle."""
    random = np.random.default_rng(seed)
    a = random.standard_normal(rows).cumsum() + 1_000.0
    b = random.lognormal(0, 2, rows)
    b[:7] = np.nan
    b[rows // 2] = np.nan
    return bars(rows, seed).select(["timestamp"]).append_column("a", pa.array(a)).append_column("b", pa.array(b))


def _expected(kind: type[Scaler], x: np.ndarray[Any, Any]) -> tuple[float, float]:
    if kind is ZScore:
        return float(np.nanmean(x)), float(np.nanstd(x))
    low, centre, high = np.nanquantile(x, [0.0, 0.0, 1.0] if kind is MinMax else [0.25, 0.5, 0.75])
    return float(centre), float(high - low)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_and_transform(kind: type[Scaler]) -> None:
    """Later rows by the statistics of earlier ones; NaN stays NaN; scaling can be undone."""
    given = _data()
    before, after = given.slice(0, 200), given.slice(200)
    scaler = kind().fit(before)
    scaled = scaler.transform(after)
    for name in ("a", "b"):
        centre, size = _expected(kind, column(before, name))
        np.testing.assert_allclose(column(scaled, name), (column(after, name) - centre) / size, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(column(scaler.inverse_transform(scaled), name), column(after, name), rtol=1e-12)
    assert scaled["timestamp"] == after["timestamp"]
    inside = kind().fit_transform(before)
    assert np.isnan(column(inside, "b")).sum() == 8


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_the_fit_are_refused(kind: type[Scaler]) -> None:
    """Any overlap names both spans, and rows before the fit know it as well; later ones are taken, all when told."""
    given = _data()
    scaler = kind(["a"]).fit(given.slice(100, 100))
    for part in (given, given.slice(0, 101), given.slice(199), given.slice(120, 5)):
        with pytest.raises(InvalidArgument, match=r"the rows 2024-.* to .* overlap the fit range 2024-.*\(100 rows\)"):
            scaler.transform(part)
    for part in (given.slice(0, 100), given.slice(99, 1)):
        with pytest.raises(InvalidArgument, match=r"come before the fit range .* scaled by what came after them"):
            scaler.transform(part)
        assert scaler.transform(part, allow_overlap=True).num_rows == part.num_rows
    for part in (given.slice(200), given.slice(0, 0)):
        assert scaler.transform(part).num_rows == part.num_rows
    assert scaler.transform(given, allow_overlap=True).num_rows == 300
    assert repr(scaler).startswith(f"<{kind.__name__} a: fit to 2024-")


@pytest.mark.parametrize("kind", KINDS)
def test_infinite_values_are_refused(kind: type[Scaler]) -> None:
    """Column, row and what to do are named, a fit of before stays, and leading NaN are no hindrance."""
    given = _data()
    b = column(given, "b").copy()
    b[[250, 260]] = [-np.inf, np.inf]
    wrong = given.set_column(2, "b", pa.array(b))
    scaler = kind().fit(wrong.slice(0, 200))
    before = scaler.to_json()
    message = r"column 'b' has -inf in row 50 \(2024-.*Z\), and 1 more: .* put NaN there or leave the row out"
    with pytest.raises(InvalidArgument, match=message):
        scaler.fit(wrong.slice(200))
    if kind is not Robust:
        with pytest.raises(InvalidArgument, match=message):
            scaler.partial_fit(wrong.slice(200))
    assert scaler.to_json() == before
    assert kind(["a"]).fit(wrong).fit_range.rows == 300, "other columns are not looked at"


def test_a_fit_in_parts() -> None:
    """Means and deviations agree to 12 digits, extremes exactly; the fit range grows; order is kept."""
    given = _data()
    whole_z, whole_m = ZScore().fit(given), MinMax().fit(given)
    parts_z, parts_m = ZScore(), MinMax()
    for lo, hi in ((0, 5), (5, 6), (6, 250), (250, 300)):
        parts_z.partial_fit(given.slice(lo, hi - lo))
        parts_m.partial_fit(given.slice(lo, hi - lo))
    assert parts_m.to_json() == whole_m.to_json()
    assert parts_z.fit_range == whole_z.fit_range
    for name in ("a", "b"):
        np.testing.assert_allclose(parts_z._fitted[name], whole_z._fitted[name], rtol=1e-12)
    with pytest.raises(InvalidArgument, match="do not follow the fit range"):
        parts_z.partial_fit(given.slice(290))
    with pytest.raises(InvalidArgument, match="exact quantiles of parts"):
        Robust().fit(given.slice(0, 9)).partial_fit(given.slice(9))
    assert parts_z.fit(given.slice(0, 50)).fit_range.rows == 50, "a new fit forgets the old one"


@pytest.mark.parametrize("name", ["plain", "compiled"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("window", [None, 20])
def test_causal_modes_are_a_fit_just_before_each_row(kind: type[Scaler], window: int | None, name: str) -> None:
    """Row i equals what a scaler that was fit to the rows before it, or the last of them, makes of it."""
    given = _data(120)
    scaler = kind(mode="rolling", window=window) if window else kind(mode="expanding")
    with engine(name):
        found = scaler.transform(given)
    for row in (25, 28, 60, 61, 75, 90, 119):
        part = given.slice(row - window, window) if window else given.slice(0, row)
        expected = kind().fit(part).transform(given.slice(row, 1))
        for column_name in ("a", "b"):
            x = column(part, column_name)
            value = column(expected, column_name)[0] if not (window and np.isnan(x).any()) else np.nan
            np.testing.assert_allclose(column(found, column_name)[row], value, rtol=1e-9, atol=1e-12)
    assert np.isnan(column(found, "a")).sum() == (window or 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["expanding", "rolling"])
def test_nothing_is_scaled_before_two_known_values(kind: type[Scaler], mode: Any) -> None:
    """One value has no size, so the next is NaN; two that are equal have none either, and their scale is 1."""
    x = np.array([np.nan, 5.0, np.nan, -4.15, 5.0, 7.0, 7.0, 3.0])
    same = np.array([5.0, 5.0, 8.0, 8.0, 8.0, np.nan, 8.0, 9.5])
    given = bars(8).select(["timestamp"]).append_column("x", pa.array(x)).append_column("same", pa.array(same))
    found = kind(mode=mode, window=2).transform(given)
    scaled = {"expanding": [4, 5, 6, 7], "rolling": [5, 6, 7]}
    assert np.flatnonzero(~np.isnan(column(found, "x"))).tolist() == scaled[mode]
    assert np.isnan(column(found, "same")[:2]).all()
    assert column(found, "same")[2] == 3.0
    assert np.isnan(column(kind(mode=mode, window=2).transform(given.slice(0, 2)), "x")).all()


@pytest.mark.parametrize("window", ["5", 5.0, True, None, [5], 1, -3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_a_number_of_rows(kind: type[Scaler], window: Any) -> None:
    """Anything else is refused by name; a whole number of numpy's is one, and goes through JSON."""
    message = rf"window={re.escape(repr(window))}: a window is a whole number of rows, at least 2"
    with pytest.raises(InvalidArgument, match=message):
        kind(window=window)
    text = kind(mode="rolling", window=np.int64(9)).to_json()
    assert Scaler.from_json(text).window == 9
    with pytest.raises(InvalidArgument, match=message):
        Scaler.from_json(json.dumps({**json.loads(text), "window": window}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["expanding", "rolling"])
def test_the_future_changes_nothing(kind: type[Scaler], mode: Any) -> None:
    """Past rows keep every bit, whatever comes after them."""
    given = _data(200)
    other = given.set_column(1, "a", pa.array(np.append(column(given, "a")[:150], np.full(50, 1e9))))
    first, second = (kind(mode=mode, window=30).transform(t) for t in (given, other))
    assert_same_bits(second.slice(0, 150), first.slice(0, 150))


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_column(kind: type[Scaler]) -> None:
    """Its scale is 1: what comes out is the distance from the constant, in every mode; one without values is NaN."""
    rows = 60
    same = np.append(np.full(rows - 1, 0.1), 3.1)
    stamps = bars(rows).select(["timestamp"])
    given = stamps.append_column("a", pa.array(same)).append_column("none", pa.array(np.full(rows, np.nan)))
    scaler = kind().fit(given.slice(0, 50))
    for found in (scaler.transform(given.slice(50)), kind(mode="expanding").transform(given).slice(50)):
        np.testing.assert_allclose(column(found, "a"), [0.0] * 9 + [3.0], atol=1e-15)
        assert np.isnan(column(found, "none")).all()
    assert column(kind(mode="rolling", window=5).transform(given), "a")[-1] == 3.0


@pytest.mark.parametrize("kind", KINDS)
def test_through_json(kind: type[Scaler]) -> None:
    """The text gives a scaler that scales to the same bits, a column without values included."""
    given = _data()
    given = given.append_column("none", pa.array(np.full(300, np.nan)))
    scaler = kind().fit(given.slice(0, 200))
    again = Scaler.from_json(scaler.to_json())
    assert type(again) is kind
    assert again.to_json() == scaler.to_json()
    assert_same_bits(again.transform(given.slice(200)), scaler.transform(given.slice(200)))
    causal = Scaler.from_json(kind(["a"], mode="rolling", window=9).to_json())
    assert (causal.mode, causal.window, causal.columns) == ("rolling", 9, ("a",))


def test_frames() -> None:
    """A pandas frame comes back as one, with index and attributes, and is not changed; an index of times will do."""
    given = _data()
    stamps = pd.to_datetime(starts(300), utc=True)
    frame = pd.DataFrame(
        {"timestamp": stamps, "a": column(given, "a"), "b": column(given, "b"), "n": 1}, index=range(300)
    )
    frame.attrs["symbol"] = "NQ"
    copy = frame.copy()
    scaler = ZScore().fit(frame.iloc[:200])
    found = scaler.transform(frame.iloc[200:])
    pd.testing.assert_frame_equal(frame, copy)
    assert found.index.tolist() == list(range(200, 300))
    assert found.attrs == {"symbol": "NQ"}
    assert list(found.columns) == list(frame.columns)
    np.testing.assert_array_equal(
        found["a"], column(ZScore().fit(given.slice(0, 200)).transform(given.slice(200)), "a")
    )
    indexed = frame.set_index("timestamp")
    assert ZScore(["a"]).fit(indexed.iloc[:200]).fit_range == scaler.fit_range


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ZScore(mode="expandin"), "mode='expandin' is not one of.*Did you mean 'expanding'"),
        (lambda: ZScore(window=1), "whole number of rows, at least 2"),
        (lambda: ZScore().transform(_data()), "not fit yet"),
        (lambda: ZScore(mode="expanding").fit(_data()), "nothing to fit"),
        (lambda: ZScore(mode="expanding").inverse_transform(_data()), "cannot be undone"),
        (lambda: ZScore().fit(_data().slice(0, 0)), "no rows to fit"),
        (lambda: ZScore().fit(_data().select(["timestamp"])), "no float64 column"),
        (lambda: ZScore(["c"]).fit(_data()), "no column 'c'"),
        (lambda: ZScore(["c"]).fit(_frame()), "no column 'c'"),
        (lambda: ZScore(["t"]).fit(_frame()), "'t' is not made of numbers"),
        (lambda: ZScore().fit(pd.DataFrame({"a": [1.0]})), "neither a column 'timestamp' nor an index of times"),
        (lambda: Scaler.from_json("{}"), "not the text of a scaler"),
        (lambda: Scaler.from_json('{"version": 9}'), "has version 9"),
    ],
)
def test_what_is_refused(call: Any, message: str) -> None:
    """Each error says what is wrong and what to do."""
    with pytest.raises(InvalidArgument, match=message):
        call()


def _frame() -> pd.DataFrame:
    return pd.DataFrame({"timestamp": pd.to_datetime(starts(3), utc=True), "a": 1.0, "t": "x"})


def test_other_data_is_refused() -> None:
    """What is neither a table nor a frame."""
    with pytest.raises(UnsupportedData, match="a dict holds no bars"):
        ZScore().fit({"a": [1.0]})
    assert set(SCALERS) == {"zscore", "minmax", "robust"}
    assert repr(ZScore()) == "<ZScore all columns: not fit>"
    assert repr(MinMax(mode="rolling")) == "<MinMax all columns: rolling>"
