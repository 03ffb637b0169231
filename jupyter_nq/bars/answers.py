"""What the user says of a file beforehand: a vendor's name, a profile, or single answers.

Answers win over what is detected, and a file that contradicts them is an error. What is not answered is found out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jupyter_nq.bars.instruments import Instrument
from jupyter_nq.bars.profile import ROLES, Edge, Profile, check_edge
from jupyter_nq.bars.reading.stamps import Layout
from jupyter_nq.bars.timeframe import parse_timeframe, timeframe_of
from jupyter_nq.bars.vendors import Vendor, vendor
from jupyter_nq.bars.zones import find_zone
from jupyter_nq.errors import ConfigError, UnknownTimeframe, nearest

Given = str | Profile | Mapping[str, Any]
"""What `profile=` takes: the name of a vendor, a whole profile, or single answers by the names of `FIELDS`."""

CENTURY = 2000
_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";"}
_POSITIONS = (*ROLES, "contract")


@dataclass(frozen=True)
class Answers:
    """The answers about one file; None and empty mean "find it out"."""

    vendor: Vendor | None = None
    """Whose files these are: its habits fill in what is not answered besides."""
    delimiter: str | None = None
    header: bool | None = None
    columns: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)
    """Canonical column -> names in the header, or places counted from 1."""
    layouts: tuple[str, ...] = ()
    """Every way in which the file writes a stamp, with the order of day and month."""
    day_first: bool | None = None
    tz: str | None = None
    edge: Edge | None = None
    minutes: int | None = None
    decimal: str | None = None
    price_scale: int | None = None
    century: int | None = None
    """`CENTURY` when years are written with two digits and mean 20YY."""
    called: str = ""
    """How messages name them, `profile='kibot'`; empty when there are none."""

    @property
    def edge_said(self) -> Edge | None:
        """The edge of the stamps, the vendor's if there is no other answer."""
        return self.edge or (self.vendor.edge if self.vendor else None)

    @property
    def day_first_said(self) -> bool | None:
        """The order of day and month, the vendor's if there is no other answer."""
        return self.vendor.day_first if self.day_first is None and self.vendor else self.day_first

    def tz_said(self, instrument: Instrument | None) -> str | None:
        """Return the zone of the stamps, the vendor's for this instrument if there is no other answer."""
        return self.tz or (self.vendor.zone(instrument) if self.vendor else None)

    @property
    def short_years(self) -> bool:
        """Whether a year may have two digits."""
        if self.vendor is not None and self.vendor.century is not None:
            return True
        return self.century is not None or any(Layout.parse(label).short_year for label in self.layouts)


def answers(given: Given | None) -> Answers:
    """Return what `profile=` says.

    Raises
    ------
    ConfigError
        There is no such vendor or field, or a value makes no sense for it.
    UnknownZone, UnknownTimeframe
    """
    if given is None:
        return Answers()
    told = plain(given)
    if isinstance(told, str):
        return Answers(vendor=vendor(told), called=f"profile={told!r}")
    values = {name: FIELDS[name](value) for name, value in told.items()}
    return Answers(**values, called=f"profile={told!r}")


def plain(given: Given) -> str | dict[str, Any]:
    """Return what `profile=` says as JSON-able data that `answers` takes: a vendor's name, or answers by field.

    Raises as `answers`.
    """
    if isinstance(given, str):
        return vendor(given).name
    if isinstance(given, Profile):
        given = _of_profile(given)
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"profile={given!r} is neither a vendor's name, a Profile nor a mapping of answers such as "
            "{'tz': 'UTC', 'edge': 'end'}."
        )
    told: dict[str, Any] = {}
    for name in sorted(given, key=str):
        if name not in FIELDS:
            raise ConfigError(f"a profile has no {name!r}.{nearest(str(name), FIELDS)} It has {', '.join(FIELDS)}.")
        if given[name] is not None:
            told[name] = _plain(FIELDS[name](given[name]))
    if set(told) == {"vendor"}:
        return str(told["vendor"])
    return told


def _of_profile(profile: Profile) -> dict[str, Any]:
    told = profile.to_dict()
    scale = {} if profile.price_scale == 1 else {"price_scale": profile.price_scale}
    short = {"century": CENTURY} if any(Layout.parse(label).short_year for label in profile.layouts) else {}
    kept = ("delimiter", "header", "columns", "layouts", "day_first", "tz", "edge", "minutes", "decimal")
    return {name: told[name] for name in kept if told[name] != ""} | scale | short


def _plain(value: Any) -> Any:
    if isinstance(value, Vendor):
        return value.name
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return list(value) if isinstance(value, tuple) else value


# -- one field --------------------------------------------------------------------------------------
def _refuse(name: str, value: Any, wanted: str) -> ConfigError:
    return ConfigError(f"{name}={value!r} in a profile: {wanted}.")


def _delimiter(value: Any) -> str:
    text = _DELIMITERS.get(value, value) if isinstance(value, str) else value
    if not isinstance(text, str) or len(text) != 1 or not text.isascii() or text.isalnum() or text in "\r\n\"'.":
        raise _refuse("delimiter", value, "it is one character of ASCII such as ',' or ';', or 'tab'")
    return text


def _header(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refuse("header", value, "it is True when a line of names stands before the rows, else False")
    return value


def _columns(value: Any) -> dict[str, tuple[str | int, ...]]:
    if not isinstance(value, Mapping):
        raise _refuse("columns", value, "it maps names such as 'close' to the file's columns, {'close': 'Last'}")
    found: dict[str, tuple[str | int, ...]] = {}
    for role in sorted(value, key=str):
        if role not in _POSITIONS:
            raise _refuse("columns", role, f"known are {', '.join(_POSITIONS)}{nearest(str(role), _POSITIONS)}")
        said = value[role]
        names = (said,) if isinstance(said, (str, int)) else tuple(said) if isinstance(said, Sequence) else ()
        most = 2 if role in ("timestamp", "volume") else 1
        sound = all(isinstance(name, str) or (type(name) is int and name > 0) for name in names)
        if not sound or not 0 < len(names) <= most:
            raise _refuse(
                f"columns[{role!r}]", said, "it is a name or a place counted from 1, two for date and time or volumes"
            )
        found[role] = names
    return found


def _layouts(value: Any) -> tuple[str, ...]:
    labels = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else ()
    try:
        if not labels or "?" in "".join(labels):
            raise ValueError
        for label in labels:
            Layout.parse(label)
    except (TypeError, ValueError):
        raise _refuse("layouts", value, "they are written like 'DD/MM/YYYY HH:MM:SS' or 'epoch s'") from None
    return labels


def _day_first(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refuse("day_first", value, "it is True or False")
    return value


def _tz(value: Any) -> str:
    find_zone(str(value))
    return str(value)


def _minutes(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 1440:
        raise UnknownTimeframe(f"minutes={value!r} in a profile: a bar lasts from 1 minute to 1,440, a day.")
    return value


def _decimal(value: Any) -> str:
    if value not in (".", ","):
        raise _refuse("decimal", value, "it is '.' or ','")
    return str(value)


def _price_scale(value: Any) -> int:
    scales = [10**exponent for exponent in range(10)]
    if type(value) is not int or value not in scales:
        raise _refuse("price_scale", value, "it is a power of ten up to 10**9 that whole prices are divided by")
    return value


def _century(value: Any) -> int:
    if value != CENTURY:
        raise _refuse("century", value, f"years of two digits can only mean {CENTURY} to {CENTURY + 99}: {CENTURY}")
    return CENTURY


FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "vendor": lambda value: value if isinstance(value, Vendor) else vendor(str(value)),
    "delimiter": _delimiter,
    "header": _header,
    "columns": _columns,
    "layouts": _layouts,
    "day_first": _day_first,
    "tz": _tz,
    "edge": lambda value: check_edge(str(value)),
    "minutes": _minutes,
    "decimal": _decimal,
    "price_scale": _price_scale,
    "century": _century,
}
"""The single answers of a profile, each with its check."""


def timeframe_said(said: Answers, timeframe: str | None) -> str | None:
    """Return the timeframe that a call and its profile ask for; raises `UnknownTimeframe` when they differ."""
    if said.minutes is None:
        return timeframe
    label = timeframe_of(said.minutes).label
    if timeframe is not None and parse_timeframe(timeframe).minutes != said.minutes:
        raise UnknownTimeframe(f"the profile says bars of {label}, the call {timeframe}. Leave one of them out.")
    return timeframe or label
