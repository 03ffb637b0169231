"""A file that changes while it is read in pieces, prices that are not in points, and how blocks become batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import read_bars
from jupyter_nq.bars.reading import blocks as reading_blocks
from jupyter_nq.bars.reading import chunks
from jupyter_nq.bars.reading.carried import Columns
from jupyter_nq.bars.reading.chunks import Guard, batches, iterate, refusing_scaled
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.errors import SourceNotFound, UnreadableSource
from tests.unit.bars.reading.test_chunks import GOOD, STAMPS, fast_by, profile_of, whole, write

WAYS: dict[str, dict[str, Any]] = {
    "general": {"block_bytes": 1000},
    "fast": {"settings": fast_by(1000)},
    "switching": {"settings": fast_by(1000), "block_bytes": 1000},
}
"""How the file is read; `switching` goes on block by block behind a line that the kernels leave to Arrow."""


@pytest.fixture(params=WAYS)
def bars(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Give a file, and how it is to be read."""
    path = write(tmp_path / "bars.csv", STAMPS)
    if request.param == "switching":
        path.write_text(path.read_text().replace(f"{STAMPS[200]},", f'"{STAMPS[200]}",'))
    return path, WAYS[request.param]


def replaced(path: Path) -> None:
    """Put another file in the place, as what rolls over at night does: without the first rows."""
    lines = path.read_bytes().splitlines(keepends=True)
    draft = path.with_suffix(".new")
    draft.write_bytes(b"".join([lines[0], *lines[101:]]))
    draft.replace(path)


def grown(path: Path) -> None:
    """Append a row."""
    with path.open("a") as file:
        file.write(f"2024-07-09 00:00,{GOOD}\n")


def being_written(path: Path) -> None:
    """Append half a row."""
    with path.open("a") as file:
        file.write("2024-07-09 00:00,100")


def shortened(path: Path) -> None:
    """Cut it in a line."""
    os.truncate(path, path.stat().st_size // 2 + 3)


CHANGES = [replaced, grown, being_written, shortened]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("taken", [0, 1, 10])
@pytest.mark.parametrize("span", [{}, {"start_ns": 0}])
def test_a_changed_file_is_refused(
    bars: tuple[Path, dict[str, Any]], change: Callable[[Path], None], taken: int, span: dict[str, Any]
) -> None:
    """Whenever it changes: the batches before are those of the file as it was, and none comes of the other file."""
    path, way = bars
    table = read_bars(path, profile_of())
    found = []
    pieces = iterate(path, profile_of(), rows=7, **way, **span)
    found += [next(pieces) for _ in range(taken)]
    change(path)
    with pytest.raises(UnreadableSource, match=r"bars\.csv changed while it was read"):
        found += pieces
    assert whole(found).equals(table.slice(0, 7 * len(found)).combine_chunks())
    assert 7 * len(found) < 390


def test_a_guard_looks_from_before_the_profile(bars: tuple[Path, dict[str, Any]]) -> None:
    """A file that changed between its profile and the call is another one, too."""
    path, way = bars
    guard = Guard.of(path)
    grown(path)
    with pytest.raises(UnreadableSource, match="changed while it was read"):
        next(iterate(path, profile_of(), rows=1, guard=guard, **way))


def test_a_change_is_told_in_the_place_of_what_it_broke(bars: tuple[Path, dict[str, Any]]) -> None:
    """Not the half line is the matter, but that somebody writes; whose writer is done sees the line named."""
    path, way = bars
    guard = Guard.of(path)
    being_written(path)
    with pytest.raises(UnreadableSource, match="changed while it was read") as caught, guard.watching():
        read_bars(path, profile_of())
    assert "The file ends within this line" in str(caught.value.__cause__)
    with pytest.raises(UnreadableSource, match="The file ends within this line"):
        list(iterate(path, profile_of(), rows=1000, **way))


def test_a_line_that_is_mended_when_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Arrow refuses and nobody finds afterwards is a change, not a message of Arrow's."""
    path = write(tmp_path / "bars.csv", STAMPS)
    start = 1720396800 * 10**9 + 20 * 60 * 10**9
    monkeypatch.setattr("jupyter_nq.bars.reading.ranges._NARROW", 100)
    monkeypatch.setattr("jupyter_nq.bars.reading.ranges.MARGIN_SECONDS", 0)
    being_written(path)
    monkeypatch.setattr(chunks, "fault", lambda *_: None)
    monkeypatch.setattr(reading_blocks, "fault", lambda *_: None)
    with pytest.raises(UnreadableSource, match="changed while it was read"):
        list(iterate(path, profile_of(), rows=1000, start_ns=start))


def test_who_stops_is_not_told(bars: tuple[Path, dict[str, Any]]) -> None:
    """An iterator that is closed has nothing more to say of the file; one whose file is gone says so."""
    path, way = bars
    first, second = (iterate(path, profile_of(), rows=7, **way) for _ in range(2))
    next(first), next(second)
    path.unlink()
    first.close()
    with pytest.raises(SourceNotFound, match="does not exist"):
        list(second)


# -- prices -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("span", [{}, {"start_ns": 0}])
def test_prices_in_billionths(tmp_path: Path, span: dict[str, Any]) -> None:
    """They are refused where bars in points are wanted, before the first batch."""
    path = tmp_path / "bars.csv"
    row = ",".join(f"{price}000000000" for price in (100, 101, 99, 100))
    header = path.with_name("header.csv")
    path.write_text(write(header, []).read_text() + "".join(f"{stamp},{row},7\n" for stamp in STAMPS))
    for way in WAYS.values():
        assert next(iterate(path, profile_of(), rows=1, **way, **span))["low"][0].as_py() == 99e9
        with pytest.raises(UnreadableSource, match=r"lowest price is 99,000,000,000; .*'price_scale': 1000000000"):
            next(iterate(path, profile_of(), rows=1, in_points=True, **way, **span))


def test_one_price_is_not_all_of_them() -> None:
    """A single low that is too high is for the rules about bars."""
    block: Columns = [np.array([1.0, 2.0]) for _ in BAR_SCHEMA.names]
    block[3] = np.array([5e9, 99.0])
    assert list(refusing_scaled(Path("NQ.csv"), iter([block]))) == [block]
    assert list(refusing_scaled(Path("NQ.csv"), iter([]))) == []


# -- batches ----------------------------------------------------------------------------------------
def cut_at(sizes: list[int]) -> Iterator[Columns]:
    """Yield blocks of these sizes whose numbers go on."""
    at = 0
    for size in sizes:
        numbers = np.arange(at, at + size)
        yield [numbers, *[numbers * 0.5] * 4, numbers, numbers.astype(np.uint32)]
        at += size


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 50), max_size=30), rows=st.integers(1, 200))
def test_blocks_of_any_size_are_cut_into_batches(sizes: list[int], rows: int) -> None:
    """The rows stay, in batches of the size asked for."""
    found = list(batches(cut_at(sizes), rows))
    assert [batch.num_rows for batch in found] == [
        min(rows, sum(sizes) - first) for first in range(0, sum(sizes), rows)
    ]
    numbers = np.arange(sum(sizes))
    assert np.array_equal(whole(found)["volume"].to_numpy(), numbers)
    assert np.array_equal(whole(found)["low"].to_numpy(), numbers * 0.5)


@pytest.mark.parametrize("rows", [9_999, 10_000, 10_001, 1 << 40])
def test_a_large_batch_is_put_together_once(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many blocks a batch comes from, their bytes are copied once."""
    copied = 0
    concatenate = np.concatenate

    def counted(parts: Any) -> Any:
        nonlocal copied
        copied += sum(len(part) for part in parts)
        return concatenate(parts)

    monkeypatch.setattr(np, "concatenate", counted)
    assert pa.Table.from_batches(batches(cut_at([5] * 2_000), rows)).num_rows == 10_000
    assert copied <= 7 * 10_005
