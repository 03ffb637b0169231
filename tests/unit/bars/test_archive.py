"""The archive: bit for bit what was written, in ticks where every price is one."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import archive
from jupyter_nq.bars.archive import open_archive, read_archive, write_archive
from jupyter_nq.bars.instruments import INSTRUMENTS
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.errors import ChecksumError, InvalidArgument, SourceNotFound, UnreadableSource

INT64 = st.integers(-(2**63), 2**63 - 1)
PRICE = st.one_of(
    st.integers(-(2**31) - 2, 2**31 + 2).map(lambda ticks: ticks * 0.25),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([-0.0, 0.0, 5e-324, 1.8e308 / 2, float("nan"), float("inf")]),
)
SOUND = st.integers(-(2**31) + 1, 2**31 - 1).map(lambda ticks: ticks * 0.25)


def table_of(rows: list[tuple[Any, ...]]) -> pa.Table:
    """Return rows (stamp, four prices, volume, flags) as bars."""
    columns = list(zip(*rows, strict=True)) or [()] * 7
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, BAR_SCHEMA, strict=True)], BAR_SCHEMA)


def bits(table: pa.Table) -> list[bytes]:
    """Return the bytes of every column."""
    return [c.combine_chunks().to_numpy(zero_copy_only=False).tobytes() for c in table.columns]


def rows_of(price: st.SearchStrategy[float]) -> Any:
    """Give rows with prices of a kind."""
    return st.lists(st.tuples(INT64, price, price, price, price, INT64, st.integers(0, 2**32 - 1)), max_size=40)


def through(table: pa.Table, tick: float = 0.25) -> tuple[pa.Table, bool]:
    """Write bars and read them back."""
    file = io.BytesIO()
    on_tick = write_archive(table, file, tick)
    return read_archive(file), on_tick


@settings(deadline=None)
@given(rows_of(SOUND))
def test_prices_on_the_tick(rows: list[tuple[Any, ...]]) -> None:
    """Any stamps to the nanosecond, volumes and flags come back with the same bits, prices as ticks."""
    table = table_of(rows)
    back, on_tick = through(table)
    assert on_tick
    assert back.schema == BAR_SCHEMA
    assert bits(back) == bits(table)


@settings(deadline=None)
@given(rows_of(PRICE), st.sampled_from([0.25, 0.1, 1.0, 0.0000005]))
def test_any_prices(rows: list[tuple[Any, ...]], tick: float) -> None:
    """Off the tick, negative, infinite, minus zero, no number: the same bits."""
    table = table_of(rows)
    assert bits(through(table, tick)[0]) == bits(table)


@settings(deadline=None)
@given(rows_of(PRICE), st.integers(1, 7))
def test_groups_play_no_role(rows: list[tuple[Any, ...]], group: int) -> None:
    """Cut into groups of any size, in a table of several chunks, the bars are the same."""
    table = table_of(rows)
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3)])
    file = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "_GROUP_ROWS", group)
        write_archive(chunked, file, 0.25)
        back = read_archive(file)
    assert bits(back) == bits(table)
    assert all(column.num_chunks == 1 for column in back.columns)


@pytest.mark.parametrize("known", INSTRUMENTS.values(), ids=lambda known: known.symbol)
def test_every_instrument_has_exact_ticks(known: Any) -> None:
    """The text of any price on the tick, read as float64, is kept as ticks; one nudged bit is not."""
    ticks = np.random.default_rng(5).integers(-(2**31) + 1, 2**31 - 1, 2_000)
    step = Decimal(f"{known.tick:.10f}")
    prices = [float(int(count) * step) for count in ticks]
    rows = [(at, price, price, price, price, 1, 0) for at, price in enumerate(prices)]
    back, on_tick = through(table_of(rows), known.tick)
    assert on_tick
    assert back["close"].to_pylist() == prices
    off = table_of([*rows, (2_000, *[np.nextafter(prices[0], np.inf)] * 4, 1, 0)])
    back, on_tick = through(off, known.tick)
    assert not on_tick
    assert bits(back) == bits(off)


def sample(rows: int = 500) -> pa.Table:
    """Return bars on the tick."""
    return table_of([(at * 60 * 10**9, 100.25, 101.0, 99.75, 100.5 + at % 7, at, 0) for at in range(rows)])


def test_what_the_file_says(tmp_path: Path) -> None:
    """Tick, form and record are remembered; the columns are called ticks and packed by their differences."""
    path = tmp_path / "bars.parquet"
    told: list[float] = []
    assert write_archive(sample(), path, 0.25, {"digest": "abc", "évidence": ["x"]}, told.append)
    assert told == [1.0]
    found = open_archive(path)
    assert (found.tick, found.on_tick, found.record) == (0.25, True, {"digest": "abc", "évidence": ["x"]})
    group = pq.ParquetFile(path).metadata.row_group(0)
    stored = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert set(stored) == {"timestamp", "volume", "flags", *(f"{name}_ticks" for name in PRICES)}
    for name in set(stored) - {"flags"}:
        assert "DELTA_BINARY_PACKED" in stored[name].encodings
    off = sample().set_column(4, BAR_SCHEMA.field("close"), pa.array(np.full(500, 0.3)))
    assert not write_archive(off, path, 0.25)
    closes = pq.ParquetFile(path).metadata.row_group(0).column(4)
    assert (closes.path_in_schema, closes.compression) == ("close", "ZSTD")
    assert "BYTE_STREAM_SPLIT" in closes.encodings


@pytest.mark.parametrize("on_tick", [True, False])
def test_damage_is_named(tmp_path: Path, on_tick: bool) -> None:
    """A changed byte or a lost end is an error or, in padding, without effect; never other bars."""
    path = tmp_path / "bars.parquet"
    table = sample()
    write_archive(table, path, 0.25 if on_tick else 0.3)
    whole, random = path.read_bytes(), np.random.default_rng(1)
    for at in random.integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        assert outcome(path) in (bits(table), "refused")
    for end in random.integers(0, len(whole), 60):
        path.write_bytes(whole[:end])
        with pytest.raises(UnreadableSource, match="Make it again"):
            read_archive(path)


def outcome(path: Path) -> Any:
    """Return the bytes that are read, or that the file is refused by its name."""
    try:
        return bits(read_archive(path))
    except (UnreadableSource, ChecksumError) as exc:
        return "refused" if str(path) in str(exc) else str(exc)


def test_changed_numbers_do_not_fit_the_digest(tmp_path: Path) -> None:
    """Another table under the same metadata is not believed."""
    path = tmp_path / "bars.parquet"
    write_archive(sample(), path, 0.25)
    stored = pq.read_table(path)
    pq.write_table(stored.set_column(5, stored.schema.field(5), pa.array(np.ones(500, np.int64))), path)
    with pytest.raises(ChecksumError, match="digest does not fit"):
        read_archive(path)
    pq.write_table(stored.slice(1), path)
    with pytest.raises(UnreadableSource, match="columns and rows"):
        read_archive(path)


def test_what_is_no_archive(tmp_path: Path) -> None:
    """Other files, other tables and other ticks are refused with what they are."""
    path = tmp_path / "other.parquet"
    pq.write_table(sample(), path)
    with pytest.raises(UnreadableSource, match="no archive of jupyter-nq"):
        read_archive(path)
    with pytest.raises(SourceNotFound):
        read_archive(tmp_path / "none.parquet")
    with pytest.raises(InvalidArgument, match="timestamp, open"):
        write_archive(sample().drop(["flags"]), path, 0.25)
    for tick in (0, -0.25, float("nan"), float("inf")):
        with pytest.raises(InvalidArgument, match="positive number"):
            write_archive(sample(), path, tick)


def test_another_encoding_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a later version says so."""
    with monkeypatch.context() as patch:
        patch.setattr(archive, "ENCODING", "nq-archive-9")
        write_archive(sample(), tmp_path / "bars.parquet", 0.25)
    with pytest.raises(UnreadableSource, match=r"nq-archive-9.*reads 'nq-archive-1'"):
        read_archive(tmp_path / "bars.parquet")
