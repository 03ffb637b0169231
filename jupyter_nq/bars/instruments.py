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

_NEW_YORK, _CHICAGO = "America/New_York", "America/Chicago"


@dataclass(frozen=True)
class Instrument:
    """What is fixed about one futures contract family."""

    symbol: str
    """Root symbol, upper case."""
    name: str
    tick: float
    """Smallest price step, in points."""
    point_value: float
    """Worth of one full point of one contract, in US dollars."""
    calendar: str
    """Name of the trading calendar; `closed.KNOWN` lists those whose closed hours are known."""
    negative_prices: bool = False
    """Whether a price of zero or below can be real."""

    @property
    def zone(self) -> str:
        """The clock of its exchange: NYMEX and COMEX are in New York, CME and CBOT in Chicago."""
        return _NEW_YORK if self.calendar == ENERGY_METALS else _CHICAGO


_TABLE = (
    Instrument("NQ", "E-mini Nasdaq-100", 0.25, 20.0, EQUITY),
    Instrument("MNQ", "Micro E-mini Nasdaq-100", 0.25, 2.0, EQUITY),
    Instrument("ES", "E-mini S&P 500", 0.25, 50.0, EQUITY),
    Instrument("MES", "Micro E-mini S&P 500", 0.25, 5.0, EQUITY),
    Instrument("RTY", "E-mini Russell 2000", 0.1, 50.0, EQUITY),
    Instrument("M2K", "Micro E-mini Russell 2000", 0.1, 5.0, EQUITY),
    Instrument("YM", "E-mini Dow", 1.0, 5.0, EQUITY),
    Instrument("MYM", "Micro E-mini Dow", 1.0, 0.5, EQUITY),
    Instrument("CL", "Crude Oil", 0.01, 1000.0, ENERGY_METALS, negative_prices=True),
    Instrument("MCL", "Micro Crude Oil", 0.01, 100.0, ENERGY_METALS, negative_prices=True),
    Instrument("NG", "Henry Hub Natural Gas", 0.001, 10000.0, ENERGY_METALS, negative_prices=True),
    Instrument("GC", "Gold", 0.1, 100.0, ENERGY_METALS),
    Instrument("MGC", "Micro Gold", 0.1, 10.0, ENERGY_METALS),
    Instrument("SI", "Silver", 0.005, 5000.0, ENERGY_METALS),
    Instrument("HG", "Copper", 0.0005, 25000.0, ENERGY_METALS),
    Instrument("6E", "Euro FX", 0.00005, 125000.0, FX),
    Instrument("6B", "British Pound", 0.0001, 62500.0, FX),
    Instrument("6J", "Japanese Yen", 0.0000005, 12500000.0, FX),
    Instrument("ZN", "10-Year T-Note", 0.015625, 1000.0, RATES),
    Instrument("ZB", "30-Year T-Bond", 0.03125, 1000.0, RATES),
    Instrument("ZC", "Corn", 0.25, 50.0, GRAINS),
    Instrument("ZS", "Soybeans", 0.25, 50.0, GRAINS),
    Instrument("BTC", "Bitcoin", 5.0, 5.0, CRYPTO),
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
        raise UnknownInstrument(
            f"unknown symbol {symbol!r}.{nearest(symbol.upper(), INSTRUMENTS)} Supported are {known}; another "
            "instrument is not supported yet."
        )
    return found
