"""Parquet and Arrow files give the bits of the text with the same bars, and refuse what a text would."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.columnar import loading
from jupyter_nq.bars.columnar.loading import iterate_columnar, load_sheet, sniff_sheet
from jupyter_nq.bars.columnar.sheets import Sheet, sheet_from, sheet_of
from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sniffing.sniff import sniff
from jupyter_nq.bars.validation.validator import validate_file
from jupyter_nq.errors import AmbiguousStamps, InvalidArgument, NQError, UnreadableSource

BARS = sample_bars("30min", rows=3_000, seed=11)
ROLES = ("timestamp", "open", "high", "low", "close", "volume")


def clock(table: pa.Table, tz: str, unit: str = "us") -> pa.Array:
    """Return the stamps of bars as a clock in `tz` shows them."""
    local = pc.local_timestamp(table["timestamp"].cast(pa.timestamp("us", tz)))
    return local.cast(pa.timestamp(unit)).combine_chunks()


def with_stamps(stamps: pa.Array | pa.ChunkedArray, name: str = "timestamp", table: pa.Table = BARS) -> pa.Table:
    """Return the bars with other stamps."""
    return table.set_column(0, name, stamps)


def written(path: Path, table: pa.Table, **options: Any) -> Path:
    """Write a table in the format of the name, and return the path."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, **options)
    elif path.suffix == ".feather":
        pf.write_feather(table, path, **options)
    else:
        maker = pa.ipc.new_stream if path.suffix == ".arrow" else pa.ipc.new_file
        with pa.OSFile(str(path), "wb") as sink, maker(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=777)
    return path


def text(path: Path, table: pa.Table = BARS) -> Path:
    """Write the bars as the text that everything else is compared with."""
    stamps = pc.strftime(table["timestamp"].cast(pa.timestamp("s", "UTC")), "%Y-%m-%dT%H:%M:%SZ").to_pylist()
    columns = [table[name].to_pylist() for name in ROLES[1:]]
    lines = [",".join(map(str, row)) for row in zip(stamps, *columns, strict=True)]
    path.write_text("\n".join([",".join(ROLES), *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """The table that the text gives."""
    return load_bars(text(tmp_path_factory.mktemp("text") / "NQ_30min.csv")).table


@pytest.mark.parametrize("name", ["NQ_30min.parquet", "NQ_30min.feather", "NQ_30min.arrow", "NQ_30min.ipc"])
def test_file_gives_the_bits_of_the_text(tmp_path: Path, expected: pa.Table, name: str) -> None:
    """Parquet, Feather, an Arrow stream and an Arrow file are found by what is in them, and are the same bars."""
    bars = load_bars(written(tmp_path / name, BARS))
    assert bars.table.equals(expected)
    assert bars.table.schema == BAR_SCHEMA
    assert bars.table["open"].num_chunks == 1


STAMPS: dict[str, Callable[[pa.Table], pa.Array]] = {
    "seconds with a zone": lambda t: t["timestamp"].cast(pa.timestamp("s", "America/New_York")),
    "ms, naive": lambda t: clock(t, "Asia/Jerusalem", "ms"),
    "ns, naive": lambda t: clock(t, "Asia/Jerusalem", "ns"),
    "epoch seconds": lambda t: t["timestamp"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()),
    "epoch ns, unsigned": lambda t: t["timestamp"].cast(pa.int64()).cast(pa.uint64()),
    "text": lambda t: pc.strftime(clock(t, "Asia/Jerusalem", "s"), "%d/%m/%Y %H:%M:%S"),
    "text, large": lambda t: pc.strftime(clock(t, "UTC", "s"), "%Y-%m-%d %H:%M:%SZ").cast(pa.large_string()),
    "text, packed": lambda t: pc.strftime(clock(t, "UTC", "s"), "%Y-%m-%d %H:%M:%SZ").dictionary_encode(),
}


@pytest.mark.parametrize("kind", STAMPS)
def test_stamps_of_any_type(tmp_path: Path, expected: pa.Table, kind: str) -> None:
    """Whatever type a stamp has, it is the instant that the text says, and whole or in chunks is the same."""
    path = written(tmp_path / "NQ_30min.parquet", with_stamps(STAMPS[kind](BARS)), row_group_size=700)
    assert load_bars(path).table.equals(expected)
    batches = list(iterate_columnar(sheet_of(path), path, rows=311))
    assert {batch.num_rows for batch in batches[:-1]} == {311}
    assert pa.Table.from_batches(batches).equals(expected)


@pytest.mark.parametrize("kind", ["typed", "text", "numbers", "minutes"])
def test_date_and_time_in_two_columns(tmp_path: Path, expected: pa.Table, kind: str) -> None:
    """A date and a time of day, typed or as text or as numbers, are one stamp."""
    local = clock(BARS, "Asia/Jerusalem")
    made = {
        "typed": lambda: (local.cast(pa.date32(), safe=False), local.cast(pa.time64("us"))),
        "text": lambda: (pc.strftime(local, "%d/%m/%Y"), pc.strftime(local, "%H:%M")),
        "numbers": lambda: (pc.strftime(local, "%Y%m%d").cast("int32"), _number(local, 10_000, 100)),
        "minutes": lambda: (pc.strftime(local, "%Y%m%d").cast("int64"), _number(local, 100, 1)),
    }
    day, clocks = made[kind]()
    table = with_stamps(day, "Date").add_column(1, "Time", clocks)
    path = written(tmp_path / "NQ_30min.parquet", table)
    assert load_bars(path).table.equals(expected)
    assert pa.Table.from_batches(list(iterate_columnar(sheet_of(path), path, rows=999))).equals(expected)


def _number(local: pa.Array, hours: int, minutes: int) -> pa.Array:
    return pc.add(pc.multiply(pc.hour(local), hours), pc.multiply(pc.minute(local), minutes))


PRICES: dict[str, Callable[[pa.ChunkedArray], pa.ChunkedArray]] = {
    "decimal": lambda c: c.cast(pa.decimal128(12, 2)),
    "float32": lambda c: c.cast(pa.float32()),
    "float64": lambda c: c,
}


@given(
    rows=st.integers(60, 400),
    price=st.sampled_from(sorted(PRICES)),
    volume=st.sampled_from([pa.int32(), pa.uint64(), pa.float64(), pa.decimal128(20, 0)]),
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
    zone=st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"]),
    chunk=st.integers(1, 500),
    group=st.integers(1, 500),
)
@settings(max_examples=25, deadline=None)
def test_any_types_and_any_chunks(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    price: str,
    volume: pa.DataType,
    unit: str,
    zone: str,
    chunk: int,
    group: int,
) -> None:
    """Text, Parquet, Feather, polars and pandas are the same bits, whole and in chunks."""
    place = tmp_path_factory.mktemp("any")
    bars = BARS.slice(0, rows)
    whole = load_bars(text(place / "NQ_30min.csv", bars)).table
    table = with_stamps(bars["timestamp"].cast(pa.timestamp(unit, zone)), table=bars)
    for i, name in enumerate(ROLES[1:5], 1):
        table = table.set_column(i, name, PRICES[price](table[name]))
    table = table.set_column(5, "volume", table["volume"].cast(volume))
    first = written(place / "NQ_30min.parquet", table, row_group_size=group)
    second = written(place / "NQ_30min.feather", table, compression="uncompressed")
    pl.DataFrame(pl.from_arrow(table)).write_parquet(place / "polars_30min.parquet")
    pd.DataFrame(table.to_pandas().set_index("timestamp")).to_parquet(place / "pandas_30min.parquet")
    assert load_bars(first).table.equals(whole)
    assert load_bars(second).table.equals(whole)
    for other in ("polars_30min.parquet", "pandas_30min.parquet"):
        assert load_bars(place / other, symbol="NQ").table.equals(whole)
    assert pa.Table.from_batches(list(iterate_columnar(sheet_of(first), first, rows=chunk))).equals(whole)


@pytest.mark.parametrize("where", ["front", "middle", "end"])
def test_chunks_without_rows_say_nothing(tmp_path: Path, expected: pa.Table, where: str) -> None:
    """An empty chunk, before the others or among them, carries no offset and lacks none."""
    table = with_stamps(BARS["timestamp"].cast(pa.timestamp("us", "America/New_York")))
    empty, half = table.schema.empty_table(), table.num_rows // 2
    parts = [table.slice(0, half), table.slice(half)]
    parts.insert({"front": 0, "middle": 1, "end": 2}[where], empty)
    whole = pa.concat_tables(parts)
    assert load_sheet(Sheet("a table", whole), Path("NQ_30min")).table.equals(expected)
    with pq.ParquetWriter(tmp_path / "NQ_30min.parquet", table.schema) as writer:
        for part in parts:
            writer.write_table(part)
    assert load_bars(tmp_path / "NQ_30min.parquet").table.equals(expected)


def test_decimals_are_the_nearest_numbers(tmp_path: Path) -> None:
    """A decimal becomes the float64 that its text would be, not one multiplied by an inexact power of ten."""
    prices = pa.chunked_array([pa.array([Decimal(f"1{n % 9}.{n % 97:02d}") for n in range(BARS.num_rows)])])
    table = BARS
    for i in range(1, 5):
        table = table.set_column(i, ROLES[i], prices)
    found = load_bars(written(tmp_path / "NQ_30min.parquet", table)).table["close"].to_pylist()
    assert found == [float(f"1{n % 9}.{n % 97:02d}") for n in range(BARS.num_rows)]


def test_bars_stamped_at_their_end(tmp_path: Path, expected: pa.Table) -> None:
    """End stamps, cut short by the end of a session too, become starts, whole and in chunks."""
    end = pc.add(BARS["timestamp"].cast(pa.int64()), 30 * 60 * 10**9).cast(pa.timestamp("ns", "UTC"))
    path = written(tmp_path / "NQ_30min.parquet", with_stamps(end))
    bars = load_bars(path)
    assert bars.profile.edge == "end"
    assert bars.table.equals(expected)
    assert pa.Table.from_batches(list(iterate_columnar(sheet_of(path), path, rows=100))).equals(expected)


def test_index_of_a_frame_is_its_stamp(tmp_path: Path, expected: pa.Table) -> None:
    """An index without a name is taken for the stamp when no column is."""
    frame = BARS.to_pandas().set_index("timestamp").rename_axis(None)
    frame.to_parquet(tmp_path / "NQ_30min.parquet")
    bars = load_bars(tmp_path / "NQ_30min.parquet")
    assert bars.table.equals(expected)
    assert bars.profile.columns["timestamp"] == ("__index_level_0__",)


def test_evidence_names_columns_and_types(tmp_path: Path) -> None:
    """The first sentence says which column is what under another name, which are not used, and which have 32 bits."""
    table = BARS.rename_columns(["Datetime", "Open", "High", "Llow", "Last", "Vol"])
    table = table.set_column(4, "Last", table["Last"].cast(pa.float32())).append_column("VWAP", table["Open"])
    found = sniff(written(tmp_path / "NQ_30min.parquet", table))
    form = found.evidence[0]
    assert "Parquet, 1 row group, stamps timestamp[ns, tz=UTC]; timestamp=Datetime; low=Llow; close=Last" in form
    assert "Last of 32 bits or less" in form
    assert form.endswith("not used: VWAP")
    assert found.profile.to_dict()["columns"]["close"] == ["Last"]


# -- what is refused --------------------------------------------------------------------------------
def changed(row: int, name: str, value: Any, kind: pa.DataType | None = None) -> pa.Table:
    """Return the bars with another value in one cell."""
    column = BARS.schema.get_field_index(name)
    values: list[Any] = BARS[name].to_pylist()
    values[row] = value
    return BARS.set_column(column, name, pa.array(values, kind or BARS[name].type))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (changed(7, "close", None), r"row 7 \(the first is 0\): close is null"),
        (changed(7, "close", float("nan")), "row 7 .*close is nan, not a finite number"),
        (changed(2_999, "low", float("-inf")), "row 2,999 .*low is -inf"),
        (changed(7, "timestamp", None), "row 7 .*the stamp is null"),
        (changed(5, "timestamp", datetime(1950, 1, 1, tzinfo=ZoneInfo("UTC"))), "row 5 .*not between 1970 and 2199"),
        (changed(5, "volume", -3), "row 5 .*volume is -3, negative"),
        (changed(5, "volume", 1.5, pa.float64()), r"row 5 .*volume is 1\.5, not a whole number"),
        (changed(5, "volume", 1e19, pa.float64()), "row 5 .*too large for 64 bits"),
        (changed(5, "volume", 1 << 63, pa.uint64()), "row 5 .*volume is 9223372036854775808, too large"),
        (changed(5, "volume", Decimal("1.5"), pa.decimal128(20, 1)), r"row 5 .*volume is 1\.5, not a whole"),
        (BARS.slice(0, 9).set_column(1, "open", pa.array([1 << 60] * 9)), "row 0 .*more than a float64 holds"),
        (BARS.drop_columns(["close"]), "have none for close"),
        (BARS.set_column(4, "close", BARS["close"].cast(pa.string())), "'close' is string, not numbers"),
        (BARS.set_column(4, "close", pa.nulls(BARS.num_rows)), "'close' is empty"),
        (
            with_stamps(BARS["timestamp"].cast(pa.int64()).cast(pa.float64(), safe=False)),
            "stamps in 'timestamp' are double",
        ),
        (BARS.append_column("Close", BARS["close"]), "two columns 'close'"),
        (BARS.take(pa.array([0, 1, 3, 2, *range(4, 3_000)])), r"1 of 3,000 rows. row 3 \(.*goes back behind the row"),
        (BARS.take(pa.array([0, 1, 1, *range(2, 3_000)])), r"row 2 \(.*repeats the row before it"),
        (BARS.slice(0, 0), "has no rows"),
    ],
)
def test_what_is_refused(tmp_path: Path, table: pa.Table, says: str) -> None:
    """Each fault is an error with the row."""
    path = written(tmp_path / "NQ_30min.parquet", table)
    with pytest.raises(UnreadableSource, match=says):
        load_bars(path)
    with pytest.raises(UnreadableSource, match=says):
        list(iterate_columnar(sheet_of(path), path, rows=100))


@pytest.mark.parametrize("name", ["NQ_30min.parquet", "NQ_30min.feather", "NQ_30min.arrow"])
def test_file_that_was_cut_off(tmp_path: Path, name: str) -> None:
    """A file that ends too soon is damaged, and no bars are invented."""
    path = written(tmp_path / name, BARS)
    path.write_bytes(path.read_bytes()[:-200_0])
    with pytest.raises(UnreadableSource, match=r"not readable (Parquet|Arrow \w+) data"):
        load_bars(path)


def test_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is written anew between the look at its stamps and the reading of its rows gives no bars."""
    path = written(tmp_path / "NQ_30min.parquet", BARS)
    for rows in (2_000, 3_000):
        written(path, BARS.slice(0, rows))

        def looked(*args: Any, other: int = 5_000 - rows, **told: Any) -> Any:
            known = sniff_sheet(*args, **told)
            written(path, BARS.slice(0, other))
            return known

        monkeypatch.setattr(loading, "sniff_sheet", looked)
        with pytest.raises(UnreadableSource, match="changed while it was read"):
            load_bars(path)


@given(
    name=st.sampled_from(["NQ_30min.parquet", "NQ_30min.feather", "NQ_30min.arrow"]),
    where=st.floats(0, 1, exclude_max=True),
    to=st.binary(min_size=1, max_size=6),
    typed=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_damaged_bytes(
    tmp_path_factory: pytest.TempPathFactory, name: str, where: float, to: bytes, typed: bool
) -> None:
    """Other bytes anywhere in a file are an error of the package, or other bars: never a crash."""
    bars = BARS.slice(0, 200)
    table = bars if typed else with_stamps(pc.strftime(clock(bars, "UTC", "s"), "%Y-%m-%d %H:%M:%SZ"), table=bars)
    path = written(tmp_path_factory.mktemp("damaged") / name, table)
    data = bytearray(path.read_bytes())
    at = 8 + int(where * (len(data) - 8))
    data[at : at + len(to)] = to
    path.write_bytes(data)
    with suppress(NQError):
        load_bars(path)


def test_formats_that_are_not_read(tmp_path: Path) -> None:
    """Encrypted Parquet and the first Feather version are named."""
    for magic, says in ((b"PARE" * 8, "encrypted"), (b"FEA1" * 8, "version 1")):
        (tmp_path / "NQ_30min.parquet").write_bytes(magic)
        with pytest.raises(UnreadableSource, match=says):
            load_bars(tmp_path / "NQ_30min.parquet")


def test_ambiguous_stamps_are_asked_for(tmp_path: Path) -> None:
    """Clock readings that several zones explain are a question, as in a text, and answers settle it."""
    noon = [datetime(2024, 1, 8, 12), datetime(2024, 1, 8, 12, 30), datetime(2024, 1, 8, 13)]
    table = with_stamps(pa.array(noon, pa.timestamp("us")), table=BARS.slice(0, 3))
    path = written(tmp_path / "NQ_30min.parquet", table)
    with pytest.raises(AmbiguousStamps, match="tz="):
        load_bars(path)
    bars = load_bars(path, tz="America/New_York", edge="start")
    assert bars.table["timestamp"][0].as_py().hour == 17


def test_hours_that_a_clock_skips_or_repeats(tmp_path: Path) -> None:
    """A stamp in a skipped hour is refused with its row, and a repeated hour is told apart by order."""
    minute = [*range(0, 60, 30)]
    spring = [datetime(2024, 3, 10, h, m) for h in (1, 2) for m in minute]
    path = written(tmp_path / "NQ_30min.parquet", with_stamps(pa.array(spring), table=BARS.slice(0, 4)))
    with pytest.raises(UnreadableSource, match=r"row 2 .*does not exist in America/New_York"):
        load_bars(path, tz="America/New_York", edge="start")
    autumn = [datetime(2024, 11, 3, h, m) for h in (0, 1, 1, 2) for m in minute]
    path = written(tmp_path / "NQ_30min.parquet", with_stamps(pa.array(autumn), table=BARS.slice(0, 8)))
    bars = load_bars(path, tz="America/New_York", edge="start")
    assert np.diff(bars.table["timestamp"].cast(pa.int64()).to_numpy()).tolist() == [1_800 * 10**9] * 7
    told: dict[str, Any] = {"tz": "America/New_York", "edge": "start"}
    assert pa.Table.from_batches(list(iterate_columnar(sheet_of(path), path, rows=1, **told))).equals(bars.table)


def test_dates_of_daily_bars(tmp_path: Path) -> None:
    """A column of dates is a stamp."""
    days = pa.array([date(2024, 1, d) for d in range(1, 6)], pa.date32())
    path = written(tmp_path / "NQ_1D.parquet", with_stamps(days, "Date", BARS.slice(0, 5)))
    bars = load_bars(path, tz="UTC", edge="start")
    assert bars.table["timestamp"].to_pylist()[0] == datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC"))
    assert time() == bars.table["timestamp"].to_pylist()[-1].time()


@pytest.mark.parametrize("name", ["NQ_30min.parquet", "NQ_30min.arrow", "NQ_30min.ipc"])
def test_report_names_rows(tmp_path: Path, name: str) -> None:
    """A validation of a file counts rows, and impossible bars are said by their row when it is loaded."""
    path = written(tmp_path / name, changed(42, "high", 1.0))
    assert any("in row 42" in sentence for sentence in load_bars(path).evidence)
    report = validate_file(path)
    found = {finding.rule: finding for finding in report.findings}
    assert (found["ohlc order"].rows, found["ohlc order"].lines) == ((42,), ())


@pytest.mark.parametrize(
    ("table", "rule", "row"),
    [
        (changed(7, "close", None), "empty cell", 7),
        (changed(7, "close", float("nan")), "not finite", 7),
        (changed(7, "timestamp", None), "missing stamp", 7),
        (changed(7, "volume", 1.5, pa.float64()), "volume", 7),
        (BARS.take(pa.array([0, 1, 1, *range(2, 3_000)])), "repeated bar", 2),
        (BARS.take(pa.array([0, 1, 3, 2, *range(4, 3_000)])), "backwards", 3),
        (changed(7, "volume", -7), "volume", 7),
    ],
)
def test_damaged_file_is_reported_row_by_row(tmp_path: Path, table: pa.Table, rule: str, row: int) -> None:
    """What stops a load is a finding of a validation, with its row, and all other rules are applied."""
    path = written(tmp_path / "NQ_30min.parquet", table)
    report = validate_file(path)
    found = {finding.rule: finding for finding in report.findings if finding.severity != "note"}
    assert found[rule].rows == (row,)
    assert found[rule].lines == ()
    assert report.rows >= 2_999
    assert not list(tmp_path.glob("*.csv"))


def test_damaged_table_of_dates_and_times(tmp_path: Path) -> None:
    """A date and a time in two columns, and text stamps, are told row by row too."""
    local = clock(BARS, "Asia/Jerusalem")
    table = changed(9, "high", None)
    table = with_stamps(local.cast(pa.date32(), safe=False), "Date", table).add_column(
        1, "Time", local.cast(pa.time64("us"))
    )
    report = validate_file(written(tmp_path / "NQ_30min.parquet", table), tz="Asia/Jerusalem", edge="start")
    assert [finding.rows for finding in report.findings if finding.rule == "empty cell"] == [(9,)]


# -- spans ------------------------------------------------------------------------------------------
class Counting:
    """A file that counts the bytes that are read from it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.bytes = 0

    def open(self) -> Any:
        """Open the file for Arrow."""
        file, count = self._path.open("rb"), self._count

        class Counted:
            closed = False

            def read(self, size: int = -1) -> bytes:
                return count(file.read(size))

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

        return pa.PythonFile(Counted(), "r")

    def _count(self, data: bytes) -> bytes:
        self.bytes += len(data)
        return data


@pytest.mark.parametrize("kind", ["timestamps", "epoch", "naive", "dates"])
def test_a_span_reads_the_row_groups_that_can_hold_it(tmp_path: Path, kind: str) -> None:
    """Of a file of a hundred row groups a week costs a few; the rows are those of the whole, cut."""
    bars = sample_bars("1min", rows=60_000, seed=5)
    columns = {
        "timestamps": bars["timestamp"].cast(pa.timestamp("ms", "UTC")),
        "epoch": bars["timestamp"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()),
        "naive": clock(bars, "Asia/Jerusalem"),
        "dates": clock(bars, "Asia/Jerusalem").cast(pa.date32(), safe=False),
    }
    table = with_stamps(columns[kind], "Date" if kind == "dates" else "timestamp", bars)
    if kind == "dates":
        table = table.add_column(1, "Time", clock(bars, "Asia/Jerusalem").cast(pa.time64("us")))
    path = written(tmp_path / "NQ_1min.parquet", table, row_group_size=600, compression="none")
    whole = load_bars(path).table
    low, high = (whole["timestamp"][i].value for i in (40_000, 41_000))
    file = Counting(path)
    told: dict[str, Any] = {"tz": "Asia/Jerusalem", "edge": "start", "timeframe": "1min", "symbol": "NQ"}
    chunks = iterate_columnar(
        sheet_from("a file", b"PAR1", file.open), path, rows=100, start_ns=low, end_ns=high, **told
    )
    before = file.bytes  # the footer, and the stamps of all rows
    found = pa.Table.from_batches(list(chunks))
    assert found.equals(whole.slice(40_000, 1_001).combine_chunks())
    assert file.bytes - before < path.stat().st_size / 4


def test_spans_that_make_no_sense(tmp_path: Path) -> None:
    """No rows, and a span that ends before it starts, are refused; a span outside the file is empty."""
    path = written(tmp_path / "NQ_30min.parquet", BARS, row_group_size=100)
    with pytest.raises(InvalidArgument, match="at least one row"):
        iterate_columnar(sheet_of(path), path, rows=0)
    with pytest.raises(InvalidArgument, match="Exchange them"):
        iterate_columnar(sheet_of(path), path, rows=1, start_ns=2, end_ns=1)
    assert list(iterate_columnar(sheet_of(path), path, rows=10, start_ns=4_000_000_000 * 10**9)) == []
    assert list(iterate_columnar(sheet_of(path), path, rows=10, end_ns=0)) == []


def test_real_bars_as_parquet(tmp_path: Path, real_file: Path) -> None:
    """The real bars with a naive clock in Jerusalem, as a frame would be saved, are those of the text."""
    whole = load_bars(real_file)
    naive = with_stamps(clock(whole.table, "Asia/Jerusalem", "ns"), "Timestamp", whole.table.drop_columns(["flags"]))
    bars = load_bars(written(tmp_path / real_file.with_suffix(".parquet").name, naive))
    assert bars.table.equals(whole.table)
    assert (bars.profile.tz, bars.profile.edge) == (whole.profile.tz, whole.profile.edge)
