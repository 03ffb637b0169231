"""The features by name: what each means, which columns it gives and how many rows it needs to warm up.

A feature is written as a call, `"rsi(14)"`, `"bollinger(20, 2)"`, `"sma(volume, 50)"`; parameters left out have
their defaults. A column is named after the call, `bollinger_upper_20_2`, so that no two features share one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from jupyter_nq.errors import InvalidArgument, nearest

SERIES: Mapping[str, int] = MappingProxyType(
    {
        "open": 0,
        "high": 0,
        "low": 0,
        "close": 0,
        "volume": 0,
        "typical": 0,
        "range": 0,
        "returns": 1,
        "log_returns": 1,
    }
)
"""What features can be made of, and the number of leading rows in which it is NaN."""

MOST_ROWS = 100_000
"""The longest window."""

_CALL = re.compile(r"\s*(?P<name>\w+)\s*(?:\((?P<arguments>[^()]*)\))?\s*")


@dataclass(frozen=True)
class Feature:
    """One feature with its parameters."""

    name: str
    columns: tuple[str, ...]
    """Names of the columns that it yields, float64."""
    series: str | None
    """What it is made of, a name of `SERIES`, for a feature that leaves the choice."""
    parameters: tuple[float, ...]
    """Numbers in the catalogue's order; lengths are in rows."""
    lead: int
    """Number of leading rows that are NaN, when every bar lies in a session."""
    unit: str
    formula: str
    """The formula, and whose it is."""
    needs: frozenset[str]
    """What must be known besides the bars: "calendar", "regular hours", "minutes"."""

    def __str__(self) -> str:
        shown = [self.series] if self.series is not None and _KINDS[self.name].series != self.series else []
        arguments = [*shown, *map(_text, self.parameters)]
        return f"{self.name}({','.join(arguments)})" if arguments else self.name


@dataclass(frozen=True)
class Kind:
    """An entry of the catalogue."""

    name: str
    unit: str
    formula: str
    parameters: tuple[tuple[str, float, float], ...] = ()
    """Name, default and least value of each; one whose default is an int takes whole numbers only."""
    lead: Callable[..., int] = lambda *_: 0
    """Number of leading NaN from the parameters, the series' own not counted."""
    series: str | None = None
    """The series that is taken when none is named; None where there is no choice."""
    columns: tuple[str, ...] = ()
    """Stems of the column names, when they are not the name."""
    needs: tuple[str, ...] = ()
    always_named: bool = False
    """Whether the column is named after its series even where that is the default one."""


def _window(*lengths: float) -> int:
    return int(lengths[0]) - 1


def _whole(*lengths: float) -> int:
    return int(lengths[0])


_N20, _N14 = (("rows", 20, 1),), (("rows", 14, 2),)
_BANDS = (("rows", 20, 2), ("deviations", 2.0, 0.0))
_STEP = (("rows", 1, 1),)
_CALENDAR = ("calendar",)

_TABLE = (
    Kind("returns", "1", "close / close before - 1; NaN unless the close before is positive", lead=lambda: 1),
    Kind("log_returns", "1", "ln(close / close before); NaN unless both are positive", lead=lambda: 1),
    Kind("typical", "points", "(high + low + close) / 3"),
    Kind("range", "points", "high - low"),
    Kind("body", "points", "close - open"),
    Kind("upper_wick", "points", "high - max(open, close)"),
    Kind("lower_wick", "points", "min(open, close) - low"),
    Kind("close_position", "0 to 1", "(close - low) / (high - low); NaN for a bar whose high is its low"),
    Kind("gap", "points", "open - close before", lead=lambda: 1),
    Kind("lag", "its series'", "the value some rows before", _STEP, _whole, "close", always_named=True),
    Kind("momentum", "its series'", "value - the one some rows before", (("rows", 10, 1),), _whole, "close"),
    Kind("roc", "%", "100 (value / the one some rows before - 1), as TA-Lib's ROC; NaN unless that is positive",
         (("rows", 10, 1),), _whole, "close"),
    Kind("sma", "its series'", "mean of the last rows", _N20, _window, "close"),
    Kind("ema", "its series'", "exponential mean, weight 2 / (rows + 1), that begins with the mean of the first rows, "
         "as TA-Lib's", _N20, _window, "close"),
    Kind("highest", "its series'", "largest of the last rows", _N20, _window, "high"),
    Kind("lowest", "its series'", "smallest of the last rows", _N20, _window, "low"),
    Kind("zscore", "1", "(value - mean) / standard deviation with divisor n; NaN where all values are equal",
         (("rows", 50, 2),), _window, "close"),
    Kind("volatility", "1 per bar", "standard deviation of the log returns with divisor n - 1, not annualised; 0 where "
         "all are equal", (("rows", 30, 2),), _window, "log_returns"),
    Kind("rsi", "0 to 100", "relative strength index with Wilder's smoothing (New Concepts, 1978), as TA-Lib's: 0 "
         "where no price has moved", _N14, _whole, "close"),
    Kind("atr", "points", "mean true range with Wilder's smoothing (New Concepts, 1978), as TA-Lib's",
         (("rows", 14, 1),), _whole),
    Kind("bollinger", "its series'", "mean of the last rows, and some standard deviations (divisor n) to both sides",
         _BANDS, _window, "close", ("bollinger_upper", "bollinger_middle", "bollinger_lower")),
    Kind("bollinger_position", "1", "(value - lower band) / (upper - lower); NaN where the bands meet",
         _BANDS, _window, "close"),
    Kind("macd", "its series'", "fast - slow exponential mean, the exponential mean of that, and their difference, "
         "as TA-Lib's", (("fast", 12, 1), ("slow", 26, 2), ("signal", 9, 1)),
         lambda fast, slow, signal: int(slow + signal) - 2, "close", ("macd", "macd_signal", "macd_histogram")),
    Kind("stochastic", "0 to 100", "100 (close - lowest) / (highest - lowest) of the last rows, its mean of `smooth` "
         "rows, and the mean of that; as TA-Lib's STOCH: 0 where highest is lowest",
         (("rows", 14, 1), ("smooth", 3, 1), ("signal", 3, 1)),
         lambda rows, smooth, signal: int(rows + smooth + signal) - 3,
         columns=("stochastic_k", "stochastic_d")),
    Kind("relative_volume", "1", "volume / its mean of the last rows; NaN where that is 0", _N20, _window),
    Kind("vwap", "points", "sum of typical price times volume / sum of volume, since the session opened; NaN until it "
         "has volume, and outside sessions", needs=_CALENDAR),
    Kind("hour", "hours", "hour at the bar's start, New York, 0 to 23"),
    Kind("day_of_week", "days", "weekday of the trade date, which begins at 18:00 New York; Monday is 0"),
    Kind("month", "months", "month of the trade date, 1 to 12"),
    Kind("minute_of_session", "minutes", "from the session's opening to the bar's start; NaN outside sessions",
         needs=_CALENDAR),
    Kind("session_progress", "0 to 1", "share of the session that has passed at the bar's start; NaN outside sessions",
         needs=_CALENDAR),
    Kind("minutes_to_close", "minutes", "from the moment when the bar is complete to the session's close, early closes "
         "included; NaN outside sessions", needs=("calendar", "minutes")),
    Kind("is_rth", "0 or 1", "whether the bar starts in the regular hours of its instrument",
         needs=("regular hours",)),
)  # fmt: skip

_KINDS = {kind.name: kind for kind in _TABLE}
_ELSEWHERE = {
    "bollinger": ("bb", "bbands", "bbs", "boll", "bands"),
    "stochastic": ("stoch", "kd", "slowk", "stochk"),
    "sma": ("ma", "mean", "rolling_mean"),
    "ema": ("ewm", "ewma"),
    "volatility": ("vol", "std", "stdev"),
    "highest": ("max", "hh", "donchian"),
    "lowest": ("min", "ll"),
    "relative_volume": ("rvol",),
    "range": ("hl", "tr"),
}
"""Names that other libraries have for a feature, in lower case."""
CATALOGUE: Mapping[str, Kind] = MappingProxyType(_KINDS)
"""All features by name."""

DEFAULT = (
    "returns", "log_returns", "range", "body", "gap", "close_position",
    "sma(20)", "sma(50)", "ema(12)", "ema(26)", "rsi(14)", "atr(14)", "bollinger(20,2)", "bollinger_position(20,2)",
    "macd(12,26,9)", "stochastic(14,3,3)", "volatility(30)", "zscore(50)", "relative_volume(20)",
    "hour", "day_of_week",
)  # fmt: skip
"""What is computed when no features are named: whatever the instrument, without a calendar."""

DEFAULT_SESSION = ("vwap", "minute_of_session", "session_progress", "is_rth")
"""What is added to it where the sessions and regular hours are known."""


def parse(wanted: str | Feature) -> Feature:
    """Return the feature that a text means.

    Raises
    ------
    InvalidArgument
        No such feature, series or number of parameters, or a parameter out of range; the message names the nearest.

    >>> parse("bollinger(20)").columns
    ('bollinger_upper_20_2', 'bollinger_middle_20_2', 'bollinger_lower_20_2')
    >>> parse("macd").lead
    33
    """
    if isinstance(wanted, Feature):
        return wanted
    match = _CALL.fullmatch(wanted) if isinstance(wanted, str) else None
    if match is None:
        raise InvalidArgument(f"{wanted!r} is not a feature. Write a name and its parameters, such as 'rsi(14)'.")
    kind = _KINDS.get(match["name"].lower())
    if kind is None:
        raise InvalidArgument(
            f"there is no feature {match['name']!r}.{_meant(match['name'].lower())} Known are {', '.join(_KINDS)}."
        )
    arguments = [text.strip() for text in match["arguments"].split(",")] if (match["arguments"] or "").strip() else []
    series = kind.series
    if arguments and not _is_number(arguments[0]):
        series = _series(kind, arguments.pop(0), wanted)
    return _made(kind, series, _numbers(kind, arguments, wanted))


def _meant(name: str) -> str:
    known = next((kind for kind, others in _ELSEWHERE.items() if name in others), None)
    return f" Did you mean {known!r}?" if known else nearest(name, _KINDS)


def parse_all(wanted: Iterable[str | Feature] | str | Feature) -> tuple[Feature, ...]:
    """Return features in the order in which they are named, each once."""
    every = [wanted] if isinstance(wanted, str | Feature) else wanted
    return tuple({feature.columns: feature for feature in map(parse, every)}.values())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _series(kind: Kind, name: str, wanted: str) -> str:
    if kind.series is None:
        raise InvalidArgument(f"{wanted!r}: {kind.name} is not made of a series of choice; {_usage(kind)}.")
    if name.lower() not in SERIES:
        raise InvalidArgument(
            f"{wanted!r}: {name!r} is neither a number nor a series.{nearest(name.lower(), SERIES)} Series are "
            f"{', '.join(SERIES)}."
        )
    return name.lower()


def _numbers(kind: Kind, arguments: list[str], wanted: str) -> tuple[float, ...]:
    if len(arguments) > len(kind.parameters):
        raise InvalidArgument(f"{wanted!r} has too many parameters; {_usage(kind)}.")
    given: list[float] = []
    for text, (name, default, least) in zip(arguments, kind.parameters, strict=False):
        whole = isinstance(default, int)
        number = float(text) if _is_number(text) else float("nan")
        if not least <= number <= MOST_ROWS or (whole and number != int(number)):
            raise InvalidArgument(
                f"{wanted!r}: {name} is {text!r}, not a {'whole ' if whole else ''}number from {least:g} to "
                f"{MOST_ROWS:,}; {_usage(kind)}."
            )
        given.append(int(number) if whole else number)
    numbers = (*given, *(default for _, default, _ in kind.parameters[len(given) :]))
    if kind.name == "macd" and numbers[0] >= numbers[1]:
        raise InvalidArgument(f"{wanted!r}: the fast mean must be shorter than the slow one; {_usage(kind)}.")
    return numbers


def _text(number: float) -> str:
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _usage(kind: Kind) -> str:
    shown = [f"series={kind.series}"] if kind.series else []
    shown += [f"{name}={default:g}" for name, default, _ in kind.parameters]
    return f"write {kind.name}({', '.join(shown)})" if shown else f"write {kind.name!r} alone"


def _made(kind: Kind, series: str | None, numbers: tuple[float, ...]) -> Feature:
    named = [series] if series is not None and (series != kind.series or kind.always_named) else []
    suffix = "".join(f"_{part}" for part in [*named, *map(_text, numbers)])
    columns = tuple(stem + suffix for stem in kind.columns or (kind.name,))
    lead = kind.lead(*numbers) + (SERIES[series] if series is not None else 0)
    return Feature(kind.name, columns, series, numbers, lead, kind.unit, kind.formula, frozenset(kind.needs))
