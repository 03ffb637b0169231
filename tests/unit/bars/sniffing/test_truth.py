"""What is found out about a file of any length, zone and edge is the truth, or a question: never another reading."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.instruments import INSTRUMENTS
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.resample import resample
from jupyter_nq.bars.sessions.availability import availability
from jupyter_nq.bars.sessions.calendar import sessions
from jupyter_nq.bars.sessions.regular import regular_hours
from jupyter_nq.bars.timeframe import parse_timeframe, timeframe_of
from jupyter_nq.errors import AmbiguousStamps, UnknownTimeframe

_NS = 1_000_000_000
_FIRST, _LAST = (int(np.datetime64(day, "ns").astype(np.int64)) for day in ("2019-06-01", "2021-02-01"))
ZONES = ("America/New_York", "America/Chicago", "America/Los_Angeles", "UTC", "Europe/London", "Europe/Berlin",
         "Asia/Jerusalem", "Asia/Karachi", "Asia/Kolkata", "Asia/Tokyo", "America/Sao_Paulo", "UTC-5")  # fmt: skip
LENGTHS = (5, 15, 30, 60, 120, 180, 240, 360, 480, 720, 1440)


@dataclass(frozen=True)
class Form:
    """How a vendor writes, and on which clock if it has one."""

    header: str
    stamp: str
    row: str
    tz: str | None = None
    edge: str | None = None


FORMS = {
    "nobody's": Form("Timestamp,Open,High,Low,Close,Volume", "%d/%m/%Y %H:%M:%S", "100,101,99,100.25,7"),
    "tradestation": Form(
        '"Date","Time","Open","High","Low","Close","Up","Down"', "%m/%d/%Y,%H:%M", "100,101,99,100.25,3,4",
        "America/Chicago", "end",
    ),
    "kibot": Form("", "%m/%d/%Y,%H:%M", "100,101,99,100.25,7", "America/New_York", "start"),
    "sierrachart": Form(
        "Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume", "%Y/%m/%d, %H:%M:%S",
        "100, 101, 99, 100.25, 7, 3, 3, 4",
    ),
    "ninjatrader": Form("", "%Y%m%d %H%M%S", "100;101;99;100.25;7", "UTC", "end"),
    "iso": Form("timestamp,open,high,low,close,volume", "%Y-%m-%dT%H:%M:%SZ", "100,101,99,100.25,7", "UTC", "start"),
}  # fmt: skip


def bars_of(symbol: str, minutes: int, *, regular: bool) -> tuple[Ints, Ints]:
    """Return starts and ends of all bars of some years (ns UTC), cut where their session or its regular hours end."""
    sess = sessions(INSTRUMENTS[symbol].calendar, _FIRST, _LAST)
    opens, closes = regular_hours(sess) if regular else (sess.opens, sess.closes)
    step = minutes * 60 * _NS
    count = -(-(closes - opens) // step)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    starts = np.repeat(opens, count) + within * step
    return starts, np.minimum(starts + step, np.repeat(closes, count))


def write(path: Path, form: Form, tz: str, stamps: Ints) -> Path:
    """Write bars with these stamps (ns UTC) on a clock."""
    zone = UTC if tz == "UTC" else ZoneInfo("Etc/GMT+5") if tz == "UTC-5" else ZoneInfo(tz)
    join = ";" if ";" in form.row else ", " if ", " in form.row else ","
    texts = (datetime.fromtimestamp(at // _NS, zone).strftime(form.stamp) for at in stamps.tolist())
    path.write_text("\n".join([*filter(None, [form.header]), *(f"{t}{join}{form.row}" for t in texts)]) + "\n")
    return path


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=25, deadline=None)
@given(
    tz=st.sampled_from(ZONES),
    edge=st.sampled_from(("start", "end")),
    minutes=st.sampled_from(LENGTHS),
    first=st.integers(0, 1 << 30),
    rows=st.one_of(st.integers(2, 40), st.integers(40, 3000)),
    regular=st.booleans(),
    missing=st.sampled_from((0.0, 0.0, 0.1)),
)
@example(tz="America/Chicago", edge="end", minutes=60, first=2900, rows=600, regular=False, missing=0.0)
@example(tz="America/Chicago", edge="end", minutes=120, first=0, rows=3000, regular=False, missing=0.0)
def test_the_reading_is_the_truth_or_a_question(
    name: str, tz: str, edge: str, minutes: int, first: int, rows: int, regular: bool, missing: float
) -> None:
    """All starts are those of the bars that were written, or the reading is asked for; a vendor keeps its habits."""
    form = FORMS[name]
    tz, edge = form.tz or tz, form.edge or edge
    assume(not (regular and minutes == 1440))
    starts, ends = bars_of("NQ", minutes, regular=regular)
    first %= len(starts) - 2
    kept = np.random.default_rng(first).random(len(starts)) >= missing
    starts, ends = (column[first : first + rows][kept[first : first + rows]] for column in (starts, ends))
    assume(len(starts) > 1)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"NQ_{timeframe_of(minutes).label}.txt"
        write(path, form, tz, starts if edge == "start" else ends)
        try:
            found = load_bars(path)
        except (AmbiguousStamps, UnknownTimeframe):
            return
        assert starts_of(found.table).tolist() == starts.tolist(), found.evidence


def hours(first: str, last: str) -> tuple[Ints, Ints]:
    """Return starts and ends of the hourly bars between two days."""
    starts, ends = bars_of("NQ", 60, regular=False)
    low, high = (int(np.datetime64(day, "ns").astype(np.int64)) for day in (first, last))
    kept = (starts >= low) & (starts < high)
    return starts[kept], ends[kept]


@pytest.mark.parametrize("name", ["tradestation", "nobody's"])
def test_a_bar_that_a_session_cuts_short_tells_the_edge(tmp_path: Path, name: str) -> None:
    """An hourly stamp of 12:15 Chicago is the end of a bar from 13:00 New York, which no start could be."""
    starts, ends = hours("2020-11-22", "2020-12-06")
    path = write(tmp_path / "NQ_1h.txt", FORMS[name], "America/Chicago", ends)
    bars = load_bars(path)
    assert starts_of(bars.table).tolist() == starts.tolist()
    assert bars.profile.edge == "end"
    assert bars.evidence[-1].endswith("bars that a session cuts short are stamped at its close")


def test_energy_closes_early_too(tmp_path: Path) -> None:
    """Where the early closes of a calendar are not known, the break behind a bar that is cut short tells as much."""
    starts, ends = hours("2020-11-22", "2020-12-06")
    path = write(tmp_path / "CL_1h.txt", FORMS["nobody's"], "America/Chicago", ends)
    assert starts_of(load_bars(path).table).tolist() == starts.tolist()


def test_stamps_off_the_grid_that_nothing_explains_are_a_question(tmp_path: Path) -> None:
    """A bar in the middle of a session may be a start or a cut end: the two readings are shown side by side."""
    starts, _ = hours("2020-12-06", "2020-12-19")
    starts[30] += 15 * 60 * _NS
    path = write(tmp_path / "NQ_1h.txt", FORMS["nobody's"], "America/New_York", starts)
    with pytest.raises(AmbiguousStamps) as caught:
        load_bars(path)
    assert "'America/New_York'  'start'" in str(caught.value)
    assert "'America/Chicago'   'end'" in str(caught.value)
    kibot = write(tmp_path / "NQ_1h.txt", FORMS["kibot"], "America/New_York", starts)
    assert starts_of(load_bars(kibot).table).tolist() == starts.tolist()


def test_regular_hours_cut_the_last_bar_and_tell_no_zone(tmp_path: Path) -> None:
    """Ends of hours from 9:30 to 16:00 could be those of another zone, whose day ends at 17:00: a question."""
    _, ends = bars_of("NQ", 60, regular=True)
    path = write(tmp_path / "NQ_1h.txt", FORMS["nobody's"], "America/New_York", ends[:70])
    with pytest.raises(AmbiguousStamps):
        load_bars(path)


@pytest.mark.parametrize("length", ["1h", "2h", "3h", "4h"])
def test_the_real_bars_resampled_and_stamped_at_their_ends(tmp_path: Path, real_file: Path, length: str) -> None:
    """Five years of real bars, longer ones, as TradeStation writes them, come back without a profile."""
    real = load_bars(real_file)
    calendar = str(real.profile.calendar)
    longer = resample(real.table, length, minutes=30, calendar=calendar)
    starts, minutes = starts_of(longer), parse_timeframe(length).minutes
    ends = availability(starts, minutes, calendar)
    path = write(tmp_path / f"NQ_{length}.txt", FORMS["tradestation"], "America/Chicago", ends)
    assert starts_of(load_bars(path).table).tolist() == starts.tolist()
