"""Several files of one series are one: in order, without copies, refused where they differ, whole and in chunks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars, series
from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.bars.series import iterate_series, load_series
from jupyter_nq.errors import AmbiguousStamps, InvalidArgument, UnreadableSource

BARS = sample_bars("30min", rows=3_000, seed=21)
NAMES = BARS.column_names
TOLD: dict[str, Any] = {"timeframe": "30min", "symbol": "NQ"}


def billionths(bars: pa.Table) -> pa.Table:
    """Return bars whose prices are whole billionths."""
    for name in ("open", "high", "low", "close"):
        bars = bars.set_column(NAMES.index(name), name, pc.multiply(bars[name], 1e9).cast(pa.int64()))
    return bars


def csv(path: Path, bars: pa.Table, tz: str = "UTC", layout: str = "%Y-%m-%dT%H:%M:%SZ") -> Path:
    """Write bars as a text, with a clock in `tz`."""
    zone = ZoneInfo(tz)
    stamps = [
        datetime.fromtimestamp(ns // 10**9, zone).strftime(layout)
        for ns in bars["timestamp"].cast(pa.int64()).to_pylist()
    ]
    rows = zip(stamps, *[bars[name].to_pylist() for name in NAMES[1:]], strict=True)
    path.write_text("\n".join([",".join(NAMES), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def parquet(path: Path, bars: pa.Table) -> Path:
    """Write bars as Parquet."""
    pq.write_table(bars, path, row_group_size=100)
    return path


def moved(bars: pa.Table, row: int, name: str, by: float) -> pa.Table:
    """Return bars with another number in one cell."""
    values = bars[name].to_pylist()
    values[row] += by
    return bars.set_column(NAMES.index(name), name, pa.array(values, bars[name].type))


def chunked(paths: list[Path], rows: int, **told: Any) -> pa.Table:
    """Return a series put together from its batches, which have the rows asked for."""
    found = list(iterate_series(paths, rows=rows, **TOLD, **told))
    assert {batch.num_rows for batch in found[:-1]} <= {rows}
    return pa.Table.from_batches(found)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """The table of the whole in one file."""
    return load_bars(csv(tmp_path_factory.mktemp("whole") / "NQ_30min.csv", BARS)).table


@given(
    cuts=st.lists(st.integers(1, 2_999), min_size=1, max_size=4, unique=True),
    overlaps=st.lists(st.integers(0, 700), min_size=4, max_size=4),
    kinds=st.lists(st.sampled_from(["iso", "parquet", "vendor"]), min_size=5, max_size=5),
    rows=st.integers(1, 900),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=20, deadline=None)
def test_any_cut_gives_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    expected: pa.Table,
    cuts: list[int],
    overlaps: list[int],
    kinds: list[str],
    rows: int,
    order: Any,
) -> None:
    """Cut anywhere, with any overlaps, in any formats and clocks and order: whole and in chunks the same bits."""
    place = tmp_path_factory.mktemp("cut")
    bounds = [0, *sorted(cuts), 3_000]
    paths = []
    for i, (first, stop) in enumerate(pairwise(bounds)):
        low = max(first - (overlaps[i - 1] if i else 0), 0)
        part = BARS.slice(low, stop - low)
        if kinds[i] == "parquet":
            paths.append(parquet(place / f"part{i}.parquet", part))
        else:
            clock = ("Asia/Jerusalem", "%d/%m/%Y %H:%M:%S") if kinds[i] == "vendor" else ("UTC", "%Y-%m-%dT%H:%M:%SZ")
            paths.append(csv(place / f"part{i}.csv", part, *clock))
    order.shuffle(paths)
    told: dict[str, Any] = {"tz": "Asia/Jerusalem", "edge": "start", "day_first": True}
    assert load_series(paths, **TOLD, **told).table.equals(expected)
    assert chunked(paths, rows, **told).equals(expected)


def test_what_is_said_of_files(tmp_path: Path) -> None:
    """The evidence has the bars of each file, what two of them share, and where one ends and the next begins."""
    paths = [
        csv(tmp_path / "NQ_30min_2020.csv", BARS.slice(0, 1_000)),
        parquet(tmp_path / "NQ_30min_2021.parquet", BARS.slice(900, 1_000)),
        csv(tmp_path / "NQ_30min_2022.csv", BARS.slice(2_500, 500)),
    ]
    shares: list[float] = []
    bars = load_series(paths, **TOLD, progress=shares.append)
    text = "\n".join(bars.evidence)
    assert "NQ_30min_2020.csv 1,000, NQ_30min_2021.parquet 1,000, NQ_30min_2022.csv 500" in text
    assert "overlap: NQ_30min_2020.csv and NQ_30min_2021.parquet both hold 100 bars, which are the same" in text
    assert "border: NQ_30min_2021.parquet ends with the bar of 2020-" in text
    assert "NQ_30min_2021.parquet: table: Parquet" in text
    assert bars.table.num_rows == 2_400
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: moved(b, 3, "close", 0.25), r"hold different bars: 2020-.*Z close \d+\.\d+ and \d+"),
        (lambda b: moved(b, 3, "volume", 1), r"hold different bars: .* volume \d+ and \d+"),
        (lambda b: b.take(pa.array([i for i in range(b.num_rows) if i != 4])), r"is in a\.csv, but not in b\.csv"),
        (lambda b: b.take(pa.array([0, *range(60, b.num_rows)])), r"is in a\.csv, but not in b\.csv"),
    ],
)
def test_files_that_differ(tmp_path: Path, change: Callable[[pa.Table], pa.Table], says: str) -> None:
    """Two files that hold different bars of one time are refused, by name, with the first rows."""
    paths = [csv(tmp_path / "a.csv", BARS.slice(0, 1_000)), csv(tmp_path / "b.csv", change(BARS.slice(900, 1_000)))]
    with pytest.raises(UnreadableSource, match=f"a.csv and b.csv overlap, and .*{says}"):
        load_series(paths, **TOLD)
    with pytest.raises(UnreadableSource, match=f"a.csv and b.csv overlap, and .*{says}"):
        chunked(paths, 7)


def test_bar_that_the_earlier_file_lacks(tmp_path: Path) -> None:
    """A hole of the file that came first, which the later one fills, is a difference, too."""
    holed = BARS.take(pa.array([*range(950), *range(951, 1_000)]))
    paths = [csv(tmp_path / "a.csv", holed), csv(tmp_path / "b.csv", BARS.slice(900, 1_000))]
    with pytest.raises(UnreadableSource, match=r"is in b\.csv, but not in a\.csv"):
        load_series(paths, **TOLD)


def test_file_inside_another(tmp_path: Path, expected: pa.Table) -> None:
    """A file whose bars another holds all adds nothing, and many files that overlap are no deep nest."""
    inner = [csv(tmp_path / f"in{i}.csv", BARS.slice(i * 40, 60), "UTC") for i in range(40)]
    paths = [*inner, csv(tmp_path / "all.csv", BARS)]
    assert load_series(paths, **TOLD, edge="start").table.equals(expected)
    assert chunked(paths, 333, edge="start").equals(expected)


def test_span_of_a_series(tmp_path: Path, expected: pa.Table) -> None:
    """A span gives the rows of the whole that lie in it."""
    paths = [parquet(tmp_path / "a.parquet", BARS.slice(0, 1_500)), csv(tmp_path / "b.csv", BARS.slice(1_400, 1_600))]
    low, high = (expected["timestamp"][i].value for i in (1_300, 1_700))
    assert chunked(paths, 50, start_ns=low, end_ns=high).equals(expected.slice(1_300, 401).combine_chunks())


def test_short_file_is_read_as_the_others(tmp_path: Path) -> None:
    """A file that does not tell its clock is read by that of the others, and it is said; alone it is a question."""
    first = sample_bars("30min", rows=20_000, seed=3)
    long = csv(tmp_path / "long.csv", first.slice(0, 19_990), "Asia/Jerusalem", "%d/%m/%Y %H:%M:%S")
    short = csv(tmp_path / "short.csv", first.slice(19_990), "Asia/Jerusalem", "%d/%m/%Y %H:%M:%S")
    with pytest.raises(AmbiguousStamps):
        load_bars(short, **TOLD)
    bars = load_series([short, long], **TOLD)
    assert pc.equal(bars.table["timestamp"], first["timestamp"]).combine_chunks().false_count == 0
    assert any(line.startswith("short.csv does not tell its clock alone; it is read as") for line in bars.evidence)
    assert chunked([short, long], 1_000).equals(bars.table)
    with pytest.raises(AmbiguousStamps, match=r"short\.csv"):
        load_series([short], **TOLD)


def test_no_files_and_no_rows(tmp_path: Path) -> None:
    """An empty list and chunks without rows are refused."""
    with pytest.raises(InvalidArgument, match="empty"):
        load_series([], **TOLD)
    with pytest.raises(InvalidArgument, match="at least one row"):
        iterate_series([csv(tmp_path / "a.csv", BARS)], rows=0, **TOLD)


def test_real_file_in_years(tmp_path: Path, real_file: Path) -> None:
    """The real file cut into years that overlap by a week is the real file, without a question."""
    whole = load_bars(real_file)
    lines = real_file.read_bytes().splitlines(keepends=True)
    bounds = [*range(1, len(lines), 11_000), len(lines)]
    paths = []
    for i, (first, stop) in enumerate(pairwise(bounds)):
        paths.append(tmp_path / f"NQ_{2020 + i}.csv")
        paths[-1].write_bytes(b"".join([lines[0], *lines[max(first - 230, 1) : stop]]))
    bars = load_series(paths, **TOLD)
    assert bars.table.equals(whole.table)
    assert chunked(paths, 10_000).equals(whole.table)


@pytest.mark.parametrize("write", [csv, parquet])
@pytest.mark.parametrize("taken", [0, 1])
def test_a_file_of_a_series_that_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, pa.Table], Path], taken: int
) -> None:
    """From the call on until it is walked through each file must stay as it is."""
    monkeypatch.setattr(series, "_BLOCK_ROWS", 100)
    paths = [write(tmp_path / name, BARS.slice(at, 1_500)) for at, name in ((0, "a.csv"), (1_500, "b.csv"))]
    found = iterate_series(paths, rows=100, **TOLD)
    assert all(next(found).num_rows == 100 for _ in range(taken))
    write(tmp_path / "new", BARS.slice(1_510, 1_490)).replace(paths[1])
    with pytest.raises(UnreadableSource, match=r"b\.csv changed while it was read"):
        list(found)


def test_a_file_of_a_series_that_becomes_another_kind(tmp_path: Path) -> None:
    """It has changed, whatever it is now."""
    for write, other in ((csv, parquet), (parquet, csv)):
        paths = [csv(tmp_path / "a.csv", BARS.slice(0, 1_500)), write(tmp_path / "b", BARS.slice(1_500))]
        found = iterate_series(paths, rows=100, **TOLD)
        other(tmp_path / "b", BARS.slice(1_500))
        with pytest.raises(UnreadableSource, match="b changed while it was read"):
            list(found)


@pytest.mark.parametrize("write", [csv, parquet])
def test_billionths_in_a_series(tmp_path: Path, write: Callable[[Path, pa.Table], Path]) -> None:
    """Prices that a load refuses are refused by what iterates over them, and named with their file."""
    paths = [csv(tmp_path / "a.csv", BARS.slice(0, 1_500)), write(tmp_path / "b", billionths(BARS.slice(1_500)))]
    for read in (lambda: load_series(paths, **TOLD), lambda: list(iterate_series(paths, rows=100, **TOLD))):
        with pytest.raises(UnreadableSource, match=r"b: the lowest price is .*'price_scale': 1000000000"):
            read()
