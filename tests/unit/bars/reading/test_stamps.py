"""Strict parsing of stamps, compared with the standard library."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars.reading.dates import local_seconds
from jupyter_nq.bars.reading.stamps import BadStamp, Fields, Layout, StampScanner


def scan(*blocks: list[str]) -> Fields:
    """Return the fields of some blocks of stamps."""
    scanner = StampScanner()
    for block in blocks:
        scanner.add(pa.array(block, pa.string()))
    return scanner.fields()


def parse(*blocks: list[str], order: str = "dmy") -> list[int]:
    """Return the clock readings of some blocks of stamps."""
    fields = scan(*blocks)
    seconds: list[int] = local_seconds(
        fields, ["ymd" if la.order == "ymd" else order for la in fields.layouts]
    ).tolist()
    return seconds


def test_the_first_of_several_dates_that_do_not_exist_is_named() -> None:
    """Whatever is wrong with each, so that blocks of any size name the same row."""
    days = ["01/02/2024 10:00", "31/02/2024 10:00", "01/13/2024 10:00"]
    with pytest.raises(BadStamp, match="row 1: month 2 of 2024 has no day 31"):
        parse(days)
    with pytest.raises(BadStamp, match="row 1: there is no month 13"):
        parse([days[0], days[2], days[1]])


def read(stamp: str, order: str) -> datetime:
    """Return what one stamp says."""
    return datetime.fromtimestamp(parse([stamp], order=order)[0], UTC).replace(tzinfo=None)


def unpadded(moment: datetime) -> str:
    """Write a stamp as a spreadsheet does."""
    return f"{moment.day}/{moment.month}/{moment.year} {moment.hour}:{moment.minute:02d}"


MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)).map(lambda m: m.replace(microsecond=0))


@settings(deadline=None)
@given(st.lists(MOMENTS, min_size=1, max_size=40), st.integers(1, 7))
def test_all_layouts_agree_with_the_standard_library(moments: list[datetime], block: int) -> None:
    """Mixed layouts, cut into any blocks, give the time that was written, minutes where no seconds are."""
    texts, expected = [], []
    for i, moment in enumerate(moments):
        minute = moment.replace(second=0)
        choices = [
            (moment.strftime("%d/%m/") + f"{moment.year:04d}" + moment.strftime(" %H:%M:%S"), moment),
            (unpadded(minute), minute),
            (moment.isoformat(), moment),
            (moment.isoformat(" ", "minutes"), minute),
            (f"  {moment.year}.{moment.month}.{moment.day}  {moment:%H:%M:%S} ", moment),
            (f"{moment:%d-%m-}{moment.year}", moment.replace(hour=0, minute=0, second=0)),
        ]
        text, value = choices[i % len(choices)]
        texts.append(text)
        expected.append(int(value.replace(tzinfo=UTC).timestamp()))
    assert parse(*(texts[i : i + block] for i in range(0, len(texts), block))) == expected


@pytest.mark.parametrize(
    ("stamp", "reason"),
    [
        ("31/02/2024 10:00", "month 2 of 2024 has no day 31"),
        ("29/02/2023 10:00", "has no day 29"),
        ("1/1/0024 9:00", "the year 0024"),
        ("01/01/2024 10:60", "no minute 60"),
        ("01/01/2024 10:00:60", "no second 60"),
        ("01/01/2024 24:00", "no hour 24"),
        ("00/01/2024 10:00", "no day 0"),
        ("10/00/2024 10:00", "no month 0"),
        ("2024-13-01 10:00", "no month 13"),
        ("2024-01-01T10:00:00+15:00", "no offset 15"),
        ("", "empty"),
        ("x" * 60, "too long"),
        ("yesterday", "'yesterday' is not a date and time"),
        ("01/01-2024 10:00", "not a date and time"),
        ("01/01/2024 1O:00", "not a date and time"),
        ("01/01/2024 10:0０", "not a date and time"),
    ],
)
def test_what_is_no_time_is_refused(stamp: str, reason: str) -> None:
    """Nothing is rolled over or guessed, and the row is named."""
    with pytest.raises(BadStamp, match=reason) as caught:
        parse(["05/05/2024 10:00"], ["06/05/2024 10:00", stamp])
    assert caught.value.row == 2


def test_the_first_bad_row_is_named() -> None:
    """Rows are grouped by length inside, but the first bad row in the file is the one reported."""
    with pytest.raises(BadStamp) as caught:
        scan(["01/01/2024 10:00", "a longer thing that is no stamp", "bad"])
    assert caught.value.row == 1


@pytest.mark.parametrize(
    ("stamp", "offset"),
    [
        ("2024-05-06T10:00:00Z", 0),
        ("2024-05-06 10:00+03:00", 10800),
        ("2024-05-06T10:00:00.5-0430", -16200),
        ("2024-05-06T10:00 +02", 7200),
    ],
)
def test_offsets_are_read(stamp: str, offset: int) -> None:
    """`Z` and distances from UTC are read."""
    assert scan([stamp]).offset.tolist() == [offset]


def test_fractions_are_nanoseconds() -> None:
    """A fraction of any length is read exactly."""
    fields = scan(["2024-05-06T10:00:00.5", "2024-05-06T10:00:00.123456789"], ["2024-05-06T10:00:01"])
    assert fields.nanos.tolist() == [500_000_000, 123_456_789, 0]


def test_some_with_offset_and_some_without_is_refused() -> None:
    """A file is on one clock."""
    with pytest.raises(BadStamp, match="others do not") as caught:
        scan(["2024-05-06T10:00Z", "2024-05-06T10:30Z", "2024-05-06T11:00"])
    assert caught.value.row == 2


def test_month_first_is_the_other_reading() -> None:
    """The day order is the caller's."""
    assert read("3/4/2025 9:30", "dmy") == datetime(2025, 4, 3, 9, 30)
    assert read("3/4/2025 9:30", "mdy") == datetime(2025, 3, 4, 9, 30)


@pytest.mark.parametrize(
    ("stamp", "label"),
    [
        ("29/06/2020 01:00:00", "DD/MM/YYYY HH:MM:SS"),
        ("1/7/2020 1:00", "D/M/YYYY H:MM"),
        ("2020-06-29T01:00:00.000Z", "YYYY-MM-DDTHH:MM:SS.fZ"),
        ("2020-06-29", "YYYY-MM-DD"),
    ],
)
def test_layouts_have_labels_that_can_be_read_back(stamp: str, label: str) -> None:
    """The label of a layout is what people write, and says all of it."""
    (layout,) = scan([stamp]).layouts
    named = Layout.parse(label)
    assert named.label == label
    assert (named.separator, named.join, named.padded) == (layout.separator, layout.join, layout.padded)
    with pytest.raises(ValueError, match="not a stamp layout"):
        Layout.parse("%d/%m")


def test_a_million_rows_take_a_second_or_less_each() -> None:
    """The scanner is made of array operations: a hundred thousand rows are no visible wait."""
    stamps = np.array(["29/06/2020 01:00:00", "1/7/2020 1:00", "10/7/2020 11:30"] * 40_000)
    fields = scan(*(stamps[i : i + 10_000].tolist() for i in range(0, len(stamps), 10_000)))
    assert len(local_seconds(fields, ["dmy"] * len(fields.layouts))) == 120_000
