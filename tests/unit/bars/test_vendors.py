"""The table of vendors: what it states, and which forms it tells apart."""

from __future__ import annotations

import doctest

import pytest

from jupyter_nq.bars import vendors
from jupyter_nq.bars.instruments import INSTRUMENTS
from jupyter_nq.bars.profile import ROLES, Dialect
from jupyter_nq.bars.reading.stamps import Layout
from jupyter_nq.bars.vendors import EXCHANGE, UNUSED, VENDORS, Vendor, lookalikes, vendor
from jupyter_nq.bars.zones import find_zone
from jupyter_nq.errors import ConfigError


def test_examples() -> None:
    """The examples in the docstrings are true."""
    assert doctest.testmod(vendors).failed == 0


@pytest.mark.parametrize("known", VENDORS.values(), ids=list(VENDORS))
def test_a_row_is_consistent(known: Vendor) -> None:
    """Layouts are layouts, zones are zones, and columns by place have every role once, stamps and volumes twice."""
    layouts = [Layout.parse(label) for label in known.layouts]
    assert any(layout.short_year for layout in layouts) is (known.century is not None)
    if known.tz not in (None, EXCHANGE):
        find_zone(str(known.tz))
    for count, places in known.by_place.items():
        assert len(places) == count
        assert set(ROLES) <= set(places) <= {*ROLES, "contract", UNUSED}
        assert all(places.count(role) == 1 for role in ROLES[1:5])


def test_names_are_taken_as_people_write_them() -> None:
    """Case, spaces and dashes do not matter; a name that is none is refused with the nearest."""
    assert vendor("Sierra-Chart") is VENDORS["sierrachart"]
    with pytest.raises(ConfigError, match="Did you mean 'kibot'"):
        vendor("kibott")


def test_the_exchanges_zone_is_the_instruments() -> None:
    """TradeStation stamps NQ in Chicago and crude oil in New York; an unknown instrument has no zone."""
    known = VENDORS["tradestation"]
    assert known.zone(INSTRUMENTS["NQ"]) == "America/Chicago"
    assert known.zone(INSTRUMENTS["CL"]) == "America/New_York"
    assert known.zone(None) is None
    assert known.habit == "ends of bars in the time of the exchange"
    assert VENDORS["sierrachart"].habit == ""


def _table(header: str, delimiter: str = ",", stamps: int = 1) -> Dialect:
    names = tuple(name.strip() for name in header.split(delimiter))
    return Dialect(delimiter, True, 1, names, {"timestamp": names[:stamps]}, ".")


def _rows(columns: int, delimiter: str = ",", stamps: int = 1) -> Dialect:
    names = tuple(f"column {i}" for i in range(1, columns + 1))
    return Dialect(delimiter, False, 0, names, {"timestamp": names[:stamps]}, ".")


@pytest.mark.parametrize(
    ("table", "layout", "names"),
    [
        (_table("Date,Time,Open,High,Low,Close,Up,Down", stamps=2), "??/??/YYYY HH:MM", ["tradestation"]),
        (_table("Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume", stamps=2),
         "YYYY/M/D H:MM:SS.f", ["sierrachart"]),
        (_table("time,open,high,low,close,Volume"), "epoch s", ["tradingview"]),
        (_table("Datetime,Open,High,Low,Close,Volume"), "YYYY-MM-DD HH:MM:SSZ", ["yahoo"]),
        (_table("timestamp,open,high,low,close,volume"), "YYYY-MM-DD HH:MM:SS", ["firstratedata", "iso"]),
        (_table("timestamp,open,high,low,close,volume"), "??/??/YYYY HH:MM", []),
        (_table("ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol"), "epoch ns",
         ["databento"]),
        (_rows(6, ";"), "YYYYMMDD HHMMSS", ["ninjatrader", "histdata"]),
        (_rows(7, stamps=2), "??/??/YYYY HH:MM", ["kibot"]),
        (_rows(7, stamps=1), "YYYY-MM-DD", ["firstratedata"]),
    ],
)  # fmt: skip
def test_forms_are_told_apart(table: Dialect, layout: str, names: list[str]) -> None:
    """A header's own names decide; forms that vendors share name all of them."""
    assert [known.name for known in lookalikes(table, [layout])] == names
