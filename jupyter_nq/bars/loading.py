"""From a file to its bars: find out how it is to be read, read it, and say what cannot be real."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.answers import Given
from jupyter_nq.bars.fingerprint import quick
from jupyter_nq.bars.instruments import Instrument
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.blocks import BLOCK_BYTES, Progress, changed, reading
from jupyter_nq.bars.reading.opening import check_file, is_columnar, is_open_ended
from jupyter_nq.bars.reading.reader import read_bars, table_of, values_of
from jupyter_nq.bars.sniffing.sniff import known_instrument, sniff_scanned
from jupyter_nq.bars.validation.findings import findings
from jupyter_nq.errors import UnreadableSource

_SNIFF_SHARE = 0.3  # of the time of a load
_SCALED = 1e8


@dataclass(frozen=True)
class Bars:
    """The bars of one file."""

    table: pa.Table
    """`BAR_SCHEMA`, one chunk per column, strictly increasing timestamps."""
    profile: Profile
    evidence: tuple[str, ...]
    """Why the profile is what it is, and which bars cannot be real, a sentence each."""
    instrument: Instrument | None
    """None when neither the caller nor the file's name says which."""


def load_bars(
    path: str | os.PathLike[str],
    *,
    timeframe: str | None = None,
    symbol: str | None = None,
    tz: str | None = None,
    edge: str | None = None,
    day_first: bool | None = None,
    profile: Given | None = None,
    contract: str | None = None,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
) -> Bars:
    """Find out how a file is to be read, and read it.

    Parameters
    ----------
    path
        A table with a stamp, four prices and a volume per row: text, Parquet or Arrow data.
    timeframe, symbol
        What the bars are; None takes them from the file's name, then the length from the stamps.
    tz, edge, day_first
        Answers that win over what is detected, and over the profile.
    profile
        What the file is: a vendor's name ("tradestation", "ninjatrader", "sierrachart", "tradingview",
        "firstratedata", "kibot", "databento", "yahoo", "histdata", "iso"), a `Profile`, or single answers such as
        `{"edge": "end", "columns": {"close": "Settle"}}`, by the names of `answers.FIELDS`.
    contract
        The symbol whose rows are read, of a text table that mixes several.
    block_bytes
        Size of the blocks in which the file is read; the result does not depend on it.
    progress
        Called with the share done, 0 to 1; it may raise to cancel.

    Raises
    ------
    SourceNotFound, UnreadableSource
        No file, or a row that cannot be read; the message names the line.
    AmbiguousStamps
        Several readings in UTC are possible; the message shows them and the argument to pass.
    UnknownInstrument, UnknownTimeframe, UnknownZone
        A word that is none.
    ConfigError, InvalidArgument
        A profile that is none, or that the file contradicts.
    AmbiguousSource
        The file holds several contracts; the message lists them.
    """
    path = Path(path)
    if is_columnar(path):
        from jupyter_nq.bars.columnar.loading import load_columnar  # it is built on this module

        told: dict[str, Any] = {
            "timeframe": timeframe,
            "symbol": symbol,
            "tz": tz,
            "edge": edge,
            "day_first": day_first,
        }
        return load_columnar(path, progress=progress, profile=profile, contract=contract, **told)
    told = {"timeframe": timeframe, "symbol": symbol, "tz": tz, "edge": edge, "profile": profile, "contract": contract}
    check_file(path)
    with unchanged(path):
        report = _rising(progress)
        found, scan = sniff_scanned(path, day_first, block_bytes, _scaled(report, 0.0, _SNIFF_SHARE), **told)
        table = None if scan is None else table_of(path, found.profile, scan)
        if table is None:
            table = read_bars(path, found.profile, block_bytes=block_bytes, progress=_scaled(report, _SNIFF_SHARE, 1.0))
        elif report is not None:
            report(1.0)
    refuse_scaled(path, table)
    broken = findings(path, found.profile, values_of(table["flags"].chunk(0), np.uint32))
    evidence = (*found.evidence, *broken, *open_end(path))
    return Bars(table, found.profile, evidence, known_instrument(path, symbol))


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Raise when a file is another one at the end, also in the place of what was found wrong with it meanwhile."""
    before = quick(path)
    try:
        yield
    except UnreadableSource as exc:
        if path.exists() and quick(path) != before:
            raise changed(path) from exc
        raise
    if quick(path) != before:
        raise changed(path)


def refuse_scaled(path: Path, table: pa.Table) -> None:
    """Refuse prices in billionths, as Databento writes them unless told otherwise: no future costs so much."""
    lowest = float(values_of(table["low"].chunk(0), np.float64).min())
    if lowest >= _SCALED:
        raise UnreadableSource(
            f"{path}: the lowest price is {lowest:,.0f}; these are prices in whole billionths, or of another scale. "
            "Export the file with prices in points (Databento: pretty_px=True), or say what they are to be divided by: "
            "profile={'price_scale': 1000000000}."
        )


def open_end(path: Path) -> tuple[str, ...]:
    """Say so when the last number of a file may have been cut: a line break after it would prove it whole."""
    with reading(path):
        if not is_open_ended(path):
            return ()
    return ("end: the last line has no line break; if the file is still being written, load it again",)


def _rising(progress: Progress | None) -> Progress | None:
    """Return the same without steps back, when a file is read again from its beginning."""
    if progress is None:
        return None
    shown = 0.0

    def report(share: float) -> None:
        nonlocal shown
        shown = max(shown, share)
        progress(shown)

    return report


def _scaled(progress: Progress | None, low: float, high: float) -> Callable[[float], None] | None:
    return None if progress is None else lambda fraction: progress(low + (high - low) * fraction)
