"""The table of instruments: what is published, what a settings file adds, and what a mistake in it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_nq.bars.instruments import CRYPTO, ENERGY_METALS, EQUITY, INSTRUMENTS, instrument, regular_hours_of
from jupyter_nq.bars.sessions.expiry import expiry_of
from jupyter_nq.bars.specifications import PUBLISHED
from jupyter_nq.errors import ConfigError, UnknownInstrument

TICK_VALUES = {
    "NQ": 5.0, "MNQ": 0.5, "ES": 12.5, "MES": 1.25, "RTY": 5.0, "M2K": 0.5, "YM": 5.0, "MYM": 0.5, "NKD": 25.0,
    "CL": 10.0, "MCL": 1.0, "NG": 10.0, "HO": 4.2, "RB": 4.2, "BZ": 10.0,
    "GC": 10.0, "MGC": 1.0, "SI": 25.0, "SIL": 5.0, "HG": 12.5, "PL": 5.0, "PA": 50.0,
    "6E": 6.25, "M6E": 1.25, "6J": 6.25, "6B": 6.25, "6A": 5.0, "6C": 5.0, "6S": 6.25, "6M": 5.0,
    "ZN": 15.625, "ZB": 31.25, "ZF": 7.8125, "ZT": 7.8125, "UB": 31.25, "TN": 15.625, "SR3": 6.25, "ZQ": 10.4175,
    "ZC": 12.5, "ZS": 12.5, "ZW": 12.5, "ZM": 10.0, "ZL": 6.0, "LE": 10.0, "GF": 12.5, "HE": 10.0,
    "BTC": 25.0, "MBT": 0.5, "ETH": 25.0, "MET": 0.05,
}  # fmt: skip
"""Dollars for one tick, as contract specifications print them beside tick and size."""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the settings file of this test, empty."""
    path = tmp_path / "jupyter_nq.yaml"
    path.write_text("")
    monkeypatch.setenv("JUPYTER_NQ_CONFIG", str(path))
    return path


def test_instruments_are_found_in_any_case() -> None:
    """The symbol is a root in upper or lower case."""
    assert instrument(" nq ").point_value == 20.0
    assert instrument("@MNQ").tick == 0.25
    assert [symbol for symbol, known in PUBLISHED.items() if known.negative_prices] == ["CL", "MCL", "NG"]


def test_ticks_are_worth_what_is_published() -> None:
    """Tick times point value is the dollar value of a tick, for every contract of the table."""
    worth = {symbol: known.tick * known.point_value for symbol, known in PUBLISHED.items()}
    assert worth == pytest.approx(TICK_VALUES, rel=1e-12)


@pytest.mark.usefixtures("file")
def test_an_unknown_symbol_says_what_to_write_where(file: Path) -> None:
    """The error names the nearest symbols, the line to write, and the file that is read."""
    with pytest.raises(UnknownInstrument, match=r"Did you mean 'MNQ'") as caught:
        instrument("MNQX")
    assert f"write `instruments: {{MNQX: {{tick: 0.25, point_value: 20}}}}`, with its own values, into {file}" in str(
        caught.value
    )


def test_without_a_file_the_error_says_where_one_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the user's directory of Jupyter's configuration path."""
    monkeypatch.delenv("JUPYTER_NQ_CONFIG", raising=False)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    with pytest.raises(UnknownInstrument, match=str(tmp_path / "jupyter_nq.yaml")):
        instrument("FDAX")
    (tmp_path / "jupyter_nq.yaml").write_text("instruments: {FDAX: {tick: 1, point_value: 25}}")
    assert instrument("FDAX").tick == 1.0, "written since the process first looked"


def test_a_file_adds_to_the_table_and_changes_it(file: Path) -> None:
    """A new symbol has what is written; a known one keeps what is not."""
    file.write_text(
        "instruments:\n"
        "  fdax: {tick: 0.5, point_value: 25, calendar: null, regular_hours: 09:00-17:30 Europe/Berlin,\n"
        "         roll: quarterly, negative_prices: false}\n"
        "  NKD: {regular_hours: 08:00-15:15 America/Chicago}\n"
        "  DX: {tick: 0.005, point_value: 1000}\n"
    )
    own = instrument("FDAX")
    assert (own.name, own.tick, own.point_value, own.calendar, own.roll) == ("FDAX", 0.5, 25.0, None, "quarterly")
    assert (own.zone, instrument("DX").zone) == ("Europe/Berlin", None)
    assert (instrument("NKD").tick, instrument("NKD").calendar) == (5.0, EQUITY)
    assert regular_hours_of("NKD") == "08:00-15:15 America/Chicago"
    assert regular_hours_of("XYZ") is None
    assert regular_hours_of(None) is None
    assert set(INSTRUMENTS) == {*PUBLISHED, "FDAX", "DX"}
    assert len(INSTRUMENTS) == len(PUBLISHED) + 2
    code = expiry_of("FDAXH25.csv")
    assert code is not None
    assert code.symbol == "FDAX"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[FDAX]", "instruments must hold `SYMBOL"),
        ("{FDAX: 1}", "instruments: FDAX must hold `key: value`"),
        ("{FDAX: {tik: 1}}", "FDAX: unknown key 'tik'. Did you mean 'tick'.*The keys are: name, tick"),
        ("{FDAX: {tick: 1}}", "FDAX lacks point_value"),
        ("{FDAX: {tick: 0, point_value: 1}}", "FDAX: tick must be a positive number, found 0"),
        ("{FDAX: {tick: .inf, point_value: 1}}", "FDAX: tick must be a positive number"),
        ("{FDAX: {tick: true, point_value: 1}}", "FDAX: tick must be a positive number"),
        ("{FDAX: {tick: 1, point_value: '25'}}", "FDAX: point_value must be a positive number, found '25'"),
        ("{NQ: {calendar: CME Globex Equty}}", "NQ: calendar: 'CME Globex Equty' is not known. Did you mean"),
        ("{NQ: {calendar: 3}}", "NQ: calendar must be a text"),
        ("{NQ: {roll: quartely}}", "NQ: roll: 'quartely' is not known. Did you mean 'quarterly'"),
        ("{NQ: {negative_prices: 1}}", "NQ: negative_prices must be true or false"),
        ("{NQ: {regular_hours: 09:30-16:00}}", "NQ: regular_hours: '09:30-16:00' is no regular hours. Write them as"),
        ("{NQ: {regular_hours: 17:30-09:00 UTC}}", "is no regular hours"),
        ("{NQ: {regular_hours: 09:75-16:00 UTC}}", "is no regular hours"),
        ("{NQ: {regular_hours: 09:30-16:00 Europe/Berln}}", "regular_hours: .*Did you mean 'Europe/Berlin'"),
        ("{NQ: {tick: 1}, nq: {tick: 2}}", "instruments: nq is there twice"),
        ("{F-DAX: {tick: 1, point_value: 1}}", "F-DAX is no symbol"),
    ],
)
def test_a_mistake_is_named(file: Path, text: str, message: str) -> None:
    """The error has the file, the symbol and the key; no instrument is had until it is mended."""
    file.write_text(f"instruments: {text}")
    with pytest.raises(ConfigError, match=message) as caught:
        instrument("NQ")
    assert str(file) in str(caught.value)


def test_a_null_takes_away(file: Path) -> None:
    """Hours, roll rule and calendar of a known instrument can be unset."""
    file.write_text("instruments: {CL: {regular_hours: null, roll: null, calendar: null}}")
    known = instrument("CL")
    assert (known.regular_hours, known.roll, known.calendar, known.zone) == ("", "", None, None)


def test_clocks_are_those_of_the_exchange() -> None:
    """NYMEX and COMEX are in New York, CME and CBOT in Chicago."""
    assert {known.zone for known in PUBLISHED.values() if known.calendar == ENERGY_METALS} == {"America/New_York"}
    assert {known.zone for known in PUBLISHED.values() if known.calendar in (EQUITY, CRYPTO)} == {"America/Chicago"}
