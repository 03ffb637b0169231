"""Features of the clock and of sessions, at the edges that naive local hours get wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.bars.features.pipeline import Features
from jupyter_nq.bars.instruments import CRYPTO, ENERGY_METALS, EQUITY
from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.errors import ConfigError
from tests.unit.bars.features.made import bars, column, table

OIL = "09:00-14:30 America/New_York"
CLOCK = ("hour", "day_of_week", "month", "minute_of_session", "session_progress", "minutes_to_close", "is_rth")


def _at(*moments: str, prices: object = 100.0) -> pa.Table:
    stamps = [int(datetime.fromisoformat(m).replace(tzinfo=UTC).timestamp()) * 10**9 for m in moments]
    values = np.broadcast_to(np.asarray(prices, float), (4, len(stamps)))
    return table(np.array(stamps), values, np.ones(len(stamps), np.int64))


def _row(moment: str, minutes: int = 30) -> dict[str, float]:
    found = Features(CLOCK, calendar=EQUITY, minutes=minutes).compute(_at(moment))
    return {name: found[name][0].as_py() for name in CLOCK}


def test_a_sunday_evening_belongs_to_monday() -> None:
    """The first bar of the week: 18:00 New York in summer time, trade date Monday."""
    assert _row("2024-05-05T22:00") == {
        "hour": 18.0,
        "day_of_week": 0.0,
        "month": 5.0,
        "minute_of_session": 0.0,
        "session_progress": 0.0,
        "minutes_to_close": 1350.0,
        "is_rth": 0.0,
    }


@pytest.mark.parametrize(
    ("moment", "hour", "regular"),
    [
        ("2024-01-10T14:29", 9.0, 0.0),
        ("2024-01-10T14:30", 9.0, 1.0),
        ("2024-07-10T13:30", 9.0, 1.0),
        ("2024-07-10T19:59", 15.0, 1.0),
        ("2024-07-10T20:00", 16.0, 0.0),
        ("2024-07-03T17:30", 13.0, 0.0),  # closed early, at 13:15
    ],
)
def test_regular_hours_are_new_yorks(moment: str, hour: float, regular: float) -> None:
    """09:30 to 16:00 on the exchange's clock, in winter and summer, cut by an early close."""
    row = _row(moment, minutes=1)
    assert (row["hour"], row["is_rth"]) == (hour, regular)


def test_a_bar_is_cut_at_an_early_close() -> None:
    """The last bar before a close at 13:15 is complete then, so no minute is left."""
    row = _row("2024-07-03T17:00")
    assert row["minutes_to_close"] == 0.0
    assert row["minute_of_session"] == 19 * 60
    assert row["session_progress"] == pytest.approx(19 / 19.25)


def test_outside_sessions_is_nan() -> None:
    """A bar on a Saturday has an hour, and no place in a session; a VWAP neither."""
    found = Features([*CLOCK, "vwap"], calendar=EQUITY, minutes=30).compute(_at("2024-05-04T15:00"))
    assert found["hour"][0].as_py() == 11.0
    assert found["is_rth"][0].as_py() == 0.0
    for name in ("minute_of_session", "session_progress", "minutes_to_close", "vwap"):
        assert np.isnan(found[name][0].as_py())


def test_vwap_begins_anew_with_each_session() -> None:
    """Volume-weighted over the session so far, bars outside sessions left out, NaN before the first volume."""
    given = bars(300, 3)
    volume = given["volume"].to_numpy().copy()
    volume[:3] = 0
    typical = sum(column(given, name) for name in ("high", "low", "close")) / 3
    given = given.set_column(5, given.schema.field("volume"), pa.array(volume))
    found = Features(["vwap", "minute_of_session"], calendar=EQUITY).compute(given)
    opens = np.flatnonzero(column(found, "minute_of_session") == 0)
    assert len(opens) > 5
    vwap = column(found, "vwap")
    assert np.isnan(vwap[:3]).all()
    for a, b in zip(opens, [*opens[1:], 300], strict=True):
        with np.errstate(invalid="ignore"):
            expected = np.cumsum(typical[a:b] * volume[a:b]) / np.cumsum(volume[a:b])
        np.testing.assert_allclose(vwap[a:b], expected, rtol=1e-12)


@pytest.mark.parametrize("wanted", ["vwap", "minute_of_session", "session_progress", "minutes_to_close"])
@pytest.mark.parametrize("calendar", [None, CRYPTO, "CME Globex Equities"])
def test_sessions_must_be_known(wanted: str, calendar: str | None) -> None:
    """Without a calendar, or with one whose sessions are not known, the error names the known ones."""
    with pytest.raises(ConfigError, match=rf"the feature {wanted} needs the sessions.*CME Globex Equity"):
        Features([wanted], calendar=calendar, minutes=30)


def test_what_else_must_be_known() -> None:
    """Regular hours for is_rth, the length of a bar for the time to the close."""
    with pytest.raises(ConfigError, match=r"is_rth needs the regular hours.*Pass regular_hours='09:30-16:00"):
        Features(["is_rth"], calendar=ENERGY_METALS)
    with pytest.raises(ConfigError, match="is_rth needs the regular hours"):
        Features(["is_rth"], calendar=EQUITY, regular_hours="")
    with pytest.raises(ConfigError, match=r"there is no calendar 'CME Globex Equities'. Did you mean"):
        Features(["is_rth"], calendar="CME Globex Equities", regular_hours=OIL)
    with pytest.raises(ConfigError, match="needs the length of a bar"):
        Features(["minutes_to_close"], calendar=EQUITY)
    assert "vwap" in Features(calendar=EQUITY).columns
    assert "vwap" not in Features(calendar=ENERGY_METALS).columns
    assert "vwap" in Features(calendar=ENERGY_METALS, regular_hours=OIL).columns
    assert "vwap" not in Features(regular_hours=OIL).columns


@pytest.mark.parametrize("calendar", [ENERGY_METALS, None, CRYPTO])
def test_regular_hours_are_the_instruments_own(calendar: str | None) -> None:
    """Bars from 09:00 to 14:30 have is_rth, with sessions or without, whole and in pieces, and after a restart."""
    table = sample_bars("30min", rows=46 * 20)
    features = Features(["is_rth"], calendar=calendar, regular_hours=OIL)
    whole = column(features.compute(table), "is_rth")
    clock = table["timestamp"].to_pandas().dt.tz_convert("America/New_York")
    minutes = clock.dt.hour * 60 + clock.dt.minute
    assert whole.tolist() == ((minutes >= 540) & (minutes < 870)).astype(float).tolist()
    first = column(features.add(table.slice(0, 333)), "is_rth")
    rest = column(Features.restore(features.state).add(table.slice(333)), "is_rth")
    assert np.concatenate([first, rest]).tolist() == whole.tolist()
    assert "vwap" in Features(["vwap"], calendar=ENERGY_METALS).columns
