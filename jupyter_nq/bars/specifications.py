"""The contracts that the package knows, as the exchange publishes them: tick, worth, calendar, hours, roll.

A tick is the smallest step of an outright price that is published now; former ones were multiples of it. Regular
hours are those of the former trading floor, which the exchange's daily settlements still follow; the equity index
has those of the stock exchange.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

EQUITY = "CME Globex Equity"
ENERGY_METALS = "CME Globex Energy and Metals"
FX = "CME Globex FX"
RATES = "CBOT Globex Rates"
GRAINS = "CBOT Globex Grains"
LIVESTOCK = "CME Globex Livestock"
CRYPTO = "CME Globex Crypto"
NAMED_CALENDARS = (EQUITY, ENERGY_METALS, FX, RATES, GRAINS, LIVESTOCK, CRYPTO)

QUARTERLY = "quarterly"
"""Rolls around the Monday before the third Friday of March, June, September and December."""
CRUDE_OIL = "crude oil"
"""Rolls every month before trading ends, three business days before the 25th."""
ROLL_RULES = (QUARTERLY, CRUDE_OIL)

EQUITY_HOURS = "09:30-16:00 America/New_York"
NEW_YORK, CHICAGO = "America/New_York", "America/Chicago"


@dataclass(frozen=True)
class Instrument:
    """What is fixed about one futures contract family."""

    symbol: str
    """Root symbol, upper case."""
    name: str
    tick: float
    """Smallest price step, in points."""
    point_value: float
    """Worth of one full point of one contract, in the currency of the contract."""
    calendar: str | None
    """Name of the trading calendar, None when it is not known; `closed.KNOWN` lists those whose closed hours are."""
    regular_hours: str = ""
    """As `hours.RegularHours` reads them, "09:30-16:00 America/New_York"; empty when they are not known."""
    roll: str = ""
    """Name of the rule of its roll dates, one of `ROLL_RULES`; empty where only volumes tell."""
    negative_prices: bool = False
    """Whether a price of zero or below can be real."""

    @property
    def zone(self) -> str | None:
        """The clock of its exchange: NYMEX and COMEX are in New York, CME and CBOT in Chicago."""
        if self.calendar is None:
            return self.regular_hours.partition(" ")[2] or None
        return NEW_YORK if self.calendar == ENERGY_METALS else CHICAGO


_OIL_HOURS, _GOLD_HOURS, _SILVER_HOURS = "09:00-14:30", "08:20-13:30", "08:25-13:25"
_BANKING_HOURS = "07:20-14:00"
_FAMILIES: tuple[tuple[str, str, tuple[tuple[str, str, float, float, str, str], ...]], ...] = (
    # calendar, zone of the hours, (symbol, name, tick, point value, regular hours, roll rule)
    (
        EQUITY,
        NEW_YORK,
        (
            ("NQ", "E-mini Nasdaq-100", 0.25, 20.0, "09:30-16:00", QUARTERLY),
            ("MNQ", "Micro E-mini Nasdaq-100", 0.25, 2.0, "09:30-16:00", QUARTERLY),
            ("ES", "E-mini S&P 500", 0.25, 50.0, "09:30-16:00", QUARTERLY),
            ("MES", "Micro E-mini S&P 500", 0.25, 5.0, "09:30-16:00", QUARTERLY),
            ("RTY", "E-mini Russell 2000", 0.1, 50.0, "09:30-16:00", QUARTERLY),
            ("M2K", "Micro E-mini Russell 2000", 0.1, 5.0, "09:30-16:00", QUARTERLY),
            ("YM", "E-mini Dow", 1.0, 5.0, "09:30-16:00", QUARTERLY),
            ("MYM", "Micro E-mini Dow", 1.0, 0.5, "09:30-16:00", QUARTERLY),
            ("NKD", "Nikkei/USD", 5.0, 5.0, "", ""),  # follows Tokyo, and ends on the second Friday
        ),
    ),
    (
        ENERGY_METALS,
        NEW_YORK,
        (
            ("CL", "Crude Oil", 0.01, 1000.0, _OIL_HOURS, CRUDE_OIL),
            ("MCL", "Micro Crude Oil", 0.01, 100.0, _OIL_HOURS, CRUDE_OIL),
            ("NG", "Henry Hub Natural Gas", 0.001, 10000.0, _OIL_HOURS, ""),
            ("HO", "NY Harbor ULSD", 0.0001, 42000.0, _OIL_HOURS, ""),
            ("RB", "RBOB Gasoline", 0.0001, 42000.0, _OIL_HOURS, ""),
            ("BZ", "Brent Last Day Financial", 0.01, 1000.0, _OIL_HOURS, ""),
            ("GC", "Gold", 0.1, 100.0, _GOLD_HOURS, ""),
            ("MGC", "Micro Gold", 0.1, 10.0, _GOLD_HOURS, ""),
            ("SI", "Silver", 0.005, 5000.0, _SILVER_HOURS, ""),
            ("SIL", "Micro Silver", 0.005, 1000.0, _SILVER_HOURS, ""),
            ("HG", "Copper", 0.0005, 25000.0, "08:10-13:00", ""),
            ("PL", "Platinum", 0.1, 50.0, "08:20-13:05", ""),
            ("PA", "Palladium", 0.5, 100.0, "08:30-13:00", ""),
        ),
    ),
    (
        FX,
        CHICAGO,
        (
            ("6E", "Euro FX", 0.00005, 125000.0, _BANKING_HOURS, ""),
            ("M6E", "Micro EUR/USD", 0.0001, 12500.0, _BANKING_HOURS, ""),
            ("6J", "Japanese Yen", 0.0000005, 12500000.0, _BANKING_HOURS, ""),
            ("6B", "British Pound", 0.0001, 62500.0, _BANKING_HOURS, ""),
            ("6A", "Australian Dollar", 0.00005, 100000.0, _BANKING_HOURS, ""),
            ("6C", "Canadian Dollar", 0.00005, 100000.0, _BANKING_HOURS, ""),
            ("6S", "Swiss Franc", 0.00005, 125000.0, _BANKING_HOURS, ""),
            ("6M", "Mexican Peso", 0.00001, 500000.0, _BANKING_HOURS, ""),
        ),
    ),
    (
        RATES,
        CHICAGO,
        (
            ("ZN", "10-Year T-Note", 0.015625, 1000.0, _BANKING_HOURS, ""),
            ("ZB", "30-Year T-Bond", 0.03125, 1000.0, _BANKING_HOURS, ""),
            ("ZF", "5-Year T-Note", 0.0078125, 1000.0, _BANKING_HOURS, ""),
            ("ZT", "2-Year T-Note", 0.00390625, 2000.0, _BANKING_HOURS, ""),
            ("UB", "Ultra T-Bond", 0.03125, 1000.0, _BANKING_HOURS, ""),
            ("TN", "Ultra 10-Year T-Note", 0.015625, 1000.0, _BANKING_HOURS, ""),
            ("SR3", "Three-Month SOFR", 0.0025, 2500.0, _BANKING_HOURS, ""),
            ("ZQ", "30-Day Fed Funds", 0.0025, 4167.0, _BANKING_HOURS, ""),
        ),
    ),
    (
        GRAINS,
        CHICAGO,
        (
            ("ZC", "Corn", 0.25, 50.0, "08:30-13:20", ""),
            ("ZS", "Soybeans", 0.25, 50.0, "08:30-13:20", ""),
            ("ZW", "Chicago SRW Wheat", 0.25, 50.0, "08:30-13:20", ""),
            ("ZM", "Soybean Meal", 0.1, 100.0, "08:30-13:20", ""),
            ("ZL", "Soybean Oil", 0.01, 600.0, "08:30-13:20", ""),
        ),
    ),
    (
        LIVESTOCK,
        CHICAGO,
        (
            ("LE", "Live Cattle", 0.025, 400.0, "08:30-13:05", ""),
            ("GF", "Feeder Cattle", 0.025, 500.0, "08:30-13:05", ""),
            ("HE", "Lean Hogs", 0.025, 400.0, "08:30-13:05", ""),
        ),
    ),
    (
        CRYPTO,
        CHICAGO,
        (
            ("BTC", "Bitcoin", 5.0, 5.0, "", ""),
            ("MBT", "Micro Bitcoin", 5.0, 0.1, "", ""),
            ("ETH", "Ether", 0.5, 50.0, "", ""),
            ("MET", "Micro Ether", 0.5, 0.1, "", ""),
        ),
    ),
)
_NEGATIVE = frozenset({"CL", "MCL", "NG"})

PUBLISHED: Mapping[str, Instrument] = MappingProxyType(
    {
        symbol: Instrument(
            symbol, name, tick, value, calendar, f"{hours} {zone}" if hours else "", roll, symbol in _NEGATIVE
        )
        for calendar, zone, rows in _FAMILIES
        for symbol, name, tick, value, hours, roll in rows
    }
)
"""The table as the package has it, by symbol."""
