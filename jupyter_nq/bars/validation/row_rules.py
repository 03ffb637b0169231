"""Rules about single bars and neighbours: each returns a finding or nothing, and changes no bar.

Numbers behind the rules: an outlier is a change between two bars of one session of more than 40 robust standard
deviations (1.4826 times the median absolute deviation of all such changes that are not zero); a stale run is
five or more bars in a row with the same four prices and the same volume, not all flat; a change of scale is one
of more than a half.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.validation.report import Finding, Severity
from jupyter_nq.bars.validation.series import NO_STAMP, Series

MOST_ROWS = 5
"""Rows that a finding names."""
OUTLIER_SIGMAS = 40.0
_STALE_BARS = 5
_SCALE = 0.5
_TICK_TOLERANCE = 1e-6  # of a tick: float64 prices of five digits are exact to 1e-11
_TO_SIGMA = 1.4826
_MINUTE_NS = 60 * 1_000_000_000

Mask = npt.NDArray[np.bool_]


def row_findings(series: Series) -> Iterator[Finding | None]:
    """Apply every rule that needs no calendar."""
    yield from _stamps(series)
    yield from _values(series)
    yield from _moves(series)


def finding(rule: str, severity: Severity, broken: Mask, sentence: str) -> Finding | None:
    """Return the finding of a mask of broken rows; `sentence` follows the number of bars."""
    rows = np.flatnonzero(broken)
    if not len(rows):
        return None
    bars = f"{len(rows):,} bar{'s' if len(rows) > 1 else ''} "
    return Finding(rule, severity, len(rows), bars + sentence, tuple(rows[:MOST_ROWS].tolist()))


def _stamps(series: Series) -> Iterator[Finding | None]:
    starts = series.starts
    missing = starts == NO_STAMP
    yield finding("missing stamp", "error", missing, "without a stamp")
    step = np.diff(starts, prepend=starts[:1] - 1) if len(starts) else starts
    step[missing] = 1
    step[1:][missing[:-1]] = 1
    same = np.zeros(len(starts), bool)
    for values in (*series.prices, series.volume):
        same[1:] |= values[1:] != values[:-1]
    yield finding("duplicate", "error", (step == 0) & same, "with the stamp of the bar before and other values")
    yield finding("repeated bar", "warning", (step == 0) & ~same, "the same as the bar before")
    yield finding("backwards", "error", step < 0, "before the bar that precedes it")
    if series.minutes is not None:
        odd = (step > 0) & (step % (series.minutes * _MINUTE_NS) != 0) & ~missing
        odd[0:1] = False
        yield finding("step", "warning", odd, f"at no multiple of {series.minutes} minutes from the bar before")


def _values(series: Series) -> Iterator[Finding | None]:
    open_, high, low, close = series.prices
    finite = np.isfinite(open_) & np.isfinite(high) & np.isfinite(low) & np.isfinite(close)
    yield finding("not finite", "error", ~finite, "with a price that is missing or infinite")
    outside = finite & ((high < np.maximum(open_, close)) | (low > np.minimum(open_, close)))
    yield finding("ohlc order", "error", outside, "whose high or low does not contain open and close")
    known = series.instrument
    if known is None or not known.negative_prices:
        lowest = np.minimum(np.minimum(open_, high), np.minimum(low, close))
        yield finding("not positive", "error", finite & (lowest <= 0), "with a price of zero or below")
    volume = series.volume
    with np.errstate(invalid="ignore"):
        count = np.isfinite(volume) & (volume == np.floor(volume))
        yield finding("volume", "error", ~count | (volume < 0), "whose volume is no whole number of zero or more")
    yield finding("zero volume", "note", volume == 0, "without volume")
    flat = finite & (open_ == high) & (high == low) & (low == close)
    yield finding("flat", "note", flat, "with four equal prices")
    if known is not None:
        off = finite & _off_tick(series, known.tick)
        yield finding("off tick", "warning", off, f"with a price off the {known.tick} tick")


def _off_tick(series: Series, tick: float) -> Mask:
    off = np.zeros(len(series), bool)
    with np.errstate(invalid="ignore"):
        for values in series.prices:
            ticks = values / tick
            off |= np.abs(ticks - np.round(ticks)) > _TICK_TOLERANCE
    return off


def _moves(series: Series) -> Iterator[Finding | None]:
    close = series.close
    change = np.zeros(len(close))
    with np.errstate(invalid="ignore", divide="ignore"):
        change[1:] = close[1:] / close[:-1] - 1
    change[~np.isfinite(change)] = 0.0
    jumps = np.abs(change) > _SCALE
    yield finding("scale", "error", jumps, "at which the price changes by more than half, as when its scale changes")
    near = np.zeros(len(close), bool)
    limit = (series.minutes or 0) * _MINUTE_NS
    near[1:] = np.diff(series.starts) <= limit if limit else True
    moves = np.abs(change[near & (change != 0)])
    if len(moves):
        sigma = _TO_SIGMA * float(np.median(moves))
        wild = near & (np.abs(change) > OUTLIER_SIGMAS * sigma) & (np.abs(change) <= _SCALE)
        what = f"at which the price moves more than {OUTLIER_SIGMAS:.0f} robust sigmas of {sigma:.4%}"
        yield finding("outlier", "warning", wild, what)
    yield finding("stale", "warning", _stale(series), "in runs of five or more with the same prices and volume")


def _stale(series: Series) -> Mask:
    """Return the rows of runs of equal bars; flat bars without volume repeat in a quiet market and are not meant."""
    same = np.zeros(len(series), bool)
    same[1:] = True
    for values in (*series.prices, series.volume):
        same[1:] &= values[1:] == values[:-1]
    same &= (series.high != series.low) | (series.volume > 0)
    edges = np.diff(np.concatenate([[False], same, [False]]).astype(np.int8))
    stale = np.zeros(len(series), bool)
    for begin, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        if end - begin + 1 >= _STALE_BARS:
            stale[begin - 1 : end] = True
    return stale
