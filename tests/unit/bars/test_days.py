"""Bars of a day begin at the open of their session, whatever their stamps are."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.closed import bar_starts
from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.reading.chunks import iterate
from jupyter_nq.bars.reading.lenient import read_lenient
from jupyter_nq.bars.reading.reader import read_bars
from jupyter_nq.bars.resample import resample
from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.bars.sessions.availability import availability
from jupyter_nq.bars.sessions.calendar import trade_dates
from jupyter_nq.errors import AmbiguousStamps

NEW_YORK, CHICAGO = ZoneInfo("America/New_York"), ZoneInfo("America/Chicago")
DAYS = resample(sample_bars("30min", rows=12_000), "1D", minutes=30, calendar=EQUITY)
STARTS = starts_of(DAYS)
CLOSES = availability(STARTS, 1440, EQUITY)
DATES = trade_dates(STARTS, EQUITY)


def second(text: str) -> int:
    """Return a New York time in seconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp())


def stamped(path: Path, stamps: list[str], header: str = "Date,Open,High,Low,Close,Volume") -> Path:
    """Write the bars of the days with other stamps."""
    columns = [DAYS[name].to_pylist() for name in ("open", "high", "low", "close", "volume")]
    rows = (",".join(map(str, row)) for row in zip(stamps, *columns, strict=True))
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def closing(zone: ZoneInfo, layout: str, *, whole: bool = False) -> list[str]:
    """Return the closes of the sessions on a clock; `whole` takes 17:00 New York also where one closes early."""
    if whole:
        days = [date.astype(object) for date in DATES]
        return [datetime(d.year, d.month, d.day, 17, tzinfo=NEW_YORK).astimezone(zone).strftime(layout) for d in days]
    return [datetime.fromtimestamp(close // 10**9, zone).strftime(layout) for close in CLOSES.tolist()]


@pytest.mark.parametrize(
    ("stamp", "start"),
    [
        ("2024-07-09T17:00", "2024-07-08T18:00"),
        ("2024-07-08T17:00", "2024-07-07T18:00"),
        ("2020-11-27T13:15", "2020-11-26T18:00"),  # closed early
        ("2020-11-27T17:00", "2020-11-26T18:00"),
        ("2024-03-29T17:00", "2024-03-27T18:00"),  # Good Friday has no session
        ("2024-07-10T00:00", "2024-07-09T18:00"),
        ("2014-05-07T17:15", "2014-05-06T18:00"),
    ],
)
def test_the_end_of_a_day_belongs_to_the_session_before_it(stamp: str, start: str) -> None:
    """The start is the open of the session that opened last before the stamp, over weekends and holidays too."""
    assert bar_starts(np.array([second(stamp)]), "end", 1440, EQUITY).tolist() == [second(start)]


@pytest.mark.parametrize(
    ("stamp", "start"),
    [
        ("2024-07-08T00:00", "2024-07-07T18:00"),
        ("2024-07-07T18:00", "2024-07-07T18:00"),
        ("2024-07-07T20:00", "2024-07-07T20:00"),  # midnight UTC
        ("2024-07-07T00:00", "2024-07-07T00:00"),  # a Sunday is no trade date
    ],
)
def test_midnight_in_new_york_is_a_trade_date(stamp: str, start: str) -> None:
    """It means the session that it lies in; every other start is one."""
    assert bar_starts(np.array([second(stamp)]), "start", 1440, EQUITY).tolist() == [second(start)]


def test_before_the_first_session_a_day_is_a_day() -> None:
    """Where no session is known to have opened, a whole day is taken, and days of other markets have no sessions."""
    first = np.array([3600, 7200])
    assert bar_starts(first, "end", 1440, EQUITY).tolist() == (first - 86_400).tolist()
    assert bar_starts(first, "end", 1440, None).tolist() == (first - 86_400).tolist()
    assert bar_starts(first, "start", 1440, EQUITY).tolist() == first.tolist()


@pytest.mark.parametrize("whole", [False, True])
def test_days_stamped_at_their_end_are_those_of_resample(tmp_path: Path, *, whole: bool) -> None:
    """TradeStation's days come back as their bars give them, stamped at an early close or at the usual hour."""
    stamps = closing(CHICAGO, "%m/%d/%Y,%H:%M", whole=whole)
    path = stamped(tmp_path / "NQ_1D.txt", stamps, '"Date","Time","Open","High","Low","Close","Vol"')
    assert load_bars(path, profile="tradestation").table.equals(DAYS)
    with pytest.raises(AmbiguousStamps, match="Pass tz='America/New_York' and edge="):
        load_bars(path)


@pytest.mark.parametrize("layout", ["%Y-%m-%d", "%Y-%m-%d 00:00:00", "%m/%d/%Y", "%Y%m%d"])
@pytest.mark.parametrize("said", [{}, {"tz": "America/Chicago"}, {"edge": "end"}, {"profile": {"edge": "start"}}])
def test_a_date_without_a_time_is_a_trade_date(tmp_path: Path, layout: str, said: dict[str, object]) -> None:
    """Whatever zone of the exchange or edge is given, the bar starts with its session, and the evidence says so."""
    path = stamped(tmp_path / "NQ_1D.csv", [date.astype(object).strftime(layout) for date in DATES])
    bars = load_bars(path, **said)  # type: ignore[arg-type]
    assert bars.table.equals(DAYS)
    assert f"because all {len(DATES):,} stamps are dates without a time, which are trade dates" in bars.evidence[-2]
    assert "starts at the open of its session, at 18:00 New York on the evening before" in bars.evidence[-1]


@pytest.mark.parametrize("name", ["yahoo", "firstratedata", "kibot", "tradingview", "tradestation"])
def test_the_days_of_vendors_are_trade_dates(tmp_path: Path, name: str) -> None:
    """A vendor's profile reads its dates as the sessions that they are."""
    layout = "%m/%d/%Y" if name in ("kibot", "tradestation") else "%Y-%m-%d"
    path = stamped(tmp_path / "NQ_1D.csv", [date.astype(object).strftime(layout) for date in DATES])
    assert load_bars(path, profile=name).table.equals(DAYS)


def test_another_zone_is_the_users_word(tmp_path: Path) -> None:
    """Days that are said to begin at midnight UTC begin then."""
    path = stamped(tmp_path / "NQ_1D.csv", [str(date) for date in DATES])
    starts = starts_of(load_bars(path, tz="UTC", edge="start").table)
    assert starts.tolist() == DATES.astype("M8[ns]").astype(int).tolist()


def test_dates_that_are_no_trade_dates_are_a_question(tmp_path: Path) -> None:
    """A bar of a Sunday is none of a session: it is named, and what can be done."""
    stamps = [str(date + (1 if at == 4 else 0)) for at, date in enumerate(DATES)]
    path = stamped(tmp_path / "NQ_1D.csv", stamps)
    with pytest.raises(AmbiguousStamps, match=r"1 of \d+ dates are no trade dates of CME Globex Equity, the first is"):
        load_bars(path)
    load_bars(path, tz="UTC", edge="start")


def test_midnight_may_be_the_close_on_another_clock(tmp_path: Path) -> None:
    """A few days at 0:00 may be New York's 17:00 in Jerusalem: a question, until a Monday shows that they are dates."""
    stamps = [f"{date} 00:00" for date in DATES]
    tuesday = next(at for at, date in enumerate(DATES) if date.astype(object).weekday() == 1)
    path = tmp_path / "NQ_1D.csv"
    rows = [f"{stamp},100,101,99,100,7\n" for stamp in stamps[tuesday : tuesday + 3]]
    path.write_text("Date,Open,High,Low,Close,Volume\n" + "".join(rows))
    with pytest.raises(AmbiguousStamps, match="tz and edge of the stamps cannot be found out"):
        load_bars(path)
    found = load_bars(path, tz="America/New_York").table
    assert starts_of(found).tolist() == STARTS[tuesday : tuesday + 3].tolist()
    ends = load_bars(path, tz="Asia/Jerusalem", edge="end").table
    assert starts_of(ends).tolist() == STARTS[tuesday - 1 : tuesday + 2].tolist()


def test_every_way_to_read_days_gives_the_same(tmp_path: Path) -> None:
    """Whole, in chunks, by the fast path and by the lenient reader, days begin with their sessions."""
    path = stamped(tmp_path / "NQ_1D.csv", closing(NEW_YORK, "%Y-%m-%d %H:%M"))
    profile = load_bars(path, tz="America/New_York", edge="end").profile
    assert read_bars(path, profile).equals(DAYS)
    assert read_bars(path, profile, settings={"small_bytes": 0, "part_bytes": 1000}).equals(DAYS)
    assert read_lenient(path, profile).table.equals(DAYS)
    chunks = list(iterate(path, profile, rows=7, block_bytes=300))
    assert [value for batch in chunks for value in batch.column(0).to_pylist()] == DAYS["timestamp"].to_pylist()
    some = list(iterate(path, profile, rows=99, start_ns=int(STARTS[9]), end_ns=int(STARTS[12])))
    assert [value for batch in some for value in batch.column(0).to_pylist()] == DAYS["timestamp"].to_pylist()[9:13]
