"""What the files of the usual vendors are known to be: one row each, and nothing that is not known.

A profile by name takes these answers for given. Without one they are only evidence: a vendor is recognised by the
form of the table, and its habits choose between readings that the bars themselves leave open, never against them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from jupyter_nq.bars.instruments import Instrument
from jupyter_nq.bars.profile import Dialect, Edge
from jupyter_nq.bars.reading.stamps import Layout
from jupyter_nq.errors import ConfigError, nearest

EXCHANGE = "exchange"
"""The zone rule of vendors that stamp bars on the clock of the instrument's exchange."""
UNUSED = ""
"""The role of a column that is not read."""

_BAR = ("open", "high", "low", "close", "volume")
_ONE, _TWO = ("timestamp", *_BAR), ("timestamp", "timestamp", *_BAR)


@dataclass(frozen=True)
class Vendor:
    """What is known of the files of one vendor."""

    name: str
    """As `profile=` takes it."""
    title: str
    """As people write it."""
    delimiters: str
    """The characters between columns, one of them in a file."""
    layouts: tuple[str, ...]
    """Ways in which its files write a stamp, date and time joined by a space when they are two columns."""
    header: bool | None = None
    """Whether its files begin with the names of the columns; None when they may or may not."""
    marks: frozenset[str] = frozenset()
    """Names, in lower case, that tell its header from any other."""
    by_place: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Number of columns -> what each holds where there is no header: a role, or `UNUSED`."""
    day_first: bool | None = None
    """Order of day and month; None when its files do not all have one, or begin with the year."""
    tz: str | None = None
    """Zone of its stamps, `EXCHANGE` for that of the instrument's exchange; None where its user chooses it."""
    edge: Edge | None = None
    """Whether its stamps are starts or ends of bars; None where that is not known."""
    century: int | None = None
    """What years of two digits are counted from; None where it does not write any."""
    price_scale: int = 1
    """What whole-numbered prices are to be divided by; prices with decimals are prices."""

    def zone(self, instrument: Instrument | None) -> str | None:
        """Return the zone of its stamps for an instrument, None when that is not known."""
        if self.tz != EXCHANGE:
            return self.tz
        return instrument.zone if instrument else None

    @property
    def habit(self) -> str:
        """What its stamps are, `ends of bars in the exchange's time`; empty when neither is known."""
        bars = {None: "stamps", "start": "starts of bars", "end": "ends of bars"}[self.edge]
        if self.tz is None:
            return bars if self.edge else ""
        return f"{bars} in {'the time of the exchange' if self.tz == EXCHANGE else self.tz}"

    def writes(self, layouts: Sequence[str]) -> bool:
        """Return whether all of these layouts are among its own, day order aside."""
        own = {Layout.parse(layout).unordered for layout in self.layouts}
        return all(Layout.parse(layout).unordered in own for layout in layouts)


_SLASHES = ("MM/DD/YYYY HH:MM", "MM/DD/YYYY HH:MM:SS", "MM/DD/YYYY HHMM", "MM/DD/YYYY")
_ISO = tuple(
    f"YYYY-MM-DD{join}HH:MM{rest}{offset}" for join in " T" for rest in ("", ":SS", ":SS.f") for offset in ("", "Z")
)

_TABLE = (
    Vendor(
        "tradestation", "TradeStation", ",", (*_SLASHES, "YYYY/MM/DD HH:MM", "MM/DD/YY HH:MM", "MM/DD/YY HHMM"),
        header=True, marks=frozenset({"up", "down"}), by_place={8: (*_TWO, "volume")}, tz=EXCHANGE, edge="end",
        century=2000,
    ),
    Vendor(
        "ninjatrader", "NinjaTrader", ";", ("YYYYMMDD HHMMSS",),
        header=False, by_place={6: _ONE}, tz="UTC", edge="end",
    ),
    Vendor(
        "sierrachart", "Sierra Chart", ",", ("YYYY/MM/DD HH:MM:SS", "YYYY/MM/DD HH:MM:SS.f", "YYYY/MM/DD HH:MM"),
        header=True, marks=frozenset({"last", "numberoftrades", "bidvolume", "askvolume"}),
        by_place={10: (*_TWO, UNUSED, UNUSED, UNUSED)},
    ),
    Vendor(
        "tradingview", "TradingView", ",", ("epoch s", *(label for label in _ISO if "Z" in label), "YYYY-MM-DD"),
        header=True, marks=frozenset({"time"}), edge="start",
    ),
    Vendor(
        "firstratedata", "FirstRate Data", ",", ("YYYY-MM-DD HH:MM:SS", "YYYY-MM-DD"),
        by_place={6: _ONE, 7: (*_ONE, UNUSED)}, tz="America/New_York", edge="start",
    ),
    Vendor(
        "kibot", "Kibot", ",", ("MM/DD/YYYY HH:MM", "MM/DD/YYYY"),
        header=False, by_place={6: _ONE, 7: _TWO}, day_first=False, tz="America/New_York", edge="start",
    ),
    Vendor(
        "databento", "Databento", ",", ("epoch ns", "YYYY-MM-DDTHH:MM:SS.fZ"),
        header=True, marks=frozenset({"ts_event", "rtype", "instrument_id"}),
        by_place={10: ("timestamp", UNUSED, UNUSED, UNUSED, *_BAR, "contract")},
        tz="UTC", edge="start", price_scale=1_000_000_000,
    ),
    Vendor(
        "yahoo", "Yahoo", ",", ("YYYY-MM-DD HH:MM:SSZ", "YYYY-MM-DDTHH:MM:SSZ", "YYYY-MM-DD"),
        header=True, marks=frozenset({"datetime"}), edge="start",
    ),
    Vendor(
        "histdata", "HistData", ";", ("YYYYMMDD HHMMSS",),
        header=False, by_place={6: _ONE}, tz="UTC-5", edge="start",
    ),
    Vendor("iso", "plain ISO 8601", ",;\t|", (*_ISO, "YYYY-MM-DD"), by_place={6: _ONE, 7: _TWO}),
)  # fmt: skip

VENDORS: Mapping[str, Vendor] = MappingProxyType({vendor.name: vendor for vendor in _TABLE})


def vendor(name: str) -> Vendor:
    """Return the vendor of a name, whatever its case, spaces and dashes.

    Raises
    ------
    ConfigError
        There is none of this name; the message names the nearest ones.

    >>> vendor("Sierra Chart").edge is None
    True
    """
    key = "".join(letter for letter in name.lower() if letter.isalnum())
    found = VENDORS.get(key)
    if found is None:
        raise ConfigError(
            f"profile={name!r} is not a vendor's name.{nearest(key, VENDORS)} Known are {', '.join(VENDORS)}; or pass "
            "single answers, such as profile={'tz': 'UTC', 'edge': 'end'}."
        )
    return found


def lookalikes(table: Dialect, layouts: Sequence[str]) -> list[Vendor]:
    """Return the vendors whose files have this form; more than one when they share it.

    Parameters
    ----------
    table, layouts
        The form of the table, and the ways in which it writes a stamp, day order aside.
    """
    found = [known for known in _TABLE if _has_form(known, table) and known.writes(layouts)]
    marked = [known for known in found if known.marks] if table.header else []
    return marked or found


def _has_form(known: Vendor, table: Dialect) -> bool:
    if not table.delimiter or table.delimiter not in known.delimiters:
        return False
    if table.header:
        return known.header is not False and known.marks <= {name.strip("<>\"' ").lower() for name in table.names}
    places = known.by_place.get(len(table.names), ())
    return places.count("timestamp") == len(table.columns["timestamp"])
