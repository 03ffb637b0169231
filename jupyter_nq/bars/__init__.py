"""Bars: from the messy text files of vendors to clean UTC bars, with the evidence for every decision.

Names are resolved on first use, so that a process that only maps a shared dataset (and asks for a file's
fingerprint or path) loads neither Arrow's CSV reader nor the time zone database.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# At once, because the function has its module's name: importing the module later would take the place of the function.
from jupyter_nq.bars.fingerprint import CODE_VERSION, Fingerprint, fingerprint, quick

if TYPE_CHECKING:
    from jupyter_nq.bars.discovery import Found, available, find_source, parse_name, symbols, timeframes
    from jupyter_nq.bars.instruments import INSTRUMENTS, Instrument, instrument
    from jupyter_nq.bars.loading import Bars, load_bars
    from jupyter_nq.bars.profile import Profile
    from jupyter_nq.bars.reading.reader import read_bars
    from jupyter_nq.bars.rules import FLAT, NOT_POSITIVE, OHLC_ORDER, ZERO_VOLUME
    from jupyter_nq.bars.sample import write_sample
    from jupyter_nq.bars.schema import BAR_SCHEMA
    from jupyter_nq.bars.sniffing.sniff import Sniffed, sniff
    from jupyter_nq.bars.timeframe import Timeframe, parse_timeframe
    from jupyter_nq.bars.vendor_samples import write_vendor
    from jupyter_nq.bars.vendors import VENDORS, Vendor

_HOMES = {
    "discovery": ("Found", "available", "find_source", "parse_name", "symbols", "timeframes"),
    "instruments": ("INSTRUMENTS", "Instrument", "instrument"),
    "profile": ("Profile",),
    "loading": ("Bars", "load_bars"),
    "reading.reader": ("read_bars",),
    "rules": ("FLAT", "NOT_POSITIVE", "OHLC_ORDER", "ZERO_VOLUME"),
    "sample": ("write_sample",),
    "schema": ("BAR_SCHEMA",),
    "sniffing.sniff": ("Sniffed", "sniff"),
    "timeframe": ("Timeframe", "parse_timeframe"),
    "vendor_samples": ("write_vendor",),
    "vendors": ("VENDORS", "Vendor"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BAR_SCHEMA",
    "CODE_VERSION",
    "FLAT",
    "INSTRUMENTS",
    "NOT_POSITIVE",
    "OHLC_ORDER",
    "VENDORS",
    "ZERO_VOLUME",
    "Bars",
    "Fingerprint",
    "Found",
    "Instrument",
    "Profile",
    "Sniffed",
    "Timeframe",
    "Vendor",
    "available",
    "find_source",
    "fingerprint",
    "instrument",
    "load_bars",
    "parse_name",
    "parse_timeframe",
    "quick",
    "read_bars",
    "sniff",
    "symbols",
    "timeframes",
    "write_sample",
    "write_vendor",
]


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'jupyter_nq.bars' has no attribute {name!r}")
    return getattr(importlib.import_module(f"jupyter_nq.bars.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
