"""Longer bars from shorter ones: sessions, batches, refusals."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.columns import floats_of, starts_of
from jupyter_nq.bars.instruments import EQUITY, FX
from jupyter_nq.bars.resample import Resampler, bar_starts, resample
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sessions.calendar import sessions
from jupyter_nq.errors import ConfigError, InvalidArgument

NEW_YORK = ZoneInfo("America/New_York")
MINUTE = 60 * 10**9


def ns(*clock: int) -> int:
    """Return the instant of a New York clock reading."""
    return int(datetime(*clock, tzinfo=NEW_YORK).timestamp()) * 10**9  # type: ignore[arg-type,misc]


def bars_at(starts: np.ndarray, seed: int = 1) -> pa.Table:
    """Return bars with random prices at the given starts."""
    random = np.random.default_rng(seed)
    prices = np.sort(np.round(random.normal(15_000, 50, (len(starts), 4)) * 4) / 4)
    volume = random.integers(0, 9_000, len(starts))
    flags = random.integers(0, 4, len(starts)).astype(np.uint32)
    columns = [starts, prices[:, 1], prices[:, 3], prices[:, 0], prices[:, 2], volume, flags]
    return pa.table([pa.array(c).cast(f.type) for c, f in zip(columns, BAR_SCHEMA, strict=True)], schema=BAR_SCHEMA)


def year_of_bars(minutes: int, keep: float = 1.0) -> pa.Table:
    """Return bars of some weeks around a change of the clock and an early close, some of them missing."""
    sess = sessions(EQUITY, ns(2024, 10, 28), ns(2024, 12, 2))
    starts = np.concatenate([np.arange(o, c, minutes * MINUTE) for o, c in zip(sess.opens, sess.closes, strict=True)])
    kept = np.random.default_rng(9).random(len(starts)) < keep
    return bars_at(starts[kept])


def slow(table: pa.Table, minutes: int) -> pd.DataFrame:
    """Return the same by a loop over sessions with pandas."""
    frame = table.to_pandas()
    starts = starts_of(table)
    sess = sessions(EQUITY, int(starts[0]), int(starts[-1]))
    out = []
    for opening, close in zip(sess.opens, sess.closes, strict=True):
        step = minutes * MINUTE if minutes < 1440 else close - opening
        for begin in range(opening, close, step):
            rows = frame[(starts >= begin) & (starts < min(begin + step, close))]
            if len(rows):
                out.append(
                    (begin, rows.open.iloc[0], rows.high.max(), rows.low.min(), rows.close.iloc[-1], rows.volume.sum())
                )
    return pd.DataFrame(out, columns=["timestamp", "open", "high", "low", "close", "volume"])


@pytest.mark.parametrize("timeframe", ["30min", "1h", "2h", "3h", "7h", "1D"])
def test_equals_a_slow_reference(timeframe: str) -> None:
    """Over a change of the clock and early closes, with bars missing."""
    table = year_of_bars(10, keep=0.6)
    minutes = {"30min": 30, "1h": 60, "2h": 120, "3h": 180, "7h": 420, "1D": 1440}[timeframe]
    found = resample(table, timeframe, minutes=10, calendar=EQUITY)
    expected = slow(table, minutes)
    assert starts_of(found).tolist() == expected.timestamp.tolist()
    for name in ("open", "high", "low", "close", "volume"):
        assert found[name].to_pylist() == expected[name].tolist()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=12), st.sampled_from(["30min", "3h", "1D"]))
def test_batches_give_the_same_bits(cuts: list[int], timeframe: str) -> None:
    """However the rows are cut, streamed equals whole."""
    table = year_of_bars(10, keep=0.5)
    resampler = Resampler(timeframe, minutes=10, calendar=EQUITY)
    parts, at = [], 0
    while at < table.num_rows:
        size = cuts[len(parts) % len(cuts)]
        parts.append(resampler.add(table.slice(at, size)))
        at += size
    parts.append(resampler.finish())
    assert pa.concat_tables(parts).combine_chunks().equals(resample(table, timeframe, minutes=10, calendar=EQUITY))
    assert resampler.finish().num_rows == 0


def test_a_resampler_takes_batches_and_says_what_it_holds() -> None:
    """A record batch is welcome; its state is the rows of the forming bar; going back is refused."""
    table = year_of_bars(10)
    resampler = Resampler("1h", minutes=10, calendar=EQUITY, hours="rth")
    assert resampler.add(table.slice(0, 3)).num_rows == 0, "before the regular hours"
    resampler = Resampler("1h", minutes=10, calendar=EQUITY)
    assert resampler.add(table.to_batches()[0].slice(0, 8)).num_rows == 1
    assert repr(resampler) == "<Resampler 10 to 60 min, 2 rows in the forming bar>"
    for rows in (table.slice(0, 1), table.slice(7, 1)):
        with pytest.raises(InvalidArgument, match=r"begins at .* the last of which is at 2024-10-27 23:10:00 UTC"):
            resampler.add(rows)
    assert resampler.add(table.slice(8, 4)).num_rows == 1, "as it was before the refusal"


def test_a_bar_is_given_out_with_the_row_that_reaches_its_end() -> None:
    """The last bar of a session is complete with its last row, not with the next session; until then it is partial."""
    table = bars_at(np.arange(ns(2024, 11, 4, 15, 30), ns(2024, 11, 4, 17), 30 * MINUTE))
    resampler = Resampler("3h", minutes=30, calendar=EQUITY)
    assert [resampler.add(table.slice(i, 1)).num_rows for i in range(2)] == [0, 0]
    forming = resampler.partial
    assert forming.equals(resample(table.slice(0, 2), "3h", minutes=30, calendar=EQUITY))
    assert resampler.add(table.slice(2, 1)).num_rows == 1, "two hours long: the session is over"
    assert resampler.partial.num_rows == resampler.finish().num_rows == 0
    regular = Resampler("1h", minutes=30, calendar=EQUITY, hours="rth")
    assert regular.add(table.slice(0, 1)).num_rows == 1, "the last half hour of the regular hours"
    regular = Resampler("1h", minutes=10, calendar=EQUITY, hours="rth")
    assert regular.add(bars_at(np.array([ns(2024, 11, 4, 15, 30)]))).num_rows == 0
    assert regular.add(bars_at(np.array([ns(2024, 11, 4, 16)]))).num_rows == 1, "by a row that is left out"
    with pytest.raises(InvalidArgument, match="Add the rows in order"):
        regular.add(bars_at(np.array([ns(2024, 11, 4, 15, 50)])))


def test_bars_outside_the_sessions_on_request() -> None:
    """They are kept in bars of their own, which share nothing with a session, whole and streamed."""
    starts = np.arange(ns(2024, 11, 1, 15), ns(2024, 11, 4, 12), 30 * MINUTE)
    table = bars_at(starts)
    found = resample(table, "3h", minutes=30, calendar=EQUITY, outside="keep")
    assert sum(found["volume"].to_pylist()) == sum(table["volume"].to_pylist())
    clock = pd.DatetimeIndex(found["timestamp"].to_pandas())
    friday = [stamp.strftime("%d %H:%M") for stamp in clock.tz_convert(NEW_YORK)[:3]]
    assert friday == ["01 15:00", "01 17:00", "01 20:00"], "17:00 is the close; 20:00 is midnight in UTC"
    sunday = resample(table, "3h", minutes=30, calendar=EQUITY, outside="keep").slice(len(clock) - 6)
    assert sunday["timestamp"][0].as_py() == datetime(2024, 11, 3, 18, tzinfo=NEW_YORK)
    inside = starts_of(found)[sessions(EQUITY, int(starts[0]), int(starts[-1])).index(starts_of(found)) >= 0]
    kept = table.filter(pa.array(sessions(EQUITY, int(starts[0]), int(starts[-1])).index(starts) >= 0))
    assert inside.tolist() == starts_of(resample(kept, "3h", minutes=30, calendar=EQUITY)).tolist()
    for size in (1, 7, 50):
        resampler = Resampler("3h", minutes=30, calendar=EQUITY, outside="keep")
        parts = [resampler.add(table.slice(at, size)) for at in range(0, len(starts), size)]
        assert pa.concat_tables([*parts, resampler.finish()]).combine_chunks().equals(found)
    day = resample(table, "1D", minutes=30, calendar=EQUITY, outside="keep")
    assert pd.DatetimeIndex(day["timestamp"].to_pandas()).tz_convert(NEW_YORK).strftime("%a %H:%M").tolist() == [
        "Thu 18:00", "Fri 17:00", "Fri 20:00", "Sat 20:00", "Sun 18:00",
    ]  # fmt: skip


def test_without_a_calendar_bars_are_cut_at_midnight() -> None:
    """Instruments whose sessions are not known have bars since midnight UTC."""
    table = bars_at(np.arange(ns(2024, 11, 2, 0), ns(2024, 11, 4, 0), 30 * MINUTE))
    assert {stamp.hour for stamp in resample(table, "4h", minutes=30, calendar=None)["timestamp"].to_pylist()} == {
        0, 4, 8, 12, 16, 20,
    }  # fmt: skip
    days = resample(table, "1D", minutes=30, calendar=None)["timestamp"].to_pylist()
    assert [stamp.hour for stamp in days] == [0, 0, 0]
    with pytest.raises(InvalidArgument, match="hours='rth' needs a calendar"):
        resample(table, "4h", minutes=30, calendar=None, hours="rth")


def test_the_sign_of_zero_does_not_depend_on_batches() -> None:
    """Of 0.0 and -0.0 a library takes the one or the other as high; here it is always 0.0."""
    random = np.random.default_rng(3)
    table = bars_at(np.arange(ns(2024, 11, 4, 0), ns(2024, 11, 4, 16), MINUTE))
    for name in ("high", "low"):
        zeros = pa.array(random.choice([0.0, -0.0], table.num_rows))
        table = table.set_column(table.schema.get_field_index(name), BAR_SCHEMA.field(name), zeros)
    found = resample(table, "4h", minutes=1, calendar=EQUITY)
    assert not np.signbit(np.concatenate([floats_of(found, name) for name in ("high", "low")])).any()


def test_regular_hours() -> None:
    """They are anchored at 09:30 and leave out the night; an early close ends them."""
    found = resample(year_of_bars(10), "1h", minutes=10, calendar=EQUITY, hours="rth")
    clock = pd.DatetimeIndex(found["timestamp"].to_pandas()).tz_convert(NEW_YORK)
    assert set(clock.strftime("%H:%M")) == {f"{h:02d}:30" for h in range(9, 16)}
    friday = clock[clock.strftime("%m-%d") == "11-29"]
    assert friday[-1].strftime("%H:%M") == "12:30"
    daily = resample(year_of_bars(10), "1D", minutes=10, calendar=EQUITY, hours="rth")
    assert set(pd.DatetimeIndex(daily["timestamp"].to_pandas()).tz_convert(NEW_YORK).strftime("%H:%M")) == {"09:30"}


def test_flags_are_gathered() -> None:
    """A bar has every bit that one of its parts has; without the column there are none."""
    table = year_of_bars(30).slice(0, 46)
    day = resample(table, "1D", minutes=30, calendar=EQUITY)
    assert day["flags"].to_pylist() == [3]
    bare = resample(table.drop_columns(["flags"]), "1D", minutes=30, calendar=EQUITY)
    assert bare.schema == BAR_SCHEMA
    assert bare["flags"].to_pylist() == [0]


def test_the_real_file(real_file: Path) -> None:
    """Five years in three-hour bars have the volume, the highest and the lowest of the 30-minute bars."""
    table = load_bars(real_file).table
    found = resample(table, "3h", minutes=30, calendar=EQUITY)
    assert sum(found["volume"].to_pylist()) == sum(table["volume"].to_pylist())
    assert max(found["high"].to_pylist()) == max(table["high"].to_pylist())
    assert table.num_rows / 6.5 < found.num_rows < table.num_rows / 5


def test_nothing_comes_of_nothing() -> None:
    """No rows give no bars."""
    assert resample(BAR_SCHEMA.empty_table(), "1h", minutes=5, calendar=EQUITY).equals(BAR_SCHEMA.empty_table())
    assert Resampler("1h", minutes=5, calendar=EQUITY).add(BAR_SCHEMA.empty_table()).num_rows == 0


@pytest.mark.parametrize("timeframe", ["30min", "1h", "4h", "1D"])
def test_each_row_is_told_the_bar_in_which_it_lies(timeframe: str) -> None:
    """As it is cut, also where rows have one start; no row has no bar."""
    table = year_of_bars(30).slice(0, 500)
    starts = starts_of(table)
    found = bar_starts(np.repeat(starts, 2), timeframe, minutes=30, calendar=EQUITY)
    assert np.array_equal(found[::2], found[1::2])
    assert np.array_equal(np.unique(found), starts_of(resample(table, timeframe, minutes=30, calendar=EQUITY)))
    assert (found[::2] <= starts).all()
    assert not len(bar_starts(starts[:0], timeframe, minutes=30, calendar=EQUITY))
    with pytest.raises(InvalidArgument, match="at no multiple of 30 minutes"):
        bar_starts(starts + MINUTE, timeframe, minutes=30, calendar=EQUITY)


def test_refusals() -> None:
    """Each says what, where and what to do."""
    table = year_of_bars(30).slice(0, 100)
    with pytest.raises(InvalidArgument, match="45min bars: that length is no multiple of 30"):
        resample(table, "45min", minutes=30, calendar=EQUITY)
    with pytest.raises(InvalidArgument, match="'day' is neither 'eth' nor 'rth'"):
        resample(table, "1h", minutes=30, calendar=EQUITY, hours="day")
    with pytest.raises(InvalidArgument, match="'drop' is neither 'error' nor 'keep'"):
        resample(table, "1h", minutes=30, calendar=EQUITY, outside="drop")
    with pytest.raises(ConfigError, match="regular hours"):
        resample(table, "1h", minutes=30, calendar=FX, hours="rth")
    with pytest.raises(InvalidArgument, match="no column volume; they have"):
        resample(table.drop_columns(["volume"]), "1h", minutes=30, calendar=EQUITY)
    with pytest.raises(InvalidArgument, match="no column 'timestamp'; they have open"):
        starts_of(table.drop_columns(["timestamp"]))
    sunday = bars_at(np.array([ns(2024, 11, 3, 12), ns(2024, 11, 3, 12, 30)]))
    with pytest.raises(InvalidArgument, match=r"2 of 2 bars start outside .* row 0 \(2024-11-03 17:00:00 UTC\), row 1"):
        resample(sunday, "1h", minutes=30, calendar=EQUITY)
    odd = bars_at(np.array([ns(2024, 11, 4, 12), ns(2024, 11, 4, 12, 40)]))
    with pytest.raises(InvalidArgument, match=r"1 of 2 bars start at no multiple of 30 minutes from the open"):
        resample(odd, "1h", minutes=30, calendar=EQUITY)
    huge = table.slice(0, 4).set_column(5, BAR_SCHEMA.field("volume"), pa.array([2**62] * 4, pa.int64()))
    with pytest.raises(InvalidArgument, match="too large to be added"):
        resample(huge, "1D", minutes=30, calendar=EQUITY)
    holes = pa.table({**{n: table[n] for n in table.column_names[:5]}, "volume": pa.array([None] * 100, pa.int64())})
    with pytest.raises(InvalidArgument, match="'volume' has 100 nulls"):
        resample(holes, "1h", minutes=30, calendar=EQUITY)
