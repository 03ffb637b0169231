"""Forecasts of series made by hand: what is known, and what is not."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from jupyter_nq.client.memory import forecast as module
from jupyter_nq.client.memory.forecast import LEAST, WINDOW, forecast

GIB = 1 << 30


def test_examples() -> None:
    """The example of the docstring holds."""
    assert doctest.testmod(module).failed == 0


def test_steady_growth() -> None:
    """10 MiB in 5 s, from 1 GiB of 2, is 512 s to go."""
    at = [5.0 * turn for turn in range(20)]
    used = [GIB // 2 + (10 << 20) * turn for turn in range(20)]
    found = forecast(at, used, 2 * GIB)
    assert found.bytes_per_second == pytest.approx(2 << 20)
    assert found.seconds == pytest.approx((2 * GIB - used[-1]) / (2 << 20))


def test_one_jump_moves_it_little() -> None:
    """A large dataset that comes and goes during steady growth hardly changes the answer; a mean would be far off."""
    at = np.arange(30) * 5.0
    used = (np.arange(30) * (1 << 20)).tolist()
    plain = forecast(at.tolist(), used, GIB).seconds
    used[20:23] = [value + GIB // 2 for value in used[20:23]]
    jumped = forecast(at.tolist(), used, GIB).seconds
    assert plain is not None
    assert jumped == pytest.approx(plain, rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_growth(seed: int) -> None:
    """What only scatters is not said to grow."""
    noise = np.random.default_rng(seed).normal(0, 1e6, 60)
    found = forecast(list(range(60)), [round(5e8 + value) for value in noise], GIB)
    assert found.seconds is None
    assert "do not grow steadily" in found.why


@pytest.mark.parametrize("used", [[5] * 20, list(range(20, 0, -1)), [5] * 19 + [900]])
def test_no_growth_is_not_known(used: list[int]) -> None:
    """Flat, falling, and flat with one new dataset at the end."""
    found = forecast(list(range(20)), used, 1_000)
    assert (found.seconds, found.why) == (None, "20 samples in 19 s do not grow steadily")


def test_too_few_samples() -> None:
    """Below the least nothing is said, not even a slope."""
    found = forecast(list(range(LEAST - 1)), list(range(LEAST - 1)), 100)
    assert (found.seconds, found.bytes_per_second) == (None, None)
    assert found.why == f"{LEAST - 1} samples are too few; {LEAST} are needed"
    assert forecast(list(range(LEAST)), list(range(LEAST)), 100).seconds == 95.0
    assert forecast([], [], 0).seconds is None


def test_what_is_full_is_full() -> None:
    """At the limit, or beyond one that was lowered, there is no time left, whatever the slope."""
    assert forecast(list(range(10)), [100] * 10, 100).seconds == 0.0
    assert forecast(list(range(10)), [100] * 10, 50).seconds == 0.0


def test_only_the_window_counts() -> None:
    """What was before it is forgotten."""
    old, new = [0.0] * 500, [float(turn) for turn in range(WINDOW)]
    found = forecast(list(range(500 + WINDOW)), [int(v) for v in [*old, *new]], 10_000)
    assert found.bytes_per_second == 1.0
