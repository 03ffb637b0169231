"""Stamps that cannot be what they say, and rows in an order that cannot be: refused with the line, or counted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.validation.validator import validate_file
from jupyter_nq.errors import AmbiguousStamps, UnreadableSource
from tests.unit.bars.conftest import MakeFile, session_starts, written

STARTS = session_starts("2024-07-08", 10)
NEW_YORK = {"tz": "America/New_York", "edge": "start"}
LINE = 201


def nanos(starts: list[datetime]) -> list[int]:
    """Return instants in ns."""
    return [int(start.timestamp()) * 10**9 for start in starts]


def loaded(path: Path, **told: Any) -> list[int]:
    """Return the starts of the bars of a file, ns."""
    found: list[int] = load_bars(path, **told).table["timestamp"].cast("int64").to_pylist()
    return found


def refused(path: Path, *words: str, told: dict[str, Any] | None = None) -> None:
    """Load a file, which must be refused in all these words and with its path."""
    with pytest.raises((UnreadableSource, AmbiguousStamps)) as caught:
        load_bars(path, **NEW_YORK if told is None else told)
    for word in (path.name, *words):
        assert word in str(caught.value)


def found(path: Path, rule: str, **given: Any) -> tuple[int, tuple[int, ...], int]:
    """Validate a file, and return how many rows break a rule, their lines, and how many rows are bars."""
    report = validate_file(path, **NEW_YORK, **given)
    [finding] = [finding for finding in report.findings if finding.rule == rule]
    return finding.count, finding.lines, report.rows


def with_stamps(make_file: MakeFile, changes: dict[int, str], **given: Any) -> Path:
    """Write the file with other stamps in some lines."""
    stamps = written(STARTS, "America/New_York", **given)
    for line, stamp in changes.items():
        stamps[line - 2] = stamp
    return make_file(stamps)


@pytest.mark.parametrize("power", [0, 3, 6, 9], ids=["s", "ms", "us", "ns"])
def test_23_the_digits_of_a_number_tell_its_unit(make_file: MakeFile, power: int) -> None:
    """Numbers since 1970 in any unit are the same bars, and none of them lies in January 1970."""
    stamps = [str(int(start.timestamp()) * 10**power) for start in STARTS]
    assert loaded(make_file(stamps), edge="start") == nanos(STARTS)


def test_23_a_number_of_no_unit_is_refused(make_file: MakeFile) -> None:
    """A number whose digits are those of no unit is no stamp, and is told with its line."""
    stamps = [str(int(start.timestamp())) for start in STARTS]
    stamps[LINE - 2] += "0"
    refused(make_file(stamps), f"line {LINE}: '{stamps[LINE - 2]}' is not a date and time", "Correct the line.")


def test_24_an_hour_that_comes_twice_is_refused_without_its_second_pass(make_file: MakeFile) -> None:
    """A stamp that the clock shows twice is refused when the order of rows does not tell which is meant."""
    stamps = ["03/11/2024 00:30:00", "03/11/2024 01:00:00", "03/11/2024 03:00:00", "13/11/2024 03:30:00"]
    path = make_file(stamps)
    refused(path, "line 3: 2024-11-03 01:00:00 occurs twice in America/New_York", "pass the tz= of the clock")
    assert found(path, "repeated hour") == (1, (3,), 3)


def test_24_an_hour_that_comes_twice_is_read_by_its_two_passes(make_file: MakeFile) -> None:
    """Both passes in the file's order are what the clock did."""
    starts = [datetime(2024, 11, 3, 4 + i // 2, i % 2 * 30, tzinfo=UTC) for i in range(8)]
    assert loaded(make_file(written(starts, "America/New_York")), day_first=True, **NEW_YORK) == nanos(starts)


def test_25_an_hour_that_is_skipped_is_refused(make_file: MakeFile) -> None:
    """A stamp that the clock never showed is refused with its line, and counted apart."""
    stamps = ["10/03/2024 01:00:00", "10/03/2024 01:30:00", "10/03/2024 02:30:00", "13/03/2024 03:00:00"]
    path = make_file(stamps)
    refused(path, "line 4: 2024-03-10 02:30:00 does not exist in America/New_York", "pass the tz= of the clock")
    assert found(path, "skipped hour") == (1, (4,), 3)


def test_26_mixed_offsets_are_instants(make_file: MakeFile) -> None:
    """Stamps with different offsets from UTC are read as the instants that they say."""
    zones = ("America/New_York", "Asia/Tokyo", "UTC")
    stamps = [written([start], zones[i % 3], "%Y-%m-%dT%H:%M:%S%z")[0] for i, start in enumerate(STARTS)]
    assert loaded(make_file(stamps), edge="start") == nanos(STARTS)


def test_26_offsets_in_some_stamps_only_are_refused(make_file: MakeFile) -> None:
    """What a stamp without an offset means among others with one is not guessed."""
    stamps = written(STARTS, "UTC", "%Y-%m-%dT%H:%M:%SZ")
    stamps[LINE - 2] = stamps[LINE - 2].removesuffix("Z")
    refused(make_file(stamps), f"line {LINE}: some stamps carry an offset from UTC, others do not", told={})


def test_27_rows_out_of_order_are_refused_and_counted(make_file: MakeFile) -> None:
    """Nothing is sorted unasked: loading names count and lines, and a validation sorts when it is told to."""
    stamps = written(STARTS, "America/New_York")
    stamps[100], stamps[200] = stamps[200], stamps[100]
    path = make_file(stamps)
    refused(path, "the stamps do not strictly increase in 2 of 460 rows", "line 103", "line 202", "Sort the file")
    count, lines, rows = found(path, "backwards")
    assert (count, lines, rows) == (100, (103, 104, 105, 106, 107), len(stamps)), "all behind the one that came early"
    report = validate_file(path, actions={"backwards": "repair"}, **NEW_YORK)
    assert report.table is not None
    assert report.table["timestamp"].cast("int64").to_pylist() == nanos(STARTS)
    assert any("sorted" in sentence or "repaired" in sentence for sentence in report.handled)


def test_28_the_same_stamp_twice_is_refused_and_counted(make_file: MakeFile) -> None:
    """Which of two rows is the bar is not guessed; the same row twice is to be removed."""
    stamps = written(STARTS, "America/New_York")
    path = with_stamps(make_file, {LINE: stamps[LINE - 3]})
    refused(
        path, "in 1 of 460 rows", f"line {LINE}", "repeats the line before it", "It is the same line twice: remove one."
    )
    assert found(path, "repeated bar") == (1, (LINE,), len(stamps))
    lines = path.read_text().split("\n")
    lines[LINE - 1] = lines[LINE - 1].replace("101", "102")
    path.write_text("\n".join(lines))
    refused(path, f"line {LINE}", "repeats the line before it", "Sort the file and remove what is there twice")
    assert found(path, "duplicate") == (1, (LINE,), len(stamps))


def test_29_gaps_are_told_by_the_calendar(make_file: MakeFile) -> None:
    """Missing bars are a warning with their session, the closed weekend and holidays are none."""
    starts = session_starts("2024-06-17", 10)
    kept = [start for i, start in enumerate(starts) if not 300 <= i < 304]
    path = make_file(written([start for start in kept if start.day != 19 or start.month != 6], "America/New_York"))
    report = validate_file(path, **NEW_YORK)
    [gap] = [finding for finding in report.findings if finding.rule == "gap"]
    assert "(4 bars)" in str(gap)
    assert gap.severity == "warning"


@pytest.mark.parametrize(
    ("stamp", "reason", "rule"),
    [
        ("31/02/2024 10:00:00", "month 2 of 2024 has no day 31", "no such date"),
        ("12/07/2300 10:00:00", "the year 2300 is not between 1970 and 2199", "no such date"),
        ("12/07/2024 24:00:00", "there is no hour 24", "missing stamp"),
        ("12/07/2024 10:60:00", "there is no minute 60", "missing stamp"),
        ("12/07/2024 10:00:60", "there is no second 60", "missing stamp"),
        ("", "the stamp is empty", "missing stamp"),
        ("yesterday", "'yesterday' is not a date and time", "missing stamp"),
    ],
    ids=["31 February", "31 year 2300", "hour 24", "minute 60", "second 60", "empty", "text"],
)
def test_31_what_is_no_date_or_time_is_refused(make_file: MakeFile, stamp: str, reason: str, rule: str) -> None:
    """Each is refused with line and text, and a validation keeps the other rows."""
    path = with_stamps(make_file, {LINE: stamp})
    refused(path, f"line {LINE}: {reason}", "Correct the line.")
    assert found(path, rule) == (1, (LINE,), len(STARTS) - 1)


def test_31_a_number_beyond_the_years_is_refused(make_file: MakeFile) -> None:
    """Seconds of the year 2286 are no stamp of a bar, and do not overflow."""
    stamps = [str(int(start.timestamp())) for start in STARTS]
    stamps[LINE - 2] = "9999999999"
    refused(make_file(stamps), f"line {LINE}: the year 2286 is not between 1970 and 2199", "Correct the line.")


def test_27_a_file_that_is_newest_first_is_told_as_such(make_file: MakeFile) -> None:
    """The message says what it is and what sorts it; that gives the bars."""
    path = make_file(written(reversed(STARTS), "America/New_York"))
    refused(path, "The newest bar comes first. Sort the file", "actions={'backwards': 'repair'}")
    report = validate_file(path, actions={"backwards": "repair"}, **NEW_YORK)
    assert report.table is not None
    assert report.table["timestamp"].cast("int64").to_pylist() == nanos(STARTS)
