"""What is found in bars, sound and unsound, and how it is said."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.bars.reading.blocks import lines_of
from jupyter_nq.bars.resample import starts_of
from jupyter_nq.bars.validation.report import Finding, Report
from jupyter_nq.bars.validation.validator import DataValidator, validate_file, validate_table
from jupyter_nq.errors import ConfigError, InvalidArgument, UnknownInstrument
from tests.unit.bars.conftest import MakeFile
from tests.unit.bars.test_resample import ns, year_of_bars


def sound(rows: int = 400) -> pd.DataFrame:
    """Return bars of 30 minutes with nothing wrong: slowly rising prices on the tick."""
    table = year_of_bars(30).slice(0, rows)
    close = 15_000 + 0.25 * np.arange(rows)
    volume = 1_000 + np.arange(rows)
    stamps = pd.to_datetime(starts_of(table), utc=True)
    prices = {"open": close - 0.25, "high": close + 0.5, "low": close - 0.5, "close": close}
    return pd.DataFrame({"timestamp": stamps, **prices, "volume": volume})


def checked(frame: pd.DataFrame, **options: Any) -> Report:
    """Validate a frame as 30-minute bars of NQ."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return validate_table(table, **{"minutes": 30, "symbol": "NQ", **options})


def rules(report: Report) -> set[str]:
    """Return the names of the rules that found something."""
    return {finding.rule for finding in report.findings}


def test_sound_bars_are_valid() -> None:
    """Nothing is found, everything was checked, and the report says what there is."""
    report = checked(sound())
    assert report.findings == report.not_checked == ()
    assert report.is_valid
    assert report.text().splitlines() == [
        "bars: 400 bars, valid",
        "  400 of 400 expected bars (100.00%), 0 bars outside the sessions of CME Globex Equity",
    ]
    assert report.statistics["highest_close"] == 15_099.75


@pytest.mark.parametrize(
    ("rule", "valid", "change"),
    [
        ("not finite", False, {(7, "close"): np.nan}),
        ("not finite", False, {(7, "high"): np.inf}),
        ("ohlc order", False, {(7, "high"): 14_000.0}),
        ("ohlc order", False, {(7, "low"): 16_000.0}),
        ("not positive", False, {(7, "low"): 0.0}),
        ("volume", False, {(7, "volume"): -1.0}),
        ("volume", False, {(7, "volume"): 1.5}),
        ("volume", False, {(7, "volume"): np.nan}),
        ("missing stamp", False, {(7, "timestamp"): pd.NaT}),
        ("backwards", False, {(7, "timestamp"): pd.Timestamp(ns(2024, 10, 27, 19), tz="UTC")}),
        ("off tick", True, {(7, "open"): 15_001.6}),
        ("zero volume", True, {(7, "volume"): 0.0}),
        ("step", True, {(399, "timestamp"): pd.Timestamp(ns(2024, 11, 7, 12, 40), tz="UTC")}),
        ("closed hours", True, {(399, "timestamp"): pd.Timestamp(ns(2024, 11, 9, 12), tz="UTC")}),
    ],
)
def test_one_wrong_value(rule: str, valid: bool, change: Mapping[tuple[int, str], Any]) -> None:
    """One value is changed, and its rule names its row."""
    frame = sound().astype({"volume": float})
    ((row, column),) = change
    frame.loc[row, column] = change[row, column]
    report = checked(frame)
    assert report.is_valid == valid
    (found,) = [finding for finding in report.findings if finding.rule == rule]
    assert (found.count, found.rows) == (1, (row,))
    assert f"row {row}" in str(found)


def test_duplicates() -> None:
    """The same bar twice is a warning, two bars of one stamp an error."""
    frame = sound()
    twice = pd.concat([frame[:8], frame[7:]], ignore_index=True)
    assert checked(twice).is_valid
    assert "repeated bar" in rules(checked(twice))
    twice.loc[8, "close"] += 0.25
    report = checked(twice)
    assert not report.is_valid
    assert "duplicate" in rules(report)


def test_moves() -> None:
    """A wild move, a change of scale, and prices that stand still while there is volume."""
    wild = sound()
    wild.loc[200, ["open", "high", "low", "close"]] += 300.0
    assert "outlier" in rules(checked(wild))
    scaled = sound()
    scaled.loc[200:, ["open", "high", "low", "close"]] *= 100
    assert "scale" in rules(checked(scaled))
    still = sound()
    still.loc[100:105] = still.loc[100:105].assign(
        **{name: still.loc[100, name] for name in ("open", "high", "low", "close", "volume")}
    )
    (found,) = [f for f in checked(still).findings if f.rule == "stale"]
    assert (found.count, found.rows) == (2, (104, 105)), "from the fifth on, when it can be known"
    quiet = still.assign(open=still.close, high=still.close, low=still.close, volume=0)
    assert "stale" not in rules(checked(quiet)), "a quiet market is not a stuck feed"


def test_a_wrong_zone_is_an_error() -> None:
    """Shifted by seven hours, bars lie in closed hours, and the report says what that means."""
    frame = sound()
    frame["timestamp"] += pd.Timedelta(hours=7)
    report = checked(frame)
    assert not report.is_valid
    assert "The zone of the stamps is wrong: 7 hours earlier they would lie in the sessions" in report.errors[0]


def test_gaps_and_missing_sessions() -> None:
    """Named by trade date."""
    frame = sound()
    days = (frame["timestamp"] + pd.Timedelta(hours=2)).dt.strftime("%Y-%m-%d")
    report = checked(frame[(days != "2024-10-30") & (frame.index != 5)])
    assert "1 session without a bar: 2024-10-30" in report.warnings
    assert "1 session with missing bars: 2024-10-28 (1 bars)" in report.warnings


def test_a_bar_behind_missing_sessions_is_named_when_it_is_dropped() -> None:
    """Whatever an action takes out has a finding with its row."""
    frame = sound()
    days = (frame["timestamp"] + pd.Timedelta(hours=2)).dt.strftime("%Y-%m-%d")
    cut = frame[days != "2024-10-30"]
    report = checked(cut, actions={"gap": "drop"})
    assert report.table is not None
    behind = int((days[cut.index] <= "2024-10-30").sum())
    assert [each.all_rows.tolist() for each in report.findings if each.handled] == [[behind]]
    assert report.table.num_rows == len(cut) - 1


@pytest.mark.parametrize("stamp", ["9999-12-31", "2200-01-01", "1969-12-31 23:30", "1902-01-01"])
def test_a_stamp_of_no_session_is_a_finding(stamp: str) -> None:
    """Of years whose sessions nobody knows; the other bars are judged as if it were not there."""
    frame = sound()
    frame["timestamp"] = frame["timestamp"].dt.as_unit("us")
    frame.loc[10, "timestamp"] = pd.Timestamp(stamp, tz="UTC").as_unit("us")
    report = checked(frame)
    assert report.errors == ["1 bar without a stamp from 1970 to 2199; row 10"]
    assert "1 session with missing bars" in report.warnings[0]


def test_volumes_that_no_number_can_hold_together() -> None:
    """The sum is left out, and the report is JSON."""
    frame = sound()
    frame["volume"] = frame["volume"].astype(float)
    frame.loc[[3, 4], "volume"] = 1.7e308
    assert json.loads(checked(frame).to_json())["statistics"]["total_volume"] is None


def test_what_is_not_known_is_not_checked() -> None:
    """Without instrument and length, the report names the rules that it left out."""
    report = checked(sound(), minutes=None, symbol=None)
    assert [line.partition(",")[0] for line in report.not_checked] == ["prices off the tick", "sessions"]
    assert "not checked: prices off the tick" in report.text()
    assert "not checked" in report.to_html()
    crypto = checked(sound(), symbol="BTC")
    assert any("trading calendar is not known" in line for line in crypto.not_checked)
    assert checked(sound()[:0]).rows == 0
    with pytest.raises(UnknownInstrument):
        checked(sound(), symbol="NW")


def test_negative_prices_where_they_can_be() -> None:
    """Oil was sold below zero, an index never."""
    frame = sound()
    frame[["open", "high", "low", "close"]] -= 16_000
    assert "not positive" in rules(checked(frame))
    assert "not positive" not in rules(checked(frame, symbol="CL"))


def test_own_rules() -> None:
    """As text and as functions; what they cannot be is said."""
    own = {"wide": "high - low > 0.5 and volume < 1010", "odd": lambda table: table["volume"].to_numpy() % 2 == 1}
    report = checked(sound(), rules=own)
    assert [(f.rule, f.count) for f in report.findings] == [("wide", 10), ("odd", 200)]
    assert report.is_valid, "a rule of one's own warns"
    severe = checked(
        sound(), rules={"wide": ("high - low > 0.5 and volume < 1010", "error"), "odd": [own["odd"], "note"]}
    )
    assert [(f.rule, f.severity) for f in severe.findings] == [("wide", "error"), ("odd", "note")]
    assert not severe.is_valid
    with pytest.raises(InvalidArgument, match=r"rule 'half' returned bool of shape \(3,\); .* 400 bars"):
        checked(sound(), rules={"half": lambda _: np.ones(3, bool)})


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"flat": "close > 0"}, r"rules\['flat'\]: there is a rule of this name. Give yours another one."),
        ({"hole": "close > 0"}, "there is a rule of this name"),
        ({"mine": ("close > 0", "errors")}, "'errors' is no severity. Did you mean 'error'.* error, warning, note"),
        ({"mine": 7}, "is int. Pass an expression such as 'high - low > 50'"),
        ({"mine": ("close > 0", "error", "note")}, "is tuple. Pass an expression"),
    ],
)
def test_own_rules_that_cannot_be(own: Any, message: str) -> None:
    """An action on a name must mean one rule; a severity is one of three."""
    with pytest.raises(InvalidArgument, match=message):
        checked(sound(), rules=own)


def test_no_bars_are_not_valid() -> None:
    """Nothing to validate is an error, before the actions or after them."""
    report = checked(sound()[:0])
    assert (report.is_valid, report.rows) == (False, 0)
    assert report.text().startswith("bars: 0 bars, NOT valid")
    assert report.errors == ["there are no bars, so there is nothing to validate"]
    report = checked(sound(), rules={"all": "close > 0"}, actions={"all": "drop"})
    assert report.errors == ["no bar is left after the actions"]


@pytest.mark.parametrize("change", [("close", np.nan), ("volume", np.nan), ("volume", -1.0), ("high", np.inf)])
def test_a_bad_bar_is_there(change: tuple[str, float]) -> None:
    """A row with a stamp is no missing bar, whatever its numbers are."""
    frame = sound().astype({"volume": float})
    frame.loc[7, change[0]] = change[1]
    report = checked(frame)
    assert not report.is_valid
    assert report.warnings == []
    assert "400 of 400 expected bars" in report.text()


def test_an_unreadable_row_with_a_stamp_is_there(make_file: MakeFile) -> None:
    """So of a file: a cell that is no number leaves no gap, a stamp that is none does."""
    stamps = [f"2024-06-{day:02d} {hour:02d}:00:00" for day in (12, 13) for hour in range(10, 16)]
    path = make_file(stamps, name="NQ_1h.csv")
    lines = path.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ",many"
    path.write_text("\n".join(lines) + "\n")
    report = validate_file(path, tz="America/New_York", edge="start")
    assert report.statistics["unreadable"] == 1
    before = report.statistics["sessions"]
    assert "12 of " in before
    lines[5] = "x" + lines[5]
    path.write_text("\n".join(lines) + "\n")
    report = validate_file(path, tz="America/New_York", edge="start")
    assert report.statistics["unreadable"] == 2
    assert report.statistics["sessions"].startswith("11 of ")


def test_prices_below_zero_of_an_unknown_instrument() -> None:
    """Not judged, as in loading, and said so; a spread may have them."""
    frame = sound()
    frame[["open", "high", "low", "close"]] -= 16_000
    report = checked(frame, symbol=None)
    assert report.is_valid
    assert any("prices of zero or below, because the instrument is not known" in line for line in report.not_checked)


def test_what_is_no_table_of_bars() -> None:
    """A missing column, text for a number, and a stamp that is none."""
    with pytest.raises(InvalidArgument, match="no column volume; they have timestamp"):
        checked(sound().drop(columns="volume"))
    with pytest.raises(InvalidArgument, match=r"column 'close' is .*string, not a number"):
        checked(sound().assign(close="x"))
    with pytest.raises(InvalidArgument, match="'timestamp' is int64, not a time"):
        checked(sound().assign(timestamp=range(400)))


def test_the_report_in_every_form(tmp_path: Path) -> None:
    """HTML is escaped, JSON is whole, and no cell of the CSV is a formula."""
    every = np.array([1, 2, 5, 6, 7, 9]), np.array([3, 4, 7, 8, 9, 11])
    finding = Finding("=cmd()", "warning", 7, "<b>seven</b> bars", (1, 2), (3, 4), "drop", *every)
    report = Report("<script>", 10, (finding,), {"rows": 10}, ("x & y",), notices=("read <so>",))
    page = report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == page
    assert "<script>" not in page
    assert "&lt;b&gt;seven" in page
    assert "http" not in page
    content = json.loads(report.to_json(tmp_path / "report.json"))
    lists = {"rows": [1, 2], "lines": [3, 4], "all_rows": every[0].tolist(), "all_lines": every[1].tolist()}
    assert content["findings"][0] == {**vars(finding), **lists}
    assert (content["is_valid"], content["notices"]) == (True, ["read <so>"])
    rows = list(csv.reader(io.StringIO(report.to_csv(tmp_path / "report.csv"))))
    assert rows[0][-3:] == ["action", "all_rows", "all_lines"]
    assert rows[1] == [
        "warning", "'=cmd()", "7", "<b>seven</b> bars", "1 2", "3 4", "drop", "1-2 5-7 9", "3-4 7-9 11",
    ]  # fmt: skip
    assert report.text().splitlines()[-2:] == ["  not checked: x & y", "  read <so>"]
    assert "read &lt;so&gt;" in page
    assert repr(report) == report.text()
    assert "<b>seven</b> bars; lines 3, 4 and more" in report.text()


def test_a_file_is_named_by_lines(make_file: MakeFile) -> None:
    """The rows of a finding are lines of the file; a file that cannot be read is one error with its line."""
    stamps = [f"2024-06-{day:02d} {hour:02d}:00:00" for day in (12, 13) for hour in range(10, 16)]
    path = make_file(stamps, name="NQ_1h.csv")
    lines = path.read_text().splitlines()
    lines[4] = lines[4].rpartition(",")[0] + ",0"
    path.write_text("\n".join(lines) + "\n")
    report = validate_file(path, tz="America/New_York", edge="start")
    (found,) = [f for f in report.findings if f.rule == "zero volume"]
    assert (found.rows, found.lines) == ((3,), (5,))
    assert report.notes[0].endswith("; line 5")
    lines[6] = "nonsense,1,2,3,4,5"
    path.write_text("\n".join(lines) + "\n")
    report = validate_file(path, tz="America/New_York", edge="start")
    assert not report.is_valid
    assert "'nonsense' is not a date and time" in report.errors[0]
    assert report.errors[0].endswith("; line 7")
    assert (report.rows, report.statistics["unreadable"]) == (11, 1)


def test_the_real_file(real_file: Path) -> None:
    """Its wrong contract, gaps, rolls, empty and flat bars are named; no bar is outside the sessions."""
    report = validate_file(real_file)
    found = {f.rule: f for f in report.findings}
    assert not report.is_valid
    assert "wrong contract: 2023-12-12 to 2024-06-13" in found["wrong contract"].sentence
    assert "2022-04-29" in found["missing session"].sentence
    assert "2020-07-10 (34 bars), 2022-04-28 (34 bars)" in found["gap"].sentence
    assert "2024-12-17 +300.50 (+1.36 %)" in found["roll jump"].sentence
    assert (found["zero volume"].count, found["flat"].count) == (51, 639)
    assert "0 bars outside the sessions" in report.statistics["sessions"]
    assert "closed hours" not in found
    assert {f.severity for f in report.findings} == {"error", "warning", "note"}


def test_the_specifications_validator() -> None:
    """It takes a frame, and its configuration or the frame itself says what the bars are."""
    frame = sound()
    result = DataValidator().validate_data(frame, "nq_30min")
    assert result.is_valid
    assert result.text().startswith("nq_30min: 400 bars")
    assert len(result.not_checked) == 2
    config = {"validation": {"symbol": "NQ", "timeframe": "30min", "rules": {"big": "close > 15099"}}}
    result = DataValidator(config).validate_data(frame)
    assert result.not_checked == ()
    assert result.warnings == ["3 bars for which close > 15099; rows 397, 398, 399"]
    frame.attrs["nq"] = {"dataset": "NQ.30min", "version": 1, "symbol": "NQ", "minutes": 30, "calendar": None}
    assert DataValidator().validate_data(frame).not_checked == ()
    other = DataValidator({"symbol": "ES", "timeframe": "5min"})
    assert other.validate_data(frame).statistics == DataValidator().validate_data(frame).statistics, "the data wins"
    assert DataValidator().validate_data(pa.Table.from_pandas(frame)).rows == 400


def test_lines_come_from_the_reader(make_file: MakeFile) -> None:
    """The helper that names lines counts the header."""
    path = make_file(["2024-06-12 10:00:00", "2024-06-12 11:00:00"], name="NQ_1h.csv")
    from jupyter_nq.bars import load_bars

    profile = load_bars(path, tz="America/New_York", edge="start").profile
    assert [number for number, _ in lines_of(path, profile, [0, 1])] == [2, 3]


def test_a_setting_that_is_none_is_refused() -> None:
    """At the top or in the section; sections of other parts of the configuration are not the validator's."""
    assert DataValidator({"data_loading": {"chunk_size": 10}, "validation": {"symbol": "NQ"}})
    assert DataValidator({"data_loading": {"chunk_size": 10}})
    for config in ({"simbol": "NQ"}, {"validation": {"simbol": "NQ"}}):
        with pytest.raises(ConfigError, match="Did you mean 'symbol'"):
            DataValidator(config)
