"""Rows that cannot be read stop the reading with their line; other forms of tables are read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_nq.bars import BAR_SCHEMA, load_bars, read_bars, sniff
from jupyter_nq.errors import SourceNotFound, UnreadableSource
from tests.unit.bars.conftest import HEADER, MakeFile, seconds, session_starts, written

ISO = "%Y-%m-%d %H:%M"
STARTS = session_starts("2024-07-08", 5)
STAMPS = written(STARTS, "UTC", ISO)
GOOD = "100,101,99,100.25,7"


def with_row(make_file: MakeFile, row: str, line: int = 5) -> Path:
    """Return a file of good rows in which one line is replaced."""
    path = make_file(STAMPS)
    lines = path.read_text().splitlines()
    lines[line - 1] = row
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"{STAMPS[3]},100,101,99,,7", "Close is empty"),
        (f"{STAMPS[3]},100,NaN,99,100,7", "High is 'NaN', not a finite number"),
        (f"{STAMPS[3]},inf,101,99,100,7", "Open is 'inf', not a finite number"),
        (f"{STAMPS[3]},100,101,1e999,100,7", "Low is '1e999', too large"),
        (f"{STAMPS[3]},100,101,99,abc,7", "Close is 'abc'"),
        (f"{STAMPS[3]},100,101,99,100,-7", "Volume is -7, negative"),
        (f"{STAMPS[3]},100,101,99,100,7.5", "Volume is '7.5', not a whole number"),
        (f"{STAMPS[3]},100,101,99,100,9223372036854775808", "too large for 64 bits"),
        (f"{STAMPS[3]},100,101,99,100,0x10", "Volume is '0x10', not a whole number"),
        (f"{STAMPS[3]},100,101,99,100,0XfF", "Volume is '0XfF', not a whole number"),
        (f"{STAMPS[3]},100,101,99,100,+7", "Volume is '+7', not a whole number"),
        (f"{STAMPS[3]},100,101,99,100,\u0663", "not a whole number"),
        (f"{STAMPS[3]},100,101,99,100,", "Volume is empty"),
        (f"{STAMPS[3]},100,101,99,100", "the row has 5 columns, not 6"),
        (f"{STAMPS[3]},100,101,99,100,7,8", "the row has 7 columns, not 6"),
        ("31/02/2024 10:00," + GOOD, "31/02/2024"),
        ("2024-02-31 10:00," + GOOD, "month 2 of 2024 has no day 31"),
        ("," + GOOD, "the stamp is empty"),
    ],
)
@pytest.mark.parametrize("block_bytes", [4096, 512 << 10])
def test_a_bad_row_is_named_with_line_and_text(make_file: MakeFile, row: str, reason: str, block_bytes: int) -> None:
    """The error has file, line, reason and text, whatever the block size."""
    path = with_row(make_file, row, line=201)
    with pytest.raises(UnreadableSource) as caught:
        load_bars(path, block_bytes=block_bytes)
    text = str(caught.value)
    assert reason in text
    assert "line 201:" in text
    assert row in text
    assert path.name in text


@pytest.mark.parametrize("tail", ["100,101,99,100,7\0\0\0", "100,101,99,100,7\0008", "100,101,99,10\0,7"])
@pytest.mark.parametrize("copies", [1, 20])
def test_numbers_cut_by_nul_bytes_are_refused(make_file: MakeFile, tail: str, copies: int) -> None:
    """A NUL byte in a number is refused with its line, in the first lines and far below."""
    path = make_file(STAMPS * copies)
    last = path.read_text().count("\n") + 1
    path.write_text(path.read_text() + f"2024-07-13 10:00,{tail}")
    with pytest.raises(UnreadableSource, match=f"line {last}: the line has NUL bytes"):
        load_bars(path, tz="UTC", edge="start")


def test_a_tail_of_nul_bytes_is_refused(make_file: MakeFile) -> None:
    """Space that was allocated and never written is no row."""
    path = make_file(STAMPS * 20)
    path.write_bytes(path.read_bytes() + bytes(4096))
    with pytest.raises(UnreadableSource, match="line 4602: the line has NUL bytes"):
        load_bars(path)


def test_numbers_may_have_blanks_around_them(make_file: MakeFile) -> None:
    """Blanks and leading zeros do not change a number."""
    table = load_bars(with_row(make_file, f"{STAMPS[3]}, 100,101 ,99,100,\t007 ")).table
    assert table["volume"].to_pylist()[3] == 7


def test_empty_lines_count_as_lines(make_file: MakeFile) -> None:
    """Empty lines are passed over but counted, so that the number is the editor's."""
    path = make_file(STAMPS)
    path.write_text(
        path.read_text().replace(f"{STAMPS[1]},", f"\n\n{STAMPS[1]},").replace(f"{STAMPS[9]},100,", f"{STAMPS[9]},x,")
    )
    with pytest.raises(UnreadableSource, match="line 13: Open is 'x'"):
        load_bars(path)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([*STAMPS[:20], STAMPS[19], *STAMPS[20:]], "line 22 .* repeats the line before it"),
        ([*STAMPS[:20], STAMPS[18], *STAMPS[20:]], "line 22 .* goes back behind the line before it"),
    ],
)
def test_stamps_that_do_not_increase_are_refused(make_file: MakeFile, rows: list[str], text: str) -> None:
    """A repeated or backward stamp is named, and nothing is sorted or dropped."""
    with pytest.raises(UnreadableSource, match=text) as caught:
        load_bars(make_file(rows), tz="UTC", edge="start")
    assert "in 1 of 231 rows" in str(caught.value)


def test_exact_copies_are_only_to_be_removed(make_file: MakeFile) -> None:
    """Another zone or day order cannot put right a line that stands there twice, so none is asked for."""
    twice = [*STAMPS[:20], STAMPS[19], *STAMPS[20:30], STAMPS[29], *STAMPS[30:]]
    with pytest.raises(UnreadableSource, match=r"in 2 of 232 rows.*They are the same lines: keep one each\.$"):
        load_bars(make_file(twice), tz="UTC", edge="start")
    path = make_file([*STAMPS[:20], STAMPS[19], *STAMPS[20:]])
    with pytest.raises(UnreadableSource, match=r"It is the same line twice: remove one\.$"):
        load_bars(path, tz="UTC", edge="start")
    with pytest.raises(UnreadableSource, match="or pass day_first=, tz="):
        load_bars(with_row(make_file, f"{STAMPS[2]},100,101,99,100,8"), tz="UTC", edge="start")


def test_the_schema_is_canonical(make_file: MakeFile) -> None:
    """The table has the canonical schema, in one chunk, without nulls."""
    table = load_bars(make_file(STAMPS)).table
    assert table.schema.equals(BAR_SCHEMA)
    assert all(table[name].num_chunks == 1 and table[name].null_count == 0 for name in table.column_names)


# -- forms of tables ---------------------------------------------------------------------------------
def read(path: Path) -> tuple[list[int], list[object]]:
    """Return the starts and the last row's numbers of a file."""
    table = load_bars(path, symbol="NQ").table
    starts = [value // 1_000_000_000 for value in table["timestamp"].cast("int64").to_pylist()]
    last = table.slice(table.num_rows - 1).to_pylist()[0]
    return starts, [last[name] for name in ("open", "high", "low", "close", "volume")]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Timestamp,Open,High,Llow,Close,Volume", GOOD),
        ("DateTime,Open,High,Low,Last,Vol", GOOD),
        ("\ufefftime,O,H,L,C,V,Extra", GOOD + ",text"),
        ('"Date","Open","High","Low","Close","Up","Down"', "100,101,99,100.25,3,4"),
    ],
)
def test_headers_of_vendors(make_file: MakeFile, header: str, row: str) -> None:
    """Misspelt, renamed, quoted and split columns are understood."""
    assert read(make_file(STAMPS, header=header, row=row)) == (seconds(STARTS), [100.0, 101.0, 99.0, 100.25, 7])


def test_date_and_time_in_two_columns(make_file: MakeFile) -> None:
    """A separate date and time are one stamp; a semicolon and a decimal comma are understood."""
    stamps = written(STARTS, "UTC", "%d/%m/%Y;%H:%M")
    path = make_file(stamps, header="Date;Time;Open;High;Low;Close;Volume", row="").with_suffix(".txt")
    path.write_text(
        "Date;Time;Open;High;Low;Close;Volume\r\n" + "".join(f"{s};100;101;99;100,25;7\r\n" for s in stamps)
    )
    assert read(path) == (seconds(STARTS), [100.0, 101.0, 99.0, 100.25, 7])
    profile = sniff(path, symbol="NQ").profile
    assert (profile.delimiter, profile.decimal, profile.columns["timestamp"]) == (";", ",", ("Date", "Time"))


def test_a_table_without_header(make_file: MakeFile) -> None:
    """Six or seven columns without a header are stamp, prices, volume."""
    path = make_file(STAMPS)
    path.write_text("".join(f"{stamp},{GOOD}\n" for stamp in STAMPS))
    assert read(path) == (seconds(STARTS), [100.0, 101.0, 99.0, 100.25, 7])
    path.write_text("".join(f"{stamp.replace(' ', '|')}|{GOOD.replace(',', '|')}\n" for stamp in STAMPS))
    assert read(path)[0] == seconds(STARTS)
    path.write_text("".join(f"{stamp},{GOOD},1,2\n" for stamp in STAMPS))
    with pytest.raises(UnreadableSource, match="no header and 8 columns"):
        load_bars(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\x1f\x8b\x08\x00", "compressed data are damaged or cut off"),
        (b"PK\x03\x04rest", "compressed data are damaged or cut off"),
        ("Zeit".encode("utf-16"), "UTF-16"),
        (b"a,b\x00c", "binary data"),
        (b"Timestamp,Open,High,Low,Close,Volume\n", "a header and no rows"),
        (b"Timestamp,Open,High,Low,Close,Volume\n2024-07-08 10:00,1,2,3,4,\xff\n", "line 2: the text is not UTF-8"),
        (b"hello\nworld\n", "not a row of a table of bars"),
        (b"Timestamp,Open,High,Close,Volume\n1,2,3,4,5\n", "no column for low"),
        (b"When,Open,High,Low,Close,Volume\n1,2,3,4,5,6\n", "no column for timestamp"),
        (b"Timestamp,Open,Open,High,Low,Close,Volume\n1,2,3,4,5,6,7\n", "names 'open' twice"),
    ],
)
def test_what_is_no_table_of_bars(tmp_path: Path, content: bytes, reason: str) -> None:
    """Each wrong file is told what it is and what to do."""
    path = tmp_path / "NQ_30min.csv"
    path.write_bytes(content)
    with pytest.raises(UnreadableSource, match=reason) as caught:
        load_bars(path)
    assert str(path) in str(caught.value)


def test_a_late_byte_that_is_not_utf8(make_file: MakeFile) -> None:
    """A wrong byte far below the first lines is found with its line."""
    path = make_file([*STAMPS * 20])
    path.write_bytes(path.read_bytes() + b"\xff\xfe,1,2,3,4,5\n")
    with pytest.raises(UnreadableSource, match=r"line 4602: .*not (UTF-8|a date)"):
        load_bars(path)


def test_missing_files(tmp_path: Path) -> None:
    """A file that is not there is not found; a directory is no file."""
    with pytest.raises(SourceNotFound, match="does not exist"):
        load_bars(tmp_path / "NQ_30min.csv")
    with pytest.raises(UnreadableSource, match="is a directory"):
        load_bars(tmp_path)


def test_a_profile_reads_alone(make_file: MakeFile) -> None:
    """A profile reads the same table again and asks nothing; its fields can be overridden; it can be kept as JSON."""
    path = make_file(STAMPS)
    bars = load_bars(path)
    assert read_bars(path, bars.profile).equals(bars.table)
    later = read_bars(path, replace(bars.profile, tz="UTC+3"))
    assert later["timestamp"][0].as_py() < bars.table["timestamp"][0].as_py()
    kept = json.loads(json.dumps(bars.profile.to_dict()))
    assert (kept["tz"], kept["columns"]["low"]) == ("UTC", ["Low"])


def test_a_profile_refuses_what_it_does_not_describe(make_file: MakeFile) -> None:
    """A layout that the profile does not have is refused with its line, and so is a file that is gone."""
    path = make_file(STAMPS)
    profile = sniff(path).profile
    path.write_text(path.read_text() + f"13/07/2024 10:00,{GOOD}\n")
    with pytest.raises(
        UnreadableSource, match=r"line 232: the stamp is in none of the profile's layouts YYYY-MM-DD HH:MM"
    ):
        read_bars(path, profile)
    path.write_text(HEADER + "\n")
    with pytest.raises(UnreadableSource, match="no rows"):
        read_bars(path, profile)
    path.unlink()
    with pytest.raises(SourceNotFound, match="does not exist"):
        read_bars(path, profile)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["13/32/2024," + GOOD], "line 232: '13/32/2024' is|line 232: the stamp is in none"),
        ([f"2024-07-13 25:00,{GOOD}"], "line 232: there is no hour 25"),
        ([f"2024-07-13 10:00,x{GOOD}", f"tomorrow,{GOOD}"], "line 232: Open is 'x100'"),
        ([f"2024-07-13 10:00,{GOOD}", f"tomorrow,{GOOD}"], "line 233: 'tomorrow' is not a date"),
    ],
)
def test_a_file_that_grew_wrong_is_refused(make_file: MakeFile, rows: list[str], reason: str) -> None:
    """A known profile finds the first bad line of a file that changed since."""
    path = make_file(STAMPS)
    profile = sniff(path).profile
    path.write_text(path.read_text() + "\n".join(rows) + "\n")
    with pytest.raises(UnreadableSource, match=reason):
        read_bars(path, profile)


def test_skipped_hours_name_the_line(make_file: MakeFile) -> None:
    """A time that the given zone's clock never shows is refused with the line and a remedy."""
    path = make_file(["2024-03-10 01:00", "2024-03-10 01:30", "2024-03-10 02:00"])
    with pytest.raises(UnreadableSource, match=r"line 4: 2024-03-10 02:00:00 does not exist in America/New_York.*tz="):
        load_bars(path, tz="America/New_York", edge="start")


def test_volumes_that_do_not_fit_together(make_file: MakeFile) -> None:
    """Up and down volume whose sum overflows is refused."""
    big = str(2**62)
    path = make_file(STAMPS, header="Date,Open,High,Low,Close,Up,Down", row=f"100,101,99,100,{big},{big}")
    with pytest.raises(UnreadableSource, match="do not fit into 64 bits"):
        load_bars(path)


def test_a_file_that_may_be_unfinished_is_named(make_file: MakeFile) -> None:
    """Without a line break at its end the last volume may be cut: the rows are read, and the evidence says so."""
    path = make_file(STAMPS)
    assert not any(line.startswith("end:") for line in load_bars(path).evidence)
    path.write_text(path.read_text().rstrip("\n"))
    loaded = load_bars(path)
    assert loaded.table.num_rows == len(STAMPS)
    assert any("still being written" in line for line in loaded.evidence)


def test_prices_in_billionths_are_refused(make_file: MakeFile) -> None:
    """They would be bars a billion times too dear; the message says how to export points."""
    path = make_file(
        ["2024-06-12 10:00:00", "2024-06-12 10:30:00"],
        row="15000000000000,15001000000000,14999000000000,15000250000000,7",
    )
    with pytest.raises(UnreadableSource, match=r"lowest price is 14,999,000,000,000; .*pretty_px"):
        load_bars(path, tz="America/New_York", edge="start")
