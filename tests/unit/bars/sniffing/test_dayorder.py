"""Which of day and month comes first, where a file has several layouts."""

from __future__ import annotations

import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.errors import UnreadableSource
from tests.unit.bars.conftest import MakeFile

OPEN, MONTH_FIRST, DAY_FIRST = "03/11/2024 01:30", "10/27/2024 1:13:00 AM", "27/10/2024 03:13:00"


@pytest.mark.parametrize(
    ("stamps", "line"),
    [
        ([MONTH_FIRST, DAY_FIRST], 3),
        ([DAY_FIRST, MONTH_FIRST], 3),
        ([OPEN, MONTH_FIRST, DAY_FIRST], 4),
        ([MONTH_FIRST, OPEN, DAY_FIRST], 4),
    ],
)
def test_layouts_that_contradict_each_other(make_file: MakeFile, stamps: list[str], line: int) -> None:
    """The error names the two that do, not one that could be either."""
    ascending_with_none = [*stamps, "26/10/2024 03:13:00"]
    path = make_file(ascending_with_none, name="NQ_1h.csv")
    says = rf"line {line}: .* are of layouts that cannot have the same order of day and month"
    with pytest.raises(UnreadableSource, match=says):
        load_bars(path, tz="UTC", edge="start")
