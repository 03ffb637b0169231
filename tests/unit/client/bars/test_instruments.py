"""What the instrument decides for bars at hand: hours, sessions, rolls; and instruments of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import jupyter_nq as nq
from jupyter_nq.bars.sample import write_sample
from jupyter_nq.errors import ConfigError, InvalidArgument, UnknownInstrument

OWN = "instruments: {FDAX: {tick: 0.25, point_value: 25, regular_hours: 09:00-17:30 Europe/Berlin, roll: quarterly}}"


@pytest.fixture
def data_dir(nq_store_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a directory with the same bars as NQ, CL, GC, BTC and FDAX, and a settings file of its own."""
    write_sample(tmp_path, rows=1_500, seed=4)
    (source,) = tmp_path.glob("NQ*30*min*ETH.csv")
    for symbol in ("CL", "GC", "BTC", "FDAX"):
        (tmp_path / f"{symbol}_30min.csv").write_bytes(source.read_bytes())
    settings = tmp_path / "settings.yaml"
    settings.write_text(OWN)
    monkeypatch.setenv("JUPYTER_NQ_CONFIG", str(settings))
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(tmp_path))
    yield tmp_path
    nq.disconnect()


def _minutes(stamps: object, zone: str) -> np.ndarray:
    clock = stamps.dt.tz_convert(zone)  # type: ignore[attr-defined]
    return np.unique(clock.dt.hour * 60 + clock.dt.minute)


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize(
    ("symbol", "zone", "first", "stop"),
    [
        ("NQ", "America/New_York", 570, 960),
        ("CL", "America/New_York", 540, 870),
        ("FDAX", "Europe/Berlin", 540, 1050),
    ],
)
def test_regular_hours_are_the_instruments(symbol: str, zone: str, first: int, stop: int) -> None:
    """`is_rth` and bars of regular hours, of an instrument of one's own without a calendar too."""
    told = {} if symbol in ("NQ", "CL") else {"tz": "Asia/Jerusalem", "edge": "start"}
    frame = nq.load(symbol, "30min", features=["is_rth"], **told)
    inside = frame["timestamp"][frame["is_rth"] == 1]
    assert (_minutes(inside, zone) == np.arange(first, stop, 30)).all()
    longer = nq.resample(frame.drop(columns="is_rth"), "1h", hours="rth")
    assert _minutes(longer["timestamp"], zone)[0] == first
    assert longer["volume"].sum() == frame["volume"][frame["is_rth"] == 1].sum()


def test_features_follow_the_settings(data_dir: Path) -> None:
    """Other regular hours give another version, and not the old one in silence."""
    before = nq.load("CL", "30min", features=["is_rth"])
    (data_dir / "settings.yaml").write_text("instruments: {CL: {regular_hours: 10:00-11:00 America/New_York}}")
    with pytest.raises(UnknownInstrument):
        nq.load("XYZ", "30min")  # a symbol that is not there makes the process look again
    after = nq.load("CL", "30min", features=["is_rth"])
    assert before["is_rth"].sum() > after["is_rth"].sum() > 0


def test_a_calendar_that_is_named_later_counts(data_dir: Path) -> None:
    """Bars that were read without it, shared or archived, are read again: they would not know their sessions."""
    told = {"tz": "Asia/Jerusalem", "edge": "start"}
    bars = nq.load("FDAX", "30min", **told)
    assert bars.attrs["nq"]["calendar"] is None
    (data_dir / "settings.yaml").write_text(OWN.replace("FDAX: {", "FDAX: {calendar: CME Globex Equity, "))
    with pytest.raises(UnknownInstrument):
        nq.load("XYZ", "30min")
    again = nq.load("FDAX", "30min", **told)
    assert again.attrs["nq"]["calendar"] == "CME Globex Equity"
    assert again.equals(bars)
    assert nq.completeness(again, hours="rth").expected < nq.completeness(again).expected


@pytest.mark.usefixtures("data_dir")
def test_what_is_not_known_is_said() -> None:
    """No sessions, no hours, no roll dates: which instrument, and what to do."""
    told = {"tz": "Asia/Jerusalem", "edge": "start"}
    nq.load("GC", "30min"), nq.load("BTC", "30min", **told), nq.load("FDAX", "30min", **told)
    with pytest.raises(ConfigError, match=r"roll dates of GC are not known.*taken from volumes.*roll_table"):
        nq.rolls("GC.30min")
    own, crypto = (next(d.name for d in nq.ls() if d.name.startswith(symbol)) for symbol in ("FDAX", "BTC"))
    with pytest.raises(ConfigError, match="sessions of FDAX are not known"):
        nq.rolls(own)
    with pytest.raises(ConfigError, match="sessions of FDAX are not known"):
        nq.resample(own, "1h")
    with pytest.raises(ConfigError, match="sessions of FDAX are not known"):
        nq.completeness(own)
    with pytest.raises(ConfigError, match="the regular hours are not known"):
        nq.resample(crypto, "1h", hours="rth")
    bare = nq.load("GC", "30min")
    bare.attrs = {}
    with pytest.raises(InvalidArgument, match="neither are its rolls"):
        nq.rolls(bare, timeframe="30min")
    with pytest.raises(InvalidArgument, match="neither are its sessions"):
        nq.resample(bare, "1h", source_timeframe="30min")


@pytest.mark.usefixtures("data_dir")
def test_oil_has_roll_dates() -> None:
    """Each month has one that its bars span."""
    nq.load("CL", "30min")
    assert nq.rolls("CL.30min")


def test_a_loader_says_so_too(data_dir: Path) -> None:
    """`monitor_data_completeness` of an instrument without a calendar."""
    with pytest.raises(ConfigError, match="sessions of FDAX are not known"):
        nq.UnifiedDataLoader(str(data_dir), symbol="FDAX").monitor_data_completeness("30min")
