"""What a stamp means: ISO only, periods by what is left out, clamped to what int64 holds."""

from __future__ import annotations

import doctest
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.client import selection
from jupyter_nq.client.selection import span_ns
from jupyter_nq.errors import InvalidArgument


def _ns(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


@pytest.mark.parametrize(
    ("stamp", "first", "after"),
    [
        ("2024", "2024-01-01", "2025-01-01"),
        ("2024-02", "2024-02-01", "2024-03-01"),
        ("2024-06-12", "2024-06-12", "2024-06-13"),
        (date(2024, 6, 12), "2024-06-12", "2024-06-13"),
        (np.datetime64("2024-06-12"), "2024-06-12", "2024-06-13"),
        (np.datetime64("2024-06"), "2024-06-01", "2024-07-01"),
    ],
)
def test_a_period_is_all_of_it(stamp: Any, first: str, after: str) -> None:
    """From its first to its last nanosecond."""
    assert span_ns(stamp) == (_ns(first), _ns(after) - 1)


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-06-12 14:30",
        "2024-06-12T14:30:00Z",
        "2024-06-12 10:30-04:00",
        "2024-06-12 14:30:00.000000000",
        datetime(2024, 6, 12, 14, 30),
        datetime(2024, 6, 12, 14, 30, tzinfo=UTC),
        datetime(2024, 6, 12, 17, 30, tzinfo=timezone(timedelta(hours=3))),
        pd.Timestamp("2024-06-12 10:30", tz="America/New_York"),
        np.datetime64("2024-06-12T14:30"),
    ],
)
def test_a_moment_is_itself(stamp: Any) -> None:
    """All ways to write one moment mean the same one; without a zone it is UTC."""
    assert span_ns(stamp) == (_ns("2024-06-12T14:30"),) * 2


@pytest.mark.parametrize(
    "stamp",
    [
        "03/04/2025", "13/04/2025", "20250603", "2025-6-3", "2025-13", "2025-06-31", "2025-06-03 24:00", "now", "",
        "yesterday", 20250601, 2025, 1.5, float("nan"), pd.NaT, np.datetime64("NaT"), True, None, [],
        np.datetime64("NaT", "D"),
    ],
)  # fmt: skip
def test_what_could_mean_two_things_is_refused(stamp: Any) -> None:
    """Nothing is guessed; the message names the argument and shows what to write."""
    with pytest.raises(InvalidArgument, match=r"end=.* is not a date or time\. Write 2024-06-12"):
        span_ns(stamp, "end")


def test_far_stamps_become_the_nearest_that_int64_holds() -> None:
    """The end of time is a fine way to say all."""
    assert span_ns("9999-12-31")[1] == span_ns(datetime(9999, 1, 1))[0] == np.iinfo(np.int64).max
    assert span_ns("0001-01-01")[0] == span_ns("1066-10-14 09:00")[0] == np.iinfo(np.int64).min + 1


def test_the_examples_are_true() -> None:
    """The docstrings' examples run."""
    assert doctest.testmod(selection).failed == 0
