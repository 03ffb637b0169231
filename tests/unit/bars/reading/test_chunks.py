"""A file in pieces is the file as a whole, bit for bit, whatever the size of pieces and blocks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import BAR_SCHEMA, load_bars, read_bars, sniff
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading import fast, kernels, ranges
from jupyter_nq.bars.reading.chunks import iterate
from jupyter_nq.errors import InvalidArgument, SourceNotFound, UnreadableSource
from tests.unit.bars.conftest import MakeFile, session_starts, written

NAMES = ("Timestamp", "Open", "High", "Low", "Close", "Volume")
SECONDS, MINUTES = "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"
REPEATED = {
    "America/New_York": datetime(2024, 11, 3, 5, tzinfo=UTC),
    "Asia/Jerusalem": datetime(2024, 10, 26, 22, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2024, 4, 6, 14, 30, tzinfo=UTC),
}
"""Zones, and when the first pass of a repeated hour begins (half an hour on Lord Howe)."""


def profile_of(tz: str = "UTC", *, minutes: int = 1, edge: str = "start", calendar: str | None = None) -> Profile:
    """Return a profile of the files that are written here."""
    columns = {name.lower(): (name,) for name in NAMES}
    layouts = ("YYYY-MM-DD HH:MM:SS", "YYYY-MM-DD HH:MM")
    return Profile(
        ",",
        True,
        1,
        NAMES,
        columns,
        ".",
        layouts,
        None,
        tz,
        edge,
        minutes,
        calendar,
        positive_prices=True,  # type: ignore[arg-type]
    )


def write(path: Path, stamps: Iterable[str]) -> Path:
    """Write a file whose rows differ, an impossible bar here and there."""
    rows = [f"{stamp},{100 + i % 7},{101 + i % 9},{99 - i % 3},{100 + i % 5},{i % 4}" for i, stamp in enumerate(stamps)]
    path.write_text("\n".join([",".join(NAMES), *rows]) + "\n")
    return path


def whole(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Return batches as one table."""
    return pa.Table.from_batches(list(batches), BAR_SCHEMA).combine_chunks()


def fast_by(span_bytes: int) -> dict[str, Any]:
    """Return settings by which a small file too is read by the kernels, in spans of about so many bytes."""
    module = fast.KERNELS.wait() or kernels
    return {"small_bytes": 0, "span_bytes": span_bytes, "part_bytes": max(span_bytes // 3, 1), "module": module}


WAYS = st.none() | st.integers(100, 6000).map(fast_by)
"""How blocks are read: by the general path, or by the kernels as far as they can."""


def every(first: datetime, seconds: int, rows: int) -> list[datetime]:
    """Return instants at equal distances."""
    return [first + timedelta(seconds=seconds * i) for i in range(rows)]


def nanos(when: datetime) -> int:
    """Return an instant in ns."""
    return int(when.timestamp()) * 1_000_000_000


def test_batches_have_the_rows_asked_for(make_file: MakeFile) -> None:
    """Every batch has so many rows, the last one what is left, and together they are the table."""
    path = make_file(written(session_starts("2024-07-08", 20), "Asia/Jerusalem"))
    profile = sniff(path, tz="Asia/Jerusalem").profile
    table = read_bars(path, profile)
    for rows in (1, 7, 100, 460, 919, 920, 5000):
        batches = list(iterate(path, profile, rows=rows, block_bytes=4096))
        assert [batch.num_rows for batch in batches[:-1]] == [rows] * (len(batches) - 1)
        assert 0 < batches[-1].num_rows <= rows
        assert whole(batches).equals(table)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_pieces_equal_the_whole_where_a_clock_repeats_an_hour(data: st.DataObject) -> None:
    """Blocks may end anywhere in a repeated hour, and a file may begin or end in it."""
    zone = data.draw(st.sampled_from(sorted(REPEATED)))
    step = data.draw(st.sampled_from([20, 60, 300, 1800]))
    before = data.draw(st.integers(-3600, 7200))
    lasting = data.draw(st.integers(7300, 20_000))
    starts = every(REPEATED[zone] - timedelta(seconds=before - before % 20), step, lasting // step)
    edge = data.draw(st.sampled_from(["start", "end"]))
    profile = profile_of(zone, edge=edge)
    with tempfile.TemporaryDirectory() as directory:
        path = write(Path(directory) / "bars.csv", written(starts, zone, SECONDS))
        block_bytes, rows, way = data.draw(st.integers(150, 4000)), data.draw(st.integers(1, 200)), data.draw(WAYS)

        def outcome(read: Callable[[], pa.Table]) -> pa.Table | str:
            try:
                return read()
            except UnreadableSource as exc:
                return str(exc)

        expected = outcome(lambda: read_bars(path, profile))
        found = outcome(lambda: whole(iterate(path, profile, rows=rows, block_bytes=block_bytes, settings=way)))
        assert found == expected


@pytest.mark.parametrize("block_bytes", [150, 1000, 64 << 10])
def test_rows_within_seconds_of_a_repeated_hour(tmp_path: Path, block_bytes: int) -> None:
    """Several rows in one second of a repeated hour stay in their pass, in pieces too."""
    starts = [
        REPEATED["America/New_York"] + timedelta(milliseconds=160_000 * (i // 2) + 300 * (i % 2)) for i in range(90)
    ]
    path = write(tmp_path / "bars.csv", written(sorted(starts), "America/New_York", f"{SECONDS}.%f"))
    profile = replace(profile_of("America/New_York"), layouts=("YYYY-MM-DD HH:MM:SS.f",))
    expected = [nanos(start) + start.microsecond * 1000 for start in sorted(starts)]
    for table in (read_bars(path, profile), whole(iterate(path, profile, rows=7, block_bytes=block_bytes))):
        assert table["timestamp"].cast("int64").to_pylist() == expected


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_ends_of_bars_that_a_session_cuts_short(data: st.DataObject) -> None:
    """Where the grid lies is the whole file's matter, also when most bars of a block are cut short or lie elsewhere."""
    minutes = data.draw(st.sampled_from([30, 60, 240, 690, 720]))
    starts = session_starts("2024-06-24", data.draw(st.integers(2, 12)), minutes)
    ends = [min(start + timedelta(minutes=minutes), _close(start)) for start in starts]
    shift = timedelta(minutes=data.draw(st.sampled_from([0, 15])))
    profile = profile_of("America/Chicago", minutes=minutes, edge="end", calendar=EQUITY)
    with tempfile.TemporaryDirectory() as directory:
        stamps = written([end + shift for end in ends], "America/Chicago", MINUTES)
        path = write(Path(directory) / "bars.csv", stamps)
        table = read_bars(path, profile)
        block_bytes, rows, way = data.draw(st.integers(150, 2000)), data.draw(st.integers(1, 50)), data.draw(WAYS)
        assert whole(iterate(path, profile, rows=rows, block_bytes=block_bytes, settings=way)).equals(table)


def _close(start: datetime) -> datetime:
    return max(day + timedelta(hours=23) for day in session_starts("2024-06-10", 40, 1380) if day <= start)


@pytest.mark.parametrize(
    ("layout", "label"),
    [
        ("%Y-%m-%dT%H:%M:%SZ", "YYYY-MM-DDTHH:MM:SSZ"),
        ("%Y-%m-%d %H:%M:%S.25", "YYYY-MM-DD HH:MM:SS.f"),
        ("%Y%m%d %H%M%S", "YYYYMMDD HHMMSS"),
        ("%m/%d/%Y %I:%M:%S %p", "MM/DD/YYYY HH:MM:SS AM"),
        ("%d.%m.%y %H:%M", "DD.MM.YY HH:MM"),
        ("%s", "epoch s"),
        ("%s250", "epoch ms"),
    ],
)
def test_every_kind_of_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, label: str) -> None:
    """Offsets, fractions, short years, AM and PM and numbers since 1970 are read in pieces and in spans as a whole."""
    monkeypatch.setattr(ranges, "_NARROW", 200)
    starts = every(REPEATED["America/New_York"], 60, 500)
    stamps = [start.strftime(layout.replace("%s", str(int(start.timestamp())))) for start in starts]
    path = write(tmp_path / "bars.csv", stamps)
    profile = replace(profile_of("UTC"), layouts=(label,))
    table = read_bars(path, profile)
    assert whole(iterate(path, profile, rows=77, block_bytes=1000)).equals(table)
    assert whole(iterate(path, profile, rows=77, settings=fast_by(700))).equals(table)
    batches = iterate(path, profile, rows=77, start_ns=nanos(starts[1]))
    assert whole(batches).equals(table.slice(1))
    with pytest.raises(UnreadableSource, match="line 2: the stamp is in none of the profile's layouts YYYY/MM/DD"):
        list(iterate(path, replace(profile, layouts=("YYYY/MM/DD",)), rows=77))


STAMPS = written(every(datetime(2024, 7, 8, tzinfo=UTC), 60, 400), "UTC", MINUTES)
GOOD = "100,101,99,100,7"


@pytest.mark.parametrize("block_bytes", [300, 512 << 10])
@pytest.mark.parametrize(
    ("line", "row"),
    [
        (200, f"{STAMPS[198]},100,101,99,,7"),
        (200, f"{STAMPS[198]},100,x,99,100,7"),
        (200, f"{STAMPS[198]},100,101,99,100,-7"),
        (200, f"{STAMPS[198]},100,101,99,100"),
        (200, f"{STAMPS[198]},100,101,99,100,7,8"),
        (200, f"2024-02-31 10:00,{GOOD}"),
        (200, f"2024-07-08 25:00,{GOOD}"),
        (200, f"soon,{GOOD}"),
        (200, f"{STAMPS[198].replace('-', '/')},{GOOD}"),
        (200, f"{STAMPS[197]},{GOOD}"),
        (200, f"{STAMPS[10]},{GOOD}"),
        (200, f"{STAMPS[210]},{GOOD}"),
        (200, f"\n\n{STAMPS[197]},{GOOD}"),
        (2, f",{GOOD}"),
    ],
)
def test_faults_are_told_as_of_the_whole_file(tmp_path: Path, line: int, row: str, block_bytes: int) -> None:
    """A fault has the line and the words that reading the whole file gives it, in the file and in a span."""
    path = write(tmp_path / "bars.csv", STAMPS)
    lines = path.read_text().splitlines()
    lines[line - 1] = row
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UnreadableSource) as expected:
        read_bars(path, profile_of())
    for way in (None, fast_by(1000), fast_by(100_000)):
        for span in ({}, {"start_ns": 0}):
            with pytest.raises(UnreadableSource) as caught:
                list(iterate(path, profile_of(), rows=10, block_bytes=block_bytes, settings=way, **span))
            assert str(caught.value) == str(expected.value)


def test_repeated_and_backward_rows_are_counted(tmp_path: Path) -> None:
    """The message counts all rows, names three, and knows lines that are there twice."""
    path = tmp_path / "bars.csv"
    for rows in ([row for row in STAMPS for _ in (0, 1)], [*STAMPS[:100], *STAMPS[:50], *STAMPS[:50], *STAMPS[50:]]):
        path.write_text(",".join(NAMES) + "\n" + "".join(f"{row},{GOOD}\n" for row in rows))
        with pytest.raises(UnreadableSource) as expected:
            read_bars(path, profile_of())
        for way in (None, fast_by(400)):
            with pytest.raises(UnreadableSource) as caught:
                list(iterate(path, profile_of(), rows=10, block_bytes=400, settings=way))
            assert str(caught.value) == str(expected.value)


def test_offsets_must_be_there_or_not(tmp_path: Path) -> None:
    """A stamp without an offset after many with one is named with its line."""
    stamps = [f"{stamp}Z" for stamp in STAMPS[:300]] + STAMPS[300:]
    path = write(tmp_path / "bars.csv", stamps)
    profile = replace(profile_of(), layouts=("YYYY-MM-DD HH:MMZ", "YYYY-MM-DD HH:MM"))
    for block_bytes in (*range(300, 340), 512 << 10):
        for way in (None, fast_by(block_bytes)):
            with pytest.raises(UnreadableSource, match="line 302: some stamps carry an offset"):
                list(iterate(path, profile, rows=10, block_bytes=block_bytes, settings=way))


def test_arguments_and_files_that_are_none(tmp_path: Path) -> None:
    """A chunk has rows, a span has an end behind its start, a file exists and has rows."""
    path = tmp_path / "bars.csv"
    with pytest.raises(InvalidArgument, match="rows=0"):
        iterate(path, profile_of(), rows=0)
    with pytest.raises(InvalidArgument, match="lies before its start"):
        iterate(path, profile_of(), rows=1, start_ns=1, end_ns=0)
    for span in ({}, {"start_ns": 0}, {"end_ns": 0}):
        with pytest.raises(SourceNotFound, match="does not exist"):
            next(iterate(path, profile_of(), rows=1, **span))
    path.write_text(",".join(NAMES) + "\n")
    with pytest.raises(UnreadableSource) as expected:
        read_bars(path, profile_of())
    for span in ({}, {"start_ns": 0}):
        with pytest.raises(UnreadableSource) as caught:
            next(iterate(path, profile_of(), rows=1, **span))
        assert str(caught.value) == str(expected.value)
    write(path, STAMPS)
    assert list(iterate(path, profile_of(), rows=1, end_ns=0)) == []


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_a_span_is_a_part_of_the_whole(data: st.DataObject) -> None:
    """Whatever the span, its rows are those of the whole file, also around and inside the hour that a clock repeats."""
    zone = data.draw(st.sampled_from(sorted(REPEATED)))
    edge, minutes = data.draw(st.sampled_from([("start", 1), ("end", 1), ("end", 1440)]))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    first = REPEATED[zone] - timedelta(days=data.draw(st.integers(0, 12)))
    starts = [when for when in every(first, 600, 3000) if random.random() < 0.9]
    hour = every(REPEATED[zone], 600, 6 if zone == "Australia/Lord_Howe" else 12)
    starts = sorted({*starts, *(when for when in hour if when >= first)})
    profile = replace(profile_of(zone, edge=edge), minutes=minutes)
    low, high = sorted(data.draw(st.integers(-3, 24) | st.integers(0, 3000)) for _ in range(2))
    around = data.draw(st.sampled_from([first, REPEATED[zone]]))
    span = [nanos(around) + at * 600 * 10**9 for at in (low, high)]
    span = [edge if data.draw(st.booleans()) else None for edge in span]
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "_NARROW", data.draw(st.sampled_from([200, 5000])))
        path = write(Path(directory) / "bars.csv", written(starts, zone, SECONDS))
        table = read_bars(path, profile)
        at = table["timestamp"].cast(pa.int64()).to_numpy()
        kept = (at >= (span[0] if span[0] is not None else -(2**62))) & (at <= (span[1] or 2**62))
        way = data.draw(st.none() | st.integers(9_000, 90_000).map(fast_by))
        low_ns, high_ns = span
        batches = iterate(path, profile, rows=50, start_ns=low_ns, end_ns=high_ns, block_bytes=1000, settings=way)
        assert whole(batches).equals(table.filter(pa.array(kept)).combine_chunks())


def test_the_real_file_in_pieces(real_file: Path) -> None:
    """The real file in chunks and in a month is what loading it gives."""
    loaded = load_bars(real_file)
    table = loaded.table.combine_chunks()
    for rows, way in ((1000, None), (9999, None), (1000, fast_by(100_000))):
        assert whole(iterate(real_file, loaded.profile, rows=rows, settings=way)).equals(table)
    start, end = nanos(datetime(2022, 10, 15, tzinfo=UTC)), nanos(datetime(2022, 11, 15, tzinfo=UTC))
    at = table["timestamp"].cast(pa.int64()).to_numpy()
    month = iterate(real_file, loaded.profile, rows=500, start_ns=start, end_ns=end)
    assert whole(month).equals(table.filter(pa.array((at >= start) & (at <= end))).combine_chunks())


def test_a_span_of_a_file_that_cannot_be_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is no row makes the search give way to reading, which names the line."""
    monkeypatch.setattr(ranges, "_NARROW", 100)
    path = write(tmp_path / "bars.csv", ["soon" if i % 2 else stamp for i, stamp in enumerate(STAMPS)])
    start = nanos(datetime(2024, 8, 1, tzinfo=UTC))
    with pytest.raises(UnreadableSource, match="line 3: 'soon' is not a date"):
        list(iterate(path, profile_of(), rows=10, start_ns=start))
    path.write_text(path.read_text().replace(STAMPS[0], "later"))
    with pytest.raises(UnreadableSource, match="line 2: 'later' is not a date"):
        list(iterate(path, profile_of(), rows=10, start_ns=start))


def test_faults_in_a_span_have_the_lines_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault far behind the first byte that is read has the line of the file, whatever kind it is."""
    monkeypatch.setattr(ranges, "_NARROW", 100)
    stamps = written(every(datetime(2024, 7, 1, tzinfo=UTC), 1800, 1000), "UTC", MINUTES)
    lines = ["", *[f"{stamp},{GOOD}" for stamp in stamps]]
    start = nanos(datetime(2024, 7, 10, tzinfo=UTC))
    for bad, found in {
        f"{stamps[600]},100,x,99,100,7": "High is 'x'",
        f"{stamps[600]},100,101,99,100,-7": "Volume is -7",
        f"soon,{GOOD}": "is not a date",
        f"{stamps[600]},1,2": "the row has 3 columns",
        f"{stamps[600].replace('-', '/')},{GOOD}": "in none of the profile's layouts",
        f"{stamps[599]},{GOOD}": "repeats the line before it",
    }.items():
        path = tmp_path / "bars.csv"
        path.write_text("\n".join([",".join(NAMES), *lines[:601], bad, *lines[602:]]) + "\n")
        with pytest.raises(UnreadableSource, match=rf"line 603\b.*{found}"):
            list(iterate(path, profile_of(), rows=10, start_ns=start, block_bytes=2000))


def test_a_repeated_hour_far_behind_a_span_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the bytes that are read end in a repeated hour, days behind the span, its rows are nobody's matter."""
    monkeypatch.setattr(ranges, "_NARROW", 100)
    first = REPEATED["America/New_York"]
    starts = [*every(first - timedelta(days=20), 600, 2000), *every(first, 60, 500)]
    path = write(tmp_path / "bars.csv", written(starts, "America/New_York", MINUTES))
    profile = profile_of("America/New_York")
    end = nanos(datetime(2024, 11, 3, 1, 30, tzinfo=UTC)) - 4 * 86_400 * 10**9
    table = read_bars(path, profile)
    kept = table.filter(pa.array(table["timestamp"].cast(pa.int64()).to_numpy() <= end)).combine_chunks()
    assert whole(iterate(path, profile, rows=100, end_ns=end)).equals(kept)


BIG_ROWS = """
def write_big(path, days):
    import numpy as np
    clocks = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(1440)]
    lines = "".join(f"DATE {clock},15000.25,15001.5,14999.75,15000.5,{clock[3:]}\\n" for clock in clocks)
    with open(path, "w") as file:
        file.write("Timestamp,Open,High,Low,Close,Volume\\n")
        for day in range(days):
            file.write(lines.replace("DATE", str(np.datetime64("2015-01-01") + day)))
"""
WATCHED = (
    BIG_ROWS
    + """
import os, sys, threading, time
import psutil
from jupyter_nq.bars.reading import fast, starts
from jupyter_nq.bars.reading.chunks import iterate
from tests.unit.bars.reading.test_chunks import profile_of
path, edge = sys.argv[1], sys.argv[2]
fast.KERNELS.wait(), starts.CLOCKS.wait()
profile = profile_of("Asia/Kolkata", edge=edge, calendar="CME Globex Equity", minutes=1)
small = path + ".small"
write_big(small, 3)
for batch in iterate(small, profile, rows=10_000):  # libraries, kernels and their threads are in the base
    pass
me = psutil.Process()
base = peak = me.memory_info().rss
rows = 0
for batch in iterate(path, profile, rows=10_000):
    rows += batch.num_rows
    peak = max(peak, me.memory_info().rss)
print(rows, peak - base)
"""
)


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Iterable[Path]:
    """Give a file of 100 MB, 1,300 days of minutes, and remove it afterwards."""
    path = tmp_path_factory.mktemp("big") / "bars.csv"
    scope: dict[str, object] = {}
    exec(BIG_ROWS, scope)
    scope["write_big"](path, 1300)  # type: ignore[operator]
    yield path
    path.unlink()


def test_a_month_of_a_large_file_reads_a_few_megabytes(big_file: Path) -> None:
    """Bytes that the process reads while a month of 100 MB is read, counted by the system, are a few per cent."""
    profile = profile_of("UTC", edge="end", calendar=EQUITY, minutes=1)
    span = (datetime(2017, 3, 1, tzinfo=UTC), datetime(2017, 3, 31, 23, 59, tzinfo=UTC))
    for edge, most in (("start", 6 << 20), ("end", 12 << 20)):
        before = psutil.Process().io_counters().read_chars
        batches = iterate(
            big_file, replace(profile, edge=edge), rows=10_000, start_ns=nanos(span[0]), end_ns=nanos(span[1])
        )
        assert sum(batch.num_rows for batch in batches) == 31 * 1440
        taken = psutil.Process().io_counters().read_chars - before
        print(f"a month of {big_file.stat().st_size / 1e6:.0f} MB ({edge} stamps): {taken / 1e6:.1f} MB read")
        assert taken < most


def test_stamps_are_sampled_only_where_that_is_sound(big_file: Path, tmp_path: Path) -> None:
    """A large file's stamps are sampled from all over it, not those with an offset, of a small file or past a fault."""
    places = ranges.sampled_readings(big_file, profile_of())
    assert len(places) == 64
    assert places[0][0] < places[30][0] < places[63][-1]
    assert ranges.sampled_readings(big_file, replace(profile_of(), layouts=("YYYY-MM-DD HH:MMZ",))) == []
    assert ranges.sampled_readings(write(tmp_path / "bars.csv", STAMPS), profile_of()) == []
    assert ranges.sampled_readings(big_file, replace(profile_of(), layouts=("DD/MM/YYYY HH:MM",))) == []


@pytest.mark.parametrize("edge", ["start", "end"])
def test_memory_is_that_of_a_chunk(big_file: Path, edge: str) -> None:
    """100 MB in batches of 10,000 rows add less than 64 MiB to a process, whatever the edge of the stamps."""
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(big_file), edge],
        capture_output=True, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    rows, added = map(int, done.stdout.split())
    print(f"{rows:,} rows in batches of 10,000 ({edge} stamps): {added / 2**20:.0f} MiB above the base")
    assert rows == 1300 * 1440
    assert added < 64 << 20
