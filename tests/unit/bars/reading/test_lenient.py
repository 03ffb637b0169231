"""Reading damaged files: each row is a bar or told apart, and what the strict reader takes is taken alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars, read_bars
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading import lenient
from jupyter_nq.bars.reading.cells import EMPTY, GOOD, NO_COUNT, NOT_FINITE, TEXT, counts, prices
from jupyter_nq.bars.reading.lenient import read_lenient, sound_lines
from jupyter_nq.bars.reading.shapes import NO_DATE, NO_STAMP, Stamps
from jupyter_nq.bars.reading.stamps import StampScanner
from jupyter_nq.bars.sniffing.dialect import detect_dialect
from jupyter_nq.errors import SourceNotFound, UnreadableSource
from tests.unit.bars.conftest import MakeFile, session_starts, written

STAMPS = written(session_starts("2024-07-08", 3), "UTC", "%Y-%m-%d %H:%M")


def damaged(make_file: MakeFile, rows: dict[int, str]) -> tuple[Path, Profile]:
    """Return a file in which some lines (the header is 1) are others, and the profile of the sound file."""
    path = make_file(STAMPS, name="NQ_30min.csv")
    profile = load_bars(path, tz="UTC", edge="start").profile
    lines = path.read_text().splitlines()
    for line, text in rows.items():
        lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")
    return path, profile


def test_a_sound_file_gives_the_strict_table(real_file: Path) -> None:
    """Bit for bit, with every line, at any size of block."""
    bars = load_bars(real_file)
    shares: list[float] = []
    for block_bytes in (4_321, 1 << 20):
        found = read_lenient(real_file, bars.profile, block_bytes=block_bytes, progress=shares.append)
        assert found.table.equals(bars.table)
        assert found.bad == ()
        assert found.lines.tolist() == list(range(2, 56_085))
        assert found.rows.tolist() == list(range(56_083))
    assert shares[-1] == 1.0


def test_the_stamps_of_bad_rows(make_file: MakeFile) -> None:
    """Starts of rows that have a stamp and are no bars, in UTC; a clock reading that is skipped or twice is none."""
    path, profile = damaged(
        make_file,
        {
            3: "2024-07-08 10:00,1,2,1,2,many",
            4: "x,1,2,1,2,many",
            5: "2024-03-10 02:30,1,2,1,,3",
            6: "2024-11-03 01:30,1,2,1,,3",
            7: "2024-11-03 12:30,1,2,1,x,3",
        },
    )
    assert read_lenient(path, profile).bad_starts.astype("M8[ns]").astype("M8[m]").tolist() == [
        datetime(2024, 3, 10, 2, 30), datetime(2024, 11, 3, 1, 30), datetime(2024, 11, 3, 12, 30),
        datetime(2024, 7, 8, 10),
    ]  # fmt: skip
    there = read_lenient(path, replace(profile, tz="America/New_York", edge="end"), block_bytes=200)
    assert sorted(there.bad_starts.astype("M8[ns]").astype("M8[m]").tolist()) == [
        datetime(2024, 7, 8, 13, 30), datetime(2024, 11, 3, 17),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "rule", "reason"),
    [
        ("nonsense", "columns", "the row has 1 columns, not 6"),
        ("2024-07-08 10:00,1,2,1", "columns", "the row has 4 columns, not 6"),
        ("2024-07-08 10:00,1,2,1,2,3,4", "columns", "the row has 7 columns, not 6"),
        ("<<<<<<< HEAD", "columns", "the row has 1 columns"),
        ("x,1,2,1,2,3", "missing stamp", "'x' is not a date and time in the layout YYYY-MM-DD HH:MM"),
        (",1,2,1,2,3", "missing stamp", "the stamp is empty"),
        ("2024/07/08 10:00,1,2,1,2,3", "missing stamp", "'2024/07/08 10:00' is not a date and time in the layout"),
        ("2024-07-08 25:00,1,2,1,2,3", "missing stamp", "'2024-07-08 25:00' is not"),
        ("2024-07-08 10:61,1,2,1,2,3", "missing stamp", "'2024-07-08 10:61' is not"),
        ("2024-02-30 10:00,1,2,1,2,3", "no such date", "there is no '2024-02-30 10:00'"),
        ("2024-13-01 10:00,1,2,1,2,3", "no such date", "there is no '2024-13-01 10:00'"),
        ("1024-07-08 10:00,1,2,1,2,3", "no such date", "there is no '1024-07-08 10:00'"),
        ("2024-07-08 10:00,,2,1,2,3", "empty cell", "Open is empty"),
        ("2024-07-08 10:00,1,2,1,2, ", "empty cell", "Volume is empty"),
        ("2024-07-08 10:00,1,NaN,1,2,3", "not finite", "High is 'NaN', not a finite number"),
        ("2024-07-08 10:00,1,2,-inf,2,3", "not finite", "Low is '-inf', not a finite number"),
        ("2024-07-08 10:00,1,2,1,1e999,3", "not finite", "Close is '1e999', not a finite number"),
        ("2024-07-08 10:00,1,two,1,2,3", "text", "High is 'two', not a number"),
        ("2024-07-08 10:00,1,0x10,1,2,3", "text", "High is '0x10', not a number"),
        ("2024-07-08 10:00,1,2,1,2,many", "text", "Volume is 'many', not a number"),
        ("2024-07-08 10:00,1,2,1,2,-3", "volume", "Volume is '-3', negative"),
        ("2024-07-08 10:00,1,2,1,2,3.5", "volume", "Volume is '3.5', not a whole number"),
        ("2024-07-08 10:00,1,2,1,2,9223372036854775808", "volume", "too large for 64 bits"),
        ("2024-07-08 10:00,1,2\0,1,2,3", "text", "the line is not UTF-8 text, or has NUL bytes"),
    ],
)
def test_each_damage_has_its_reason(make_file: MakeFile, text: str, rule: str, reason: str) -> None:
    """The row is told apart with line, text and reason, the strict reader refuses it, and the rest is whole."""
    path, profile = damaged(make_file, {42: text})
    found = read_lenient(path, profile)
    (bad,) = found.bad
    assert (bad.row, bad.line, bad.text, bad.rule) == (40, 42, text, rule)
    assert reason in bad.reason
    assert found.table.num_rows == len(STAMPS) - 1
    assert 42 not in found.lines
    with pytest.raises(UnreadableSource, match="line 42"):
        read_bars(path, profile)


def test_bytes_that_are_no_text(make_file: MakeFile) -> None:
    """One line in another encoding costs that line, wherever the block is cut."""
    path, profile = damaged(make_file, {})
    lines = path.read_bytes().splitlines(keepends=True)
    lines[9] = b"2024-07-08 03:00,1,2,1,2,\xe9\r\n"
    lines[10] = b"\n" + lines[10]
    path.write_bytes(b"".join(lines).removesuffix(b"\n"))
    for block_bytes in (64, 1 << 20):
        found = read_lenient(path, profile, block_bytes=block_bytes)
        assert [(bad.line, bad.rule) for bad in found.bad] == [(10, "text")]
        assert found.lines.tolist() == [*range(2, 10), *range(12, len(lines) + 2)], "the empty line is counted"
        assert found.rows.tolist() == [*range(8), *range(9, len(lines) - 1)]


def test_order_is_left_as_it_is(make_file: MakeFile) -> None:
    """Rows that go back or repeat are bars; the rules speak of them, not the reader."""
    row = ",100,101,99,100.25,7"
    path, profile = damaged(make_file, {9: STAMPS[3] + row, 12: STAMPS[9] + row})
    found = read_lenient(path, profile)
    assert found.bad == ()
    starts = found.table["timestamp"].cast(pa.int64()).to_numpy()
    assert np.flatnonzero(np.diff(starts) <= 0).tolist() == [6, 9]


def test_hours_that_a_clock_skips_or_repeats(make_file: MakeFile) -> None:
    """A reading in the hour that New York skips is no time; one that it has twice is told by order, or not at all."""
    sound = make_file(["2024-03-11 10:00", "2024-03-11 10:30"], name="BTC_30min.csv")
    profile = load_bars(sound, tz="America/New_York", edge="start").profile
    spring = make_file(["2024-03-10 01:30", "2024-03-10 02:30", "2024-03-10 03:00"], name="BTC_30min.csv")
    found = read_lenient(spring, profile)
    assert [(bad.line, bad.rule, bad.text[:16]) for bad in found.bad] == [(3, "skipped hour", "2024-03-10 02:30")]
    assert "went forward" in found.bad[0].reason
    autumn = ["2024-11-03 00:30", "2024-11-03 01:00", "2024-11-03 01:30", "2024-11-03 02:00"]
    found = read_lenient(make_file(autumn, name="BTC_30min.csv"), profile)
    assert [(bad.line, bad.rule) for bad in found.bad] == [(3, "repeated hour"), (4, "repeated hour")]
    twice = [*autumn[:3], *autumn[1:]]
    assert read_lenient(make_file(twice, name="BTC_30min.csv"), profile).bad == ()
    nothing = read_lenient(make_file(["x"], name="BTC_30min.csv"), profile)
    assert nothing.table.num_rows == 0


def test_stamps_with_an_offset(make_file: MakeFile) -> None:
    """They need no zone; one without is told apart."""
    stamps = [f"{stamp}:00.5+02:00" for stamp in STAMPS]
    path = make_file(stamps, name="NQ_30min.csv")
    profile = load_bars(path, tz="UTC", edge="start", symbol="BTC").profile
    assert read_lenient(path, profile).table.equals(read_bars(path, profile))
    stamps[7] = STAMPS[7]
    found = read_lenient(make_file(stamps, name="NQ_30min.csv"), profile)
    assert [bad.line for bad in found.bad] == [9]


def test_two_columns_for_one_role(tmp_path: Path) -> None:
    """Date and time are joined, up and down volume added; a sum that is too large is none."""
    path = tmp_path / "NQ_30min.csv"
    most = 2**62
    rows = [f'"01/15/2024","{at}",1,2,1,2,{most},{most - 1}' for at in ("10:00", "10:30", "11:00")]
    path.write_text("\n".join(["Date,Time,Open,High,Low,Close,Up,Down", *rows]) + "\n")
    profile = load_bars(path, tz="UTC", edge="start", timeframe="30min").profile
    assert read_lenient(path, profile).table.equals(read_bars(path, profile))
    path.write_text("\n".join(["Date,Time,Open,High,Low,Close,Up,Down", rows[0][:-1] + "9", *rows[1:]]) + "\n")
    assert [bad.rule for bad in read_lenient(path, profile).bad] == ["volume"]


def test_a_file_of_another_kind_is_refused(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a limit to what is collected."""
    path, profile = damaged(make_file, {})
    monkeypatch.setattr(lenient, "MOST_BAD", 3)
    path.write_text("x\n" * 9)
    with pytest.raises(UnreadableSource, match=r"more than 3 rows cannot be read, the last is line 5: the row has 1"):
        read_lenient(path, profile)
    with pytest.raises(SourceNotFound):
        read_lenient(path.with_name("none.csv"), profile)


def test_sound_lines_are_what_can_be_sniffed(make_file: MakeFile) -> None:
    """The header stays, and rows with a stamp that can be one."""
    path, _ = damaged(make_file, {3: "x", 4: "2024-02-30 10:00,1,2,1,2,3", 6: "2024-07-08 10:00Z,1,2,1,2,3"})
    kept = b"".join(sound_lines(path, detect_dialect(path), block_bytes=200)).decode().splitlines()
    lines = path.read_text().splitlines()
    assert kept == [line for i, line in enumerate(lines) if i not in (2, 3, 5)]


def test_codes_of_stamps() -> None:
    """Without a profile either order of day and month will do; values that only the scanner knows are left to it."""
    texts = pa.array(["13/01/2024 10:00", "01/13/2024 10:00", "13/13/2024 10:00", "1/2/2024 24:00", "", "2024"])
    assert Stamps(None).read(texts)[3].tolist() == [0, 0, NO_DATE, NO_STAMP, NO_STAMP, NO_STAMP]
    assert Stamps(["MM/DD/YYYY HH:MM"]).read(texts)[3].tolist()[:3] == [NO_DATE, 0, NO_DATE]
    compact = pa.array(["20240708 100000", "20240708 990000", "20240708 110000"])
    assert Stamps(["YYYYMMDD HHMMSS"]).read(compact)[3].tolist() == [0, NO_STAMP, 0]


def test_wrong_numbers_in_many_stamps_are_found_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block is read again once without them, however many they are."""
    blocks: list[int] = []
    scan = StampScanner.add

    def counted(self: StampScanner, stamps: pa.Array) -> None:
        blocks.append(len(stamps))
        scan(self, stamps)

    monkeypatch.setattr(StampScanner, "add", counted)
    texts = [f"2024-07-08 {hour:02d}:30 {half}" for half in ("AM", "PM") for hour in range(24)] * 50
    codes = Stamps(["YYYY-MM-DD HH:MM AM"]).read(pa.array(texts))[3].tolist()
    assert codes == [0 if 1 <= int(text[11:13]) <= 12 else NO_STAMP for text in texts]
    assert [size for size in blocks if size > 1] == [2400, 1200]


CELL = st.one_of(
    st.floats().map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.text(alphabet="0123456789+-.eE, \tnaifxX_", max_size=8),
)


def _strict(cell: str, decimal: str, role: str = "open") -> Any:
    """Return what the strict reader's own rule says of a cell."""
    from jupyter_nq.bars.reading.blocks import _number_reason

    return _number_reason(role, cell, decimal)


@settings(deadline=None, max_examples=300)
@given(st.lists(CELL, min_size=1, max_size=20))
def test_numbers_are_those_of_the_strict_reader(cells: list[str]) -> None:
    """The same cells are numbers, with the value that Python reads."""
    column = pa.array(cells, pa.string())
    values, codes = prices(column, ".")
    whole, count_codes = counts(column)
    for at, cell in enumerate(cells):
        assert (codes[at] == GOOD) == (_strict(cell, ".") is None)
        if codes[at] == GOOD:
            assert values[at] == float(cell)
        if count_codes[at] == GOOD:
            assert whole[at] == Fraction(cell)
        assert (codes[at] == EMPTY) == (not cell.strip(" \t"))
        assert (count_codes[at] == GOOD) == (_strict(cell, ".", "volume") is None)


def test_decimal_commas_and_codes() -> None:
    """A point is no decimal mark where a comma is."""
    values, codes = prices(pa.array(["1,5", "1.5", "1.000,5", "nan"]), ",")
    assert values.tolist() == [1.5, 0, 0, 0]
    assert codes.tolist() == [GOOD, TEXT, TEXT, NOT_FINITE]
    assert counts(pa.array(["7", "7.5", "-7", "x"]))[1].tolist() == [GOOD, NO_COUNT, NO_COUNT, TEXT]
