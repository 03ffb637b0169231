"""Files by the names that vendors give them: what the name tells, what the stamps tell, and what is asked for."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import jupyter_nq as nq
from jupyter_nq.bars.vendor_samples import vendor_bars, write_vendor
from jupyter_nq.client.bars import cache
from jupyter_nq.client.bars.source_object import ObjectSource
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import InvalidArgument, SourceNotFound, UnknownDataset, UnknownTimeframe, UnreadableSource

ROWS = 2_000
VENDORS = [
    ("tradestation", "ts_NQ_5min.txt"),
    ("firstratedata", "NQ_5min_continuous_UNadjusted.txt"),
    ("kibot", "kibot_NQ.txt"),
    ("ninjatrader", "NQ 09-20.Last.txt"),
    ("tradingview", "CME_MINI_DL_NQ1!, 5.csv"),
    ("yahoo", "NQ=F.csv"),
    ("iso", "NQU20.csv"),
]


@pytest.fixture(autouse=True)
def place(nq_store_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the directory in which the module functions look."""
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    nq.disconnect()


def made(place: Path, name: str, vendor: str = "iso") -> Path:
    """Return a file of five-minute bars under a name."""
    return shutil.copy(write_vendor(place / "made", vendor, rows=ROWS, minutes=5), place / name)


@pytest.mark.parametrize(("vendor", "name"), VENDORS)
def test_vendors_files_load_by_their_names(place: Path, vendor: str, name: str) -> None:
    """Nothing has to be said; the dataset has its usual name, and the evidence says what was taken from where."""
    path = made(place, name, vendor)
    mapped = nq.connect().map(path)
    with mapped.handle as handle:
        assert (handle.info.name, handle.rows) == ("NQ.5min", ROWS)
    assert mapped.evidence[0].startswith("symbol: NQ, from 'NQ")
    [length] = [line for line in mapped.evidence if line.startswith("timeframe: ")]
    assert length in ("timeframe: 5min, from the file's name", "timeframe: 5min, the usual step between stamps")
    assert nq.connect().map(path).how == "mapped"
    batches = list(nq.iterate(path, rows=700))
    assert sum(batch.num_rows for batch in batches) == ROWS


def test_what_is_given_is_told_as_given(place: Path) -> None:
    """Symbol and timeframe of the call are no finding, and a refresh that reads all again keeps the difference."""
    path = made(place, "export.csv")
    given = nq.connect().map(path, "5m", symbol="NQ1!")
    assert "timeframe: 5min, as given" in given.evidence
    assert not any(line.startswith("symbol") for line in given.evidence)
    found = nq.connect().map(made(place, "kibot_NQ.txt", "kibot"))
    assert "timeframe: 5min, the usual step between stamps" in found.evidence
    assert nq.refresh(found.handle.info.name).added == 0


def test_an_archive_does_not_tell_of_another_name(
    nq_store_dir: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same content under another name is restored, and its symbol is from its own name."""
    monkeypatch.setattr(cache, "FEW_ROWS", 1)
    settings = Settings(store_dir=str(nq_store_dir), cache_dir=str(place / "kept"))
    with Session(settings=settings) as session:
        for name in ("NQ=F.csv", "NQU20.csv"):
            mapped = session.map(made(place, name))
            assert mapped.evidence[0] == f"symbol: NQ, from {name.removesuffix('.csv')!r} in the file's name"
            session.cache.wait()
            session.drop("NQ.5min")
            mapped.handle.close()
        assert mapped.how == "restored"


@pytest.mark.parametrize("vendor", ["iso", "kibot"])
def test_sniff_needs_neither(place: Path, vendor: str) -> None:
    """Any file is described; the lines at the end hold its path, the length by its stamps, a place for the symbol."""
    path = made(place, "export.csv", vendor)
    found = nq.sniff("export.csv")
    assert found.profile is None
    lines = found.text.splitlines()
    assert any(line.startswith("layout: ") for line in lines)
    assert "timeframe: 5min, the usual step between stamps" in lines
    assert ("zone and edge: found out when" in found.text) == (vendor == "kibot")
    assert lines[-3] == "symbol: the file name does not tell the instrument; put it in the place of SYMBOL"
    assert lines[-2] == f'load it with: %nq_load "{path}" 5min --symbol SYMBOL as bars'
    assert lines[-1] == f"or: nq.load({str(path)!r}, '5min', symbol='SYMBOL')"
    assert len(eval(lines[-1].partition(": ")[2].replace("SYMBOL", "NQ"))) == ROWS  # as it is pasted


def test_only_what_is_missing_is_asked_for(place: Path) -> None:
    """The symbol when no name tells it, which one when two might be, and never the length that the stamps show."""
    made(place, "export.csv")
    with pytest.raises(UnreadableSource, match=r"export.csv: the file name does not tell which instrument") as caught:
        nq.load("export.csv")
    assert "timeframe" not in str(caught.value)
    made(place, "NQ_ES_5min.csv")
    for call in (nq.load, nq.validate):
        with pytest.raises(UnreadableSource, match="may mean NQ or ES"):
            call("NQ_ES_5min.csv")
    assert "may mean NQ or ES" in nq.sniff("NQ_ES_5min.csv").text
    assert nq.validate("export.csv", symbol="NQ").rows == ROWS
    assert nq.validate(made(place, "NQZ24.csv")).rows == ROWS


def test_a_name_that_contradicts_the_stamps_is_told(place: Path) -> None:
    """A wrong length in the name is an error, whatever the file ends in."""
    for name in ("NQ_30min.csv", "NQ_30min.export"):
        with pytest.raises(UnknownTimeframe, match="in the file's name is 30min"):
            nq.load(made(place, name))


def test_weeks_are_refused_by_the_stamps(place: Path) -> None:
    """A file of weekly bars says how far its stamps are apart."""
    days = pd.date_range("2024-01-01", periods=30, freq="7D").strftime("%Y-%m-%d")
    rows = "\n".join(f"{day},1,2,0.5,1.5,7" for day in days)
    (place / "NQ_1week.csv").write_text(f"date,open,high,low,close,volume\n{rows}\n")
    with pytest.raises(UnknownTimeframe, match=r"usually 7 days apart.*Weeks and months are not supported"):
        nq.load("NQ_1week.csv")


def test_a_spelling_of_the_symbol_finds_the_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a word or as an argument, and a contract's code finds the contract's file."""
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(place))
    made(place, "NQ_5min.csv")
    made(place, "NQH25_5min.csv", "kibot")
    for word in ("NQ1!", "/NQ", "NQ=F", "@nq", "NQ.c.0"):
        assert nq.connect().map(word, "M5").handle.info.name == "NQ.5min"
    assert nq.connect().map(symbol="NQ.v.0").handle.info.name == "NQ.5min"
    assert str(place / "NQH25_5min.csv") in str(nq.connect().map("NQH25", "5min").notice)
    assert ObjectSource(vendor_bars(rows=9, minutes=5), "5min", "NQ1!", _reading()).request.symbol == "NQ"


def _reading() -> Any:
    from jupyter_nq.client.bars.request import Reading

    return Reading()


def test_a_missing_file_is_told_with_the_nearest(place: Path) -> None:
    """A word that looks like a path is no symbol, whether or not one is given, and a dataset is no file."""
    made(place, "kibot_NQ.txt", "kibot")
    for told in ({}, {"symbol": "NQ", "timeframe": "5min"}):
        with pytest.raises(SourceNotFound, match=r"no such file: .*kibot_NQ.tx\. Did you mean 'kibot_NQ.txt'\?"):
            nq.load("kibot_NQ.tx", **told)
    with pytest.raises(SourceNotFound, match=r"no such file: .*kibot_NQ.tx\."):
        nq.validate("kibot_NQ.tx")
    with pytest.raises(SourceNotFound, match="Nor is there a directory"):
        nq.load("nowhere/NQ_5min.csv")
    nq.load("kibot_NQ.txt")
    with pytest.raises(SourceNotFound, match=r"is a dataset, not a file: nq.get\('NQ.5min'\)"):
        nq.load("NQ.5min")
    with pytest.raises(UnknownDataset, match=r"NQ\.5min"):
        nq.validate("NQ.5mim")


def test_a_zip_file_is_loaded_by_path_and_looked_up(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bars are those of the file in it, for a load, a lookup, a validation, an iteration and a pattern."""
    plain = made(place, "plain.csv")
    packed = place / "packed"
    packed.mkdir()
    with zipfile.ZipFile(packed / "NQ_5min.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(plain, "anything.txt")
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(packed))
    expected = nq.load(plain, symbol="NQ").copy()
    nq.drop("NQ.5min")
    pd.testing.assert_frame_equal(nq.load("NQ", "5min"), expected)
    shutil.copy(packed / "NQ_5min.zip", place / "x.zip")
    pd.testing.assert_frame_equal(nq.load("x.zip", symbol="NQ"), expected)
    nq.drop("NQ.5min")
    pd.testing.assert_frame_equal(nq.load(str(packed / "NQ_*.zip")), expected)
    assert nq.validate("x.zip", symbol="NQ").rows == ROWS
    assert sum(batch.num_rows for batch in nq.iterate("x.zip", symbol="NQ", rows=700)) == ROWS
    assert "timeframe: 5min" in nq.sniff("x.zip").text


def test_what_is_given_instead_of_a_name_is_named(place: Path) -> None:
    """A lazy frame is to be computed, a frame that says what it shows is refreshed, another is not printed."""

    class LazyFrame:
        def collect(self) -> None: ...

    with pytest.raises(InvalidArgument, match=r"LazyFrame has not been computed: \.collect\(\) it first"):
        nq.load(LazyFrame())
    bars = nq.load(made(place, "NQ_5min.csv"))
    assert nq.refresh(bars).name == "NQ.5min"
    with pytest.raises(InvalidArgument, match=r"^the DataFrame does not say which dataset it shows"):
        nq.refresh(pd.DataFrame({"close": [1.0]}))
    with pytest.raises(TypeError, match=r"^load\(\) has no argument 'simbol'\. Did you mean 'symbol'\?"):
        nq.load(simbol="NQ")  # type: ignore[call-arg]


def test_a_session_takes_what_the_functions_take(nq_store_dir: Path, place: Path) -> None:
    """Features that other libraries name otherwise are suggested."""
    made(place, "NQ_5min.csv")
    with Session(nq_store_dir) as session:
        for word, meant in (("bb", "bollinger"), ("stoch", "stochastic")):
            with pytest.raises(InvalidArgument, match=f"Did you mean '{meant}'"):
                session.load("NQ_5min.csv", features=[word])
