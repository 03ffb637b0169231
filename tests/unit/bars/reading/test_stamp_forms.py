"""Stamps of vendors: without separators, with AM and PM, with two digits of a year, counted since 1970."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.reading.dates import local_seconds
from jupyter_nq.bars.reading.stamps import BadStamp, Layout, StampScanner
from jupyter_nq.errors import UnknownTimeframe, UnreadableSource
from tests.unit.bars.conftest import MakeFile, session_starts, written

MOMENTS = st.datetimes(datetime(1974, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))


def read(texts: list[str], order: str = "mdy") -> tuple[list[int], list[int], tuple[Layout, ...]]:
    """Return seconds, ns and layouts of stamps."""
    scanner = StampScanner()
    scanner.add(pa.array(texts))
    fields = scanner.fields()
    orders = ["ymd" if layout.order == "ymd" else order for layout in fields.layouts]
    return local_seconds(fields, orders).tolist(), fields.nanos.tolist(), fields.layouts


@pytest.mark.parametrize(
    ("text", "label", "expected"),
    [
        ("20231207 000100", "YYYYMMDD HHMMSS", "2023-12-07 00:01:00"),
        ("20231207 0001", "YYYYMMDD HHMM", "2023-12-07 00:01:00"),
        ("20231207", "YYYYMMDD", "2023-12-07"),
        ("20231207 00:01", "YYYYMMDD HH:MM", "2023-12-07 00:01:00"),
        ("2025/9/16  00:08:35.782", "YYYY/M/D H:MM:SS.f", "2025-09-16 00:08:35"),
        ("01/02/2020 1340", "??/??/YYYY HHMM", "2020-01-02 13:40:00"),
        ("01/02/2020 905", "?/?/YYYY HMM", "2020-01-02 09:05:00"),
        ("1/2/2020 1:05:00 PM", "?/?/YYYY H:MM:SS AM", "2020-01-02 13:05:00"),
        ("01/02/2020 12:05 am", "??/??/YYYY HH:MM AM", "2020-01-02 00:05:00"),
        ("01/02/2020 12:05PM", "??/??/YYYY HH:MM AM", "2020-01-02 12:05:00"),
        ("01/02/20 13:05", "??/??/YY HH:MM", "2020-01-02 13:05:00"),
        ("2018-05-01T08:04:00.000000000Z", "YYYY-MM-DDTHH:MM:SS.fZ", "2018-05-01 08:04:00"),
    ],
)
def test_a_form_is_read_and_named(text: str, label: str, expected: str) -> None:
    """Each form has its label, and the label its layout."""
    seconds, _, (layout,) = read([text])
    assert seconds == [int(datetime.fromisoformat(expected).replace(tzinfo=UTC).timestamp())]
    assert layout.label.replace("D", "?").replace("MM/", "??/") == label.replace("D", "?").replace("MM/", "??/")
    assert Layout.parse(layout.label).unordered == layout.unordered


@settings(deadline=None, max_examples=60)
@given(MOMENTS, st.sampled_from(["s", "ms", "us", "ns"]))
def test_a_number_is_counted_in_the_unit_that_its_digits_tell(moment: datetime, unit: str) -> None:
    """Seconds and every finer unit give the same instant, and never one in 1970."""
    whole = int(moment.replace(microsecond=0).timestamp())
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    rest = moment.microsecond * factor // 10**6
    seconds, nanos, (layout,) = read([str(whole * factor + rest)])
    assert seconds == [whole]
    assert (nanos or [0]) == [rest * (10**9 // factor)]
    assert (layout.epoch, layout.label, layout.offset) == (unit, f"epoch {unit}", True)
    assert Layout.parse(layout.label) == layout


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("13/02/2020 13:05 PM", "there is no hour 13"),
        ("01/02/2020 0:05 AM", "there is no hour 0"),
        ("20231207 0060", "there is no minute 60"),
        ("20231207 240000", "there is no hour 24"),
        ("12345678901", "not a date and time"),
        ("1234", "not a date and time"),
        ("-1593381600", "not a date and time"),
        ("20230231", "month 2 of 2023 has no day 31"),
        ("99999999999999999999", "not a date and time"),
        ("9999999999999999999", "year 2286 is not between"),
    ],
)
def test_other_numbers_are_refused(text: str, reason: str) -> None:
    """Nothing is read as the wrong time: what is in no form is refused."""
    with pytest.raises(BadStamp, match=reason):
        read([text])


@pytest.mark.parametrize(("layout", "unit", "length"), [("%Y%m%d%H%M", "ms", "30min"), ("%Y%m%d%H", "s", "1h")])
def test_digits_of_dates_are_not_counted_since_1970(make_file: MakeFile, layout: str, unit: str, length: str) -> None:
    """Ten or twelve digits that are dates in all rows are refused with what to write; a layout that is said is read."""
    starts = session_starts("2024-07-08", 3, 30 if length == "30min" else 60)
    path = make_file(written(starts, "UTC", layout), name=f"NQ_{length}.csv")
    with pytest.raises(
        UnreadableSource, match=rf"line 2: .* are a date and an hour, .* count {unit} since 1970 \(write"
    ):
        load_bars(path)
    with pytest.raises(UnknownTimeframe):
        load_bars(path, profile={"layouts": f"epoch {unit}"})
    counted = [f"{int(start.timestamp()) * (1000 if unit == 'ms' else 1)}" for start in starts]
    assert len(load_bars(make_file(counted, name=f"NQ_{length}.csv")).table) == len(starts)


def test_dates_without_separators_have_all_digits() -> None:
    """A time of three digits makes only the hour of the label narrow, so that the label can be read again."""
    assert Layout.parse(read(["20240708 930"], "ymd")[2][0].label).label == "YYYYMMDD HMM"


def test_labels_that_are_none() -> None:
    """A label must name every part."""
    for label in ("epoch", "YYYYMM", "DD/MM/YYYY HH", "epoch min"):
        with pytest.raises(ValueError, match="not a stamp layout"):
            Layout.parse(label)
