"""The catalogue: how features are written, what they are called, and what is not one."""

from __future__ import annotations

import pytest

from jupyter_nq.bars.features.catalogue import CATALOGUE, DEFAULT, DEFAULT_SESSION, parse, parse_all
from jupyter_nq.bars.features.clock import CLOCK_FEATURES
from jupyter_nq.bars.features.steps import step_of
from jupyter_nq.errors import InvalidArgument


def test_defaults_are_filled_in() -> None:
    """A name alone is the usual feature of this name."""
    assert str(parse("rsi")) == "rsi(14)"
    assert str(parse(" Bollinger( 20 ) ")) == "bollinger(20,2)"
    assert str(parse("vwap")) == "vwap"
    assert parse("sma(volume)").columns == ("sma_volume_20",)
    assert str(parse("sma(volume)")) == "sma(volume,20)"
    assert parse("sma(close,20)") == parse("sma(20)")
    assert parse("lag(close,1)").columns == ("lag_close_1",)
    assert parse("bollinger(20,2.123456789)").columns[0] == "bollinger_upper_20_2.123456789"


def test_the_text_of_a_feature_means_it_again() -> None:
    """Every entry of the catalogue goes to text and back, and can be computed."""
    for name in CATALOGUE:
        feature = parse(name)
        assert parse(str(feature)) == feature
        assert parse(feature) is feature
        assert feature.formula
        assert feature.unit
        assert name in CLOCK_FEATURES or step_of(feature).series


def test_columns_are_named_once() -> None:
    """No two entries share a column, and a feature that is named twice is computed once."""
    columns = [column for name in CATALOGUE for column in parse(name).columns]
    assert len(set(columns)) == len(columns)
    assert [f.name for f in parse_all(["sma(20)", "rsi", "sma", "sma(close,20)"])] == ["sma", "rsi"]
    assert parse_all("hour")[0].name == "hour"
    assert len(parse_all(DEFAULT + DEFAULT_SESSION)) == len(DEFAULT + DEFAULT_SESSION)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("smaa(20)", r"no feature 'smaa'\. Did you mean 'sma'"),
        ("sma(20", r"'sma\(20' is not a feature\. Write a name"),
        ("sma(clsoe)", r"'clsoe' is neither a number nor a series\. Did you mean 'close'"),
        ("atr(close, 14)", r"atr is not made of a series of choice; write atr\(rows=14\)"),
        ("vwap(3)", r"too many parameters; write 'vwap' alone"),
        ("sma(0)", r"rows is '0', not a whole number from 1 to 100,000; write sma\(series=close, rows=20\)"),
        ("sma(2.5)", "not a whole number"),
        ("sma(nan)", "not a whole number"),
        ("rsi(14, x)", "too many parameters"),
        ("macd(12, x)", "slow is .x., not a whole number"),
        ("bollinger(20, -1)", "deviations is '-1', not a number from 0"),
        ("rsi(1)", "from 2 to"),
        ("macd(26, 12, 9)", "the fast mean must be shorter than the slow one"),
        (20, "20 is not a feature"),
    ],
)
def test_what_is_no_feature(wanted: str, message: str) -> None:
    """The error says what was written, what is possible, and names the nearest."""
    with pytest.raises(InvalidArgument, match=message):
        parse(wanted)
