"""Bars out of order: all of them are found, and what is called valid after the actions is in order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars.validation.series import starts_in
from jupyter_nq.bars.validation.validator import validate
from tests.unit.bars.conftest import MakeFile
from tests.unit.bars.validation.test_actions import GIVEN, STAMPS, damaged, starts
from tests.unit.bars.validation.test_validator import sound


def test_rows_out_of_order_in_a_file(make_file: MakeFile) -> None:
    """The strict reader refuses them; here they are found, and sorted when that is asked for."""
    row = ",100,101,99,100.25,7"
    path = damaged(make_file, {40: STAMPS[60] + row, 62: STAMPS[38] + row})
    report = validate(path, **GIVEN)
    (found,) = [f for f in report.findings if f.severity == "error"]
    assert (found.rule, found.count, found.lines) == ("backwards", 22, (41, 42, 43, 44, 45))
    assert len(found.all_rows) == len(found.all_lines) == 0, "nothing was done"
    for action, left in (("repair", len(STAMPS)), ("drop", len(STAMPS) - 22)):
        report = validate(path, **GIVEN, actions={"backwards": action})
        assert report.is_valid
        assert report.table is not None
        assert report.table.num_rows == left
        assert np.all(np.diff(starts(report.table)) > 0)
        (found,) = [f for f in report.findings if f.rule == "backwards"]
        assert found.all_lines.tolist() == list(range(41, 63))
        assert found.all_rows.tolist() == list(range(39, 61))


IN_ORDER = {"backwards": "drop", "repeated bar": "drop", "duplicate": "drop"}


def test_bars_that_come_twice_as_a_block() -> None:
    """All of them are counted and dropped, not the first alone; without an action the bars are not valid."""
    frame = sound()
    twice = pd.concat([frame[:200], frame[50:150], frame[200:]], ignore_index=True)
    untouched = validate(twice, symbol="NQ", timeframe="30min")
    assert not untouched.is_valid
    assert {f.rule: f.count for f in untouched.findings} == {"backwards": 100, "repeated bar": 100}
    for asked in (IN_ORDER, {"repeated bar": "drop"}, {"backwards": "drop"}):
        report = validate(twice, symbol="NQ", timeframe="30min", actions=asked)
        assert report.is_valid, "all bars of the other rule are gone too"
        assert report.table is not None
        assert report.table.drop_columns("flags").to_pandas().equals(pa.Table.from_pandas(frame).to_pandas())
        assert [f.all_rows.tolist() for f in report.findings] == [list(range(200, 300))] * 2


def test_late_bars_and_other_values_of_one_start() -> None:
    """A late bar that is nowhere else is out of order alone; one whose start was there has other values."""
    frame = sound()
    late = pd.concat([frame[:20], frame[25:60], frame[20:25], frame[40:42], frame[60:]], ignore_index=True)
    late.loc[60, "close"] += 0.25
    report = validate(late, symbol="NQ", timeframe="30min")
    found = {f.rule: (f.count, f.rows) for f in report.findings}
    assert found["backwards"] == (7, (55, 56, 57, 58, 59))
    assert found["duplicate"] == (1, (60,))
    assert found["repeated bar"] == (1, (61,))
    report = validate(late, symbol="NQ", timeframe="30min", actions=IN_ORDER)
    assert report.table is not None
    assert (report.is_valid, report.table.num_rows) == (True, 395)
    one = pd.concat([frame[:9], frame[8:9].assign(close=0.25), frame[8:9].assign(close=0.25)], ignore_index=True)
    report = validate(one, symbol="NQ", timeframe="30min", actions={"duplicate": "drop"})
    assert report.table is not None
    assert starts(report.table).tolist() == starts(pa.Table.from_pandas(frame[:9])).tolist(), "none of the two is left"


def test_one_bar_with_a_stamp_of_the_future() -> None:
    """All bars behind it are out of order; that it is one bar that does it is said before anybody drops them."""
    frame = sound()
    frame.loc[100, "timestamp"] = pd.Timestamp("2031-01-01", tz="UTC")
    (error,) = validate(frame, symbol="NQ", timeframe="30min").errors
    assert error.startswith(
        "299 bars starting before a bar above, 299 of them before that of 2031-01-01 00:00:00Z alone,"
    )
    block = pd.concat([frame[:90], frame[50:80], frame[90:100]], ignore_index=True)
    assert "alone" not in validate(block, symbol="NQ", timeframe="30min").errors[0]


def test_what_is_left_out_of_order_is_not_valid() -> None:
    """Copies that nobody asked to be dropped are an error of the bars after the actions."""
    frame = sound()
    twice = pd.concat([frame[:100], frame[40:42], frame[100:]], ignore_index=True)
    report = validate(twice, symbol="NQ", timeframe="30min", actions={"backwards": "repair"})
    assert not report.is_valid
    assert [f.rows for f in report.findings if f.rule == "order"] == [(100, 101)]
    assert "drop or repair 'repeated bar' too" in report.errors[0]
    unsorted = validate(twice, symbol="NQ", timeframe="30min", actions={"flat": "drop"})
    assert [f.rule for f in unsorted.findings if f.severity == "error"] == ["backwards"], "it is not said twice"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), min_size=1, max_size=80))
def test_what_is_called_valid_is_in_order(rows: list[tuple[int, int]]) -> None:
    """Whatever the order, after the actions bars strictly increase or are not valid, and no row is gone uncounted."""
    frame = sound().iloc[[at for at, _ in rows]].reset_index(drop=True)
    frame["volume"] += [more for _, more in rows]
    for rule in (None, *IN_ORDER):
        asked = IN_ORDER if rule is None else {rule: "drop"}
        report = validate(frame, symbol="NQ", timeframe="30min", actions=asked)
        assert report.table is not None
        increasing = bool(np.all(np.diff(starts_in(report.table)) > 0))
        assert increasing or not report.is_valid
        assert increasing or rule is not None
        gone = np.unique(np.concatenate([[], *(f.all_rows for f in report.findings if f.handled)]))
        assert len(frame) - len(gone) == report.table.num_rows
