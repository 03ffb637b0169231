"""Figures and lines for a terminal."""

from __future__ import annotations

import doctest
import importlib

import pytest

from jupyter_nq.cli.text import one_line, seconds


@pytest.mark.parametrize("module", ["text", "demo.summary", "parser"])
def test_examples(module: str) -> None:
    """The examples in the docstrings are true."""
    result = doctest.testmod(importlib.import_module(f"jupyter_nq.cli.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(("duration", "text"), [(1.0, "1.0 s"), (0.0999, "100 ms"), (0.005, "5.00 ms"), (0, "0.0 us")])
def test_seconds(duration: float, text: str) -> None:
    """Durations appear in the unit that suits them."""
    assert seconds(duration) == text


def test_one_line() -> None:
    """Only the first line is shown, whole if it fits."""
    assert one_line("\nabc\ndef", 3) == "abc"
    assert one_line("", 3) == ""
