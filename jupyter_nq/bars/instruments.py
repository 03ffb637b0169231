"""The table of instruments: what a tick is, what it is worth, and when it trades.

It is the package's (`specifications`), with what the setting `instruments` adds to it or changes. No rule elsewhere
hard-codes NQ; a rule asks the instrument. A symbol that is not in the table is asked for, never assumed to behave
like NQ.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache

from jupyter_nq.bars.fingerprint import CODE_VERSION
from jupyter_nq.bars.specifications import (
    CRYPTO,
    ENERGY_METALS,
    EQUITY,
    FX,
    GRAINS,
    LIVESTOCK,
    PUBLISHED,
    RATES,
    Instrument,
)
from jupyter_nq.errors import UnknownInstrument, nearest

__all__ = [
    "CRYPTO",
    "ENERGY_METALS",
    "EQUITY",
    "FX",
    "GRAINS",
    "INSTRUMENTS",
    "LIVESTOCK",
    "RATES",
    "Instrument",
    "code_of",
    "instrument",
    "regular_hours_of",
]


class _Instruments(Mapping[str, Instrument]):
    """The table by symbol; the settings file is read when a process first looks, and again for what is not there."""

    def __getitem__(self, symbol: str) -> Instrument:
        found = _table(*_place()).get(symbol)
        if found is None:
            _table.cache_clear()  # the file may have been written to since
            found = _table(*_place())[symbol]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_table(*_place()))

    def __len__(self) -> int:
        return len(_table(*_place()))


INSTRUMENTS: Mapping[str, Instrument] = _Instruments()


def _place() -> tuple[str | None, ...]:
    """Return what decides where the settings file lies."""
    return tuple(os.environ.get(name) for name in ("JUPYTER_NQ_CONFIG", "JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH"))


@lru_cache(maxsize=8)
def _table(*place: str | None) -> Mapping[str, Instrument]:
    from jupyter_nq.config import find_yaml

    found = find_yaml()
    if found is None:
        return PUBLISHED
    from jupyter_nq.yaml_file import read_yaml

    entries = read_yaml(found).get("instruments")
    if not entries:
        return PUBLISHED
    from jupyter_nq.bars.own_instruments import own_instruments

    return {**PUBLISHED, **own_instruments(entries, str(found))}


def instrument(symbol: str) -> Instrument:
    """Return the instrument of a root symbol, whatever its case; a vendor's leading `@` is ignored.

    Raises
    ------
    UnknownInstrument
        The symbol is not in the table; the message names the nearest ones, and how to add it.

    >>> instrument("nq").tick
    0.25
    """
    root = symbol.strip().removeprefix("@").upper()
    found = INSTRUMENTS.get(root)
    if found is None:
        from jupyter_nq.config import likely_yaml

        raise UnknownInstrument(
            f"unknown symbol {symbol!r}.{nearest(root, INSTRUMENTS)} Known are {', '.join(INSTRUMENTS)}. To add it, "
            f"write `instruments: {{{root}: {{tick: 0.25, point_value: 20}}}}`, with its own values, into "
            f"{likely_yaml()}."
        )
    return found


def code_of(symbol: str) -> str:
    """Return the version of the reader for a symbol: it changes too with what the settings change of its reading."""
    known = INSTRUMENTS.get(symbol)
    if known is None or known == PUBLISHED.get(symbol):
        return CODE_VERSION
    return f"{CODE_VERSION} {known.tick} {known.calendar} {known.zone} {known.negative_prices}"


def regular_hours_of(symbol: str | None) -> str | None:
    """Return the regular hours of a symbol as the table has them, None where it has no such symbol."""
    known = INSTRUMENTS.get(symbol) if symbol is not None else None
    return known.regular_hours if known else None
