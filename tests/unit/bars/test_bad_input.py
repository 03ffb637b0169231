"""Bad input, case by case: what the strict reader refuses, in which words, and what a validation says of the rest.

The file is always the same, two weeks of 30-minute bars, with one thing wrong; `load_bars` either refuses it and says
what, where and what to do, or gives what the file says. `validate_file` keeps every sound row, and counts the others,
with reason and line. What is wrong with a file as a whole is in `test_bad_files`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_nq.bars import BAR_SCHEMA, load_bars
from jupyter_nq.bars.validation.validator import validate_file
from jupyter_nq.errors import AmbiguousStamps, UnreadableSource
from tests.unit.bars.conftest import HEADER, MakeFile, session_starts, written

STARTS = session_starts("2024-07-08", 10)
STAMPS = written(STARTS, "America/New_York")
LINE = 201
"""The line with the fault, counted from 1: behind the 64 KiB from which the form is found out it would be later."""
STAMP = STAMPS[LINE - 2]
TOLD = {"tz": "America/New_York", "edge": "start"}

Damaged = Callable[..., Path]


@pytest.fixture
def damaged(make_file: MakeFile) -> Damaged:
    """Give a function that writes the file with one line replaced, and returns its path."""

    def write(row: str | bytes, *, line: int = LINE) -> Path:
        path = make_file(STAMPS)
        lines = path.read_bytes().split(b"\n")
        lines[line - 1] = row if isinstance(row, bytes) else row.encode()
        path.write_bytes(b"\n".join(lines))
        return path

    return write


def refused(path: Path, *words: str, error: type[Exception] = UnreadableSource) -> str:
    """Load a file, which must be refused in all these words and with its path, and return the message."""
    with pytest.raises(error) as caught:
        load_bars(path, **TOLD)  # type: ignore[arg-type]
    message = str(caught.value)
    assert path.name in message
    for word in words:
        assert word in message
    return message


def reported(path: Path, rule: str, *words: str, bars: int = len(STAMPS) - 1) -> None:
    """Validate a file: one row breaks the rule, which is told with its line, and so many rows are bars."""
    report = validate_file(path, **TOLD)
    [finding] = [finding for finding in report.findings if finding.rule == rule]
    assert finding.count == 1
    assert LINE in finding.lines
    for word in words:
        assert word in str(finding)
    assert report.rows == bars


# -- form -----------------------------------------------------------------------------------------------------------
def test_3_a_byte_order_mark_is_no_part_of_the_first_name(make_file: MakeFile) -> None:
    """UTF-8 with a mark, as spreadsheets save it, is the same table."""
    path = make_file(STAMPS)
    table = load_bars(path, **TOLD).table  # type: ignore[arg-type]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_bars(path, **TOLD).table.equals(table)  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_4_utf_16_is_named(make_file: MakeFile, encoding: str) -> None:
    """The other usual encoding of spreadsheets is told, with the way out."""
    path = make_file(STAMPS)
    path.write_bytes(path.read_text().encode(encoding))
    what = "holds UTF-16 text" if encoding == "utf-16" else "holds binary data"
    refused(path, what, "UTF-8 CSV file")


def test_5_a_latin_1_byte_is_told_with_its_place(make_file: MakeFile) -> None:
    """A byte that is not UTF-8 is told with its line, its place in the file and its value."""
    path = make_file(STAMPS, header=HEADER.replace("Volume", "Volumen f\xfcr NQ"))
    data = path.read_text().encode("latin-1")
    path.write_bytes(data)
    refused(
        path, "line 1: the text is not UTF-8", f"byte {data.index(0xFC)} of the file is 0xfc", "Save the file as UTF-8."
    )


def test_6_a_row_in_another_encoding_is_told_with_its_line(damaged: Damaged) -> None:
    """Text that changes its encoding on the way is refused at the first line that is not UTF-8."""
    path = damaged(f"{STAMP},100,101,99,100,7\xa0".encode("latin-1"))
    refused(path, f"line {LINE}: the text is not UTF-8", "Save the file as UTF-8.")


def test_6_a_row_in_another_encoding_far_down(make_file: MakeFile) -> None:
    """Behind the part from which the form is found out, the line is told as well, and the other rows are bars."""
    stamps = written(session_starts("2024-01-08", 60), "America/New_York")
    path = make_file(stamps)
    lines = path.read_bytes().split(b"\n")
    lines[2499] = lines[2499] + "\xe9".encode("latin-1")
    path.write_bytes(b"\n".join(lines))
    refused(path, "line 2500: the text is not UTF-8", "Correct the line.")
    report = validate_file(path, **TOLD)
    [finding] = [finding for finding in report.findings if finding.rule == "text"]
    assert (finding.count, finding.lines, report.rows) == (1, (2500,), len(stamps) - 1)


def test_8_a_field_of_a_mebibyte_is_beyond_the_limit(damaged: Damaged) -> None:
    """A line longer than any row is told with its number and the limit, at once."""
    path = damaged(f"{STAMP},100,101,99,100,{'7' * (1 << 20)}")
    begin = time.monotonic()
    message = refused(path, f"line {LINE}: the line is longer than 64 KiB", "correct the line")
    assert time.monotonic() - begin < 10
    assert len(message) < 400
    assert "longer than 64 KiB" in str(validate_file(path, **TOLD).findings[0])


@pytest.mark.parametrize("names", [5_000, 10_000, 20_000])
def test_9_ten_thousand_columns_are_refused_at_once(make_file: MakeFile, names: int) -> None:
    """A table of thousands of columns is refused in a short message, within a second of work."""
    path = make_file(["1"], header=",".join(f"c{i}" for i in range(names)), row=",".join(["1"] * (names - 1)))
    begin = time.process_time()
    what = {
        5_000: "no column for timestamp",
        10_000: "has 10,000 columns",
        20_000: "line 1: the line is longer than 64",
    }
    message = refused(path, what[names])
    assert time.process_time() - begin < 1
    assert len(message) < 1500


def test_10_a_name_that_stands_twice_in_the_header_is_refused(make_file: MakeFile) -> None:
    """Which of two columns is meant is not guessed."""
    path = make_file(STAMPS, header=HEADER.replace("Low", "Close"))
    refused(path, "'close' twice", "Rename the one that is not meant")


def test_11_a_missing_column_is_told_with_those_that_are_there(make_file: MakeFile) -> None:
    """The message lists the columns that were found, and the names that are understood."""
    path = make_file(STAMPS, header=HEADER.replace("High", "Bid").replace("Low", "Ask"))
    refused(
        path,
        "'Timestamp, Open, Bid, Ask, Close, Volume' has no column for high and low",
        "high/h/hi, low/llow/l",
        "profile={'columns': ",
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [("{},100,101,99,100", "the row has 5 columns, not 6"), ("{},100,101,99,100,7,8", "the row has 7 columns, not 6")],
    ids=["12 short", "13 long"],
)
def test_12_13_short_and_long_rows_are_refused(damaged: Damaged, row: str, reason: str) -> None:
    """A row with other columns is refused with its line and text, and never moved to fit."""
    path = damaged(row.format(STAMP))
    refused(path, f"line {LINE}: {reason}", STAMP, "Correct the line.")
    reported(path, "columns", reason)


def test_14_a_quote_that_is_not_closed_is_refused(damaged: Damaged) -> None:
    """A quote ends in its line: what follows is not swallowed, and nothing hangs."""
    path = damaged(f'"{STAMP},100,101,99,100,7')
    refused(path, f"line {LINE}: a quote is not closed", "Correct the line.")
    reported(path, "columns", "a quote is not closed")


def test_15_decimal_commas_are_understood_or_hinted_at(damaged: Damaged, make_file: MakeFile) -> None:
    """Commas as decimal marks are found out with `;`; one late comma is told with the answer to pass."""
    path = damaged("")
    text = path.read_text()
    path.write_text(text.replace(",", ";").replace("100.25", "100,25"))
    assert set(load_bars(path, **TOLD).table["close"].to_pylist()) == {100.25}  # type: ignore[arg-type]
    path = make_file(STAMPS, row="100;101;99;100;7", header=HEADER.replace(",", ";"))
    path.write_text(path.read_text().replace(",1", ";1"))
    lines = path.read_text().split("\n")
    lines[LINE - 1] = lines[LINE - 1].replace("101", "101,5")
    path.write_text("\n".join(lines))
    refused(
        path, f"line {LINE}: High is '101,5', not a finite number, where the decimal mark is '.'", "{'decimal': ','}"
    )
    reported(path, "text")


def test_15_decimal_commas_between_commas_are_hinted_at(damaged: Damaged) -> None:
    """A row whose prices fall apart at their decimal commas is told with the way out."""
    refused(
        damaged(f"{STAMP},100,25,101,5,99,0,100,25,7"),
        f"line {LINE}: the row has 10 columns, not 6, as if prices had decimal commas",
        "export it with another delimiter",
    )


def test_21_the_mark_of_a_merge_is_refused(damaged: Damaged) -> None:
    """A line that version control left in the file is refused with its text."""
    path = damaged("<<<<<<< HEAD")
    refused(path, f"line {LINE}: the row has 1 columns, not 6", "'<<<<<<< HEAD'", "Correct the line.")
    reported(path, "columns", "1 row")


@pytest.mark.parametrize("ends", [["\r\n"], ["\r"], ["\n", "\r\n", "\r"]], ids=["CRLF", "CR", "mixed"])
def test_22_ends_of_lines_of_any_system_are_the_same(make_file: MakeFile, ends: list[str]) -> None:
    """A file with other ends of lines, also mixed, gives the same bars."""
    path = make_file(STAMPS)
    table = load_bars(path, **TOLD).table  # type: ignore[arg-type]
    lines = path.read_text().splitlines()
    path.write_bytes("".join(line + ends[i % len(ends)] for i, line in enumerate(lines)).encode())
    assert load_bars(path, **TOLD).table.equals(table)  # type: ignore[arg-type]
    assert validate_file(path, **TOLD).rows == len(STAMPS)


# -- numbers --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("row", "reason", "rule"),
    [
        ("{},100,101,99,10\0,7", "the line has NUL bytes", "text"),
        ("{},inf,101,99,100,7", "Open is 'inf', not a finite number", "not finite"),
        ("{},100,101,1e400,100,7", "Low is '1e400', ", "not finite"),
        ("{},100,NaN,99,100,7", "High is 'NaN', not a finite number", "not finite"),
        ("{},100,,99,100,7", "High is empty", "empty cell"),
        ("{},100,101,99,100,-7", "Volume is -7, negative", "volume"),
        ("{},100,101,99,abc,7", "Close is 'abc', not a ", "text"),
        ("{},100,101,99,100,9223372036854775808", "Volume is 9223372036854775808, too large for 64 bits", "volume"),
    ],
    ids=["7 NUL", "16 inf", "16 1e400", "17 NaN", "17 empty", "18 negative volume", "20 text", "32 volume of 2**63"],
)
def test_cells_that_are_no_numbers_are_refused(damaged: Damaged, row: str, reason: str, rule: str) -> None:
    """The strict reader stops at the line; a validation counts the row under its rule, and nothing turns to text."""
    path = damaged(row.format(STAMP))
    words = reason.removesuffix("not a ").removesuffix(", ")
    refused(path, f"line {LINE}: {words}", STAMP, "Correct the line.")
    reported(path, rule)
    assert load_bars(damaged(f"{STAMP},100,101,99,100,7"), **TOLD).table.schema == BAR_SCHEMA  # type: ignore[arg-type]


def test_19_a_high_below_the_low_is_no_fault_of_the_form(damaged: Damaged) -> None:
    """The bar is kept as it is written, flagged, named with its line, and an error of the validation."""
    path = damaged(f"{STAMP},100,99,101,100,7")
    bars = load_bars(path, **TOLD)  # type: ignore[arg-type]
    assert bars.table.num_rows == len(STAMPS)
    assert any("high or low" in sentence and f"line {LINE}" in sentence for sentence in bars.evidence)
    reported(path, "ohlc order", "high or low", bars=len(STAMPS))
    assert not validate_file(path, **TOLD).is_valid


def test_17_a_missing_price_can_be_dropped_and_is_counted(damaged: Damaged) -> None:
    """What is done with such a row is asked for, and told with the number of rows."""
    report = validate_file(damaged(f"{STAMP},100,NaN,99,100,7"), actions={"not finite": "drop"}, **TOLD)
    assert report.table is not None
    assert report.table.num_rows == len(STAMPS) - 1
    assert re.search(rf"1 row .*line {LINE}.*dropped", " ".join(report.handled))


# -- stamps are in test_bad_stamps ------------------------------------------------------------------------------------
def test_30_days_and_months_that_could_be_either_are_asked_for(make_file: MakeFile) -> None:
    """Dates without a number above 12 are a question with both readings, never a silent month first."""
    stamps = ["01/02/2024 10:00", "01/02/2024 10:30", "01/02/2024 11:00"]
    words = ("day_first=True", "2024-02-01", "2024-01-02", "Pass day_first=True or day_first=False.")
    refused(make_file(stamps), *words, error=AmbiguousStamps)
