"""What the name of a file says of its bars: instrument, contract, length, and which series.

A name is words in any order, and everybody has an order of their own: `NQ_5min_continuous_UNadjusted.txt` (FirstRate),
`NQ 03-24.Last.txt` (NinjaTrader), `CME_MINI_DL_NQ1!, 5.csv` (TradingView), `NQ=F.csv` (Yahoo). Only what cannot be
mistaken is taken: the symbol of a known instrument as a word of its own, also as vendors spell it, a contract's code,
a length with its unit. Two that differ are none.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jupyter_nq.bars.instruments import INSTRUMENTS
from jupyter_nq.bars.sessions.expiry import expiries_of
from jupyter_nq.bars.timeframe import METATRADER, SECONDS, parse_timeframe, timeframe_of
from jupyter_nq.errors import UnknownTimeframe

COLUMNAR = (".parquet", ".arrow", ".feather", ".ipc")
SUFFIXES = (".csv", ".txt", ".tsv", ".dat", *COLUMNAR)
COMPRESSED = (".gz", ".bz2", ".zst", ".xz", ".zip")
"""What may stand behind a suffix: `NQ_30min.csv.gz`."""
SERIES = frozenset({"extended", "ext", "rth", "regular"})
"""Words that name another series of the same length."""

_PLAIN = frozenset({"eth", "globex"})
"""Electronic hours, which are the plain series; no name of a file means ether by it."""
_UNITS = "|".join(sorted(SECONDS, key=len, reverse=True))
_LENGTH = re.compile(
    rf"(?<![A-Z0-9])(?<!\d\.)(?:\d{{1,5}}(?:{_UNITS})|\d{{1,5}}[\s_-](?:m|h|mins?|minutes?|hours?|days?))(?![A-Z0-9])",
    re.I,
)
_METATRADER = re.compile(rf"(?<![A-Za-z0-9])(?:{METATRADER.pattern})(?![A-Za-z0-9])")
_TRADINGVIEW = re.compile(r", ?(?P<length>\d{1,4}|1?D)(?:_[0-9a-f]{5})?$")  # `NQ1!, 5`, minutes without a unit
_DAILY = re.compile(r"(?<![A-Za-z0-9])(?:D|[Dd]aily|DAILY)(?![A-Za-z0-9])")
_COPY = re.compile(r"\(\d+\)")
_GAPS = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True)
class Named:
    """What a name says."""

    symbols: tuple[str, ...]
    """Root symbols of the known instruments that it may mean; more than one leaves it open."""
    spelled: str
    """The symbol as it stands there, `NQ1!` or `NQH24`; empty when there is none."""
    contract: str | None
    """Code of the only contract that is named, `NQH24`."""
    timeframe: str | None
    """Canonical label, for example `30min` or `5min_extended`."""
    words: tuple[str, ...]
    """The other words, in lower case."""

    @property
    def symbol(self) -> str | None:
        """Root symbol, None when none or several may be meant."""
        return self.symbols[0] if len(self.symbols) == 1 else None


def named(path: str | os.PathLike[str]) -> Named:
    """Return what the name of a file says.

    >>> found = named("CME_MINI_DL_NQ1!, 5.csv")
    >>> found.symbol, found.spelled, found.timeframe
    ('NQ', 'NQ1!', '5min')
    >>> named("NQ 03-24.Last.txt").contract, named("kibot_NQ.txt").timeframe
    ('NQH24', None)
    """
    text = _COPY.sub(" ", stem(path)).strip()
    expiries = expiries_of(text)
    symbol, _ = _patterns(tuple(INSTRUMENTS))
    plain = [match for match in symbol.finditer(text) if match[0].lower() not in _PLAIN]
    symbols = [match["root"].upper() for match in plain] + [each.symbol for each in expiries]
    spelled = expiries[0].code if expiries else plain[0][0] if plain else ""
    minutes, rest = _minutes(symbol.sub(" ", text))
    words = [word for word in _GAPS.split(rest.lower()) if word and word not in _PLAIN]
    suffix = "_".join(word for word in words if word in SERIES)
    return Named(
        tuple(dict.fromkeys(symbols)),
        spelled,
        expiries[0].code if len(expiries) == 1 else None,
        timeframe_of(minutes, suffix).label if minutes else None,
        tuple(word for word in words if word not in SERIES),
    )


def root_of(word: str) -> str:
    """Return the root symbol that a vendor's spelling of one means, any other word as it is.

    >>> [root_of(word) for word in ("@nq", "/NQ", "NQ1!", "NQ=F", "NQ.c.0", "NQH24")]
    ['NQ', 'NQ', 'NQ', 'NQ', 'NQ', 'NQH24']
    """
    _, spelled = _patterns(tuple(INSTRUMENTS))
    match = spelled.fullmatch(word.strip())
    return match["root"].upper() if match else word


@lru_cache(maxsize=4)
def _patterns(symbols: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what a symbol looks like in a name, and what alone is a spelling of its series that goes on in front."""
    roots = "|".join(sorted(map(re.escape, symbols), key=len, reverse=True))
    spelling = rf"[@/]?(?P<root>{roots})(?:[1-9]!|=F|\.[cvn]\.\d)?"
    front = re.compile(rf"[@/]?(?P<root>{roots})(?:1!|=F|\.[cvn]\.0)?", re.I)
    return re.compile(rf"(?<![A-Z0-9]){spelling}(?![A-Z0-9!=])", re.I), front


def uncompressed(path: str | os.PathLike[str]) -> Path:
    """Return a path without the suffix of compression, if it has one.

    >>> uncompressed("NQ_30min.csv.gz").name, uncompressed("NQ_30min.csv").name
    ('NQ_30min.csv', 'NQ_30min.csv')
    """
    path = Path(path)
    return path.with_suffix("") if path.suffix.lower() in COMPRESSED else path


def stem(path: str | os.PathLike[str]) -> str:
    """Return the name of a file without the suffixes that say how it is written.

    >>> stem("NQ.c.0.csv.gz"), stem("NQ_5min.zip"), stem("NQ.5min")
    ('NQ.c.0', 'NQ_5min', 'NQ.5min')
    """
    plain = uncompressed(path)
    return plain.stem if plain.suffix.lower() in SUFFIXES else plain.name


def _minutes(text: str) -> tuple[int | None, str]:
    """Return the only length that a text names, in minutes, and the text without any."""
    view = _TRADINGVIEW.search(text)
    if view is not None:
        minutes = _length(f"{view['length']}min" if view["length"].isdigit() else "1D")
        if minutes is not None:  # a year is none
            return minutes, text[: view.start()]
    found = {_length(match[0]) for pattern in (_LENGTH, _METATRADER) for match in pattern.finditer(text)}
    rest = _METATRADER.sub(" ", _LENGTH.sub(" ", text))
    if not found and _DAILY.search(text):
        found, rest = {_length("1D")}, _DAILY.sub(" ", rest)
    found.discard(None)
    return (found.pop() if len(found) == 1 else None), rest


def _length(text: str) -> int | None:
    try:
        return parse_timeframe(text.replace("_", " ")).minutes
    except UnknownTimeframe:
        return None
