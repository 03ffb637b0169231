"""Closed hours, bar by bar and counted for all zones at once."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from jupyter_nq.bars.closed import bar_starts, is_closed
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.sniffing.local import Local
from jupyter_nq.bars.sniffing.readings import Weeks, search
from jupyter_nq.bars.zones import steps, zone_names
from tests.unit.bars.conftest import seconds, session_starts


def closed_at(text: str) -> bool:
    """Is the exchange closed at this New York time?"""
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York"))
    return bool(is_closed(np.array([int(moment.timestamp())]))[0])


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("2024-05-08T16:59", False),
        ("2024-05-08T17:00", True),
        ("2024-05-08T17:59", True),
        ("2024-05-08T18:00", False),
        ("2024-05-10T16:59", False),
        ("2024-05-10T18:30", True),
        ("2024-05-11T12:00", True),
        ("2024-05-12T17:59", True),
        ("2024-05-12T18:00", False),
        ("2014-05-07T17:15", False),
        ("2014-05-07T17:45", True),
    ],
)
def test_the_exchange_is_closed_when_it_is(text: str, closed: bool) -> None:
    """The halt, the weekend, and the later close until 2015."""
    assert closed_at(text) is closed


def test_no_instants_are_closed() -> None:
    """An empty column is no special case."""
    assert is_closed(np.zeros(0, np.int64)).tolist() == []


@pytest.mark.parametrize("edge", ["start", "end"])
@pytest.mark.parametrize("minutes", [5, 30, 60])
def test_counting_by_week_equals_counting_by_row(edge: str, minutes: int) -> None:
    """For every zone, the table of weeks gives the number that a look at each row gives."""
    starts = np.array(seconds(session_starts("2023-10-16", 25, minutes)))
    local = starts + steps("Asia/Jerusalem", int(starts[0]), int(starts[-1])).at_utc(starts)
    weeks = Weeks(Local.of(local), edge)
    for name in zone_names()[::7]:
        zone = steps(name, int(local[0]), int(local[-1]))
        skipped, _ = zone.doubtful(local)
        utc = local - zone.offsets[np.searchsorted(zone.local_breaks(), local, side="right")]
        expected = int((skipped | is_closed(utc - (edge == "end"))).sum())
        assert weeks.count(name) == expected, name
        assert weeks.fits(name) is (expected == 0)


def test_names_that_give_one_reading_are_one_candidate() -> None:
    """Five days in summer leave dozens of names and one reading."""
    starts = np.array(seconds(session_starts("2024-07-08", 5)))
    (only,) = search(Local.of(starts + 10_800), 30, ("start", "end"), zone_names())
    assert only.tz == "Asia/Jerusalem"
    assert len(only.names) > 20
    assert "Europe/Moscow" in only.names
    assert (only.label, only.first_start, only.edge, only.decided) == ("UTC+3", int(starts[0]), "start", False)


def test_an_hourly_bar_has_one_reading_with_either_edge() -> None:
    """An hourly start in one zone is the hourly end in the next: one reading, named by its start."""
    starts = np.array(seconds(session_starts("2024-07-08", 5, 60)))
    (only,) = search(Local.of(starts + 10_800), 60, ("start", "end"), zone_names())
    assert (only.edge, only.first_start) == ("start", int(starts[0]))


def test_short_last_bars_start_on_the_grid() -> None:
    """A bar that a holiday cuts short is stamped at the cut, and still starts where the grid says."""
    full = np.array(seconds(session_starts("2024-07-08", 2)))
    ends = full + 1800
    ends[10] -= 900
    assert bar_starts(ends, "end", 30, EQUITY).tolist() == full.tolist()
    assert bar_starts(ends, "end", 30, None).tolist() == (ends - 1800).tolist()
    assert bar_starts(full, "start", 30, EQUITY) is full


def test_four_hour_bars_end_with_the_session() -> None:
    """The last four-hour bar of a session has three hours and starts at 14:00 New York."""
    opening = seconds(session_starts("2024-07-08", 1))[0]
    hours = np.array([4, 8, 12, 16, 20, 23])
    starts = bar_starts(opening + hours * 3600, "end", 240, EQUITY)
    assert ((starts - opening) // 3600).tolist() == [0, 4, 8, 12, 16, 20]
