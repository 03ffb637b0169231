"""What is found out about a file, what is asked, and what the user's answers do."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from jupyter_nq.bars import load_bars, sniff
from jupyter_nq.errors import (
    AmbiguousStamps,
    ConfigError,
    UnknownInstrument,
    UnknownTimeframe,
    UnknownZone,
    UnreadableSource,
)
from tests.unit.bars.conftest import MakeFile, seconds, session_starts, written

ISO = "%Y-%m-%d %H:%M"
UNPADDED_US = "%-m/%-d/%Y %-H:%M"
UNPADDED_EU = "%-d/%-m/%Y %-H:%M"


def starts_of(path: object, **options: object) -> list[int]:
    """Return the starts of a file's bars, seconds."""
    table = load_bars(path, **options).table  # type: ignore[arg-type]
    return [value // 1_000_000_000 for value in table["timestamp"].cast("int64").to_pylist()]


@pytest.mark.parametrize("tz", ["America/New_York", "UTC", "Europe/London", "Asia/Tokyo", "Asia/Kolkata"])
@pytest.mark.parametrize(("edge", "late"), [("start", 0), ("end", 30)])
def test_zone_and_edge_are_found_together(make_file: MakeFile, tz: str, edge: str, late: int) -> None:
    """In any zone, stamped at either edge, over a change of clocks, the starts are right."""
    starts = session_starts("2024-02-20", 45)
    path = make_file(written(starts, tz, minutes=late))
    assert starts_of(path) == seconds(starts)
    assert sniff(path).profile.edge == edge


def test_an_hourly_reading_names_its_other_edge(make_file: MakeFile) -> None:
    """Hourly bars in summer are starts in one zone and ends in the next: one reading, and the evidence names both."""
    starts = session_starts("2024-07-08", 5, 60)
    path = make_file(written(starts, "Asia/Jerusalem"), name="NQ_1h.csv")
    assert starts_of(path) == seconds(starts)
    assert "same reading as the end in Europe/Berlin" in sniff(path).evidence[-1]


def test_regular_hours_alone_are_a_question(make_file: MakeFile) -> None:
    """Bars of the cash session fit many zones: the readings are shown side by side, with what to pass."""
    starts = [s for s in session_starts("2024-07-08", 5) if 13.5 <= s.hour + s.minute / 60 < 20]
    path = make_file(written(starts, "America/New_York"), name="NQ - 30 min - RTH.csv")
    with pytest.raises(AmbiguousStamps) as caught:
        load_bars(path)
    text = str(caught.value)
    assert "'America/New_York'" in text
    assert "'America/Chicago'" in text
    assert "2024-07-08 13:30" in text
    assert "Pass tz= and edge=." in text
    with pytest.raises(AmbiguousStamps, match="Pass edge="):
        load_bars(path, tz="America/New_York")
    with pytest.raises(AmbiguousStamps, match=r"Pass tz=\."):
        load_bars(path, edge="start")
    assert starts_of(path, tz="America/New_York", edge="start") == seconds(starts)


def test_bars_in_closed_hours_everywhere_are_a_question(make_file: MakeFile) -> None:
    """A market that never closes fits no zone: the fewest violations are shown."""
    hours = [f"2024-07-{day:02d} {hour:02d}:00" for day in range(8, 22) for hour in range(24)]
    with pytest.raises(AmbiguousStamps, match="in every zone some of the 336 bars"):
        load_bars(make_file(hours, name="NQ_1h.csv"))


def test_a_wrong_zone_without_a_pattern_asks_for_the_edge(make_file: MakeFile) -> None:
    """When the given zone contradicts and no other zone tells the edge, the edge is asked for."""
    hours = [f"2024-07-{day:02d} {hour:02d}:00" for day in range(8, 22) for hour in range(24)]
    path = make_file(hours, name="NQ_1h.csv")
    with pytest.raises(AmbiguousStamps, match="with edge='start' and"):
        load_bars(path, tz="UTC")
    evidence = load_bars(path, tz="UTC", edge="end").evidence
    assert any("contradicts" in line and line.endswith("no zone fits them") for line in evidence)


def test_a_given_zone_that_contradicts_names_the_one_that_fits(make_file: MakeFile) -> None:
    """The evidence counts the bars in closed hours, says which reading would fit, and claims nothing for the given."""
    starts = session_starts("2024-02-20", 45)
    path = make_file(written(starts, "America/New_York"))
    for answers in ({"tz": "Asia/Tokyo"}, {"tz": "Asia/Tokyo", "edge": "start"}, {"tz": "Asia/Tokyo", "edge": "end"}):
        evidence = load_bars(path, **answers).evidence  # type: ignore[arg-type]
        [zone] = [line for line in evidence if line.startswith("zone:")]
        assert re.match(r"zone: Asia/Tokyo, as given: [1-9]\d* of 2,070 bars in hours when CME Globex", zone)
        assert "contradicts the exchange's hours; America/New_York with edge='start' would fit" in zone
        assert not any("the only edge" in line for line in evidence)
    [zone] = [line for line in load_bars(path, tz="US/Eastern", edge="end").evidence if line.startswith("zone:")]
    assert "US/Eastern with edge='start' would fit" in zone
    [zone] = [line for line in load_bars(path, tz="America/New_York").evidence if line.startswith("zone:")]
    assert zone.endswith("0 of 2,070 bars in hours when CME Globex Equity is closed, as it should be")


def test_a_given_zone_that_cannot_be_checked_says_why(make_file: MakeFile) -> None:
    """Without known closed hours the evidence says that nothing was compared."""
    path = make_file(written(session_starts("2024-07-08", 5), "UTC"), name="ZC_30min.csv")
    evidence = load_bars(path, tz="UTC", edge="start").evidence
    assert "zone: UTC, as given: not checked, because the closed hours of CBOT Globex Grains are not known" in evidence


def test_offsets_in_the_stamps_are_utc(make_file: MakeFile) -> None:
    """Stamps with `Z` need no zone, and closed hours tell the edge."""
    starts = session_starts("2024-07-08", 5)
    path = make_file(written(starts, "UTC", "%Y-%m-%dT%H:%M:%SZ"))
    bars = load_bars(path)
    assert starts_of(path) == seconds(starts)
    assert (bars.profile.tz, bars.profile.edge) == ("UTC", "start")
    assert any("the stamps carry their offset: 0 of" in line for line in bars.evidence)
    given = load_bars(path, tz="Asia/Tokyo").evidence
    assert any("the stamps carry their offset, so tz='Asia/Tokyo' is not used: 0 of" in line for line in given)
    late = make_file(written(starts, "Asia/Tokyo", "%Y-%m-%d %H:%M+09:00", minutes=30))
    assert starts_of(late) == seconds(starts)


def test_offsets_without_a_pattern_default_to_the_start(make_file: MakeFile) -> None:
    """Where closed hours permit both edges, a stamp with an offset is a start, and the evidence says so."""
    starts = session_starts("2024-07-08", 1)[4:14]
    short = load_bars(make_file(written(starts, "UTC", "%Y-%m-%dT%H:%MZ")))
    assert short.profile.edge == "start"
    assert any("permit both" in line for line in short.evidence)
    unknown = load_bars(make_file(written(starts, "UTC", "%Y-%m-%dT%H:%MZ"), name="FDAX_30min.csv"))
    assert unknown.profile.edge == "start"
    assert any("assumed" in line for line in unknown.evidence)


@pytest.mark.parametrize("fraction", ["", ".999"])
@pytest.mark.parametrize(("sessions", "length"), [(1, "30min"), (5, "30min"), (5, "1D")])
def test_last_moments_of_bars_are_no_starts(make_file: MakeFile, fraction: str, sessions: int, length: str) -> None:
    """A stamp just before a full minute is asked about, with an offset or without; an edge that is given is taken."""
    layout = f"%Y-%m-%d %H:%M:59{fraction}"
    starts = session_starts("2024-07-08", sessions) if length == "30min" else session_starts("2024-07-08", 5)[3::46]
    stamps = written(starts, "UTC", layout, minutes=29)
    for texts in (stamps, [f"{stamp}Z" for stamp in stamps]):
        path = make_file(texts, name=f"NQ_{length}.csv")
        with pytest.raises(AmbiguousStamps, match="most stamps lie in the last second of a minute"):
            load_bars(path)
    assert load_bars(path, edge="end").profile.edge == "end"


def test_offsets_that_fit_no_edge(make_file: MakeFile) -> None:
    """Stamps with an offset that contradict the closed hours either way keep the start, with the count."""
    hours = [f"2024-07-{day:02d}T{hour:02d}:00Z" for day in range(8, 22) for hour in range(24)]
    bars = load_bars(make_file(hours, name="NQ_1h.csv"))
    assert bars.profile.edge == "start"
    assert any("contradicts" in line for line in bars.evidence)


def test_an_unknown_instrument_is_asked_for(make_file: MakeFile) -> None:
    """Without a calendar nothing is guessed: symbol, or zone and edge, are asked for at once."""
    starts = session_starts("2024-07-08", 5)
    path = make_file(written(starts, "America/New_York"), name="export.csv")
    with pytest.raises(AmbiguousStamps, match=r"symbol='NQ', or tz='America/New_York' and edge='start'"):
        load_bars(path)
    assert starts_of(path, symbol="NQ") == seconds(starts)
    assert starts_of(path, tz="America/New_York", edge="start") == seconds(starts)
    with pytest.raises(UnknownInstrument):
        load_bars(path, symbol="XXQ")


def test_another_calendar_needs_a_zone(make_file: MakeFile) -> None:
    """Corn has other hours, and the hours of days tell nothing."""
    starts = written(session_starts("2024-07-08", 5), "America/New_York")
    with pytest.raises(AmbiguousStamps, match="closed hours of CBOT Globex Grains are not known"):
        load_bars(make_file(starts, name="ZC_30min.csv"))
    days = [f"2024-07-{day:02d} 17:00" for day in (8, 9, 10, 11, 12)]
    with pytest.raises(AmbiguousStamps, match="bars of a day"):
        load_bars(make_file(days, name="NQ_1D.csv"))


# -- day order -------------------------------------------------------------------------------------
@pytest.mark.parametrize(("layout", "day_first"), [(UNPADDED_EU, True), (UNPADDED_US, False)])
def test_days_up_to_twelve_are_told_by_time_itself(make_file: MakeFile, layout: str, day_first: bool) -> None:
    """1 to 12 July has no number above 12; the other reading has holes, weekends, or goes back."""
    starts = session_starts("2024-07-02", 9)
    path = make_file(written(starts, "America/Chicago", layout))
    assert starts_of(path) == seconds(starts)
    bars = load_bars(path)
    assert bars.profile.day_first is day_first
    assert any(line.startswith("day order:") and "with the other day order" in line for line in bars.evidence)


def test_over_a_new_month_the_other_order_goes_back(make_file: MakeFile) -> None:
    """From 9 to 12 of two months, the other order goes back in time."""
    starts = [s for s in session_starts("2024-04-08", 60) if 9 <= s.day <= 11]
    path = make_file(written(starts, "UTC", UNPADDED_EU))
    assert starts_of(path, tz="UTC", edge="start") == seconds(starts)
    assert "go back" in "".join(sniff(path, tz="UTC", edge="start").evidence)


def test_one_day_is_a_question(make_file: MakeFile) -> None:
    """One day has two readings: both are shown side by side."""
    starts = [s for s in session_starts("2025-04-03", 1) if s.day == 3 and s.hour >= 5]
    path = make_file(written(starts, "UTC", UNPADDED_EU))
    with pytest.raises(AmbiguousStamps) as caught:
        load_bars(path)
    text = str(caught.value)
    assert "2025-04-03 05:00" in text
    assert "2025-03-04 05:00" in text
    assert "Pass day_first=True or day_first=False." in text
    answered = starts_of(path, day_first=True, tz="UTC", edge="start")
    assert answered == seconds(starts)


def test_a_day_equal_to_its_month_is_no_question(make_file: MakeFile) -> None:
    """5 May is 5 May."""
    starts = [s for s in session_starts("2025-05-05", 1) if s.day == 5]
    assert starts_of(make_file(written(starts, "UTC", UNPADDED_EU)), tz="UTC", edge="start") == seconds(starts)


def test_each_layout_may_have_its_own_order(make_file: MakeFile) -> None:
    """Dates rewritten month first among dates left day first are read right, and the evidence says so."""
    starts = session_starts("2024-06-24", 40)
    stamps = [
        text if int(text[:2]) > 12 else short
        for text, short in zip(written(starts, "UTC"), written(starts, "UTC", UNPADDED_US), strict=True)
    ]
    path = make_file(stamps)
    assert starts_of(path) == seconds(starts)
    bars = load_bars(path)
    assert bars.profile.day_first is None
    assert set(bars.profile.layouts) == {"DD/MM/YYYY HH:MM:SS", "M/D/YYYY H:MM"}
    assert any("each layout has its own" in line for line in bars.evidence)


def test_orders_that_contradict_each_other_are_refused(make_file: MakeFile) -> None:
    """13/1 and 1/13 cannot be in one layout."""
    with pytest.raises(UnreadableSource, match=r"line 3: 01/13/2024.*and 13/01/2024"):
        load_bars(make_file(["13/01/2024 10:00", "01/13/2024 10:30"]))


def test_neither_order_ascends(make_file: MakeFile) -> None:
    """Stamps that go back in both readings are a question."""
    with pytest.raises(AmbiguousStamps, match="under neither do the stamps ascend"):
        load_bars(make_file(["05/06/2024 10:00", "04/05/2024 10:00", "03/04/2024 10:30"]))


def test_a_wrong_day_order_names_the_line(make_file: MakeFile) -> None:
    """An answer that the file contradicts is refused with the line."""
    with pytest.raises(UnreadableSource, match=r"line 3: there is no month 13.*day_first=False was given"):
        load_bars(make_file(["12/01/2024 10:00", "13/01/2024 10:30"]), day_first=False)


# -- timeframe and answers ---------------------------------------------------------------------------
def test_the_length_of_a_bar_comes_from_name_answer_or_steps(make_file: MakeFile) -> None:
    """The name says it, the caller says it, or the usual step shows it."""
    starts = session_starts("2024-07-08", 5, 5)
    path = make_file(written(starts, "UTC", ISO), name="NQ.csv")
    bars = load_bars(path, symbol="NQ")
    assert bars.profile.minutes == 5
    assert any("usual step" in line for line in bars.evidence)
    assert load_bars(path, symbol="NQ", timeframe="5 min").profile.minutes == 5
    with pytest.raises(UnknownTimeframe, match="asked for is 30min, but the stamps are usually 5 minutes apart"):
        load_bars(path, symbol="NQ", timeframe="30min")
    with pytest.raises(UnknownTimeframe, match="in the file's name is 30min"):
        load_bars(make_file(written(starts, "UTC", ISO)))
    coarse = written(session_starts("2024-07-08", 5), "UTC", ISO)
    with pytest.raises(UnknownTimeframe, match="in the file's name is 5min"):
        load_bars(make_file(coarse, name="NQ_5min.csv"))
    with pytest.raises(UnknownTimeframe, match="Pass timeframe="):
        load_bars(make_file(["2024-07-08 10:00"], name="NQ.csv"), symbol="NQ")


def test_wrong_answers_are_refused_before_reading(make_file: MakeFile) -> None:
    """An unknown zone and an edge that is none have their own errors."""
    path = make_file(["2024-07-08 10:00"])
    with pytest.raises(UnknownZone):
        load_bars(path, tz="Mars")
    with pytest.raises(ConfigError, match="'start' or the 'end'"):
        load_bars(path, edge="middle")


def test_progress_rises_and_may_cancel(make_file: MakeFile) -> None:
    """Progress goes from nothing to one, and what it raises stops the load."""
    path = make_file(written(session_starts("2024-07-08", 20), "UTC", ISO))
    seen: list[float] = []
    load_bars(path, block_bytes=4096, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) > 10

    def cancel(fraction: float) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_bars(path, block_bytes=4096, progress=cancel)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), FileNotFoundError("gone"), pa.ArrowInvalid("of the listener")]
)
def test_what_progress_raises_passes_unchanged(make_file: MakeFile, error: Exception) -> None:
    """An error of the listener is not taken for one of the file."""
    path = make_file(written(session_starts("2024-07-08", 5), "UTC", ISO))

    def fail(fraction: float) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        load_bars(path, progress=fail)
    assert caught.value is error


def test_errors_of_the_file_are_told_as_such(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says of the file becomes the package's error."""
    path = make_file(written(session_starts("2024-07-08", 5), "UTC", ISO))

    def refuse(*args: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("jupyter_nq.bars.reading.opening.Plain", refuse)  # a failing disk cannot be made in a test
    with pytest.raises(UnreadableSource, match=r"cannot be read: .*Input/output error"):
        load_bars(path)


def test_a_finding_is_told_with_the_lines_that_load_it(make_file: MakeFile) -> None:
    """The text has the evidence, columns that are not used included, and how to load the file."""
    path = make_file(
        written(session_starts("2024-02-20", 45), "UTC"),
        header="Timestamp,Open,High,Llow,Close,Volume,VWAP",
        row="100,101,99,100.25,7,100",
    )
    found = sniff(path)
    *evidence, magic, call = found.text(path).splitlines()
    assert tuple(evidence) == found.evidence
    assert evidence[0].endswith("low=Llow; not used: VWAP")
    assert magic == f'load it with: %nq_load "{path}" as bars'
    assert call.endswith(f"nq.load({str(path)!r}, tz='UTC', edge='start')")
    magic, call = found.text("export.txt", "30min", "NQ").splitlines()[-2:]
    assert magic == 'load it with: %nq_load "export.txt" 30min --symbol NQ as bars'
    assert call.endswith("nq.load('export.txt', '30min', symbol='NQ', tz='UTC', edge='start')")


def test_a_studys_columns_may_repeat_the_names_of_a_bar(make_file: MakeFile) -> None:
    """Names that come again behind a whole bar, as Sierra Chart exports a study, are the study's."""
    path = make_file(
        written(session_starts("2024-02-20", 45), "UTC", "%Y/%-m/%-d, %H:%M:%S"),
        header="Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume, Open, High",
        row=" 100, 101, 99, 100.25, 7, 3, 4, 3, 1, 2",
    )
    bars = load_bars(path)
    assert bars.table.slice(0, 1).to_pylist()[0]["open"] == 100.0
    assert bars.profile.columns["close"] == ("Last",)
    assert starts_of(path) == seconds(session_starts("2024-02-20", 45))
