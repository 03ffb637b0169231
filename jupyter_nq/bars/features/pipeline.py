"""The features of a series of bars: of a whole table, or carried on from batch to batch.

Row i of a feature is known when bar i is complete, and depends on no later bar. Where there are too few bars
before it, and where the catalogue says so, it is NaN and never 0. A series that comes in pieces, of any size and
in another process, gives the bits of the whole one; with numba or without.

Where a value is NaN, a feature of a window is NaN until it has left the window; one that is smoothed over all rows
(ema, rsi, atr, macd) is NaN from there on; vwap to the end of its session.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.columns import Floats, array, floats_of, iso, starts_of
from jupyter_nq.bars.compiled import Kernels, processors
from jupyter_nq.bars.features.catalogue import DEFAULT, DEFAULT_SESSION, Feature, parse_all
from jupyter_nq.bars.features.clock import CLOCK_FEATURES, Clock
from jupyter_nq.bars.features.frames import Data, bars_of, is_frame, names_of, with_columns
from jupyter_nq.bars.features.steps import BLOCK_ROWS, SESSION, State, Step, Work, growth, log_growth, step_of
from jupyter_nq.bars.sessions.calendar import CALENDARS
from jupyter_nq.bars.sessions.regular import known_hours
from jupyter_nq.errors import ConfigError, InvalidArgument, nearest

UserStep = Callable[[pa.Table], pa.Table]

_SHARED_ROWS = 4 * BLOCK_ROWS  # fewer are done before threads have started
SMALL = 8_000_000  # rows times kernels: what Python works through while a compiler starts
_STATE_VERSION = 3
_NOTHING = -(1 << 63)


def _practise(twin: Any) -> None:
    """Run every kernel on a few rows, with the dtypes of real use."""
    x = _frozen(np.arange(64.0) % 7 + 1)
    a, b, c = (np.empty(64) for _ in range(3))
    for name in ("mean", "ema", "rsi", "highest", "lowest"):
        getattr(twin, name)(x, a, np.zeros(4), 3, 0, 64, 0)
    twin.moments(x, a, b, np.zeros(5), 3, 0, 64, 0)
    twin.around(x, a, b, c, np.zeros(5), 3, twin.BANDS, 2.0, 0, 64, 0)
    twin.atr(x, x, x, a, np.zeros(1), 3, 0, 64, 0)
    twin.macd(x, a, b, c, np.zeros(3), 3, 5, 2, 0, 64, 0)
    twin.vwap(x, x, x, x, x, a, np.zeros(3), 0, 64, 0)
    twin.seen(x, a, b, np.zeros(3), 0, 64, 0)
    twin.stochastic(x, a, b, c, np.empty(64), np.zeros(4), 3, 2, 2, 0, 64, 0)


KERNELS = Kernels("jupyter_nq.bars.features.kernels", _practise)


class Features:
    """Computes features of bars. Used by one thread.

    Parameters
    ----------
    wanted
        Features as the catalogue writes them, `["sma(20)", "rsi(14)", "lag(close, 1)"]`; None takes
        `catalogue.DEFAULT`, and with it `catalogue.DEFAULT_SESSION` where the calendar's hours are known.
    calendar
        Trading calendar, a name of `sessions.calendar.CALENDARS`; needed by the features of sessions.
    minutes
        Length of a bar; needed by `minutes_to_close`.
    regular_hours
        Those of the instrument, such as "09:00-14:30 America/New_York"; needed by `is_rth`. None takes the calendar's,
        which only the equity index has; an empty text says that they are not known.
    then
        Functions of one's own from table to table, applied after the features in this order. Each is given
        the rows of one batch and returns as many; what it must remember between batches is its own affair, and
        is in no state.

    Raises
    ------
    InvalidArgument
        A feature cannot be understood; the message names the nearest.
    ConfigError
        A feature needs a calendar whose sessions are known, the regular hours, or the length of a bar.

    >>> from jupyter_nq.bars.sample import sample_bars
    >>> table = Features(["sma(20)", "rsi(14)"]).compute(sample_bars("30min", rows=46))
    >>> table.column_names[-2:], round(table["rsi_14"][45].as_py(), 1) >= 0
    (['sma_20', 'rsi_14'], True)
    """

    def __init__(
        self,
        wanted: Iterable[str | Feature] | str | None = None,
        *,
        calendar: str | None = None,
        minutes: int | None = None,
        regular_hours: str | None = None,
        then: Iterable[UserStep] = (),
    ) -> None:
        self.features = parse_all(_default(calendar, regular_hours) if wanted is None else wanted)
        self.calendar = calendar
        self.minutes = minutes
        self.regular_hours = regular_hours
        self._then = tuple(then)
        _check(self.features, calendar, minutes, regular_hours)
        self._steps = {f: step_of(f) for f in self.features if f.name not in CLOCK_FEATURES}
        self._inputs = _inputs(self._steps.values())
        self._depth = 1 + max((step.depth for step in self._steps.values()), default=0)
        self._loops = sum(step.loops for step in self._steps.values())
        self.rows = 0
        """Number of rows taken since the series began."""
        self._added = 0
        self._last = _NOTHING
        self._history: dict[str, Floats] = {name: np.empty(0) for name in self._inputs}
        self._carried: dict[Feature, State] = {feature: [0.0] * step.state for feature, step in self._steps.items()}

    def __repr__(self) -> str:
        return f"<Features {', '.join(map(str, self.features))}: {self.rows:,} rows>"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that the features yield, in order; those of `then` are not known."""
        return tuple(column for feature in self.features for column in feature.columns)

    @property
    def lead(self) -> int:
        """Number of leading rows in which some feature is still NaN."""
        return max((feature.lead for feature in self.features), default=0)

    def compute(self, table: Data) -> Data:
        """Return a whole series with its features; what `add` has carried so far is neither used nor changed.

        Parameters
        ----------
        table
            Bars, an Arrow table or a pandas frame: `timestamp` (with a zone, strictly increasing; of a frame also its
            index) and the columns of `BAR_SCHEMA` that the features are made of; others are passed on.

        Returns
        -------
        The same kind: the given columns, of a table not copied, then the features: float64 and not nullable, NaN where
        there is none, shape (rows,), each over one piece of memory of its own.

        Raises
        ------
        InvalidArgument
            A column is missing, has nulls or the name of a feature; stamps do not increase.
        """
        fresh = Features(self.features, **self._told, then=self._then)
        found: Data = fresh.add(table)
        return found

    def add(self, batch: Any) -> Any:
        """Take the next bars, also a record batch, and return them with their features as `compute` does.

        An error changes nothing.
        """
        if isinstance(batch, pa.RecordBatch):
            batch = pa.Table.from_batches([batch])
        taken = [name for name in self.columns if name in names_of(batch)]
        if taken:
            raise InvalidArgument(f"the bars have a column {taken[0]!r} already. Leave the feature out, or rename it.")
        if not is_frame(batch):
            return self._added_to(batch)
        table = bars_of(batch, _BASE)
        found = self._added_to(table).drop_columns(table.column_names)
        return with_columns(batch, {name: found[name].to_numpy() for name in found.column_names})

    def _added_to(self, table: pa.Table) -> pa.Table:
        starts = starts_of(table)
        if len(starts) and starts[0] <= self._last:
            raise InvalidArgument(
                f"the bars begin at {iso(starts[0])}, not after {iso(self._last)}, the last one taken. "
                "Add them in order."
            )
        given = {name: floats_of(table, name) for name in self._inputs}
        columns = self._computed(Clock(starts, self.calendar, self.minutes, self.regular_hours), given)
        arrays = [array(columns[name]) for name in self.columns]
        fields = [pa.field(name, pa.float64(), nullable=False) for name in self.columns]
        schema = pa.schema([*table.schema, *fields], metadata=table.schema.metadata)
        return self._applied(pa.Table.from_arrays([*table.columns, *arrays], schema=schema))

    def _computed(self, clock: Clock, given: Mapping[str, Floats]) -> dict[str, Floats]:
        rows = len(clock.starts)
        series = {name: _frozen(_after(self._history[name], x)) for name, x in given.items()}
        work = self._work(series, rows)
        work.series = {**series, **self._derived(series, clock, work.shift)}
        carried = {feature: list(state) for feature, state in self._carried.items()}
        same = {feature for feature, step in self._steps.items() if step.same}
        work.columns.update({feature.columns[0]: work.series[feature.name][work.shift :] for feature in same})
        run = {feature: step for feature, step in self._steps.items() if feature not in same}
        _run(work, run, carried, rows)
        for feature in self.features:
            if feature.name in CLOCK_FEATURES:
                work.columns[feature.columns[0]] = CLOCK_FEATURES[feature.name](clock)
        self._carried = carried
        self._history = {name: x[-self._depth :].copy() for name, x in series.items()}
        self.rows += rows
        self._added += rows
        self._last = int(clock.starts[-1]) if rows else self._last
        return work.columns

    def _work(self, series: Mapping[str, Floats], rows: int) -> Work:
        shift = min(self.rows, self._depth) if self._inputs else 0
        kernels = KERNELS.for_rows(rows * self._loops, SMALL)
        if kernels is KERNELS.plain and (self._added + rows) * self._loops > SMALL:
            kernels = KERNELS.ready() or kernels
        made = [feature for feature, step in self._steps.items() if not step.same]
        columns = {name: np.empty(rows) for feature in made for name in feature.columns}
        return Work(kernels, kernels is KERNELS.plain, shift, shift - self.rows, series, columns)

    def _derived(self, series: Mapping[str, Floats], clock: Clock, shift: int) -> dict[str, Floats]:
        wanted = {name for step in self._steps.values() for name in step.series}
        derived = {name: _frozen(make(series)) for name, make in _DERIVED.items() if name in wanted}
        if SESSION in wanted:
            derived[SESSION] = _frozen(_after(np.zeros(shift), clock.opens))
        return derived

    def _applied(self, table: pa.Table) -> pa.Table:
        for step in self._then:
            rows = table.num_rows
            table = step(table)
            if not isinstance(table, pa.Table) or table.num_rows != rows:
                name = getattr(step, "__name__", repr(step))
                raise InvalidArgument(
                    f"the step {name} must return a pyarrow.Table with the {rows:,} rows it was given."
                )
        return table

    @property
    def _told(self) -> dict[str, Any]:
        return {"calendar": self.calendar, "minutes": self.minutes, "regular_hours": self.regular_hours}

    @property
    def state(self) -> dict[str, Any]:
        """All that is carried, as JSON can hold it; `restore` goes on from it with the same bits."""
        return {
            "version": _STATE_VERSION,
            "features": [str(feature) for feature in self.features],
            **self._told,
            "rows": self.rows,
            "last_ns": self._last,
            "history": {name: _written(x.tolist()) for name, x in self._history.items()},
            "carried": {str(feature): _written(state) for feature, state in self._carried.items()},
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], *, then: Iterable[UserStep] = ()) -> Features:
        """Return features that go on where `state` was taken.

        Raises
        ------
        InvalidArgument
            It is not a state of this version.
        """
        try:
            if state["version"] != _STATE_VERSION:
                raise InvalidArgument(
                    f"the state has version {state['version']}, not {_STATE_VERSION}. Compute afresh."
                )
            told = {name: state[name] for name in ("calendar", "minutes", "regular_hours")}
            made = cls(state["features"], **told, then=then)
            made.rows, made._last = int(state["rows"]), int(state["last_ns"])
            made._history = {name: np.array(_read(state["history"][name]), np.float64) for name in made._inputs}
            carried = {feature: _read(state["carried"][str(feature)]) for feature in made._carried}
            if any(len(carried[feature]) != len(empty) for feature, empty in made._carried.items()):
                raise InvalidArgument("the state does not fit its features. Compute afresh.")
            made._carried = carried
        except (KeyError, TypeError) as exc:
            raise InvalidArgument(
                f"this is not a state of features, {exc} is wrong or missing. Compute afresh."
            ) from exc
        return made


def _run(work: Work, steps: Mapping[Feature, Step], carried: Mapping[Feature, State], rows: int) -> None:
    """Take all steps through the rows of a batch: many rows feature by feature in several threads, else in this one.

    A feature writes columns of its own and reads what no step writes, so that the order of features does not show.
    """
    end = work.shift + rows
    spans = [(lo, min(lo + BLOCK_ROWS, end)) for lo in range(work.shift, end, BLOCK_ROWS)]
    threads = min(processors(), len(steps))
    if work.plain or rows < _SHARED_ROWS or threads < 2:
        for lo, hi in spans:
            for feature, step in steps.items():
                step.run(work, carried[feature], lo, hi)
        return

    def through(feature: Feature) -> None:
        for lo, hi in spans:
            steps[feature].run(work, carried[feature], lo, hi)

    pool = ThreadPoolExecutor(threads, "jupyter-nq-features")
    try:
        list(pool.map(through, sorted(steps, key=lambda feature: -steps[feature].loops)))
    finally:
        pool.shutdown(cancel_futures=True)


def _default(calendar: str | None, regular_hours: str | None) -> tuple[str, ...]:
    known = calendar in CALENDARS and _hours_known(calendar, regular_hours)
    return DEFAULT + DEFAULT_SESSION if known else DEFAULT


def _hours_known(calendar: str | None, regular_hours: str | None) -> bool:
    try:
        known_hours(calendar, regular_hours)
    except ConfigError:
        return False
    return True


def _check(features: Iterable[Feature], calendar: str | None, minutes: int | None, regular_hours: str | None) -> None:
    for feature in features:
        if "calendar" in feature.needs and calendar not in CALENDARS:
            raise ConfigError(
                f"the feature {feature} needs the sessions of the exchange, and those of calendar={calendar!r} are not "
                f"known.{nearest(calendar or '', CALENDARS)} Pass one of {', '.join(CALENDARS)}, or leave it out."
            )
        if "regular hours" in feature.needs:
            try:
                known_hours(calendar, regular_hours)
            except ConfigError as exc:
                raise ConfigError(f"the feature {feature} needs the regular hours: {exc} Or leave it out.") from exc
        if "minutes" in feature.needs and minutes is None:
            raise ConfigError(f"the feature {feature} needs the length of a bar. Pass minutes=, or leave it out.")


_BASE = ("open", "high", "low", "close", "volume")
_MADE_OF = {
    "typical": ("high", "low", "close"),
    "range": ("high", "low"),
    "returns": ("close",),
    "log_returns": ("close",),
}


def _inputs(steps: Iterable[Step]) -> tuple[str, ...]:
    """Return the columns of bars that the steps are made of."""
    used = {part for step in steps for name in step.series for part in _MADE_OF.get(name, (name,))}
    return tuple(name for name in _BASE if name in used)


def _from_before(function: Callable[[Floats, Floats, Floats], Any]) -> Callable[[Mapping[str, Floats]], Floats]:
    def make(series: Mapping[str, Floats]) -> Floats:
        close = series["close"]
        found = np.empty(len(close))
        found[:1] = np.nan
        for lo in range(1, len(close), BLOCK_ROWS):
            hi = min(lo + BLOCK_ROWS, len(close))
            function(close[lo:hi], close[lo - 1 : hi - 1], found[lo:hi])
        return found

    return make


def _typical(series: Mapping[str, Floats]) -> Floats:
    total: Floats = series["high"] + series["low"]
    total += series["close"]
    total /= 3.0
    return total


_DERIVED: Mapping[str, Callable[[Mapping[str, Floats]], Floats]] = {
    "typical": _typical,
    "range": lambda series: series["high"] - series["low"],
    "returns": _from_before(lambda now, then, out: np.subtract(growth(now, then, out), 1.0, out=out)),
    "log_returns": _from_before(log_growth),
}
"""Series that are made of the columns of the bars, with their history."""


def _after(history: Floats, x: Floats) -> Floats:
    return np.concatenate([history, x]) if len(history) else x


def _frozen(x: Floats) -> Floats:
    """Return a read-only view: what a kernel reads has one type, whoever owns the memory."""
    view = np.require(x, requirements=["C", "A"]).view()
    view.flags.writeable = False
    return view


def _written(numbers: Iterable[float]) -> list[float | str]:
    return [number if math.isfinite(number) else repr(number) for number in numbers]


def _read(numbers: Iterable[float | str]) -> State:
    return [float(number) for number in numbers]
