"""Bars that break a rule are kept and flagged; those that cannot be real are named with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_nq.bars import FLAT, NOT_POSITIVE, OHLC_ORDER, ZERO_VOLUME, Bars, load_bars
from tests.unit.bars.conftest import MakeFile, session_starts, written

STAMPS = written(session_starts("2024-07-08", 5), "UTC", "%Y-%m-%d %H:%M")


def load(make_file: MakeFile, rows: dict[int, str], name: str = "NQ_30min.csv") -> Bars:
    """Return good bars with other numbers in some lines; lines count from 1, the header's."""
    path: Path = make_file(STAMPS, name=name)
    lines = path.read_text().splitlines()
    for line, numbers in rows.items():
        lines[line - 1] = f"{STAMPS[line - 2]},{numbers}"
    path.write_text("\n".join(lines) + "\n")
    return load_bars(path, tz="UTC", edge="start")


def flags(bars: Bars) -> dict[int, int]:
    """Return the flags that are not 0, by line."""
    return {row + 2: flag for row, flag in enumerate(bars.table["flags"].to_pylist()) if flag}


def rows_evidence(bars: Bars) -> list[str]:
    """Return the evidence about single bars."""
    return [line for line in bars.evidence if line.startswith("rows:")]


@pytest.mark.parametrize(
    ("numbers", "flag"),
    [
        ("100,101,99,100,7", 0),
        ("100,100,99,100,7", 0),
        ("100,100,100,100,7", FLAT),
        ("100,101,99,100,0", ZERO_VOLUME),
        ("100,100,100,100,0", FLAT | ZERO_VOLUME),
        ("100,99.75,99,99.5,7", OHLC_ORDER),
        ("99.5,99.75,99,100,7", OHLC_ORDER),
        ("100,101,100.25,101,7", OHLC_ORDER),
        ("101,101,100.25,100,7", OHLC_ORDER),
        ("100,99,101,100,7", OHLC_ORDER),
        ("100,101,0,100,7", NOT_POSITIVE),
        ("-1,-1,-1,-1,7", NOT_POSITIVE | FLAT),
        ("100,101,99,-100,0", NOT_POSITIVE | OHLC_ORDER | ZERO_VOLUME),
    ],
)
def test_a_bar_has_a_bit_for_every_rule_that_it_breaks(make_file: MakeFile, numbers: str, flag: int) -> None:
    """The bits are independent, and the row stays as it is in the file."""
    bars = load(make_file, {42: numbers})
    assert flags(bars) == ({42: flag} if flag else {})
    row = bars.table.slice(40, 1).to_pylist()[0]
    assert [row[name] for name in ("open", "high", "low", "close", "volume")] == [float(n) for n in numbers.split(",")]
    assert len(rows_evidence(bars)) == (flag & (OHLC_ORDER | NOT_POSITIVE)).bit_count()


def test_impossible_bars_are_named_with_their_lines(make_file: MakeFile) -> None:
    """One sentence per rule: how many, and the first three lines."""
    assert rows_evidence(load(make_file, {})) == []
    assert rows_evidence(load(make_file, {42: "100,99,99,100,7"})) == [
        "rows: 1 bar has a high or low that does not contain open and close, in line 42; flag 4"
    ]
    bars = load(make_file, {97: "100,99,99,100,7", 42: "100,99,99,100,7", 50: "100,101,0,100,7"})
    assert rows_evidence(bars) == [
        "rows: 2 bars have a high or low that does not contain open and close, in lines 42 and 97; flag 4",
        "rows: 1 bar has a price of zero or below, in line 50; flag 8",
    ]
    many = load(make_file, dict.fromkeys((9, 3, 5, 7), "1,2,0,1,1"))
    assert rows_evidence(many) == ["rows: 4 bars have a price of zero or below, first in lines 3, 5 and 7; flag 8"]


@pytest.mark.parametrize("name", ["CL_30min.csv", "FDAX_30min.csv"])
def test_prices_below_zero_can_be_real(make_file: MakeFile, name: str) -> None:
    """Oil fell to -37.63 dollars in 2020, and of an instrument that is not known nothing is claimed."""
    bars = load(make_file, {42: "-10,-9,-37.63,-30,7"}, name)
    assert flags(bars) == {}
    assert rows_evidence(bars) == []
