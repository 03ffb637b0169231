"""Errors of bars in batches are those of the whole."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars.rules import BAR_RULES, RULES
from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.bars.validation import running
from jupyter_nq.bars.validation.validator import DataValidator

ROWS = 400
BAR_ERRORS = {rule.name for rule in BAR_RULES if rule.severity == "error"}
SENTENCE = re.compile(r"(\d+) bars? (.*); rows? (\d+).*")


def with_faults(seed: int) -> pa.Table:
    """Return bars some of which cannot be real."""
    random = np.random.default_rng(seed)
    table = sample_bars("30min", rows=ROWS)
    columns = {name: table[name].to_numpy(zero_copy_only=False).copy() for name in table.column_names}
    stamps = columns["timestamp"].astype("M8[ns]")
    for row in random.choice(np.arange(1, ROWS), 6, replace=False).tolist():
        match random.integers(4):
            case 0:
                columns["high"][row] = columns["low"][row] - 1
            case 1:
                columns["low"][row] = -1.0
            case 2:
                columns["close"][row:] *= 3
            case _:
                stamps[row] = stamps[row - 1]
    arrays = [pa.array(stamps if name == "timestamp" else column) for name, column in columns.items()]
    return pa.table(arrays, names=table.column_names).cast(table.schema)


@given(st.integers(0, 50), st.integers(1, ROWS))
@settings(max_examples=40, deadline=None)
def test_the_rows_are_those_of_the_whole(seed: int, size: int) -> None:
    """Each rule finds as many bars, at any size of batch, and names the row of the series."""
    table = with_faults(seed)
    validator = DataValidator({"symbol": "NQ", "timeframe": "30min"})
    report = validator.validate_data(table)
    errors = running.RunningErrors(minutes=30, symbol="NQ")
    counted: Counter[str] = Counter()
    first: dict[str, int] = {}
    for at in range(0, ROWS, size):
        for sentence in errors.add(table.slice(at, size)):
            count, what, row = SENTENCE.fullmatch(sentence).groups()  # type: ignore[union-attr]
            counted[what] += int(count)
            first.setdefault(what, int(row))
    found = [finding for finding in report.findings if finding.severity == "error" and finding.rule in BAR_ERRORS]
    assert counted == {RULES[finding.rule].what: finding.count for finding in found}
    assert first == {RULES[finding.rule].what: finding.rows[0] for finding in found}
    assert errors.rows == ROWS


def test_many_small_batches_are_worth_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for when the rows of all batches are many."""
    asked: list[int] = []
    monkeypatch.setattr(running, "SMALL_ROWS", 250)
    monkeypatch.setattr(running.KERNELS, "ready", lambda: asked.append(errors.rows))
    errors = running.RunningErrors(minutes=30, symbol=None)
    table = sample_bars("30min", rows=ROWS)
    for at in range(0, ROWS, 100):
        assert errors.add(table.slice(at, 100)) == []
    assert asked == [300, 400]
