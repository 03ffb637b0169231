"""New rows are evidence too: what contradicts the reading of a file is not appended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.loading import Bars
from jupyter_nq.bars.refreshing import evidence, tail
from jupyter_nq.bars.refreshing.evidence import confirm
from jupyter_nq.bars.refreshing.tail import NotAppended, Tail, read_tail
from tests.unit.bars.conftest import HEADER, session_starts, written

ISO = "%Y-%m-%d %H:%M:%S"


class Two:
    """A file in two states."""

    def __init__(self, path: Path, old: list[str], new: list[str], **given: Any) -> None:
        self.path, self.given = path, given
        rows = [f"{stamp},100,101,99,100.25,7\n" for stamp in [*old, *new]]
        path.write_text(f"{HEADER}\n" + "".join(rows[: len(old)]))
        self.size = path.stat().st_size
        self.bars: Bars = load_bars(path, **given)
        path.write_text(f"{HEADER}\n" + "".join(rows))

    def tail(self) -> Tail:
        """Read what is new."""
        return read_tail(self.path, self.bars.profile, self.bars.table, self.size, self.path.stat().st_size)

    def confirm(self) -> None:
        """Look whether it confirms what was found out."""
        label = f"{self.bars.profile.minutes}min"
        confirm(
            self.path,
            self.bars.profile,
            self.tail(),
            self.bars.table,
            self.size,
            symbol="NQ",
            timeframe=label,
            given=self.given,
        )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a file of thirty-minute bars."""
    return tmp_path / "NQ - 30 min - ETH.csv"


def no_sniff(*_: object, **__: object) -> None:
    """Stand for the look at the whole file."""
    raise AssertionError("the new rows alone should have told")


def test_a_usual_day_needs_no_look_at_the_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone that is not decided among dozens of names, whose clocks all go on alike."""
    starts = session_starts("2024-05-06", 70)
    stamps = written(starts, "America/New_York", ISO)
    two = Two(path, stamps[:-46], stamps[-46:])
    assert len(two.bars.profile.zone_names) > 3
    monkeypatch.setattr(evidence, "sniff", no_sniff)
    two.confirm()


def test_a_given_zone_is_checked_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the known rows lie in open hours need not be asked again after a refresh that found it."""
    stamps = written(session_starts("2024-05-06", 70), "America/New_York", ISO)
    two = Two(path, stamps[:-46], stamps[-46:], tz="America/New_York")
    told: dict[str, Any] = {"symbol": "NQ", "timeframe": "30min", "given": two.given}
    monkeypatch.setattr(evidence, "sniff", no_sniff)
    rest = two.path, two.bars.profile, two.tail(), two.bars.table, two.size
    assert confirm(*rest, **told)
    monkeypatch.setattr(evidence, "_witnesses", no_sniff)
    assert confirm(*rest, **told, plain=True)


def test_a_bar_in_closed_hours(path: Path) -> None:
    """It refutes the zone: the whole file is in question."""
    stamps = written(session_starts("2024-05-06", 70), "America/New_York", ISO)
    two = Two(path, stamps, ["2024-08-13 17:30:00"])
    with pytest.raises(NotAppended, match="cannot be read as it was"):
        two.confirm()
    decided = Two(path, stamps, ["2024-08-13 17:30:00"], tz="America/New_York", edge="start")
    decided.confirm()


def test_clocks_that_part(path: Path) -> None:
    """UTC+3 in summer is many zones; in winter the rows of one of them part it from the others."""
    stamps = written(session_starts("2024-07-01", 110), "Asia/Jerusalem", ISO)
    cut = next(i for i, stamp in enumerate(stamps) if stamp > "2024-10-20")
    two = Two(path, stamps[:cut], stamps[cut:])
    assert two.bars.profile.tz != "Europe/London"
    assert len(two.bars.profile.zone_names) > 10
    whole = load_bars(path).profile
    if whole.tz == two.bars.profile.tz:
        two.confirm()
    else:
        with pytest.raises(NotAppended, match=f"tz {two.bars.profile.tz!r} -> {whole.tz!r}"):
            two.confirm()
    assert len(whole.zone_names) < len(two.bars.profile.zone_names)


def test_another_length_of_bars(path: Path) -> None:
    """Five-minute bars behind thirty-minute ones."""
    stamps = written(session_starts("2024-05-06", 70), "America/New_York", ISO)
    fine = written(session_starts("2024-08-12", 1, 5), "America/New_York", ISO)
    two = Two(path, stamps, fine)
    confirmed = False
    try:
        two.confirm()
        confirmed = True
    except NotAppended:
        pass
    assert confirmed == (load_bars(path).profile.minutes == 30)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2024-08-13 10:00:00,100,101,99,x,7\n", "cannot be read|not the number"),
        ("2024-08-13 10:00:00,100,101,99\n", "cannot be read"),
        ("13.08.2024 10:00:00,100,101,99,100,7\n", "none of the profile's layouts"),
        ("2024-02-31 10:00:00,100,101,99,100,7\n", "cannot be read"),
        ("2024-01-03 10:00:00,100,101,99,100,7\n", "do not increase"),
        ("2024-08-13 10:00:00,100,101,99,100,-7\n", "not the number"),
        ('2024-08-13 10:00:00,100,101,99,100,"7\n2024-08-13 10:30:00,100,101,99,100,7\n', "a quote is not closed"),
    ],
)
def test_lines_that_are_no_new_rows(path: Path, line: str, reason: str) -> None:
    """The whole file is to be read, which names the line, or finds the other layout."""
    stamps = written(session_starts("2024-05-06", 70), "America/New_York", ISO)
    two = Two(path, stamps, [])
    with path.open("a") as file:
        file.write(line)
    with pytest.raises(NotAppended, match=reason):
        two.tail()


@pytest.mark.parametrize("window", [100, 1000, 1 << 16])
def test_the_hour_that_a_clock_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    """Rows of both passes: as many known lines are read again as tell those behind the cut apart."""
    monkeypatch.setattr(tail, "WINDOW_BYTES", window)
    path = tmp_path / "NQ - 1 min - ETH.csv"
    first = [f"2024-11-03 0{int(i >= 60)}:{i % 60:02d}:00" for i in range(120)]
    second = [f"2024-11-03 0{1 + (i >= 60)}:{i % 60:02d}:00" for i in range(90)]
    stamps = [*first, *second]
    for cut in (121, 140, 179, 181):
        two = Two(path, stamps[:cut], stamps[cut:], tz="America/New_York", edge="start")
        two.confirm()
        assert two.tail().table.equals(load_bars(path, tz="America/New_York", edge="start").table.slice(cut))


def test_a_new_bar_that_its_session_cuts_short_tells_the_edge(tmp_path: Path) -> None:
    """Hourly ends in Chicago are read as starts in New York, until one at 12:15 shows that they are ends."""
    starts = [start for start in session_starts("2020-08-03", 90, 60) if start.isoformat() < "2020-11-27T18"]
    ends = [*written(starts, "America/Chicago", ISO, minutes=60), "2020-11-27 12:15:00"]
    two = Two(tmp_path / "NQ_1h.csv", ends[:-1], ends[-1:])
    assert (two.bars.profile.tz, two.bars.profile.edge) == ("America/New_York", "start")
    with pytest.raises(NotAppended, match="tz 'America/New_York' -> 'America/Chicago', edge 'start' -> 'end'"):
        two.confirm()


def test_new_days_are_looked_at_with_all(tmp_path: Path) -> None:
    """A new row that is no trade date makes a question of a file of dates."""
    days = [f"2024-07-{day:02d}" for day in (8, 9, 10, 11, 12, 13)]
    two = Two(tmp_path / "NQ_1D.csv", days[:-1], days[-1:])
    with pytest.raises(NotAppended, match="cannot be read as it was"):
        two.confirm()
