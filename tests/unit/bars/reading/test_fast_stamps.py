"""Stamps that the kernels understand have the numbers that the general path gives them, in every layout of vendors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jupyter_nq.bars.reading import clocks, fast, kernels, starts
from jupyter_nq.bars.reading.codes import code_of, layout_of
from jupyter_nq.bars.reading.dates import local_seconds
from jupyter_nq.bars.reading.fast import Scan
from jupyter_nq.bars.reading.parts import Columns, Scratch
from jupyter_nq.bars.reading.stamps import BadStamp, StampScanner
from jupyter_nq.bars.zones import steps

TWINS = [kernels, fast.KERNELS.wait()]
CLOCKS = [clocks, starts.CLOCKS.wait()]
SECOND = 10**9

FORMS = (
    "{d:02}/{m:02}/{y} {H:02}:{M:02}:{S:02}", "{d}/{m}/{y} {H}:{M:02}", "{m:02}/{d:02}/{y},{H:02}:{M:02}",
    "{m:02}/{d:02}/{y},{H:02}{M:02}", "{d}.{m}.{y} {H}:{M:02}:{S:02}", "{d:02}-{m:02}-{y} {H:02}:{M:02}",
    "{y}-{m:02}-{d:02} {H:02}:{M:02}:{S:02}", "{y}-{m:02}-{d:02}T{H:02}:{M:02}:{S:02}Z",
    "{y}-{m:02}-{d:02}T{H:02}:{M:02}:{S:02}.{n:09}Z", "{y}-{m:02}-{d:02} {H:02}:{M:02}:{S:02}+03:00",
    "{y}-{m:02}-{d:02} {H:02}:{M:02} -0530", "{y}/{m}/{d}, {H:02}:{M:02}:{S:02}.{ms:03}", "{y}{m:02}{d:02}",
    "{y}{m:02}{d:02} {H:02}{M:02}{S:02}", "{y}{m:02}{d:02} {H}{M:02}", "{y}{m:02}{d:02},{H}{M:02}{S:02}",
    "{y}{m:02}{d:02} {H:02}:{M:02}", "{m}/{d}/{y} {h}:{M:02}:{S:02} {half}", "{m:02}/{d:02}/{y} {h:02}:{M:02}{half}",
    "{d}/{m}/{yy:02} {H}:{M:02}", "{count}", "{count}{ms:03}", "{count}{us:06}", "{count}{n:09}",
    "  {d}/{m}/{y}  {H}:{M:02}",
)  # fmt: skip
"""Stamps as vendors write them; a comma stands between a column of dates and one of times."""

MOMENTS = st.datetimes(datetime(1974, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))


def written(form: str, moment: datetime) -> str:
    """Return a moment in a form."""
    return form.format(
        y=moment.year, yy=moment.year % 100, m=moment.month, d=moment.day, H=moment.hour, M=moment.minute,
        S=moment.second, h=moment.hour % 12 or 12, half="PM" if moment.hour > 11 else "am",
        n=moment.microsecond * 1000, us=moment.microsecond, ms=moment.microsecond // 1000,
        count=int(moment.timestamp()),
    )  # fmt: skip


def by_kernel(module: Any, rows: list[str]) -> tuple[int, Columns, Scratch]:
    """Return how many rows a kernel understands, and what it makes of them; the stamp is all that a row has."""
    columns, scratch = Columns(len(rows) + 1, numbers=False), Scratch(64 * len(rows) + 1)
    text = np.frombuffer("".join(f"{row}\n" for row in rows).encode(), np.int8)
    scratch.bytes[: len(text)] = text
    parts = rows[0].count(",") + 1
    plan = np.array([kernels.STAMP] if parts == 1 else [kernels.DATE, kernels.TIME], np.int64)
    count, _, _ = columns.read(module, scratch, len(text), plan, (ord(","), ord(".")), 0)
    return count, columns, scratch


def generally(rows: list[str]) -> tuple[Columns, Any]:
    """Return what the general path makes of rows."""
    columns, seen = Columns(len(rows), numbers=False), np.zeros(kernels.CODES, np.uint8)
    names = ["date", "time"][: rows[0].count(",") + 1]
    cells = [pa.array(column) for column in zip(*(row.split(",") for row in rows), strict=True)]
    columns.take(pa.RecordBatch.from_arrays(cells, names), len(names), 0, seen)
    return columns, seen


@pytest.mark.parametrize("module", TWINS)
@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(moments=st.lists(MOMENTS, min_size=1, max_size=8))
@example(moments=[datetime(2000, 1, day, tzinfo=UTC) for day in (1, 10, 1)])
def test_every_form_is_understood(module: Any, form: str, moments: list[datetime]) -> None:
    """The kernel reads every row itself, and all numbers, codes and widths are those of the general path."""
    rows = [written(form, moment) for moment in moments for _ in range(2)]
    count, columns, scratch = by_kernel(module, rows)
    expected, seen = generally(rows)
    assert count == len(rows)
    for name in ("stamps", "nanos", "offsets"):
        assert getattr(columns, name)[:count].tolist() == getattr(expected, name).tolist(), name
    assert scratch.seen.tolist() == seen.tolist()


@pytest.mark.parametrize("module", TWINS)
@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(
    form=st.sampled_from(FORMS),
    moment=MOMENTS,
    place=st.integers(0, 30),
    change=st.text("0123456789 :/.-+TZapmAM,", max_size=2),
    width=st.integers(0, 2),
)
@example("{y}{m:02}{d:02}", datetime(2023, 2, 28, tzinfo=UTC), 30, "", 0)
@example("{d:02}/{m:02}/{y} {H:02}:{M:02}:{S:02}", datetime(2000, 1, 1, tzinfo=UTC), 19, " ", 0)
@example("{count}{n:09}", datetime(2199, 2, 28, tzinfo=UTC), 0, "9", 1)
@example("{d}/{m}/{y} {H}:{M:02}", datetime(2023, 2, 28, 5, tzinfo=UTC), 10, "24", 1)
def test_a_damaged_stamp_is_never_understood_otherwise(
    module: Any, form: str, moment: datetime, place: int, change: str, width: int
) -> None:
    """What is changed anywhere is left to the general path, or read as it reads it."""
    sound = written(form, moment)
    damaged = sound[:place] + change + sound[place + width :]
    if damaged.count(",") != sound.count(","):
        return
    count, columns, _ = by_kernel(module, [sound, damaged])
    if count == 2:
        expected, _ = generally([damaged])
        for name in ("stamps", "nanos", "offsets"):
            assert getattr(columns, name)[1:2].tolist() == getattr(expected, name).tolist(), damaged


@pytest.mark.parametrize("module", CLOCKS)
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    dates=st.lists(st.tuples(st.integers(0, 32), st.integers(0, 13), st.integers(1969, 2201)), min_size=1, max_size=9),
    order=st.sampled_from(["dmy", "mdy"]),
)
def test_dates_become_seconds_or_are_refused(module: Any, dates: list[tuple[int, int, int]], order: str) -> None:
    """The same clock readings as the general path's, or nothing where it refuses one."""
    rows = [f"{day}/{month}/{year} 9:30" for day, month, year in dates]
    scanner = StampScanner()
    scanner.add(pa.array(rows))
    fields = scanner.fields()
    columns, _ = generally(rows)
    code = code_of(fields.layouts[0]) or 0
    none = np.empty(0, np.int32)
    scan = Scan(columns.stamps, (code,), (layout_of(code, padded=True),), none, none, [], columns.flags, 0)
    try:
        expected: Any = local_seconds(fields, [order]).tolist()
    except BadStamp:
        expected = None
    found = starts.local_of(scan, [order], module)
    assert (None if found is None else found.tolist()) == expected
    plain = starts._numbers(scan.stamps, np.zeros(kernels.CODES, np.uint8))
    numbers = starts.fields_of(scan, module)
    for name, column in zip(("layout", "first", "second", "year", "time"), plain, strict=True):
        assert getattr(numbers, name).tolist() == column.tolist() == getattr(fields, name).tolist()


@pytest.mark.parametrize("module", CLOCKS)
@pytest.mark.parametrize("tz", ["UTC", "UTC+3", "America/New_York", "Europe/London", "Asia/Jerusalem"])
@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(first=st.integers(1_570_000_000, 1_580_000_000), step=st.sampled_from([60, 1800, 86_400, 700_000]))
def test_clock_readings_become_starts(module: Any, tz: str, first: int, step: int) -> None:
    """What lies in no hour that the clock skips or repeats is placed as the general path does it."""
    local = first + step * np.arange(60)
    zone = steps(tz, int(local.min()), int(local.max()))
    skipped, twice = zone.doubtful(local)
    spans = starts._spans(zone, 0)
    assert bool(module.certain(local, *spans[:2])) == (not (skipped | twice).any())
    sure = local[~(skipped | twice)]
    none = np.empty(0, np.int32)
    out = np.empty_like(sure)
    assert module.starts_of(sure, none, none, *spans, out) == len(sure)
    assert out.tolist() == (zone.to_utc(sure) * SECOND).tolist()
