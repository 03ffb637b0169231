"""Sample files as the vendors of `vendors` write them, of the bars of `sample`: the same bars in ten forms."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.profile import Edge
from jupyter_nq.bars.sample import LAYOUTS, sample_bars
from jupyter_nq.bars.timeframe import timeframe_of
from jupyter_nq.bars.vendors import vendor as find_vendor
from jupyter_nq.bars.zones import find_zone
from jupyter_nq.errors import ConfigError

_MADE = {1: "1min", 5: "5min", 30: "30min"}
_BILLION = 1_000_000_000


@dataclass(frozen=True)
class _Form:
    """How one vendor writes a row."""

    tz: str
    edge: Edge
    header: str
    row: Callable[[datetime, list[float], int], str]
    """From the stamp on the vendor's clock, four prices and a volume to a line."""


def vendor_bars(*, rows: int = 5_000, seed: int = 7, minutes: int = 30) -> pa.Table:
    """Return the bars that a file of `write_vendor` holds, as the reader must give them back, without `flags`.

    Raises
    ------
    ConfigError
        No rows, or bars of another length than 1, 5 or 30 minutes.
    """
    name = _MADE.get(minutes)
    if name is None or rows < 1:
        raise ConfigError(f"minutes={minutes}, rows={rows}: samples have bars of 1, 5 or 30 minutes, one at least.")
    return sample_bars(name, rows=-(-rows // LAYOUTS[name].bars_per_row), seed=seed).slice(0, rows)


def write_vendor(
    directory: str | os.PathLike[str], vendor: str, *, rows: int = 5_000, seed: int = 7, minutes: int = 30
) -> Path:
    """Write bars of NQ as a vendor writes them, and return the file's path; the same arguments give the same bytes.

    Parameters
    ----------
    directory
        Made when it does not exist; a file of the same name is replaced.
    vendor
        A name in `vendors.VENDORS`.
    rows, seed, minutes
        As for `vendor_bars`.

    Raises
    ------
    ConfigError
        There is no such vendor, or as `vendor_bars`.
    """
    form = _FORMS[find_vendor(vendor).name]
    bars = vendor_bars(rows=rows, seed=seed, minutes=minutes)
    path = Path(directory) / f"NQ_{timeframe_of(minutes).label}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    zone, late = find_zone(form.tz), timedelta(minutes=minutes if form.edge == "end" else 0)
    starts = (np.asarray(bars["timestamp"].combine_chunks().cast(pa.int64())) // _BILLION).tolist()
    prices = zip(*(bars[name].to_pylist() for name in ("open", "high", "low", "close")), strict=True)
    volumes = bars["volume"].to_pylist()
    lines = [form.header] if form.header else []
    for start, four, volume in zip(starts, prices, volumes, strict=True):
        stamp = (datetime.fromtimestamp(start, UTC) + late).astimezone(zone)
        lines.append(form.row(stamp, list(four), volume))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _joined(delimiter: str, stamp: str, prices: list[float], *rest: object) -> str:
    return delimiter.join([stamp, *(f"{price:.2f}" for price in prices), *map(str, rest)])


def _tradestation(stamp: datetime, prices: list[float], volume: int) -> str:
    return _joined(",", f"{stamp:%m/%d/%Y,%H:%M}", prices, volume // 3, volume - volume // 3)


def _sierrachart(stamp: datetime, prices: list[float], volume: int) -> str:
    text = f"{stamp.year}/{stamp.month}/{stamp.day}, {stamp:%H:%M:%S}.000"
    return _joined(", ", text, prices, volume, volume // 2, volume // 2, volume - volume // 2)


def _databento(stamp: datetime, prices: list[float], volume: int) -> str:
    whole = [round(price * _BILLION) for price in prices]
    cells = [int(stamp.timestamp()) * _BILLION, 33, 1, 42, *whole, volume, "NQU0"]
    return ",".join(map(str, cells))


def _digits(stamp: datetime, prices: list[float], volume: int) -> str:
    return _joined(";", f"{stamp:%Y%m%d %H%M%S}", prices, volume)


_FORMS: Mapping[str, _Form] = {
    "tradestation": _Form(
        "America/Chicago",
        "end",
        '"Date","Time","Open","High","Low","Close","Up","Down"',
        _tradestation,
    ),
    "ninjatrader": _Form("UTC", "end", "", _digits),
    "sierrachart": _Form(
        "America/New_York",
        "start",
        "Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume",
        _sierrachart,
    ),
    "tradingview": _Form(
        "UTC",
        "start",
        "time,open,high,low,close,Volume",
        lambda stamp, prices, volume: _joined(",", str(int(stamp.timestamp())), prices, volume),
    ),
    "firstratedata": _Form(
        "America/New_York",
        "start",
        "timestamp,open,high,low,close,volume",
        lambda stamp, prices, volume: _joined(",", f"{stamp:%Y-%m-%d %H:%M:%S}", prices, volume),
    ),
    "kibot": _Form(
        "America/New_York",
        "start",
        "",
        lambda stamp, prices, volume: _joined(",", f"{stamp:%m/%d/%Y,%H:%M}", prices, volume),
    ),
    "databento": _Form(
        "UTC",
        "start",
        "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol",
        _databento,
    ),
    "yahoo": _Form(
        "America/New_York",
        "start",
        "Datetime,Open,High,Low,Close,Volume",
        lambda stamp, prices, volume: _joined(",", stamp.isoformat(" "), prices, volume),
    ),
    "histdata": _Form("UTC-5", "start", "", _digits),
    "iso": _Form(
        "UTC",
        "start",
        "timestamp,open,high,low,close,volume",
        lambda stamp, prices, volume: _joined(",", f"{stamp:%Y-%m-%dT%H:%M:%SZ}", prices, volume),
    ),
}
