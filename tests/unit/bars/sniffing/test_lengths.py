"""The length of a bar: what is said of it is believed where the steps may be those of such bars, and told where not."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.columns import starts_of
from jupyter_nq.errors import AmbiguousStamps, UnknownTimeframe
from tests.unit.bars.conftest import MakeFile
from tests.unit.bars.sniffing.test_truth import FORMS, bars_of, write

ISO = "%Y-%m-%dT%H:%M:%SZ"


def stamps_at(first: str, steps: list[int]) -> list[str]:
    """Return stamps that lie so many minutes apart."""
    moments = datetime.fromisoformat(first) + np.cumsum([0, *steps]) * timedelta(minutes=1)
    return [moment.strftime(ISO) for moment in moments]


@pytest.mark.parametrize("minutes", [480, 600, 720])
@pytest.mark.parametrize("rows", [4, 90, 600])
@pytest.mark.parametrize("form", ["iso", "nobody's"])
def test_ends_of_bars_that_every_session_cuts(tmp_path: Path, minutes: int, rows: int, form: str) -> None:
    """Of bars of eight hours two steps in three are not eight hours, of bars of twelve none is twelve."""
    starts, ends = bars_of("NQ", minutes, regular=False)
    path = write(tmp_path / f"NQ_{minutes // 60}h.txt", FORMS[form], "UTC", ends[:rows])
    bars = load_bars(path, tz="UTC", edge="end")
    assert starts_of(bars.table).tolist() == starts[:rows].tolist()


def test_a_grid_that_is_in_doubt_is_a_question(tmp_path: Path) -> None:
    """Where more of the ends are cut ones than whole ones, which is which is not guessed."""
    _, ends = bars_of("NQ", 720, regular=False)
    path = write(tmp_path / "NQ_12h.txt", FORMS["iso"], "UTC", ends[1:8])
    with pytest.raises(AmbiguousStamps, match="their ends do not tell which are the whole ones"):
        load_bars(path, edge="end")
    path = write(tmp_path / "NQ_12h.txt", FORMS["iso"], "UTC", ends[2:8])
    assert len(load_bars(path, edge="end").table) == 6


@pytest.mark.parametrize(
    ("first", "steps", "length"),
    [
        ("2024-07-05T20:30", [2970], "30min"),
        ("2024-07-08T20:30", [90], "30min"),
        ("2024-07-08T00:30", [60, 120], "30min"),
        ("2024-07-08T00:30", [10, 25, 40, 15, 10, 35, 20, 55, 10, 25], "5min"),
    ],
)
def test_rows_may_be_missing_between_all(make_file: MakeFile, first: str, steps: list[int], length: str) -> None:
    """A file of two rows around a pause, and a thin contract, have no two bars in a row."""
    path = make_file(stamps_at(first, steps), name=f"NQ_{length}.csv")
    assert len(load_bars(path, edge="start").table) == len(steps) + 1


@pytest.mark.parametrize(
    ("steps", "asked", "usual"),
    [
        ([5] * 4, "30min", "5"),
        ([15] * 2, "30min", "15"),
        ([5], "30min", "5"),
        ([30] * 4, "5min", "30"),
        ([240, 240], "3h", "240"),
        ([30, 60, 90] * 4, "5min", "30"),
        ([420, 480, 540] * 3, "1h", "420"),
        ([660, 780] * 3, "8h", "660"),
        ([480] * 6, "12h", "480"),
    ],
)
def test_a_wrong_length_is_told(make_file: MakeFile, steps: list[int], asked: str, usual: str) -> None:
    """Steps that are too short, no multiples, or those of longer bars contradict what was asked for."""
    path = make_file(stamps_at("2024-07-08T00:30", steps), name="NQ.csv")
    with pytest.raises(UnknownTimeframe, match=f"asked for is {asked}, but the stamps are usually {usual} minutes"):
        load_bars(path, timeframe=asked, symbol="NQ", tz="UTC", edge="end")


def test_a_close_that_cuts_bars_tells_no_zone(tmp_path: Path) -> None:
    """Four hours from 9:30 and the rest until 16:00 would end with the exchange's hours on the clock of Chicago."""
    _, ends = bars_of("NQ", 240, regular=True)
    path = write(tmp_path / "NQ_4h.txt", FORMS["nobody's"], "America/New_York", ends[145:255])
    with pytest.raises(AmbiguousStamps, match="Pass tz= and edge="):
        load_bars(path)


def test_steps_of_cut_bars_are_no_length(tmp_path: Path) -> None:
    """The shortest of several steps that are as frequent is not taken where nothing says the length."""
    _, ends = bars_of("NQ", 480, regular=False)
    path = write(tmp_path / "NQ.txt", FORMS["iso"], "UTC", ends[:90])
    with pytest.raises(UnknownTimeframe, match="do not show the length of a bar"):
        load_bars(path)
