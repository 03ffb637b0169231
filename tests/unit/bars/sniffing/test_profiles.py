"""Files as vendors write them: read back bit for bit with a profile, and never wrongly without one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import Profile, load_bars, sniff
from jupyter_nq.bars.vendor_samples import vendor_bars, write_vendor
from jupyter_nq.bars.vendors import VENDORS
from jupyter_nq.errors import AmbiguousStamps, ConfigError, InvalidArgument, UnknownTimeframe, UnreadableSource
from tests.unit.bars.conftest import MakeFile, seconds, session_starts, written

ANSWERS: dict[str, dict[str, Any]] = {
    name: {"profile": name} | ({"tz": "America/New_York", "edge": "start"} if name == "sierrachart" else {})
    for name in VENDORS
}


def plain(path: Path, **options: Any) -> Any:
    """Return the bars of a file without their flags."""
    return load_bars(path, **options).table.drop_columns(["flags"])


@pytest.mark.parametrize("name", VENDORS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 99), rows=st.integers(2, 1500), minutes=st.sampled_from([1, 5, 30]))
def test_what_a_vendor_writes_is_read_back(name: str, seed: int, rows: int, minutes: int) -> None:
    """With the profile every span of bars comes back bit for bit; without it, the same bars or a question."""
    with tempfile.TemporaryDirectory() as place:
        path = write_vendor(place, name, rows=rows, seed=seed, minutes=minutes)
        bars = vendor_bars(rows=rows, seed=seed, minutes=minutes)
        assert plain(path, **ANSWERS[name]).equals(bars)
        try:
            found = plain(path)
        except AmbiguousStamps:
            return
        assert found.equals(bars)


@pytest.mark.parametrize("minutes", [1, 5, 30])
@pytest.mark.parametrize("name", VENDORS)
def test_a_few_weeks_need_no_profile(tmp_path: Path, name: str, minutes: int) -> None:
    """Over weeks the bars show zone and edge themselves; the evidence says whose file it looks like."""
    path = write_vendor(tmp_path, name, rows=30 * 23 * 60 // minutes, minutes=minutes)
    bars = load_bars(path)
    assert bars.table.drop_columns(["flags"]).equals(vendor_bars(rows=30 * 23 * 60 // minutes, minutes=minutes))
    told = [line for line in bars.evidence if line.startswith("vendor: ")]
    assert bool(told) is (name != "iso")
    assert name == "iso" or VENDORS[name].title in told[0]


def test_a_vendors_habit_chooses_among_open_readings(make_file: MakeFile) -> None:
    """The cash session alone fits many zones; TradeStation's is taken and said, and the bars come back right."""
    starts = [s for s in session_starts("2024-07-08", 5) if 13.5 <= s.hour + s.minute / 60 < 20]
    stamps = written(starts, "America/Chicago", "%m/%d/%Y,%H:%M", minutes=30)
    header = "Date,Time,Open,High,Low,Close,Up,Down"
    path = make_file(stamps, name="NQ - 30 min - RTH.csv", header=header, row="100,101,99,100,3,4")
    bars = load_bars(path, day_first=False)
    assert [v // 10**9 for v in bars.table["timestamp"].cast("int64").to_pylist()] == seconds(starts)
    text = "\n".join(bars.evidence)
    assert "vendor: looks like TradeStation, whose stamps are ends of bars in the time of the exchange" in text
    assert "zone: America/Chicago, as TradeStation writes it: 0 of" in text
    assert "readings open" in text
    with pytest.raises(AmbiguousStamps, match="Pass tz= and edge="):
        load_bars(make_file(written(starts, "America/Chicago"), name="NQ - 30 min - RTH.csv"))


def test_a_form_that_vendors_share_chooses_nothing(make_file: MakeFile) -> None:
    """NinjaTrader and HistData write the same; the question names both."""
    starts = [s for s in session_starts("2024-07-08", 5) if 13.5 <= s.hour + s.minute / 60 < 20]
    path = make_file([], name="NQ - 30 min - RTH.csv")
    path.write_text("".join(f"{s};100;101;99;100;7\n" for s in written(starts, "UTC", "%Y%m%d %H%M%S", minutes=30)))
    with pytest.raises(AmbiguousStamps, match="profile='ninjatrader' or profile='histdata'"):
        load_bars(path)
    assert load_bars(path, profile="ninjatrader").table["timestamp"][0].as_py() == starts[0]


def test_a_habit_that_the_bars_deny_is_not_followed(tmp_path: Path, make_file: MakeFile) -> None:
    """Bars show a zone that is not the vendor's: they win, and the evidence says so."""
    starts = session_starts("2024-02-20", 45)
    path = make_file([], name="NQ_30min.txt")
    path.write_text("".join(f"{s},100,101,99,100,7\n" for s in written(starts, "Asia/Tokyo", "%m/%d/%Y,%H:%M")))
    bars = load_bars(path)
    assert bars.profile.tz == "Asia/Tokyo"
    assert any(line.startswith("vendor: looks like Kibot") and "show otherwise" in line for line in bars.evidence)
    with pytest.raises(InvalidArgument, match=r"profile='kibot' does not fit the bars.*Asia/Tokyo with edge='start'"):
        load_bars(path, profile="kibot")
    insisted = load_bars(path, profile="kibot", tz="America/New_York", edge="start")
    assert insisted.profile.tz == "America/New_York"


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("ninjatrader", "files of NinjaTrader have ';'"),
        ("sierrachart", "line 2: the stamp is in none of the layouts of profile='sierrachart'"),
        ({"layouts": ["YYYY-MM-DD HH:MM"]}, "line 2: the stamp is in none of the layouts"),
        ({"delimiter": ";"}, "is not a row with ';' between columns"),
        ({"edge": "end", "tz": "Asia/Tokyo"}, "does not fit the bars: with tz='Asia/Tokyo'"),
        ({"columns": {"close": "Settle"}}, "names a column 'Settle'"),
        ({"columns": {"open": 3, "high": 3}}, "the column 'High' is high and open"),
        ({"columns": {"contract": "Volume"}}, "the column 'Volume' is volume and contract"),
        ({"columns": {"close": 9}}, "names column 9; the file has 6 columns"),
    ],
)
def test_a_profile_that_the_file_contradicts(make_file: MakeFile, profile: Any, message: str) -> None:
    """The error says what of the profile does not fit, and what the file has."""
    path = make_file(written(session_starts("2024-02-20", 45), "UTC"))
    with pytest.raises(InvalidArgument) as caught:
        load_bars(path, profile=profile)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("profile", "error", "message"),
    [
        ("kibott", ConfigError, "Did you mean 'kibot'"),
        ({"delimeter": ";"}, ConfigError, "Did you mean 'delimiter'"),
        ({"edge": "middle"}, ConfigError, "'start' or the 'end'"),
        ({"layouts": ["yesterday"]}, ConfigError, "written like"),
        ({"columns": {"closing": "Last"}}, ConfigError, "Did you mean 'close'"),
        ({"columns": {"close": ["a", "b"]}}, ConfigError, "a name or a place"),
        ({"header": "yes"}, ConfigError, "header='yes'"),
        ({"day_first": 1}, ConfigError, "True or False"),
        ({"decimal": ";"}, ConfigError, "it is '.' or ','"),
        ({"price_scale": 3}, ConfigError, "power of ten"),
        ({"century": 1900}, ConfigError, "2000 to 2099"),
        ({"delimiter": "ab"}, ConfigError, "one character"),
        ({"minutes": 0}, UnknownTimeframe, "a day"),
        ({"minutes": 5}, UnknownTimeframe, "Leave one of them out"),
        (7, ConfigError, "neither a vendor's name"),
    ],
)
def test_a_profile_that_is_none(make_file: MakeFile, profile: Any, error: type[Exception], message: str) -> None:
    """Each is named with what it may be."""
    path = make_file(written(session_starts("2024-02-20", 45), "UTC"))
    with pytest.raises(error) as caught:
        load_bars(path, timeframe="30min", profile=profile)
    assert message in str(caught.value)


def test_single_answers_win_and_are_marked(make_file: MakeFile) -> None:
    """Zone, edge, columns and layouts as given are used, and the evidence says that they were given."""
    starts = session_starts("2024-02-20", 45)
    stamps = written(starts, "UTC", "%-d/%-m/%Y %-H:%M", minutes=30)
    path = make_file(stamps, header="When,A,B,C,Settle,Lots", row="100,101,99,100.25,7")
    columns = {"timestamp": "When", "open": 2, "high": 3, "low": 4, "close": "settle", "volume": "Lots"}
    bars = load_bars(path, profile={"columns": columns, "layouts": ["DD/MM/YYYY HH:MM"], "edge": "end", "tz": "UTC"})
    assert [v // 10**9 for v in bars.table["timestamp"].cast("int64").to_pylist()] == seconds(starts)
    text = "\n".join(bars.evidence)
    assert ", as given" in text
    assert "day order: day first; as given" in text
    assert "zone: UTC, as given: 0 of 2,070" in text
    assert "edge: a stamp is the end of its bar, as given" in text


def test_a_profile_that_was_found_reads_another_file(make_file: MakeFile) -> None:
    """A `Profile` is taken whole, and the line that loads a file names what was given."""
    path = make_file(written(session_starts("2024-02-20", 45), "UTC"))
    profile = sniff(path).profile
    assert isinstance(profile, Profile)
    part = make_file(written(session_starts("2024-07-08", 1)[4:14], "UTC"), name="NQ_30min.csv")
    with pytest.raises(AmbiguousStamps):
        load_bars(part)
    assert load_bars(part, profile=profile).profile.tz == "UTC"
    kibot = write_vendor(part.parent, "kibot", rows=900)
    text = sniff(kibot, profile="kibot").text(kibot)
    assert "--profile kibot as bars" in text
    assert "profile='kibot', tz='America/New_York', edge='start')" in text
    text = sniff(kibot, profile={"columns": {"volume": 7}}).text(kibot)
    assert '--profile "columns.volume=7" as bars' in text


def test_years_of_two_digits_have_to_be_said(make_file: MakeFile) -> None:
    """Their century is not guessed; said, they are read."""
    starts = session_starts("2024-02-20", 45)
    path = make_file(written(starts, "UTC", "%m/%d/%y %H:%M"))
    with pytest.raises(UnreadableSource, match=r"profile=\{'century': 2000\}"):
        load_bars(path)
    assert load_bars(path, profile={"century": 2000}).table.num_rows == len(starts)
    assert load_bars(path, profile={"layouts": ["MM/DD/YY HH:MM"]}).profile.day_first is False


def test_a_vendor_that_writes_years_of_two_digits_says_their_century(make_file: MakeFile) -> None:
    """TradeStation's layouts with two digits are read by its name alone, and the evidence says what the years mean."""
    starts = session_starts("2024-02-20", 45)
    stamps = written(starts, "America/Chicago", "%m/%d/%y,%H:%M", minutes=30)
    header = '"Date","Time","Open","High","Low","Close","Up","Down"'
    path = make_file(stamps, header=header, row="100,101,99,100.25,3,4")
    bars = load_bars(path, profile="tradestation")
    assert [v // 10**9 for v in bars.table["timestamp"].cast("int64").to_pylist()] == seconds(starts)
    assert "years: of two digits, which mean 20YY, as TradeStation writes them" in bars.evidence
    assert load_bars(path, profile=bars.profile).table.equals(bars.table)
    with pytest.raises(UnreadableSource, match="the year has two digits"):
        load_bars(path)
    assert "years: of two digits, which mean 20YY, as given" in load_bars(path, profile={"century": 2000}).evidence


# -- columns ------------------------------------------------------------------------------------------
def rows_of(path: Path, starts: list[Any], text: str, layout: str = "%Y-%m-%d %H:%M:%S") -> Path:
    """Write rows without a header."""
    path.write_text("".join(f"{s}{text}\n" for s in written(starts, "UTC", layout)))
    return path


def test_open_interest_is_no_time(make_file: MakeFile) -> None:
    """Seven columns: the second tells whether date and time are apart; a price is none, and the last is not read."""
    days = [f"2024-07-{day:02d}" for day in (8, 9, 10, 11, 12)]
    path = make_file([], name="NQ_1D.csv")
    path.write_text("".join(f"{day},16019.25,16019.25,16016.75,16017.25,19,250000\n" for day in days))
    bars = load_bars(path, tz="UTC", edge="start")
    assert bars.table.slice(0, 1).to_pylist()[0]["volume"] == 19
    assert bars.table.slice(0, 1).to_pylist()[0]["open"] == 16019.25
    assert "not used: column 7" in bars.evidence[0]
    path.write_text("".join(f"{day},1230,1245,1215,1240,19,250000\n" for day in days))
    assert load_bars(path, tz="UTC", edge="start").table["high"][0].as_py() == 1245.0


def test_eight_columns_without_a_header_are_a_question(make_file: MakeFile) -> None:
    """Up and down volume, or a volume and something else: both readings are named, and each can be said."""
    starts = session_starts("2024-02-20", 45)
    path = rows_of(make_file([]), starts, ",100,101,99,100,3,4", "%m/%d/%Y,%H:%M")
    with pytest.raises(UnreadableSource, match=r"read in 2 ways: .*as TradeStation writes them"):
        load_bars(path)
    up_and_down = load_bars(path, profile={"vendor": "tradestation", "tz": "UTC", "edge": "start"})
    assert up_and_down.table["volume"][0].as_py() == 7
    assert load_bars(path, profile={"columns": {"volume": 7}}).table["volume"][0].as_py() == 3
    with pytest.raises(UnreadableSource, match="no header and 9 columns"):
        load_bars(rows_of(path, starts, ",100,101,99,100,3,4,5", "%m/%d/%Y,%H:%M"))


def test_long_raw_exports_are_told_by_their_vendor(tmp_path: Path) -> None:
    """Sierra Chart's and Databento's ten columns are known without a header."""
    for name in ("sierrachart", "databento"):
        path = write_vendor(tmp_path, name, rows=1500)
        path.write_text(path.read_text().partition("\n")[2])
        assert plain(path).equals(vendor_bars(rows=1500))


@pytest.mark.parametrize(
    ("header", "note"),
    [
        ("Timestamp,Opne,High,Low,Close,Volume", "'Opne' is read as open"),
        ("Timestmp,Open,Hihg,Low,Closed,Volum", "'Hihg' is read as high"),
    ],
)
def test_a_misspelt_name_is_taken_with_a_note(make_file: MakeFile, header: str, note: str) -> None:
    """One letter away from one role, and no other: accepted, and said."""
    path = make_file(written(session_starts("2024-02-20", 45), "UTC"), header=header)
    assert any(note in line for line in load_bars(path).evidence)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Timestamp,Opne,Opens,High,Low,Close,Volume", "'Opne' and 'Opens' may be meant for open"),
        ("Timestamp,Start,Foo,High,Low,Close,Volume", "has no column for open"),
        ("Timestamp,Hig,Foo,Opne,Low,Close,Volume", "has no column for open and high"),
    ],
)
def test_doubtful_names_are_refused(make_file: MakeFile, header: str, message: str) -> None:
    """Two that could be meant, none, or prices that would be out of order."""
    path = make_file(written(session_starts("2024-02-20", 45), "UTC"), header=header, row="95,1,101,99,100.25,7")
    with pytest.raises(UnreadableSource) as caught:
        load_bars(path)
    assert message in str(caught.value)
    assert "profile={'columns'" in str(caught.value)


def test_a_vendors_day_order_is_taken_where_the_file_leaves_it_open(make_file: MakeFile) -> None:
    """One day of Kibot's has two readings; Kibot writes the month first, and the evidence says that this was used."""
    starts = [s for s in session_starts("2025-04-03", 1) if s.day == 3 and s.hour >= 5]
    path = make_file([], name="NQ_30min.txt")
    stamps = written(starts, "America/New_York", "%m/%d/%Y,%H:%M")
    path.write_text("".join(f"{stamp},100,101,99,100,7\n" for stamp in stamps))
    bars = load_bars(path)
    assert [v // 10**9 for v in bars.table["timestamp"].cast("int64").to_pylist()] == seconds(starts)
    assert any("month first; as Kibot writes it; the file itself leaves it open" in line for line in bars.evidence)


def test_a_profile_for_a_table_of_columns(tmp_path: Path) -> None:
    """Names of columns, zone and edge can be said of Parquet too, and what was found there reads it again."""
    bars = vendor_bars(rows=10)
    stamps = bars["timestamp"].cast("timestamp[us]")
    table = bars.set_column(0, "timestamp", stamps).rename_columns(["When", "A", "B", "C", "Settle", "Lots"])
    path = tmp_path / "NQ_30min.parquet"
    pq.write_table(table, path)
    columns = {"timestamp": 1, "open": "A", "high": "B", "low": "C", "close": "settle", "volume": "Lots"}
    said = {"columns": columns, "tz": "UTC", "edge": "start"}
    assert plain(path, profile=said).equals(bars)
    assert plain(path, profile=sniff(path, profile=said).profile).equals(bars)
    with pytest.raises(AmbiguousStamps):
        load_bars(path, profile={"columns": columns})
    with pytest.raises(InvalidArgument, match="chooses rows of a text table"):
        load_bars(path, profile=said, contract="NQU0")
    with pytest.raises(InvalidArgument, match="Divide the prices"):
        load_bars(path, profile=said | {"price_scale": 10})
    with pytest.raises(InvalidArgument, match="names a column 'Last'"):
        load_bars(path, profile=said | {"columns": {"close": "Last"}})
