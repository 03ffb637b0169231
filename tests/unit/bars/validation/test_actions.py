"""What is done with bars that break a rule, and that nothing of it happens in silence."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.bars import rules
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.resample import starts_of
from jupyter_nq.bars.validation.actions import write_quarantine
from jupyter_nq.bars.validation.cells import safe_cell
from jupyter_nq.bars.validation.validator import DataValidator, validate, validate_bars, validate_table
from jupyter_nq.errors import AmbiguousStamps, InvalidArgument, SourceNotFound
from tests.unit.bars.conftest import MakeFile, session_starts, written
from tests.unit.bars.validation.test_validator import sound

STAMPS = written(session_starts("2024-07-08", 5), "UTC", "%Y-%m-%d %H:%M")
GIVEN: dict[str, Any] = {"tz": "UTC", "edge": "start"}


def damaged(make_file: MakeFile, rows: dict[int, str]) -> Path:
    """Return a file in which some lines (the header is 1) are others."""
    path = make_file(STAMPS, name="NQ_30min.csv")
    lines = path.read_text().splitlines()
    for line, text in rows.items():
        lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")
    return path


def starts(table: pa.Table) -> Ints:
    """Return the stamps of a result, whatever its columns are."""
    return starts_of(table)


def test_without_actions_nothing_is_changed() -> None:
    """There is a report and no table."""
    assert validate(sound(), symbol="NQ", timeframe="30min").table is None


def test_copies_and_order_are_repaired() -> None:
    """Sorted and one of each kept, when both are asked for; the report counts both, with the rows as they came."""
    frame = sound()
    messy = pd.concat([frame[:100], frame[40:42], frame[100:]], ignore_index=True)
    asked = {"backwards": "repair", "repeated bar": "repair"}
    report = validate(messy, symbol="NQ", timeframe="30min", actions=asked)
    found = {f.rule: f for f in report.findings}
    assert (found["backwards"].count, found["backwards"].rows) == (2, (100, 101))
    assert (found["repeated bar"].count, found["repeated bar"].rows) == (2, (100, 101))
    assert report.is_valid
    assert report.errors == report.warnings == []
    assert [line.rpartition("; ")[2] for line in report.handled] == ["repaired", "repaired"]
    assert report.table is not None
    assert report.table.drop_columns("flags").to_pandas().equals(pa.Table.from_pandas(frame).to_pandas())
    untouched = validate(messy, symbol="NQ", timeframe="30min")
    assert not untouched.is_valid
    assert untouched.handled == []


def test_drop_keep_and_flag() -> None:
    """Dropped bars are gone and counted, kept ones have no bit, flagged ones have it."""
    frame = sound()
    frame.loc[7, "volume"] = 0
    frame.loc[9, "close"] = np.nan
    frame.loc[11, "open"] = 15_002.6
    asked = {"not finite": "drop", "zero volume": "keep", "wide": "drop"}
    own: dict[str, Any] = {"wide": lambda table: table["volume"].to_numpy() > 1_398}
    report = validate_table(
        pa.Table.from_pandas(frame), minutes=30, symbol="NQ", rules=own, actions={**asked, "off tick": "flag"}
    )
    assert report.table is not None
    assert report.table.num_rows == 398
    flags = {row: flag for row, flag in enumerate(report.table["flags"].to_pylist()) if flag}
    assert flags == {10: rules.OFF_TICK}, "row 9 is gone, and the bars behind it moved up"
    assert report.is_valid
    assert sorted(report.handled) == [
        "1 bar breaking the rule 'wide'; row 399; dropped",
        "1 bar with a price that is missing or infinite; row 9; dropped",
    ]
    again = validate_table(report.table, minutes=30, symbol="NQ", actions={"off tick": "keep"})
    assert again.table is not None
    assert set(again.table["flags"].to_pylist()) == {0, rules.ZERO_VOLUME, rules.GAP}


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({"zero volum": "drop"}, "no rule is called 'zero volum'. Did you mean 'zero volume'"),
        ({"flat": "delete"}, "is no action. There are keep, flag, drop, repair, quarantine"),
        (
            {"not finite": "repair"},
            r"without inventing numbers; .* backwards \(sorted by their start\)",
        ),
        ({"mine": "repair"}, "cannot be repaired"),
        ({"flat": "quarantine"}, "pass quarantine='rows.csv'"),
    ],
)
def test_actions_that_cannot_be(actions: dict[str, str], message: str) -> None:
    """Each refusal says what there is."""
    with pytest.raises(InvalidArgument, match=message):
        validate(sound(), rules={"mine": "close > 0"}, actions=actions)


def test_a_damaged_file(make_file: MakeFile, tmp_path: Path) -> None:
    """Every bad row is counted with its line and reason, moved when asked for, and the others are there."""
    path = damaged(
        make_file,
        {
            5: "=HYPERLINK(1),1,2,1,2,3",
            9: "2024-02-30 10:00,1,2,1,2,3",
            20: f"{STAMPS[18]},100,nan,99,100,7",
            21: f"{STAMPS[19]},100,99,101,100,7",
            30: f"{STAMPS[27]},100,101,99,100.25,7",
            31: "-1,1,2,1,2,3",
        },
    )
    report = validate(path, **GIVEN)
    assert not report.is_valid
    assert (report.rows, report.statistics["unreadable"]) == (len(STAMPS) - 4, 4)
    assert report.table is None
    lines = {f.rule: f.lines for f in report.findings if f.severity == "error"}
    assert lines == {
        "missing stamp": (5, 31),
        "no such date": (9,),
        "not finite": (20,),
        "ohlc order": (21,),
    }
    assert [f.lines for f in report.findings if f.rule == "repeated bar"] == [(30,)]
    target = tmp_path / "rows.csv"
    every = dict.fromkeys(lines, "quarantine") | {"repeated bar": "repair"}
    report = validate(path, **GIVEN, actions=every, quarantine=target)
    assert report.is_valid
    assert (report.quarantined, report.table and report.table.num_rows) == (5, len(STAMPS) - 6)
    rows = list(csv.reader(io.StringIO(target.read_text())))
    assert rows[0] == ["line", "rules", "text"]
    assert [row[0] for row in rows[1:]] == ["5", "9", "20", "21", "31"]
    assert rows[1][2] == "'=HYPERLINK(1),1,2,1,2,3", "no formula"
    assert rows[2][1] == "no such date: there is no '2024-02-30 10:00'"
    assert rows[4][1] == "ohlc order"
    assert len(report.handled) == 5
    assert "moved to quarantine" in report.text()
    assert "moved to quarantine" in report.to_html()


def test_every_row_that_is_taken_out_is_named(make_file: MakeFile, tmp_path: Path) -> None:
    """The text names five; the report, its JSON and its CSV name all, as lines too where there are lines."""
    frame = sound()
    frame.loc[[3, *range(10, 20)], "volume"] = 0
    report = validate(frame, symbol="NQ", timeframe="30min", actions={"zero volume": "drop"})
    (found,) = report.findings
    assert (found.rows, found.lines) == ((3, 10, 11, 12, 13), ())
    assert found.all_rows.dtype == np.int64
    every = [3, *range(10, 20)]
    assert json.loads(report.to_json())["findings"][0]["all_rows"] == found.all_rows.tolist() == every
    (row,) = csv.DictReader(io.StringIO(report.to_csv()))
    assert (row["rows"], row["all_rows"], row["all_lines"]) == ("3 10 11 12 13", "3 10-19", "")
    kept = validate(frame, symbol="NQ", timeframe="30min", actions={"zero volume": "flag"})
    assert len(kept.findings[0].all_rows) == 0, "they are in the table"
    bad = dict.fromkeys(range(5, 12), "x,1,2,1,2,3") | {30: f"{STAMPS[27]},100,101,99,100.25,7"}
    report = validate(damaged(make_file, bad), **GIVEN, actions={"repeated bar": "drop"})
    lines = {f.rule: f.all_lines.tolist() for f in report.findings if len(f.all_lines)}
    assert lines == {"missing stamp": list(range(5, 12)), "repeated bar": [30]}


def test_the_quarantine_writes_over_nothing_else(tmp_path: Path) -> None:
    """Only a file that a quarantine has written is written over, by one with all its rows."""
    frame = sound()
    frame.loc[3, "volume"] = 0
    asked: dict[str, Any] = {"actions": {"zero volume": "quarantine"}}
    target = tmp_path / "rows.csv"
    for _ in range(2):
        assert validate(frame, **asked, quarantine=target).quarantined == 1
    assert len(target.read_text().splitlines()) == 2
    assert list(tmp_path.iterdir()) == [target], "no draft is left"
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    validate(frame, **asked, quarantine=link)
    assert link.is_symlink()
    for text in ("timestamp,open\n", "", "line,rules,texts\n", "line,rules,text"):
        target.write_text(text)
        with pytest.raises(InvalidArgument, match=r"was not written by a quarantine, so it is not written over\. Name"):
            validate(frame, **asked, quarantine=target)
        assert target.read_text() == text
    with pytest.raises(InvalidArgument, match="is not written over"):
        validate(tmp_path / "none.csv", **asked, quarantine=target)
    with pytest.raises(InvalidArgument, match="is not written over"):
        validate(frame, **asked, quarantine=tmp_path)


def test_a_quarantine_that_cannot_be_finished_changes_nothing(tmp_path: Path) -> None:
    """The file of before stays as it was, and no half of the new one is left."""
    target = tmp_path / "rows.csv"
    assert write_quarantine(target, "row", [(1, "flat", "x")]) == 1
    before = target.read_text()

    def rows() -> Iterator[tuple[int, str, str]]:
        yield 1, "flat", "y"
        raise OSError(28, "No space left on device")

    with pytest.raises(InvalidArgument, match="cannot be written: No space left on device"):
        write_quarantine(target, "row", rows())
    assert target.read_text() == before
    assert list(tmp_path.iterdir()) == [target]


def test_the_quarantine_of_a_table_and_what_it_may_not_be(make_file: MakeFile, tmp_path: Path) -> None:
    """Rows are counted from 0; the source is never written over."""
    frame = sound()
    frame.loc[3, "volume"] = 0
    target = tmp_path / "rows.csv"
    report = validate(frame, actions={"zero volume": "quarantine"}, quarantine=target)
    assert report.quarantined == 1
    head, row = csv.reader(io.StringIO(target.read_text()))
    assert (head[0], row[0], row[1]) == ("row", "3", "zero volume")
    assert row[2].startswith("2024-10-27 ")
    path = damaged(make_file, {})
    before = path.read_bytes()
    with pytest.raises(InvalidArgument, match="is the source itself"):
        validate(path, **GIVEN, actions={"flat": "quarantine"}, quarantine=path)
    assert path.read_bytes() == before
    with pytest.raises(InvalidArgument, match="cannot be written: there is no directory"):
        validate(path, **GIVEN, actions={"flat": "quarantine"}, quarantine=tmp_path / "none" / "rows.csv")


def test_files_of_which_nothing_can_be_told(make_file: MakeFile, tmp_path: Path) -> None:
    """A report with one error that holds the reader's words; only a missing file is an exception."""
    empty = tmp_path / "NQ_30min.csv"
    empty.write_text("")
    assert [f.rule for f in validate(empty).findings] == ["unreadable"]
    nonsense = damaged(make_file, dict.fromkeys(range(2, len(STAMPS) + 2), "x"))
    report = validate(nonsense)
    assert [f.rule for f in report.findings] == ["unreadable"]
    assert str(tmp_path) in report.errors[0] or "NQ_30min" in report.errors[0]
    unclear = make_file(["2024-07-08 10:00", "2024-07-08 10:30"], name="BTC_30min.csv")
    assert "tz=" in validate(unclear).errors[0]
    unclear.write_text(unclear.read_text() + "x,1,2,1,2,3\n")
    assert "tz=" in validate(unclear).errors[0]
    with pytest.raises(SourceNotFound):
        validate(tmp_path / "none.csv")
    assert issubclass(AmbiguousStamps, ValueError)


def test_every_kind_of_table() -> None:
    """A frame with capitals and an index of stamps, a batch, a stream and polars give one report."""
    frame = sound()
    expected = validate(frame, symbol="NQ", timeframe="30min").text()
    capitals = frame.rename(columns=str.capitalize).set_index("Timestamp")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    batch = table.to_batches()[0]
    reader = pa.RecordBatchReader.from_batches(batch.schema, [batch])
    for data in (capitals, table, batch, reader):
        assert validate(data, symbol="NQ", timeframe="30min").text() == expected
    polars = pytest.importorskip("polars")
    assert validate(polars.from_arrow(table), symbol="NQ", timeframe="30min").text() == expected
    with pytest.raises(InvalidArgument, match="list cannot be taken for a table of bars"):
        validate([1, 2])
    with pytest.raises(InvalidArgument, match=r"^tz= says how a file is read"):
        validate(frame, tz="UTC")
    with pytest.raises(InvalidArgument, match="cannot be taken for a table of bars"):
        validate(frame.assign(close=[1.0, "x"] * 200))


def test_adjusted_prices_need_no_tick() -> None:
    """The tick rule is for raw prices; the report says that it was left out."""
    frame = sound()
    frame[["open", "high", "low", "close"]] *= 1.0123
    assert any(f.rule == "off tick" for f in validate(frame, symbol="NQ", timeframe="30min").findings)
    report = validate(frame, symbol="NQ", timeframe="30min", adjusted=True)
    assert report.findings == ()
    assert report.not_checked == ("prices off the tick, because the prices are adjusted",)


def test_the_specifications_validator_takes_actions() -> None:
    """From its configuration."""
    frame = sound()
    frame.loc[3, "close"] = np.nan
    config = {"symbol": "NQ", "timeframe": "30min", "actions": {"not finite": "drop"}}
    result = DataValidator(config).validate_data(frame, "nq_30min")
    assert result.is_valid
    assert result.table is not None
    assert len(result.table) == 399


def test_the_wrong_contract_of_the_real_file_can_be_dropped(real_file: Path) -> None:
    """Then no error is left, and the bars of the span are gone."""
    report = validate(real_file, actions={"wrong contract": "drop"})
    assert report.is_valid
    assert report.table is not None
    left = starts(report.table)
    first, last = (np.datetime64(day, "ns").astype(np.int64) for day in ("2023-12-12T00:00", "2024-06-13T20:00"))
    assert not np.any((left > first) & (left < last))
    (found,) = [f for f in report.findings if f.rule == "wrong contract"]
    assert report.table.num_rows == 56_083 - found.count
    assert len(found.all_rows) == found.count
    assert (found.all_lines - found.all_rows).tolist() == [2] * found.count
    roll = np.uint32(rules.ROLL_JUMP)
    assert np.count_nonzero(report.table["flags"].to_numpy() & roll) >= 8
    from jupyter_nq.bars import load_bars

    assert validate_bars(load_bars(real_file), "NQ").findings[0].lines == ()


def test_cells_that_are_no_formulas() -> None:
    """Numbers stay numbers, whatever sign they have."""
    assert [safe_cell(text) for text in ("=1", "+x", "-1", "@a", "\tx", "x", "", "+1e3")] == [
        "'=1", "'+x", "-1", "'@a", "'\tx", "x", "", "+1e3",
    ]  # fmt: skip
