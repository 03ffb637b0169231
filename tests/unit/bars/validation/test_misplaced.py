"""Stamps whose zone or edge is wrong are told from single bars that lie in closed hours, however short the bars are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.bars.validation.report import Finding
from jupyter_nq.bars.validation.validator import validate_file, validate_table
from tests.unit.bars.test_resample import bars_at, ns, year_of_bars

MINUTE = 60 * 10**9
LENGTHS = (1, 5, 15, 30, 60)


def found_in(starts: Ints, minutes: int) -> Finding | None:
    """Return what is said of bars of NQ in closed hours."""
    report = validate_table(bars_at(np.unique(starts)), minutes=minutes, symbol="NQ")
    return next((f for f in report.findings if f.rule == "closed hours"), None)


@pytest.mark.parametrize("minutes", LENGTHS)
@pytest.mark.parametrize(("late", "fits"), [(1, "edge='end' would fit"), (-1, "edge='start' would fit")])
def test_a_wrong_edge(minutes: int, late: int, fits: str) -> None:
    """One bar of each session in closed hours, 0.07 % of 1-minute bars, is an error that names the right edge."""
    starts = starts_of(year_of_bars(minutes)) + late * minutes * MINUTE
    found = found_in(starts, minutes)
    assert found is not None
    assert (found.severity, found.sentence.endswith(fits)) == ("error", True)
    assert "The edge" in found.sentence
    stray = np.concatenate([starts, [ns(2024, 11, 9, 12), ns(2024, 11, 10, 12)]])
    assert fits in getattr(found_in(stray, minutes), "sentence", ""), "stray bars do not hide it"


@pytest.mark.parametrize("minutes", LENGTHS)
def test_a_wrong_edge_of_two_sessions(minutes: int) -> None:
    """One break between sessions is enough when it shows a late bar and an empty opening."""
    starts = starts_of(year_of_bars(minutes).slice(0, 2 * 1380 // minutes)) + minutes * MINUTE
    found = found_in(starts, minutes)
    assert found is not None
    assert "edge='end' would fit" in found.sentence


@pytest.mark.parametrize("minutes", LENGTHS)
@pytest.mark.parametrize(("shift", "fits"), [(420, "7 hours earlier"), (-510, "510 minutes later")])
def test_a_wrong_zone(minutes: int, shift: int, fits: str) -> None:
    """It is said how far off the stamps are."""
    found = found_in(starts_of(year_of_bars(minutes)) + shift * MINUTE, minutes)
    assert found is not None
    assert found.sentence.endswith(f"The zone of the stamps is wrong: {fits} they would lie in the sessions")


@pytest.mark.parametrize("minutes", LENGTHS)
def test_single_bars_in_closed_hours(minutes: int) -> None:
    """Some behind a close, some before an opening and some at a weekend are a warning and say nothing of the stamps."""
    table = year_of_bars(minutes)
    starts = starts_of(table)
    closes = [ns(2024, 10, 29, 17), ns(2024, 11, 6, 17), ns(2024, 11, 13, 17)]
    stray = [*closes, ns(2024, 11, 14, 18) - minutes * MINUTE, ns(2024, 11, 9, 12)]
    found = found_in(np.concatenate([starts, stray]), minutes)
    assert found is not None
    assert (found.severity, found.count) == ("warning", 5)
    assert found.sentence == "5 bars start in hours when CME Globex Equity is closed"
    assert found_in(starts, minutes) is None
    thin = np.random.default_rng(3).random(len(starts)) < 0.7
    missing_openings = found_in(np.concatenate([starts[thin], stray]), minutes)
    assert missing_openings is not None
    assert missing_openings.severity == "warning" or minutes == 60, "5 of some 400 hours are more than 1 %"


def test_settlement_bars() -> None:
    """A vendor's bar at every close, with the openings where they should be, is no wrong edge."""
    starts = starts_of(year_of_bars(5))
    closes = starts[np.flatnonzero(np.diff(starts) > 30 * MINUTE)] + 5 * MINUTE
    found = found_in(np.concatenate([starts, closes]), 5)
    assert found is not None
    assert (found.severity, found.count) == ("warning", len(closes))


def test_weeks_in_which_other_clocks_change() -> None:
    """A shift in some sessions in a row is an error too, and said to be of a part."""
    starts = starts_of(year_of_bars(5)).copy()
    week = (starts >= ns(2024, 11, 10, 18)) & (starts < ns(2024, 11, 17, 17))
    starts[week] += 60 * MINUTE
    found = found_in(starts, 5)
    assert found is not None
    assert found.severity == "error"
    assert "wrong in a part of them, 4 sessions in a row" in found.sentence


def test_clocks_that_change_within_the_series() -> None:
    """When no one shift fits all bars, the one that fits around the middle of those in closed hours is named."""
    starts = starts_of(year_of_bars(1))
    sides = [
        starts[starts < ns(2024, 11, 10, 18)] + 420 * MINUTE,
        starts[starts >= ns(2024, 11, 10, 18)] + 480 * MINUTE,
    ]
    found = found_in(np.concatenate(sides), 1)
    assert found is not None
    assert "8 hours earlier around 2024-11-" in found.sentence


@pytest.mark.parametrize(("layout", "minutes"), [("30min", 30), ("5min", 5), ("5min_extended", 5), ("1min", 1)])
def test_sample_bars(layout: str, minutes: int) -> None:
    """Generated bars have no bar in closed hours."""
    table = sample_bars(layout, rows=4_000)
    report = validate_table(table, minutes=minutes, symbol="NQ")
    assert not [f for f in report.findings if f.rule == "closed hours"]


@pytest.mark.parametrize(
    ("told", "severity", "said"),
    [
        ({}, None, ""),
        ({"tz": "Europe/Athens", "edge": "start"}, "warning", "8 bars start in hours when"),
        ({"tz": "Asia/Jerusalem", "edge": "end"}, "error", "edge='start' would fit"),
        ({"tz": "UTC", "edge": "start"}, "error", "The zone of the stamps is wrong: 2 hours earlier around"),
    ],
)
def test_the_real_file(real_file: Path, told: dict[str, Any], severity: str | None, said: str) -> None:
    """As it is it has none; a zone that is wrong on two days warns, other zones and the other edge are errors."""
    found = [f for f in validate_file(real_file, **told).findings if f.rule == "closed hours"]
    assert [f.severity for f in found] == ([severity] if severity else [])
    assert all(said in f.sentence for f in found)


def test_bars_of_one_session() -> None:
    """Without a break there is nothing to count but bars."""
    starts = ns(2024, 11, 12, 10) + np.arange(86) * 5 * MINUTE
    found = found_in(starts, 5)
    assert found is not None
    assert found.severity == "error", "2 of 86"
    table: pa.Table = bars_at(starts[:84])
    assert validate_table(table, minutes=5, symbol="NQ").is_valid
