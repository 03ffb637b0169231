"""Rules as text: what they mean, and that nothing else runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars.validation.expressions import broken_by
from jupyter_nq.errors import InvalidArgument

COLUMNS = {"high": np.array([5.0, 3.0, 4.0]), "low": np.array([1.0, 2.0, 4.0]), "volume": np.array([0.0, 7.0, 9.0])}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("high - low > 2", [0]),
        ("high == low or volume == 0", [0, 2]),
        ("not volume > 0 and high >= 5", [0]),
        ("1 < low <= 2", [1]),
        ("abs(low - high) / 2 < 1", [1, 2]),
        ("max(high, low) != min(high, low)", [0, 1]),
        ("high > previous(high)", [2]),
        ("high > previous(high, 2)", []),
        ("previous(low, 0) == low", [0, 1, 2]),
        ("previous(low, 5) < 9", []),
        ("max(low, volume, 4.5) > 5", [1, 2]),
        ("max(high - low, abs(high - previous(low)), abs(low - previous(high))) >= 2", [1, 2]),
        ("min(high, 9, low, volume) < 1", [0]),
        ("log(high) * -1 < -1.5", [0]),
        ("high / volume > 1000", [0]),
        ("  low > 3  ", [2]),
    ],
)
def test_meaning(text: str, rows: list[int]) -> None:
    """Elementwise, comparisons chain, division by zero is infinite as numpy has it."""
    assert np.flatnonzero(broken_by(text, COLUMNS)).tolist() == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os')", r"character 1: \"__import__\('os'\)\" is not allowed. Allowed are the columns high, low"),
        ("high.size > 1", "'high.size' is not allowed"),
        ("high[0] > 1", "is not allowed"),
        ("spread > 1", "'spread' is not allowed"),
        ("high ** 9 > 1", "is not allowed"),
        ("(lambda: 1)() > 1", "is not allowed"),
        ("high > 'x'", "is not allowed"),
        ("high > True", "is not allowed"),
        ("high is low", "is not allowed"),
        ("abs(x=high) > 1", "is not allowed"),
        ("abs() > 1", "abs is called in a way"),
        ("abs(high, low) > 1", "abs is called in a way"),
        ("log(high, low) > 1", "log is called in a way"),
        ("max(high) > 1", "max is called in a way"),
        ("(high > low) - (low > 1) > 0", "calculates with what is true or not"),
        ("previous(high, -1) > 1", "whole number of 0 or more"),
        ("previous(high, low) > 1", "whole number of 0 or more"),
        ("high - low", "does not say yes or no"),
        ("1 < 2", "does not say yes or no"),
        ("high and low", "stand between comparisons"),
        ("not high", "stand between comparisons"),
        ("high >", "is no expression"),
        ("x = 1", "is no expression"),
        ("-" * 30 + "high > 1", "nested more than 20 deep"),
        ("high > 1" + " " * 500, "characters; 500 are allowed"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    """Each names the rule, and where it helps the character and what is allowed."""
    with pytest.raises(InvalidArgument, match=message):
        broken_by(text, COLUMNS)


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="highlowvume()+-*/<>=!, .0123456789'\"[]andornt_", max_size=60))
def test_any_text_is_a_mask_or_a_refusal(text: str) -> None:
    """Nothing else comes of it."""
    try:
        mask = broken_by(text, COLUMNS)
    except InvalidArgument:
        return
    assert mask.dtype == bool
    assert mask.shape == (3,)
