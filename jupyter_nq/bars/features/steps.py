"""How each feature is computed: steps, which a batch of rows goes through block by block.

A step is either arithmetic between columns, which numpy does element by element, or a kernel of `kernels`, which
carries a state from row to row. Both read rows before the batch where they need them, so a batch comes with the
last rows of the one before it. A block is small enough to stay in the processor's cache from step to step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jupyter_nq.bars.columns import Floats
from jupyter_nq.bars.features.catalogue import SERIES, Feature
from jupyter_nq.bars.features.kernels import BANDS, POSITION, SCALED, SCORE

State = list[float]

BLOCK_ROWS = 32_768  # 256 KiB a column
SESSION = "session"
"""Series of the instants (seconds) at which the bars' sessions open, 0 outside sessions."""


@dataclass
class Work:
    """One batch of rows, after the last rows of the batches before it."""

    kernels: Any
    """The module of kernels, plain or compiled."""
    plain: bool
    shift: int
    """Rows of history before the batch."""
    first: int
    """Position of the first row of all; zero or less."""
    series: Mapping[str, Floats]
    """Inputs with their history, read-only, shape (shift + rows,)."""
    columns: dict[str, Floats]
    """Outputs, shape (rows,)."""
    _lists: dict[str, list[float]] = field(default_factory=dict)

    def out(self, name: str, lo: int, hi: int) -> Floats:
        """Return the place of a column for the rows `lo` to `hi` of the series."""
        return self.columns[name][lo - self.shift : hi - self.shift]

    def before(self, name: str, rows: int, lo: int, hi: int) -> Floats:
        """Return a series some rows earlier, NaN where it had not begun."""
        x = self.series[name]
        if lo >= rows:
            return x[lo - rows : hi - rows]
        return np.concatenate([np.full(min(rows - lo, hi - lo), np.nan), x[: max(hi - rows, 0)]])

    def run(
        self,
        kernel: str,
        given: Sequence[str | Floats],
        state: State,
        parameters: Sequence[float],
        span: tuple[int, int],
        outs: Sequence[Floats],
        series_lead: int = 0,
    ) -> None:
        """Let a kernel write `outs` for a span of rows, and carry the state on.

        `given` are series, or values of the span alone; `series_lead` is how many rows the series begin later. An
        out of no rows stands for one that the kernel does not write.
        """
        lo, hi = span
        call = getattr(self.kernels, kernel)
        first = self.first + series_lead
        if not self.plain:
            arrays = [self.series[x] if isinstance(x, str) else x for x in given]
            carried = np.array(state)
            call(*arrays, *outs, carried, *parameters, lo, hi, first)
            state[:] = carried.tolist()
            return
        written = [[0.0] * (hi - lo) for _ in outs]
        call(*(self._listed(x) for x in given), *written, state, *parameters, lo, hi, first)
        for out, values in zip(outs, written, strict=True):
            if len(out):
                out[:] = values

    def _listed(self, given: str | Floats) -> list[float]:
        if not isinstance(given, str):
            values: list[float] = given.tolist()
            return values
        if given not in self._lists:
            self._lists[given] = self.series[given].tolist()
        return self._lists[given]


_Run = Callable[[Work, State, int, int], None]


@dataclass(frozen=True)
class Step:
    """Computes the columns of one feature for a span of rows."""

    run: _Run
    series: tuple[str, ...]
    """The series that it reads."""
    depth: int = 0
    """How many rows before the span it reads."""
    state: int = 0
    """Length of what it carries."""
    loops: int = 0
    """Kernels that it runs: what a row costs without a compiler."""
    same: bool = False
    """Whether the feature is the series itself, so that nothing is run."""


def step_of(feature: Feature) -> Step:
    """Return the step that computes a feature of bars alone, or of their sessions' opens."""
    return _MAKERS[feature.name](feature)


# -- from one bar, or two ------------------------------------------------------------------------------------------
def _bar(series: str, function: Callable[..., Floats]) -> Callable[[Feature], Step]:
    """Make a step of a formula over the values of one bar."""
    names = tuple(series.split())

    def make(feature: Feature) -> Step:
        def run(work: Work, state: State, lo: int, hi: int) -> None:
            work.out(feature.columns[0], lo, hi)[:] = function(*(work.series[name][lo:hi] for name in names))

        return Step(run, names)

    return make


def _series(feature: Feature) -> Step:
    """Return the step of a feature that is a series of its own name."""
    return Step(lambda *_: None, (feature.name,), same=True)


def _pair(now: str | None, then: str | None, function: Callable[[Floats, Floats], Floats]) -> Callable[[Feature], Step]:
    """Make a step of a formula over a value and an earlier one; None is the feature's own series."""

    def make(feature: Feature) -> Step:
        rows = int(feature.parameters[0]) if feature.parameters else 1
        here, there = now or feature.series or "", then or feature.series or ""

        def run(work: Work, state: State, lo: int, hi: int) -> None:
            earlier = work.before(there, rows, lo, hi)
            work.out(feature.columns[0], lo, hi)[:] = function(work.series[here][lo:hi], earlier)

        return Step(run, tuple(dict.fromkeys((here, there))), rows)

    return make


def share(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, NaN where the whole is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Floats = part / whole
    quotient[whole == 0] = np.nan
    return quotient


def growth(now: Floats, then: Floats, out: Floats | None = None) -> Floats:
    """Return now / then, NaN unless `then` is positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Floats = np.divide(now, then, out=out)
    if len(then) and not then.min() > 0:
        quotient[~(then > 0)] = np.nan
    return quotient


def log_growth(now: Floats, then: Floats, out: Floats | None = None) -> Floats:
    """Return ln(now / then), NaN unless both are positive. The logarithm is numpy's, whatever runs the kernels."""
    quotient = growth(now, then, out)
    if len(now) and not now.min() > 0:
        quotient[~(now > 0)] = np.nan
    return np.log(quotient, out=quotient)


# -- kernels ---------------------------------------------------------------------------------------------------
def _recursive(kernel: str, state: Callable[..., int], series: str | None = None) -> Callable[[Feature], Step]:
    """Make a step of one kernel, which writes the feature's columns itself."""

    def make(feature: Feature) -> Step:
        names = tuple(series.split()) if series else (feature.series or "",)
        lengths = [int(number) for number in feature.parameters]

        def run(work: Work, carried: State, lo: int, hi: int) -> None:
            outs = [work.out(name, lo, hi) for name in feature.columns]
            work.run(kernel, names, carried, lengths, (lo, hi), outs, _lead(feature))

        return Step(run, names, max(lengths, default=0), state(*lengths), 1)

    return make


def _of_moments(wanted: int, factor: Callable[[Feature], float]) -> Callable[[Feature], Step]:
    """Make a step of the moments of a window, with what the kernel `around` writes of them."""

    def make(feature: Feature) -> Step:
        name, n, number = feature.series or "", int(feature.parameters[0]), factor(feature)

        def run(work: Work, carried: State, lo: int, hi: int) -> None:
            outs = [work.out(column, lo, hi) for column in feature.columns]
            unused = [_NOTHING] * (3 - len(outs))
            work.run("around", (name,), carried, [n, wanted, number], (lo, hi), [*outs, *unused], _lead(feature))

        return Step(run, (name,), n, 5, 1)

    return make


_NOTHING: Floats = np.empty(0)


def _deviations(feature: Feature) -> float:
    return float(feature.parameters[1])


def _unbiased(feature: Feature) -> float:
    n = feature.parameters[0]
    return math.sqrt(n / (n - 1))


def _stochastic(feature: Feature) -> Step:
    n, smooth, signal = lengths = [int(number) for number in feature.parameters]

    def run(work: Work, carried: State, lo: int, hi: int) -> None:
        span, outs = (lo, hi), [work.out(name, lo, hi) for name in feature.columns]
        parts = carried[: n + 1], carried[n + 1 : 2 * n + 2], carried[2 * n + 2 :]
        top, bottom = np.empty(hi - lo), np.empty(hi - lo)
        work.run("highest", ("high",), parts[0], [n], span, [top])
        work.run("lowest", ("low",), parts[1], [n], span, [bottom])
        work.run("stochastic", ("close", top, bottom), parts[2], lengths, span, outs)
        carried[:] = [*parts[0], *parts[1], *parts[2]]

    return Step(run, ("high", "low", "close"), n, 2 * n + 2 + smooth + signal, 3)


def _relative_volume(feature: Feature) -> Step:
    n = int(feature.parameters[0])

    def run(work: Work, carried: State, lo: int, hi: int) -> None:
        usual = np.empty(hi - lo)
        work.run("mean", ("volume",), carried, [n], (lo, hi), [usual])
        work.out(feature.columns[0], lo, hi)[:] = share(work.series["volume"][lo:hi], usual)

    return Step(run, ("volume",), n, 2, 1)


def _lead(feature: Feature) -> int:
    return SERIES[feature.series] if feature.series is not None else 0


_MAKERS: Mapping[str, Callable[[Feature], Step]] = {
    "returns": _series,
    "log_returns": _series,
    "typical": _series,
    "range": _series,
    "body": _bar("close open", np.subtract),
    "upper_wick": _bar("high open close", lambda high, open_, close: high - np.maximum(open_, close)),
    "lower_wick": _bar("low open close", lambda low, open_, close: np.minimum(open_, close) - low),
    "close_position": _bar("close low high", lambda close, low, high: share(close - low, high - low)),
    "gap": _pair("open", "close", np.subtract),
    "lag": _pair(None, None, lambda now, then: then),
    "momentum": _pair(None, None, np.subtract),
    "roc": _pair(None, None, lambda now, then: (growth(now, then) - 1.0) * 100.0),
    "sma": _recursive("mean", lambda n: 2),
    "ema": _recursive("ema", lambda n: 1),
    "highest": _recursive("highest", lambda n: n + 1),
    "lowest": _recursive("lowest", lambda n: n + 1),
    "rsi": _recursive("rsi", lambda n: 2),
    "atr": _recursive("atr", lambda n: 1, "high low close"),
    "macd": _recursive("macd", lambda fast, slow, signal: 3),
    "vwap": _recursive("vwap", lambda: 3, f"high low close volume {SESSION}"),
    "bollinger": _of_moments(BANDS, _deviations),
    "bollinger_position": _of_moments(POSITION, _deviations),
    "zscore": _of_moments(SCORE, lambda _: 0.0),
    "volatility": _of_moments(SCALED, _unbiased),
    "stochastic": _stochastic,
    "relative_volume": _relative_volume,
}
