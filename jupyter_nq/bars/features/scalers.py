"""Scalers: columns brought to one size by statistics of rows that came before.

Statistics of the rows that are scaled know the future. So a scaler remembers the span of the rows that it was
fit to, and refuses to scale any of them, or rows before them, unless it is told to. In the causal modes row i is
scaled by the rows before it alone, `expanding` by all of them, `rolling` by the last `window`: as if it had been
fit just before that row, and NaN before two known values. NaN is left out of a fit and stays NaN; a rolling window with
a NaN gives NaN.

A column (or window) whose values are all equal has no size: its scale is 1, so what is scaled is the distance
from that value, and scaling can be undone.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar, get_args

import numpy as np

from jupyter_nq.bars.columns import Floats, iso
from jupyter_nq.bars.features import pipeline
from jupyter_nq.bars.features.frames import Data, column_of, float_names, names_of, stamps_of, with_columns
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.errors import InvalidArgument, nearest

Mode = Literal["fixed", "expanding", "rolling"]
MODES: tuple[str, ...] = get_args(Mode)
DEFAULT_WINDOW = 500  # rows

_VERSION = 1
_Self = TypeVar("_Self", bound="Scaler")


@dataclass(frozen=True)
class FitRange:
    """The rows that a scaler was fit to."""

    first_ns: int
    """Start of the first bar, ns UTC."""
    last_ns: int
    """Start of the last bar, inclusive."""
    rows: int

    def __str__(self) -> str:
        return f"{iso(self.first_ns)} to {iso(self.last_ns)} ({self.rows:,} rows)"


class Scaler:
    """What the scalers have in common; take `ZScore`, `MinMax` or `Robust`.

    Parameters
    ----------
    columns
        Names of the columns to scale; None takes all float64 columns of what it is first given.
    mode
        "fixed": by the rows of `fit`. "expanding", "rolling": each row by the rows before it, nothing to fit.
    window
        Number of rows of the mode "rolling".

    Raises
    ------
    InvalidArgument
        No such mode, or a window that is not a whole number of rows, 2 or more.
    """

    kind: ClassVar[str]

    def __init__(
        self, columns: Iterable[str] | None = None, *, mode: Mode = "fixed", window: int = DEFAULT_WINDOW
    ) -> None:
        if mode not in MODES:
            raise InvalidArgument(f"mode={mode!r} is not one of {', '.join(MODES)}.{nearest(str(mode), MODES)}")
        if isinstance(window, bool) or not isinstance(window, int | np.integer) or window < 2:
            raise InvalidArgument(f"window={window!r}: a window is a whole number of rows, at least 2.")
        self.columns = None if columns is None else tuple(columns)
        self.mode: Mode = mode
        self.window = int(window)
        self.fit_range: FitRange | None = None
        """The rows of `fit`, None before."""
        self._fitted: dict[str, tuple[float, ...]] = {}

    def __repr__(self) -> str:
        state = f"fit to {self.fit_range}" if self.fit_range else "not fit" if self.mode == "fixed" else self.mode
        return f"<{type(self).__name__} {', '.join(self.columns or ['all columns'])}: {state}>"

    def fit(self: _Self, data: Any) -> _Self:
        """Take the statistics of these rows, and forget those before.

        Parameters
        ----------
        data
            A pandas frame or an Arrow table with `timestamp` (or an index of times), strictly increasing.

        Raises
        ------
        InvalidArgument
            No rows, a column is missing or has an infinite value, or the mode is not "fixed".
        """
        before = self.fit_range, self._fitted
        self.fit_range, self._fitted = None, {}
        try:
            return self.partial_fit(data)
        except BaseException:
            self.fit_range, self._fitted = before
            raise

    def partial_fit(self: _Self, data: Any) -> _Self:
        """Add later rows to the fit. In parts it agrees with `fit` to 12 digits, extremes to the last.

        Raises
        ------
        InvalidArgument
            The rows do not follow those of the fit; else as `fit`.
        """
        if self.mode != "fixed":
            raise InvalidArgument(f"a scaler of mode {self.mode!r} has nothing to fit; call transform.")
        stamps = stamps_of(data)
        if not len(stamps):
            raise InvalidArgument("there are no rows to fit to.")
        now, before = FitRange(int(stamps[0]), int(stamps[-1]), len(stamps)), self.fit_range
        if before is not None and now.first_ns <= before.last_ns:
            raise InvalidArgument(
                f"the rows {now} do not follow the fit range {before}. Add them in order, or fit anew."
            )
        columns = self._columns(data)
        parts = {name: self._statistics(_finite(data, name, stamps)) for name in columns}
        merged = parts if before is None else {n: self._merged(self._fitted[n], part) for n, part in parts.items()}
        rows = len(stamps) + (before.rows if before else 0)
        self.columns, self._fitted = columns, merged
        self.fit_range = FitRange(before.first_ns if before else now.first_ns, now.last_ns, rows)
        return self

    def transform(self, data: Data, *, allow_overlap: bool = False) -> Data:
        """Return the data with its columns scaled, of the same type and rows; other columns as they are.

        Raises
        ------
        InvalidArgument
            The scaler is not fit, or rows lie in its fit range or before it and `allow_overlap` is False: their own
            future would be in their scale.
        """
        if self.mode != "fixed":
            stamps_of(data)  # in order, or there is no before
            return with_columns(data, {name: self._causal(column_of(data, name)) for name in self._columns(data)})
        self._check_overlap(stamps_of(data), allow_overlap)
        return self._mapped(data, lambda x, centre, scale: (x - centre) / scale)

    def fit_transform(self, data: Data) -> Data:
        """Fit to the data and scale the same rows, each by all of them: for looking at, not for testing on."""
        return self.transform(data) if self.mode != "fixed" else self.fit(data).transform(data, allow_overlap=True)

    def inverse_transform(self, data: Data) -> Data:
        """Return the data with scaling undone; of the mode "fixed" alone, up to rounding.

        Raises
        ------
        InvalidArgument
            The scaler is not fit, or of another mode, whose scales are not kept.
        """
        if self.mode != "fixed":
            raise InvalidArgument(f"scaling in the mode {self.mode!r} cannot be undone; keep the columns as they were.")
        return self._mapped(data, lambda x, centre, scale: x * scale + centre)

    def to_json(self) -> str:
        """Return the scaler as text, from which `from_json` makes one that gives the same bits."""
        span = self.fit_range
        return json.dumps(
            {
                "version": _VERSION,
                "scaler": self.kind,
                "mode": self.mode,
                "window": self.window,
                "columns": self.columns,
                "fit_range": None if span is None else [span.first_ns, span.last_ns, span.rows],
                "fitted": {name: [repr(number) for number in numbers] for name, numbers in self._fitted.items()},
            }
        )

    @staticmethod
    def from_json(text: str) -> Scaler:
        """Return the scaler of a text that `to_json` wrote.

        Raises
        ------
        InvalidArgument
            The text is not one of this version.
        """
        try:
            state = json.loads(text)
            if state["version"] != _VERSION:
                raise InvalidArgument(f"the scaler has version {state['version']}, not {_VERSION}. Fit it anew.")
            made = SCALERS[state["scaler"]](state["columns"], mode=state["mode"], window=state["window"])
            made.fit_range = None if state["fit_range"] is None else FitRange(*map(int, state["fit_range"]))
            made._fitted = {name: tuple(map(float, numbers)) for name, numbers in state["fitted"].items()}
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as exc:
            raise InvalidArgument(f"this is not the text of a scaler ({exc}). Fit it anew.") from exc
        return made

    # -- what a kind of scaler says ---------------------------------------------------------------------
    def _statistics(self, x: Floats) -> tuple[float, ...]:
        raise NotImplementedError

    def _merged(self, before: tuple[float, ...], now: tuple[float, ...]) -> tuple[float, ...]:
        raise NotImplementedError

    def _centre_and_scale(self, fitted: tuple[float, ...]) -> tuple[float, float]:
        raise NotImplementedError

    def _before(self, x: Floats) -> tuple[Floats, Floats]:
        """Return centre and size of the rows before each row; the size is NaN where fewer than two are known."""
        raise NotImplementedError

    # -- the common part --------------------------------------------------------------------------------
    def _columns(self, data: Any) -> tuple[str, ...]:
        wanted = tuple(float_names(data)) if self.columns is None else self.columns
        if not wanted:
            raise InvalidArgument(f"there is no float64 column among {', '.join(names_of(data))}. Pass columns=.")
        return wanted

    def _mapped(self, data: Data, function: Callable[[Floats, float, float], Floats]) -> Data:
        if self.fit_range is None:
            raise InvalidArgument("the scaler is not fit yet. Call fit with the rows that come before, or take mode=.")
        scales = {name: self._centre_and_scale(fitted) for name, fitted in self._fitted.items()}
        return with_columns(data, {name: function(column_of(data, name), *scales[name]) for name in scales})

    def _check_overlap(self, stamps: Ints, allowed: bool) -> None:
        span = self.fit_range
        if span is None or allowed or not len(stamps):
            return
        first, last = int(stamps[0]), int(stamps[-1])
        if first <= span.last_ns:
            how = "overlap" if last >= span.first_ns else "come before"
            raise InvalidArgument(
                f"the rows {FitRange(first, last, len(stamps))} {how} the fit range {span}: they would be scaled by "
                "what came after them. Fit to earlier rows, take mode='expanding', or pass allow_overlap=True."
            )

    def _causal(self, x: Floats) -> Floats:
        centre, size = self._before(x)
        if self.mode == "rolling":
            gaps = np.concatenate([[0], np.cumsum(np.isnan(x))])
            unknown = np.ones(len(x), bool)
            unknown[self.window :] = gaps[self.window : -1] > gaps[: -self.window - 1]
            size[unknown] = np.nan
        size[size == 0.0] = 1.0
        return (x - centre) / size


class ZScore(Scaler):
    """Scales to (value - mean) / standard deviation with divisor n."""

    kind = "zscore"

    def _statistics(self, x: Floats) -> tuple[float, ...]:
        kept = x[~np.isnan(x)]
        mean = float(kept.mean()) if len(kept) else 0.0
        return float(len(kept)), mean, float(np.square(kept - mean).sum()) if _moves(kept) else 0.0

    def _merged(self, before: tuple[float, ...], now: tuple[float, ...]) -> tuple[float, ...]:
        """Join counts, means and sums of squares (Chan, Golub and LeVeque, 1979)."""
        (n, mean, squares), (m, other, others) = before, now
        if not n or not m:
            return now if not n else before
        apart = other - mean
        return n + m, mean + apart * (m / (n + m)), squares + others + apart * apart * (n * m / (n + m))

    def _centre_and_scale(self, fitted: tuple[float, ...]) -> tuple[float, float]:
        count, mean, squares = fitted
        return (mean, math.sqrt(squares / count) or 1.0) if count else (math.nan, 1.0)

    def _before(self, x: Floats) -> tuple[Floats, Floats]:
        if self.mode == "expanding":
            centre, size = _ran("seen", x, 3, ())
            return centre, size
        centre, size = _ran("moments", x, 5, (self.window,))
        return _later(centre), _later(size)


class MinMax(Scaler):
    """Scales to (value - smallest) / (largest - smallest): 0 to 1 for the rows of the fit, beyond for others."""

    kind = "minmax"

    def _statistics(self, x: Floats) -> tuple[float, ...]:
        kept = x[~np.isnan(x)]
        return (float(kept.min()), float(kept.max())) if len(kept) else (math.inf, -math.inf)

    def _merged(self, before: tuple[float, ...], now: tuple[float, ...]) -> tuple[float, ...]:
        return min(before[0], now[0]), max(before[1], now[1])

    def _centre_and_scale(self, fitted: tuple[float, ...]) -> tuple[float, float]:
        low, high = fitted
        return (low, (high - low) or 1.0) if low <= high else (math.nan, 1.0)

    def _before(self, x: Floats) -> tuple[Floats, Floats]:
        if self.mode == "expanding":
            low, high = _later(np.fmin.accumulate(x)), _later(np.fmax.accumulate(x))
            size = high - low
            size[: _second(x) + 1] = np.nan
            return low, size
        (low,), (high,) = (_ran(name, x, self.window + 1, (self.window,), outs=1) for name in ("lowest", "highest"))
        low, high = _later(low), _later(high)
        return low, high - low


class Robust(Scaler):
    """Scales to (value - median) / interquartile range, both exact, so all rows of a fit must be given at once.

    The causal modes keep the values sorted: a row costs some microseconds, and more with the rows before it.
    """

    kind = "robust"

    def _statistics(self, x: Floats) -> tuple[float, ...]:
        kept = np.sort(x[~np.isnan(x)]).tolist()
        return _middle(kept) if kept else (math.nan, 0.0)

    def _merged(self, before: tuple[float, ...], now: tuple[float, ...]) -> tuple[float, ...]:
        raise InvalidArgument("exact quantiles of parts cannot be joined. Call fit with all rows, or take ZScore.")

    def _centre_and_scale(self, fitted: tuple[float, ...]) -> tuple[float, float]:
        return fitted[0], fitted[1] or 1.0

    def _before(self, x: Floats) -> tuple[Floats, Floats]:
        keep = self.window if self.mode == "rolling" else len(x)
        centre, size = np.full(len(x), np.nan), np.full(len(x), np.nan)
        ordered: list[float] = []
        values: list[float] = x.tolist()
        for i, value in enumerate(values):
            if len(ordered) >= 2:
                centre[i], size[i] = _middle(ordered)
            if value == value:
                bisect.insort(ordered, value)
            if i >= keep and values[i - keep] == values[i - keep]:
                del ordered[bisect.bisect_left(ordered, values[i - keep])]
        return centre, size


SCALERS: Mapping[str, type[Scaler]] = {kind.kind: kind for kind in (ZScore, MinMax, Robust)}
"""The scalers by the name that a configuration gives them."""


def _finite(data: Any, name: str, stamps: Ints) -> Floats:
    """Return a column without infinite values; NaN is no value and may be there."""
    x = column_of(data, name)
    infinite = np.flatnonzero(np.isinf(x))
    if len(infinite):
        row = int(infinite[0])
        more = f", and {len(infinite) - 1:,} more" if len(infinite) > 1 else ""
        raise InvalidArgument(
            f"column {name!r} has {x[row]} in row {row:,} ({iso(int(stamps[row]))}){more}: no mean or range has "
            "a place for it. Look where it comes from, a division by 0 for example, and put NaN there or leave the row "
            "out."
        )
    return x


def _moves(x: Floats) -> bool:
    return bool(len(x)) and bool(x.min() != x.max())


def _middle(ordered: Sequence[float]) -> tuple[float, float]:
    """Return median and interquartile range of sorted values, between two values in proportion."""
    low, middle, high = (_quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    return middle, high - low


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _second(x: Floats) -> int:
    """Return the row of the second value that is known; the number of rows where there is none."""
    known = np.flatnonzero(~np.isnan(x))
    return int(known[1]) if len(known) > 1 else len(x)


def _later(column: Floats) -> Floats:
    """Return a column one row later, beginning with NaN."""
    return np.concatenate([[np.nan], column[:-1]]) if len(column) else column


def _ran(kernel: str, x: Floats, state: int, parameters: tuple[int, ...], outs: int = 2) -> tuple[Floats, ...]:
    """Return what a kernel writes of a whole column."""
    rows = len(x)
    kernels = pipeline.KERNELS.for_rows(rows, pipeline.SMALL // 16)  # columns come by the dozen
    view = x.view()
    view.flags.writeable = False
    if kernels is pipeline.KERNELS.plain:
        lists = [[0.0] * rows for _ in range(outs)]
        getattr(kernels, kernel)(x.tolist(), *lists, [0.0] * state, *parameters, 0, rows, 0)
        return tuple(map(np.array, lists))
    columns = tuple(np.empty(rows) for _ in range(outs))
    getattr(kernels, kernel)(view, *columns, np.zeros(state), *parameters, 0, rows, 0)
    return columns
