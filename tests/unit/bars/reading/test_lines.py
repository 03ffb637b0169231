"""What ends a line, and which lines can be no rows: the same for every reader, whatever the size of blocks."""

from __future__ import annotations

import gzip
import io
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_nq.bars import read_bars
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading import lines
from jupyter_nq.bars.reading.chunks import iterate
from jupyter_nq.bars.reading.lenient import read_lenient
from jupyter_nq.errors import UnreadableSource

NAMES = ("Note", "Timestamp", "Open", "High", "Low", "Close", "Volume")
ROWS = [
    f"{note},2024-07-08 09:{minute:02d},100,101,99,100,7" for minute, note in enumerate(["a", "", "b", '"c,d"'] * 9)
]


def profile_of(**changes: Any) -> Profile:
    """Return the profile of the files below."""
    plain: dict[str, Any] = {
        "delimiter": ",", "header": True, "skip_lines": 1, "names": NAMES, "decimal": ".",
        "columns": {name.lower(): (name,) for name in NAMES[1:]}, "layouts": ("YYYY-MM-DD HH:MM",), "day_first": None,
        "tz": "UTC", "edge": "start", "minutes": 1,
    }  # fmt: skip
    return Profile(**plain | changes)


def write(path: Path, rows: list[str], end: str = "\n") -> Path:
    """Write a file."""
    path.write_bytes(end.join([",".join(NAMES), *rows, ""]).encode())
    return path


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n\n", "\n\r\n\r", "\r\r\n"])
@pytest.mark.parametrize("block_bytes", [100, 64 << 10])
def test_every_end_of_line_is_one(tmp_path: Path, end: str, block_bytes: int) -> None:
    """Lines may end as on any system, also mixed and with empty lines between, for every reader."""
    table = read_bars(write(tmp_path / "a.csv", ROWS), profile_of())
    other = write(tmp_path / "b.csv", ROWS, end)
    assert table.num_rows == len(ROWS)
    assert read_bars(other, profile_of(), block_bytes=block_bytes).equals(table)
    assert read_lenient(other, profile_of(), block_bytes=block_bytes).table.equals(table)
    assert sum(batch.num_rows for batch in iterate(other, profile_of(), rows=5, block_bytes=block_bytes)) == len(ROWS)


@pytest.mark.parametrize("block_bytes", [100, 64 << 10])
@pytest.mark.parametrize("closing", ["", '"'])
def test_a_quote_that_is_not_closed_swallows_no_rows(tmp_path: Path, block_bytes: int, closing: str) -> None:
    """A cell ends in its line, also in a column that is not read and when a later line has the other quote."""
    rows = [*ROWS]
    rows[4], rows[30] = f'"a{rows[4][1:]}', f"b{closing}{rows[30][1:]}"
    path = write(tmp_path / "a.csv", rows)
    match = "line 6: a quote is not closed, or text stands behind a closing quote"
    with pytest.raises(UnreadableSource, match=match):
        read_bars(path, profile_of(), block_bytes=block_bytes)
    with pytest.raises(UnreadableSource, match=match):
        list(iterate(path, profile_of(), rows=100, block_bytes=block_bytes))
    found = read_lenient(path, profile_of(), block_bytes=block_bytes)
    assert [bad.line for bad in found.bad] == [6]
    assert len(found.rows) == len(ROWS) - 1


def test_a_fault_before_an_open_quote_is_named_first(tmp_path: Path) -> None:
    """The first fault of a file is told, also when the quote lies in the same block."""
    rows = [*ROWS]
    rows[2], rows[4] = rows[2].replace("101", "x"), f'"a{rows[4][1:]}'
    with pytest.raises(UnreadableSource, match="line 4: High is 'x'"):
        read_bars(write(tmp_path / "a.csv", rows), profile_of())


@pytest.mark.parametrize("where", [0, 5, 36])
def test_a_line_that_is_too_long_is_told(tmp_path: Path, where: int) -> None:
    """A line of more than 64 KiB is no row, wherever it stands, and no reader keeps more of it."""
    rows = [*ROWS]
    rows.insert(where, "x" * (200 << 10))
    path = write(tmp_path / "a.csv", rows)
    match = f"line {where + 2}: the line is longer than 64 KiB"
    for read in (read_bars, read_lenient):
        with pytest.raises(UnreadableSource, match=match):
            read(path, profile_of())
    with pytest.raises(UnreadableSource, match=match):
        list(iterate(path, profile_of(), rows=100))


def test_a_mark_is_one_only_at_the_beginning(tmp_path: Path) -> None:
    """A byte order mark before the first row of a file without header is none of it; behind a header it is text."""
    mark = "\ufeff"
    bare = profile_of(header=False, skip_lines=0)
    path = tmp_path / "a.csv"
    path.write_text(mark + "\n".join(ROWS))
    assert read_bars(path, bare).num_rows == read_lenient(path, bare).table.num_rows == len(ROWS)
    moved = profile_of(names=NAMES[1:])
    path.write_text(",".join(NAMES[1:]) + "\n" + mark + "2024-07-08 09:00,100,101,99,100,7\n")
    with pytest.raises(UnreadableSource, match=r"line 2: .* is not a date and time"):
        read_bars(path, moved)


def test_the_share_of_a_packed_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    """Progress of a compressed file goes up to one with the packed bytes that are read."""
    path = tmp_path / "a.csv.gz"
    random, first = Random(1), datetime(2024, 7, 8)
    stamps = (first + timedelta(minutes=i) for i in range(60_000))
    rows = (f"{random.randbytes(20).hex()},{stamp:%Y-%m-%d %H:%M},100,101,99,100,7" for stamp in stamps)
    text = "\n".join([",".join(NAMES), *rows, ""])
    path.write_bytes(gzip.compress(text.encode()))
    for read in (read_bars, read_lenient):
        shares: list[float] = []
        read(path, profile_of(), progress=shares.append, block_bytes=64 << 10)
        assert shares == sorted(shares)
        assert shares[0] < 0.9
        assert shares[-1] == 1.0


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b'"', b",", b"bc"]), max_size=40), st.integers(1, 9))
def test_blocks_are_cut_behind_ends_of_lines(parts: list[bytes], size: int) -> None:
    """Blocks put together are the file, no end of line is cut in two, and the lines are those of the whole."""
    data = b"".join(parts)
    blocks = list(lines.whole_lines(io.BytesIO(data), size))
    assert b"".join(blocks) == data
    assert [line for block in blocks for line in block.splitlines()] == data.splitlines()


@given(st.lists(st.sampled_from(["\n", "\r", '"', ",", "a"]), max_size=30))
def test_sound_quotes_are_found_line_by_line(parts: list[str]) -> None:
    """Whatever the order of quotes, the sound part ends where the first line begins that is no list of cells."""
    text = "".join(parts)
    at = 0
    for line in text.encode().splitlines(keepends=True):
        if lines.cells_of(line.decode().rstrip("\r\n"), ",") is None:
            break
        at += len(line)
    assert lines._sound_bytes(text.encode(), ",") == at
