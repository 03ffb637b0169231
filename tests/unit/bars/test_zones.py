"""Zones as step functions, compared with zoneinfo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars.reading.stamps import BadStamp
from jupyter_nq.bars.zones import find_zone, offset_label, same_zone, steps, zone_names
from jupyter_nq.errors import UnknownZone


def clock(*texts: str) -> np.ndarray:
    """Return clock readings as seconds."""
    return np.array([int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) for text in texts])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        ["America/New_York", "Asia/Jerusalem", "Africa/Casablanca", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC+3"]
    ),
    st.datetimes(datetime(1999, 1, 1), datetime(2035, 1, 1)),
)
def test_offsets_are_those_of_the_database(name: str, moment: datetime) -> None:
    """The step function has the offset that the zone has, at every instant."""
    zone = find_zone(name)
    at = int(moment.replace(tzinfo=UTC).timestamp())
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    assert offset is not None
    first, last = at - 400 * 86_400, at + 400 * 86_400
    assert steps(name, first, last).at_utc(np.array([at])).tolist() == [int(offset.total_seconds())]


def test_local_readings_go_back_to_their_instants() -> None:
    """A year of hours in New York, repeated hour included, returns to UTC in order."""
    utc = np.arange(clock("2024-01-01")[0], clock("2025-01-01")[0], 3600)
    zone = ZoneInfo("America/New_York")
    local = np.array([int(datetime.fromtimestamp(int(t), zone).replace(tzinfo=UTC).timestamp()) for t in utc])
    assert steps("America/New_York", int(local[0]), int(local[-1])).to_utc(local).tolist() == utc.tolist()


def test_a_repeated_hour_is_read_by_order() -> None:
    """Half hours of a repeated hour are told apart where the clock jumps back."""
    local = clock(
        "2024-11-03T00:30",
        "2024-11-03T01:00",
        "2024-11-03T01:30",
        "2024-11-03T01:00",
        "2024-11-03T01:30",
        "2024-11-03T02:00",
    )
    utc = steps("America/New_York", int(local.min()), int(local.max())).to_utc(local)
    assert np.diff(utc).tolist() == [1800] * 5


def test_rows_of_one_second_of_a_repeated_hour_are_in_one_pass() -> None:
    """The rest of a second tells that rows of one second go on, and do not begin the second pass."""
    local = clock(*(["2024-11-03T01:10"] * 3), "2024-11-03T01:50", *(["2024-11-03T01:10"] * 2), "2024-11-03T01:59")
    nanos = np.array([0, 250_000_000, 500_000_000, 0, 0, 1, 7])
    utc = steps("America/New_York", int(local.min()), int(local.max())).to_utc(local, nanos)
    offsets = (local - utc) // 3600
    assert offsets.tolist() == [-4] * 4 + [-5] * 3


def test_the_same_instant_of_a_repeated_hour_twice_is_its_second_pass() -> None:
    """Equal readings are the same reading of both passes, with a rest of a second too."""
    local = clock("2024-11-03T01:10", "2024-11-03T01:10")
    for nanos in (np.empty(0, np.int64), np.array([5, 5])):
        utc = steps("America/New_York", int(local.min()), int(local.max())).to_utc(local, nanos)
        assert np.diff(utc).tolist() == [3600]


def test_a_repeated_hour_without_order_is_refused() -> None:
    """One pass through a repeated hour could be either, so it is refused with its row."""
    local = clock("2024-11-03T00:30", "2024-11-03T01:00", "2024-11-03T02:30")
    with pytest.raises(BadStamp, match="occurs twice in America/New_York") as caught:
        steps("America/New_York", int(local.min()), int(local.max())).to_utc(local)
    assert caught.value.row == 1


def test_a_skipped_hour_is_refused() -> None:
    """A reading that the clock never shows is refused with its row."""
    local = clock("2024-03-10T01:30", "2024-03-10T02:30")
    with pytest.raises(BadStamp, match="2024-03-10 02:30:00 does not exist") as caught:
        steps("America/New_York", int(local.min()), int(local.max())).to_utc(local)
    assert caught.value.row == 1


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("UTC+3", 3.0),
        ("+03:00", 3.0),
        ("-0430", -4.5),
        ("GMT-5", -5.0),
        ("UTC", 0.0),
        ("Asia/Tokyo", 9.0),
        (" Etc/GMT-3 ", 3.0),
    ],
)
def test_zones_have_many_spellings(name: str, hours: float) -> None:
    """IANA names and fixed offsets are understood."""
    assert find_zone(name).utcoffset(datetime(2024, 6, 1)) == timedelta(hours=hours)


@pytest.mark.parametrize("name", ["America/NewYork", "Mars/Olympus", "", "../etc/passwd", "UTC+99"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    """The error of an unknown zone says what to pass."""
    with pytest.raises(UnknownZone, match="IANA name"):
        find_zone(name)


def test_the_nearest_zone_is_named() -> None:
    """A misspelt zone is told the right name."""
    with pytest.raises(UnknownZone, match="America/New_York"):
        find_zone("America/NewYork")


def test_names_of_one_zone_are_seen_as_one() -> None:
    """Links are one zone; zones that only agree today are not."""
    assert same_zone(("Asia/Jerusalem", "Asia/Tel_Aviv", "Israel"))
    assert not same_zone(("Asia/Jerusalem", "Europe/Athens"))
    assert not same_zone(zone_names()[:10])
    assert "Asia/Jerusalem" in zone_names()


def test_offsets_have_labels() -> None:
    """Distances from UTC are written as people write them."""
    assert [offset_label(s) for s in (0, 10800, -16200)] == ["UTC", "UTC+3", "UTC-4:30"]
