"""Bar lengths as people write them."""

from __future__ import annotations

import pytest

from jupyter_nq.bars import Timeframe, parse_timeframe
from jupyter_nq.errors import UnknownTimeframe


@pytest.mark.parametrize(
    ("text", "label", "minutes", "suffix"),
    [
        ("30min", "30min", 30, ""),
        ("30 min", "30min", 30, ""),
        ("30m", "30min", 30, ""),
        (" 5 Minutes ", "5min", 5, ""),
        ("5min_extended", "5min_extended", 5, "extended"),
        ("5 min - Extended", "5min_extended", 5, "extended"),
        ("30min_rth", "30min_rth", 30, "rth"),
        ("1h", "1h", 60, ""),
        ("60min", "1h", 60, ""),
        ("90m", "90min", 90, ""),
        ("1D", "1D", 1440, ""),
        ("1440min", "1D", 1440, ""),
        ("5m", "5min", 5, ""),
        ("M5", "5min", 5, ""),
        ("M1", "1min", 1, ""),
        ("H4", "4h", 240, ""),
        ("D1", "1D", 1440, ""),
        ("5T", "5min", 5, ""),
        ("300s", "5min", 5, ""),
        ("3600 seconds", "1h", 60, ""),
        ("D", "1D", 1440, ""),
        ("1day", "1D", 1440, ""),
        ("daily", "1D", 1440, ""),
    ],
)
def test_one_length_has_one_label(text: str, label: str, minutes: int, suffix: str) -> None:
    """Every spelling of a length gives the same timeframe."""
    assert parse_timeframe(text) == Timeframe(label, minutes, suffix)
    assert parse_timeframe(label) == Timeframe(label, minutes, suffix)


@pytest.mark.parametrize("text", ["", "min", "30", "NQ", "1M", "30s", "0min", "2D", "1.5h", "-5min", "5min/..", "1w"])
def test_what_is_no_length_is_refused(text: str) -> None:
    """A month, a second, zero and nonsense are no timeframes."""
    with pytest.raises(UnknownTimeframe, match=r"minute|'1D'"):
        parse_timeframe(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5M", "may mean minutes or months. Write 5min"),
        ("1week", "weeks are not supported"),
        ("weekly", "weeks are not supported"),
        ("W1", "weeks are not supported"),
        ("MN1", "months are not supported"),
        ("90s", "is 90 seconds"),
        ("H24", "is not a timeframe"),
        ("M24", "is not a timeframe"),
    ],
)
def test_what_is_refused_says_why(text: str, says: str) -> None:
    """Months, weeks, odd seconds, and a contract's month that looks like a length."""
    with pytest.raises(UnknownTimeframe, match=says):
        parse_timeframe(text)
