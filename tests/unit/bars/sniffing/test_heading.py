"""What may stand above the rows of a table, and numbers with separators of thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.reading.chunks import iterate
from jupyter_nq.bars.reading.lenient import read_lenient
from jupyter_nq.bars.reading.reader import read_bars
from jupyter_nq.errors import UnreadableSource
from tests.unit.bars.conftest import HEADER, MakeFile, session_starts, written

STARTS = session_starts("2024-02-20", 45)
STAMPS = written(STARTS, "UTC")
YAHOO = written(STARTS, "UTC", "%Y-%m-%d %H:%M:%S+00:00")


@pytest.mark.parametrize(
    ("titles", "told"),
    [
        (["NQ 30 min continuous"], "titles: 1 line above the table not read, 'NQ 30 min continuous'"),
        (
            ["NQ, CME, 30 min", "", "exported by somebody"],
            "titles: 2 lines above the table not read, 'NQ, CME, 30 min'",
        ),
        (['"half a quote'], "titles: 1 line above the table not read, '\"half a quote'"),
    ],
)
def test_titles_are_skipped_and_counted(make_file: MakeFile, titles: list[str], told: str) -> None:
    """Lines that can be no row stand above the header or the rows; every reader leaves them out."""
    expected = load_bars(make_file(STAMPS)).table
    for header in (HEADER, None):
        path = make_file(STAMPS, header="\n".join([*titles, *([header] if header else [])]))
        bars = load_bars(path)
        assert bars.table.equals(expected)
        assert told in bars.evidence
        assert read_lenient(path, bars.profile).table.equals(expected)
        assert read_bars(path, bars.profile, settings={"small_bytes": 0, "part_bytes": 5000}).equals(expected)
        assert sum(batch.num_rows for batch in iterate(path, bars.profile, rows=99, block_bytes=999)) == len(STAMPS)


def test_a_broken_first_row_is_no_title(make_file: MakeFile) -> None:
    """A row that lost its prices has a stamp: it is refused, not left out."""
    with pytest.raises(UnreadableSource):
        load_bars(make_file(STAMPS[1:], header=f"{STAMPS[0]},100,101"))


@pytest.mark.parametrize("first", ["Price", "Ticker"])
def test_the_header_of_yfinance_has_three_lines(make_file: MakeFile, first: str) -> None:
    """Names, tickers and the index's name, in the order of either version, and the evidence names the ticker."""
    lines = {"Price": "Price,Close,High,Low,Open,Volume", "Ticker": "Ticker,NQ=F,NQ=F,NQ=F,NQ=F,NQ=F"}
    second = next(name for name in lines if name != first)
    header = "\n".join([lines[first], lines[second], "Datetime,,,,,"])
    path = make_file(YAHOO, header=header, row="100.25,101,99,100,7")
    bars = load_bars(path)
    assert bars.table.equals(load_bars(make_file(STAMPS)).table)
    assert "header: 3 lines, as yfinance writes them, of the ticker NQ=F" in bars.evidence
    assert any(line.startswith("vendor: looks like Yahoo") for line in bars.evidence)
    path = make_file(YAHOO, header=header, row="100.25,101,99,100,7")
    assert load_bars(path, profile="yahoo").table.equals(bars.table)
    assert load_bars(path, profile=bars.profile).table.equals(bars.table)


def test_two_tickers_are_refused(make_file: MakeFile) -> None:
    """The columns of several tickers are no one series."""
    header = "Price,Close,Close,High,Low,Open,Volume\nTicker,ES=F,NQ=F,NQ=F,NQ=F,NQ=F,NQ=F\nDatetime,,,,,,"
    with pytest.raises(UnreadableSource, match=r"holds 2 tickers, ES=F, NQ=F. Export one of them by itself"):
        load_bars(make_file(YAHOO, header=header, row="1,100.25,101,99,100,7"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            '"9,785.50",9786,9785,9786,7',
            r"'9,785.50', not a finite number.*separates thousands export the file without",
        ),
        ('"9,785",9786,9785,9786,7', r"separates thousands export the file without it; if all have ',' pass profile"),
        ('9785,9786,9785,9786,"1,234"', r"'1,234', not a whole number; if ',' separates thousands export"),
    ],
)
def test_separators_of_thousands_are_refused_with_what_to_do(make_file: MakeFile, row: str, message: str) -> None:
    """They are never read as something else."""
    with pytest.raises(UnreadableSource, match=message):
        load_bars(make_file(STAMPS, row=row))


def test_a_comma_before_three_digits_is_a_question(tmp_path: Path) -> None:
    """In a table with semicolons it may be the decimal mark; said or shown by another price, it is read."""
    path = tmp_path / "NQ_30min.csv"

    def write(row: str) -> Path:
        path.write_text("\n".join([HEADER.replace(",", ";"), *(f"{stamp};{row}" for stamp in STAMPS)]) + "\n")
        return path

    with pytest.raises(
        UnreadableSource, match=r"'16,019' have a comma before three digits.*profile=\{'decimal': ','\}"
    ):
        load_bars(write("16,019;16,020;16,018;16,019;7"))
    assert load_bars(path, profile={"decimal": ","}).table["open"][0].as_py() == 16.019
    assert load_bars(write("16,019;16,02;16,018;16,019;7")).table["open"][0].as_py() == 16.019


def test_a_point_before_three_digits_is_a_question_off_the_tick(tmp_path: Path) -> None:
    """In a table with semicolons it may separate thousands; said, or on the tick as it stands, it is the mark."""

    def write(symbol: str, row: str) -> Path:
        path = tmp_path / f"{symbol}_30min.csv"
        path.write_text("\n".join([HEADER.replace(",", ";"), *(f"{stamp};{row}" for stamp in STAMPS)]) + "\n")
        return path

    path = write("YM", "34.002;34.015;33.998;34.007;7")
    with pytest.raises(UnreadableSource, match=r"'34.002' have a point before three digits.*YM's tick 1, as they"):
        load_bars(path)
    assert load_bars(path, profile={"decimal": "."}).table["open"][0].as_py() == 34.002
    with pytest.raises(UnreadableSource, match=r"NQ's tick 0.25"):
        load_bars(write("NQ", "18.503;18.511;18.500;18.507;7"))
    for symbol, row in (("NQ", "18.500;18.750;18.250;18.500;7"), ("ZB", "114.156;114.188;114.031;114.094;7"),
                        ("NQ", "18.503;18.511;18.5;18.507;7"), ("NG", "2.503;2.511;2.501;2.507;7")):  # fmt: skip
        assert load_bars(write(symbol, row), tz="UTC", edge="start").table["open"][0].as_py() == float(
            row.split(";")[0]
        )


def test_a_file_without_volumes_says_what_is_missing(make_file: MakeFile) -> None:
    """The message names the column and what can be done."""
    with pytest.raises(
        UnreadableSource, match=r"no column for volume. If the file has no volumes, export it with them"
    ):
        load_bars(make_file(STAMPS, header="Timestamp,Open,High,Low,Close", row="100,101,99,100.25"))
