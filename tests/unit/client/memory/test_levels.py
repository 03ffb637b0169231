"""Levels by name and number."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

from jupyter_nq.client.memory import levels
from jupyter_nq.client.memory.levels import LEVELS, level_of
from jupyter_nq.errors import InvalidArgument


def test_examples() -> None:
    """The example of the docstring holds."""
    assert doctest.testmod(levels).failed == 0


def test_each_level_does_more() -> None:
    """And does it earlier; off does nothing."""
    done = [(level.own, level.collects, level.spills) for level in LEVELS]
    assert done == sorted(done)
    assert [level.pressure for level in LEVELS] == [None, 0.95, 0.9, 0.8]
    assert [level_of(level.name) for level in LEVELS] == [level_of(number) for number in range(4)] == list(LEVELS)


@pytest.mark.parametrize("given", ["agressive", "", 4, -1, True, 1.0, None, ["off"]])
def test_unknown_levels(given: Any) -> None:
    """All levels are named, and the nearest one of a word."""
    with pytest.raises(InvalidArgument, match="0 'off', 1 'conservative', 2 'balanced', 3 'aggressive'") as found:
        level_of(given)
    assert ("Did you mean 'aggressive'?" in str(found.value)) == (given == "agressive")
