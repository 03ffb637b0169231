"""Files of which a few bars fit no reading."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.validation.validator import validate_file
from jupyter_nq.errors import AmbiguousStamps
from tests.unit.bars.conftest import MakeFile, session_starts, written

STARTS = session_starts("2024-01-22", 18)
STRAY = [datetime(2024, 2, 3, 15, minute, tzinfo=UTC) for minute in (0, 30)]  # a Saturday
LINE = sum(start < STRAY[0] for start in STARTS) + 2


@pytest.mark.parametrize("stray", [1, 2])
def test_a_stray_bar_is_named_with_the_reading_of_all_others(make_file: MakeFile, stray: int) -> None:
    """The question is what to do with these bars, and not which of all zones; the answer is its own words."""
    starts = sorted([*STARTS, *STRAY[:stray]])
    path = make_file(written(starts, "America/New_York"))
    with pytest.raises(AmbiguousStamps) as caught:
        load_bars(path)
    said = str(caught.value)
    assert "With tz='America/New_York' and edge='start' it is only " in said
    assert "2024-02-03 10:00" in said
    assert caught.value.nearly == ("America/New_York", "start")
    bars = load_bars(path, tz="America/New_York", edge="start")
    assert bars.table["timestamp"].to_pylist() == starts


def test_a_validation_reads_it_so_and_checks_the_rest(make_file: MakeFile) -> None:
    """The stray bar is a finding with its line, the reading a notice."""
    report = validate_file(make_file(written(sorted([*STARTS, STRAY[0]]), "America/New_York")))
    assert report.rows == len(STARTS) + 1
    [finding] = [finding for finding in report.findings if finding.rule == "closed hours"]
    assert finding.lines == (LINE,)
    assert "read with tz='America/New_York', edge='start', which all but a few bars fit" in report.notices


def test_where_several_readings_are_as_good_none_is_named(make_file: MakeFile) -> None:
    """A session of regular hours leaves zones open, and a bar on Saturday with it."""
    regular = [start for start in STARTS if 15 <= start.hour < 20]
    path = make_file(written(sorted([*regular, STRAY[0]]), "America/New_York"))
    with pytest.raises(AmbiguousStamps, match="the fewest are") as caught:
        load_bars(path)
    assert caught.value.nearly is None


def test_many_bars_in_closed_hours_are_no_strays(make_file: MakeFile) -> None:
    """A clock that fits nothing is asked for as before."""
    path = make_file(written(STARTS, "Asia/Kolkata", minutes=7))
    with pytest.raises(AmbiguousStamps) as caught:
        load_bars(path, timeframe="30min")
    assert caught.value.nearly is None
