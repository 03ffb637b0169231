"""Volumes that are whole numbers in the notation of fractions: the same on every path, and fractions refused."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.reading import cells
from jupyter_nq.bars.reading.cells import whole_digits
from jupyter_nq.bars.reading.chunks import iterate
from jupyter_nq.bars.reading.lenient import read_lenient
from jupyter_nq.bars.reading.reader import read_bars
from jupyter_nq.errors import UnreadableSource
from tests.unit.bars.conftest import HEADER, session_starts, written

STAMPS = written(session_starts("2024-02-20", 45), "UTC")
FORMS = ("{0}.0", "{0}.", "{0}.00", "{0}e0", "{0}0E-1", "00{0}", " {0}.0 ", "{0}")


def test_examples() -> None:
    """The examples in the docstrings are true."""
    assert doctest.testmod(cells).failed == 0


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("1e3", "1000"), ("1E+03", "1000"), ("1.5e1", "15"), (".5e1", "5"), ("100.0", "100"), ("0e999", "0"),
        ("9007199254740993.0", "9007199254740993"), ("100e-2", "1"), ("100.5", None), ("1e-2", None), ("", None),
        (".", None), ("e3", None), ("1e", None), ("1e1000", None), ("-1.0", None), ("+1.0", None), ("1,0", None),
    ],
)  # fmt: skip
def test_whole_numbers_are_exact(text: str, digits: str | None) -> None:
    """Digits are moved, never rounded; what has a sign, or no whole value, is none."""
    found = whole_digits(text)
    assert found == digits or int(found or "-1") == int(digits or "-2")


def volumes(path: Path, form: Any) -> Path:
    """Write bars whose volumes are 1, 2, 3 ... in some notation, chosen by the row."""
    rows = (f"{stamp},100,101,99,100.25,{form(at)}" for at, stamp in enumerate(STAMPS))
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_every_reader_takes_the_same_volumes(tmp_path: Path) -> None:
    """Whole, lenient, chunked and fast, volumes in any notation are those in plain digits, and those of Parquet."""
    plain = load_bars(volumes(tmp_path / "NQ_30min.csv", lambda at: at + 1))
    path = volumes(tmp_path / "NQ_30min.csv", lambda at: FORMS[at % len(FORMS)].format(at + 1))
    profile = plain.profile
    assert load_bars(path).table.equals(plain.table)
    assert read_bars(path, profile, block_bytes=999).equals(plain.table)
    assert read_bars(path, profile, settings={"small_bytes": 0, "part_bytes": 5000}).equals(plain.table)
    assert read_lenient(path, profile).table.equals(plain.table)
    chunks = [batch["volume"].to_pylist() for batch in iterate(path, profile, rows=100, block_bytes=999)]
    assert [volume for chunk in chunks for volume in chunk] == list(range(1, len(STAMPS) + 1))
    frame = pd.DataFrame(plain.table.drop_columns(["flags"]).to_pydict())
    frame["volume"] = frame["volume"].astype(float)
    frame.to_parquet(tmp_path / "NQ_30min.parquet")
    assert load_bars(tmp_path / "NQ_30min.parquet").table.equals(plain.table)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [("100.5", "'100.5', not a whole number"), ("-5.0", "-5.0, negative"), ("1e19", "1e19, too large for 64 bits")],
)
def test_what_is_no_volume_is_refused_with_its_line(tmp_path: Path, cell: str, reason: str) -> None:
    """Among volumes in the notation of fractions a real one is an error, in the strict and in the lenient reader."""
    path = volumes(tmp_path / "NQ_30min.csv", lambda at: cell if at == 98 else f"{at}.0")
    with pytest.raises(UnreadableSource) as caught:
        load_bars(path)
    assert f"line 100: Volume is {reason}" in str(caught.value)
    profile = load_bars(volumes(tmp_path / "NQ_30min.csv", lambda at: at)).profile
    path = volumes(path, lambda at: cell if at == 98 else f"{at}.0")
    [bad] = read_lenient(path, profile).bad
    assert bad.line == 100
    assert reason.split(", ")[1] in bad.reason
