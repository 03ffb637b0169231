"""Ticks: counts give the same floats bit for bit, or there are none."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_nq.buffers.cold import ticks
from jupyter_nq.buffers.cold.ticks import DIVISORS, from_ticks, to_ticks


def test_examples() -> None:
    """The examples in the docstrings are true."""
    result = doctest.testmod(ticks)
    assert (result.attempted > 0, result.failed) == (True, 0)


@given(st.lists(st.floats(width=64)), st.sampled_from(DIVISORS), st.lists(st.integers(-(2**31), 2**31), min_size=1))
def test_what_has_counts_comes_back(floats: list[float], divisor: int, counts: list[int]) -> None:
    """Any floats, and numbers on a grid with any floats behind them."""
    for values in (np.array(floats), np.array(counts) / divisor, np.array([n / divisor for n in counts] + floats)):
        found = to_ticks(values)
        if found is not None:
            assert from_ticks(*found).tobytes() == values.tobytes()


@pytest.mark.parametrize("divisor", DIVISORS)
def test_prices_on_a_grid_are_counts(divisor: int) -> None:
    """Quarters, cents and the like, as they come out of a division or a text."""
    counts = np.arange(1_000_000, 1_001_000)
    found = to_ticks(counts / divisor)
    assert found is not None
    assert found[0] <= divisor
    assert to_ticks(np.array([float(f"{n / divisor:.5f}") for n in counts])) is not None


@pytest.mark.parametrize("value", [np.nan, -0.0, np.inf, -np.inf, np.pi, 2.0**31, 1e300, 5e-324])
def test_one_number_off_the_grid_is_enough(value: float) -> None:
    """It may be first or last."""
    prices = np.arange(1000) * 0.25
    for at in (0, 999):
        prices[at] = value
        assert to_ticks(prices) is None
        prices[at] = 0.25
