"""When a value rings."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

from jupyter_nq.client.memory import thresholds
from jupyter_nq.client.memory.thresholds import Threshold
from jupyter_nq.errors import InvalidArgument


def test_examples() -> None:
    """The example of the docstring holds."""
    assert doctest.testmod(thresholds).failed == 0


def test_a_value_at_the_edge_rings_once() -> None:
    """To and fro by less than the hysteresis is one ring; clearly below and up again is another."""
    threshold = Threshold("pool", 0.9)
    edge = [threshold.rings(0.9 + 0.02 * (-1) ** turn) for turn in range(100)]
    assert edge.count(True) == 1
    assert not threshold.rings(0.84)
    assert threshold.rings(0.9)


def test_no_value_is_no_news() -> None:
    """What is not there neither rings nor arms."""
    threshold = Threshold("gpu", 0.5)
    assert [threshold.rings(value) for value in (None, 0.6, None, 0.6)] == [False, True, False, False]


def test_a_threshold_says_what_it_is() -> None:
    """Metric, share, and whether it was reached."""
    threshold = Threshold("system", 0.8)
    assert repr(threshold) == "<Threshold system at 80%, not reached>"
    threshold.rings(1.0)
    assert repr(threshold) == "<Threshold system at 80%, reached>"


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, 90, True, "0.9", float("nan")])
def test_only_shares_are_fractions(fraction: Any) -> None:
    """Percents, and what is no number, are refused."""
    with pytest.raises(InvalidArgument, match=r"90 % is 0\.9"):
        Threshold("pool", fraction)


def test_unknown_metrics() -> None:
    """With the nearest one, and all of them."""
    with pytest.raises(InvalidArgument, match=r"Did you mean 'pool'\? Use system, cgroup, pool, gpu"):
        Threshold("pol", 0.5)
