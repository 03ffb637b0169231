"""The instruments that the package knows: what a tick is, what it is worth, and when it trades.

No rule elsewhere hard-codes NQ; a rule asks the instrument. A symbol that is not in the table is
asked for, never assumed to behave like NQ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from jupyter_nq.errors import UnknownInstrument, nearest

EQUITY = "CME Globex Equity"
ENERGY_METALS = "CME Globex Energy and Metals"
FX = "CME Globex FX"
RATES = "CBOT Globex Rates"
GRAINS = "CBOT Globex Grains"
CRYPTO = "CME Globex Crypto"

_NEW_YORK = "America/New_York"
_CHICAGO = "America/Chicago"


@dataclass(frozen=True)
class RegularHours:
    """The regular session on the exchange's clock."""

    opens: str
    """Wall clock HH:MM, inclusive."""
    closes: str
    """Wall clock HH:MM, exclusive."""
    tz: str
    """IANA name of the zone of both."""


@dataclass(frozen=True)
class Instrument:
    """What is fixed about one futures contract family."""

    symbol: str
    """Root symbol, upper case."""
    name: str
    tick: float
    """Smallest price step, in points."""
    point_value: float
    """Worth of one full point of one contract, in `currency`."""
    currency: str
    calendar: str
    """Name of the trading calendar; `closed.KNOWN` lists those whose closed hours are known."""
    regular_hours: RegularHours
    negative_prices: bool = False
    """Whether a price of zero or below can be real."""


_CASH = RegularHours("09:30", "16:00", _NEW_YORK)
_CRUDE = RegularHours("09:00", "14:30", _NEW_YORK)
_METAL = RegularHours("08:20", "13:30", _NEW_YORK)
_PIT = RegularHours("07:20", "14:00", _CHICAGO)
_GRAIN = RegularHours("08:30", "13:20", _CHICAGO)


def _usd(
    symbol: str,
    name: str,
    tick: float,
    point_value: float,
    calendar: str,
    hours: RegularHours,
    *,
    negative_prices: bool = False,
) -> Instrument:
    return Instrument(symbol, name, tick, point_value, "USD", calendar, hours, negative_prices)


_TABLE = (
    _usd("NQ", "E-mini Nasdaq-100", 0.25, 20.0, EQUITY, _CASH),
    _usd("MNQ", "Micro E-mini Nasdaq-100", 0.25, 2.0, EQUITY, _CASH),
    _usd("ES", "E-mini S&P 500", 0.25, 50.0, EQUITY, _CASH),
    _usd("MES", "Micro E-mini S&P 500", 0.25, 5.0, EQUITY, _CASH),
    _usd("RTY", "E-mini Russell 2000", 0.1, 50.0, EQUITY, _CASH),
    _usd("M2K", "Micro E-mini Russell 2000", 0.1, 5.0, EQUITY, _CASH),
    _usd("YM", "E-mini Dow", 1.0, 5.0, EQUITY, _CASH),
    _usd("MYM", "Micro E-mini Dow", 1.0, 0.5, EQUITY, _CASH),
    _usd("CL", "Crude Oil", 0.01, 1000.0, ENERGY_METALS, _CRUDE, negative_prices=True),
    _usd("MCL", "Micro Crude Oil", 0.01, 100.0, ENERGY_METALS, _CRUDE, negative_prices=True),
    _usd("NG", "Henry Hub Natural Gas", 0.001, 10000.0, ENERGY_METALS, _CRUDE, negative_prices=True),
    _usd("GC", "Gold", 0.1, 100.0, ENERGY_METALS, _METAL),
    _usd("MGC", "Micro Gold", 0.1, 10.0, ENERGY_METALS, _METAL),
    _usd("SI", "Silver", 0.005, 5000.0, ENERGY_METALS, _METAL),
    _usd("HG", "Copper", 0.0005, 25000.0, ENERGY_METALS, _METAL),
    _usd("6E", "Euro FX", 0.00005, 125000.0, FX, _PIT),
    _usd("6B", "British Pound", 0.0001, 62500.0, FX, _PIT),
    _usd("6J", "Japanese Yen", 0.0000005, 12500000.0, FX, _PIT),
    _usd("ZN", "10-Year T-Note", 0.015625, 1000.0, RATES, _PIT),
    _usd("ZB", "30-Year T-Bond", 0.03125, 1000.0, RATES, _PIT),
    _usd("ZC", "Corn", 0.25, 50.0, GRAINS, _GRAIN),
    _usd("ZS", "Soybeans", 0.25, 50.0, GRAINS, _GRAIN),
    _usd("BTC", "Bitcoin", 5.0, 5.0, CRYPTO, _CASH),
)

INSTRUMENTS: Mapping[str, Instrument] = MappingProxyType({i.symbol: i for i in _TABLE})


def instrument(symbol: str) -> Instrument:
    """Return the instrument of a root symbol, whatever its case; a vendor's leading `@` is ignored.

    Raises
    ------
    UnknownInstrument
        The symbol is not in the table; the message names the nearest ones.

    >>> instrument("nq").tick
    0.25
    """
    found = INSTRUMENTS.get(symbol.strip().removeprefix("@").upper())
    if found is None:
        known = ", ".join(INSTRUMENTS)
        raise UnknownInstrument(f"unknown symbol {symbol!r}.{nearest(symbol.upper(), INSTRUMENTS)} Known: {known}.")
    return found
