"""What a series lacks, and where it holds the wrong contract."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.instruments import EQUITY, FX, GRAINS
from jupyter_nq.bars.resample import starts_of
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sessions.calendar import pauses, sessions
from jupyter_nq.bars.sessions.completeness import completeness
from jupyter_nq.bars.sessions.regular import is_regular
from jupyter_nq.bars.sessions.roll_dates import roll_date
from jupyter_nq.bars.sessions.rolls import roll_evidence
from jupyter_nq.bars.sessions.thin import thin_spans
from jupyter_nq.errors import ConfigError, InvalidArgument
from tests.unit.bars.test_resample import MINUTE, bars_at, ns

WHOLE = np.concatenate(
    [
        np.arange(o, c, 30 * MINUTE)
        for sess in [sessions(EQUITY, ns(2024, 10, 28), ns(2025, 1, 10))]
        for o, c in zip(sess.opens, sess.closes, strict=True)
    ]
)


def test_a_whole_series_lacks_nothing() -> None:
    """Holidays, early closes and changes of the clock are no gaps."""
    found = completeness(WHOLE, 30, EQUITY)
    assert (found.expected, found.missing, found.share) == (len(WHOLE), 0, 1.0)
    assert len(found.gaps) == 0
    assert (
        found.text().splitlines()[0]
        == f"{len(WHOLE):,} of {len(WHOLE):,} expected bars (100.00%), 0 bars outside the sessions of {EQUITY}"
    )


@settings(deadline=None, max_examples=60)
@given(st.sets(st.integers(1, len(WHOLE) - 2), max_size=80))
def test_what_is_taken_out_is_missing(rows: set[int]) -> None:
    """Counts, sessions and gaps add up to the bars that were removed."""
    kept = np.setdiff1d(np.arange(len(WHOLE)), list(rows))
    found = completeness(WHOLE[kept], 30, EQUITY)
    assert found.missing == len(rows) == sum(gap.bars for gap in found.gaps)
    inside = {ns for gap in found.gaps for ns in WHOLE if gap.first_ns <= ns <= gap.last_ns}
    assert inside == set(WHOLE[sorted(rows)].tolist())
    assert len(found.gaps) == sum(row - 1 not in rows for row in rows)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([1, 5, 7, 15, 30, 60, 240]), st.floats(0, 1), st.integers(0, 9))
def test_counts_are_those_of_a_slow_reference(minutes: int, keep: float, seed: int) -> None:
    """Expected slots are all of each session but those that lie in its pause, from the first bar to the last."""
    sess = sessions(EQUITY, ns(2021, 6, 23), ns(2021, 6, 29, 12))
    step = minutes * MINUTE
    slots = [o + i * step for o, c in zip(sess.opens, sess.closes, strict=True) for i in range(-(-(c - o) // step))]
    begins, ends = pauses(sess)
    paused = {s for s in slots for b, e in zip(begins, ends, strict=True) if b <= s and s + step <= e}
    random = np.random.default_rng(seed)
    starts = np.array([s for s in slots if s not in paused and random.random() < keep], np.int64)
    found = completeness(starts, minutes, EQUITY)
    expected = [s for s in slots if len(starts) and starts[0] <= s <= starts[-1] and s not in paused]
    there = set(starts.tolist())
    lacking = [s for s in expected if s not in there]
    assert (found.expected, found.present) == (len(expected), len(starts))
    assert sum(hole.bars for hole in found.holes) == found.gaps.bars.sum() == len(lacking) == found.missing
    assert found.gaps.first_ns.tolist() == [b for a, b in pairwise(expected) if a in there and b not in there]
    assert sum(found.incomplete.values()) <= found.missing


def test_hours_of_one_s_own() -> None:
    """A session that the user's exchange did not have is not expected."""
    day = date(2024, 12, 4)
    found = completeness(WHOLE, 30, EQUITY, {day: None})
    assert (found.missing, len(found.outside)) == (0, 46)
    assert completeness(np.delete(WHOLE, found.outside), 30, EQUITY, {day: None}).share == 1.0


def test_gaps_are_a_sequence() -> None:
    """They are counted, indexed and sliced like a list, and read as text."""
    gaps = completeness(np.delete(WHOLE, [5, 6, 50]), 30, EQUITY).gaps
    assert [gap.bars for gap in gaps] == [2, 1]
    assert gaps[-1].first_ns == WHOLE[50]
    assert [str(gap) for gap in gaps[:1]] == ["2024-10-28: 2 bars"]
    assert str(gaps[1]) == "2024-10-29: 1 bar"


def test_holes_join_sessions_over_a_few_whole_ones() -> None:
    """Five whole sessions between two short ones join them, six do not; the text names the largest."""
    sess = sessions(EQUITY, ns(2024, 1, 1), ns(2024, 12, 30))
    whole = np.concatenate([np.arange(o, c, 30 * MINUTE) for o, c in zip(sess.opens, sess.closes, strict=True)])
    firsts = np.searchsorted(whole, sess.opens)
    joined = completeness(np.delete(whole, firsts[[3, 9]]), 30, EQUITY)
    assert [(hole.sessions, hole.bars) for hole in joined.holes] == [(2, 2)]
    apart = completeness(np.delete(whole, firsts[3:200:7]), 30, EQUITY)
    assert len(apart.holes) == len(range(3, 200, 7))
    assert f"and {len(apart.holes) - 8} smaller holes" in apart.text()
    assert str(apart.holes[0]) == f"{sess.trade_date[3]}: 1 bar"


def test_bars_in_closed_hours_are_named() -> None:
    """They are neither expected nor present."""
    saturday = ns(2024, 11, 2, 12)
    starts = np.sort(np.append(WHOLE, saturday))
    found = completeness(starts, 30, EQUITY)
    assert starts[found.outside].tolist() == [saturday]
    assert found.missing == 0
    assert ", 1 bars outside" in found.text()


def test_regular_hours_alone() -> None:
    """Of a file of regular hours nothing is missing, and what a whole file has around them does not count."""
    inside = WHOLE[is_regular(WHOLE, EQUITY)]
    for starts in (inside, WHOLE):
        found = completeness(starts, 30, EQUITY, hours="rth")
        assert (found.expected, found.missing, len(found.outside)) == (len(inside), 0, 0)
    oil = "09:00-14:30 America/New_York"
    assert completeness(np.delete(inside, 20), 30, EQUITY, hours="rth").missing == 1
    assert completeness(WHOLE, 30, EQUITY, hours="rth", regular_hours=oil).expected < len(inside)
    with pytest.raises(InvalidArgument, match="'day' is neither 'eth' nor 'rth'"):
        completeness(WHOLE, 30, EQUITY, hours="day")


@pytest.mark.parametrize("minutes", [60, 1440])
def test_bars_across_the_opening_are_neither_in_nor_out(minutes: int) -> None:
    """An hour from 9:00 has half of the regular hours' first; so has a whole session."""
    opens = np.flatnonzero(np.diff(WHOLE, prepend=0) > 30 * 60 * 10**9)
    starts = WHOLE[opens] if minutes == 1440 else WHOLE[:: minutes // 30]
    with pytest.raises(InvalidArgument, match=rf"bars? of {minutes} minutes begin before the regular hours and end in"):
        completeness(starts, minutes, EQUITY, hours="rth")


def test_few_or_no_bars() -> None:
    """Nothing is expected of an empty series, nor of one in closed hours only."""
    for starts in (np.empty(0, np.int64), np.array([ns(2024, 11, 2, 12)])):
        found = completeness(starts, 30, EQUITY)
        assert (found.expected, found.share, len(found.outside)) == (0, 1.0, len(starts))


def test_a_calendar_without_early_closes_says_so() -> None:
    """The half days of grains are not known."""
    found = completeness(WHOLE, 30, GRAINS)
    assert "early closes of this calendar are not known" in found.text()
    assert not found.holidays_known


def test_the_real_file_lacks_three_sessions_and_the_hole(real_file: Path) -> None:
    """Outside the thin span: 34 bars of 2020-07-10, 34 of 2022-04-28, all 46 of 2022-04-29, and no more."""
    table = load_bars(real_file).table
    found = completeness(starts_of(table), 30, EQUITY)
    assert (found.present, len(found.outside)) == (56_083, 0)
    (span,) = thin_spans(table, EQUITY)
    assert (str(span.first_date), str(span.last_date)) == ("2023-12-12", "2024-06-13")
    assert span.jump_percent == pytest.approx(100 * (16_976.00 / 16_243.25 - 1))
    hole = {str(span.first_date + i) for i in range(-1, 190)}
    assert {d: n for d, n in found.incomplete.items() if d not in hole} == {"2020-07-10": 34, "2022-04-28": 34}
    assert [str(d) for d in found.missing_sessions if str(d) not in hole] == ["2022-04-29"]
    assert found.text().splitlines()[2:] == [
        "  missing 2020-07-10: 34 bars",
        "  missing 2022-04-28 to 2022-04-29: 80 bars of 2 sessions",
        "  missing 2023-12-12 to 2024-06-06: 3,012 bars of 120 sessions",
    ]
    assert "2023-12-12 to 2024-06-13: 167 contracts" in str(span)


def test_the_real_file_shows_its_rolls(real_file: Path) -> None:
    """All since the splice is raw jump at 18:00 of the roll Monday, the session of Tuesday."""
    rolls = {roll.roll_date: roll for roll in roll_evidence(load_bars(real_file).table, EQUITY)}
    assert len(rolls) == 20
    for day in ("2023-06-12", "2023-09-11", "2023-12-11", "2024-09-16", "2024-12-16", "2025-03-17", "2025-06-16"):
        roll = rolls[date.fromisoformat(day)]
        assert roll.seen
        assert roll.trade_date == np.datetime64(day) + 1
    assert rolls[date(2024, 12, 16)].jump_percent == pytest.approx(1.36, abs=0.01)
    assert str(rolls[date(2024, 12, 16)]).startswith("roll of 2024-12-16: jump of +")
    assert "no jump stands out" in str(rolls[date(2021, 3, 15)])
    wrong = rolls[date(2023, 12, 11)]
    assert (wrong.jump_points, wrong.volume_after) == (732.75, 1.0)
    assert str(wrong).endswith("from where on a session has 1 contracts and not 612,109")
    assert str(rolls[date(2024, 3, 11)]) == "roll of 2024-03-11: hardly traded, 32 contracts a session"
    seen = [roll for roll in rolls.values() if roll.seen]
    assert {(roll.trade_date - np.datetime64(roll.roll_date)).astype(int) for roll in seen} == {1}
    assert min(roll.roll_date for roll in seen) == date(2022, 6, 13)


def volumes(per_session: list[int]) -> pa.Table:
    """Return daily-like bars, one a session, with the given volumes."""
    sess = sessions(EQUITY, ns(2022, 1, 3), ns(2023, 6, 1))
    usual = np.flatnonzero(~sess.early)[: len(per_session)]
    table = bars_at(sess.opens[usual])
    return table.set_column(5, BAR_SCHEMA.field("volume"), pa.array(per_session, pa.int64()))


def test_thin_spans() -> None:
    """Three sessions in a row begin one, three strong ones end it; a quiet day is none; so is too short a series."""
    assert thin_spans(volumes([1000] * 60), EQUITY) == []
    assert thin_spans(volumes([1000] * 30 + [3] + [1000] * 30), EQUITY) == []
    table = volumes([1000] * 30 + [3] * 10 + [400, 3, 300, 400] + [500] * 20)
    (span,) = thin_spans(table, EQUITY)
    assert (span.first_row, span.last_row, span.usual_volume) == (30, 41, 1000.0)
    (at_end,) = thin_spans(volumes([1000] * 50 + [3] * 10), EQUITY)
    assert at_end.last_row == 59
    grown = [int(10 * 1.02**session) for session in range(340)]
    assert thin_spans(volumes(grown), EQUITY) == [], "volume that grows with the years has not collapsed"
    (at_start,) = thin_spans(volumes([3] * 10 + [1000] * 50), EQUITY)
    assert (at_start.first_row, at_start.jump_percent) == (0, None)
    assert "jump" not in str(at_start)
    assert thin_spans(volumes([1000] * 20 + [3] * 10), EQUITY) == []
    assert thin_spans(BAR_SCHEMA.empty_table(), EQUITY) == []


def test_rolls_of_little_or_foreign_data() -> None:
    """No bars, no rolls; a flat series has no jump; a rule that is none is refused."""
    assert roll_evidence(BAR_SCHEMA.empty_table(), EQUITY) == []
    weekend = bars_at(np.array([ns(2024, 12, 14, 12), ns(2024, 12, 14, 13)]))
    assert roll_evidence(weekend, EQUITY) == []
    assert thin_spans(weekend, EQUITY) == []
    assert roll_date(2023, 3) == date(2023, 3, 13)
    with pytest.raises(ConfigError, match=r"'quartely' is no rule of roll dates. Did you mean 'quarterly'"):
        roll_evidence(BAR_SCHEMA.empty_table(), FX, "quartely")
    broken = volumes([5] * 80)
    closes = broken["close"].to_numpy().copy()
    closes[[10, 20, 30]] = 0.0, np.nan, np.inf
    broken = broken.set_column(4, BAR_SCHEMA.field("close"), pa.array(closes))
    assert all(np.isfinite(roll.sigmas) for roll in roll_evidence(broken, EQUITY)), "openings after them have no jump"
    flat = volumes([5] * 80)
    for name in ("open", "high", "low", "close"):
        flat = flat.set_column(flat.schema.get_field_index(name), BAR_SCHEMA.field(name), pa.array([10.0] * 80))
    assert not any(roll.seen for roll in roll_evidence(flat, EQUITY))
