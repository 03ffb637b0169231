"""Instruments of one's own: the setting `instruments` of the settings file, which adds to the table or changes it.

    instruments:
      FDAX: {tick: 1.0, point_value: 25, regular_hours: "09:00-17:30 Europe/Berlin", roll: quarterly}
      NKD: {regular_hours: "08:00-15:15 America/Chicago"}

What is not given of a symbol that the package has, stays as the package has it. Of another symbol `tick` and
`point_value` must be there; without `calendar` its sessions are not known, without `roll` its roll dates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from jupyter_nq.bars.hours import RegularHours
from jupyter_nq.bars.specifications import NAMED_CALENDARS, PUBLISHED, ROLL_RULES, Instrument
from jupyter_nq.errors import ConfigError, NQError, nearest

KEYS = tuple(field.name for field in fields(Instrument) if field.name != "symbol")
NEEDED = ("tick", "point_value")
EXAMPLE = "{tick: 0.25, point_value: 20}"
_SYMBOL = re.compile(r"[A-Z0-9]{1,8}")


def own_instruments(entries: Any, where: str) -> dict[str, Instrument]:
    """Return the instruments of a setting by symbol; `where` names its origin in errors.

    Raises
    ------
    ConfigError
        A symbol, key or value that cannot be; the message names the nearest.
    """
    if not isinstance(entries, Mapping):
        raise ConfigError(f"{where}: instruments must hold `SYMBOL: {EXAMPLE}` lines, found {entries!r}.")
    found: dict[str, Instrument] = {}
    for symbol, entry in entries.items():
        place = f"{where}: instruments: {symbol}"
        root = str(symbol).upper()
        if not _SYMBOL.fullmatch(root):
            raise ConfigError(f"{place} is no symbol. Write one to eight letters and digits, FDAX.")
        if root in found:
            raise ConfigError(f"{place} is there twice. Write each symbol once.")
        found[root] = _instrument(root, entry, place)
    return found


def _instrument(symbol: str, entry: Any, place: str) -> Instrument:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{place} must hold `key: value`, as in {symbol}: {EXAMPLE}, found {entry!r}.")
    for key in entry:
        if key not in KEYS:
            raise ConfigError(
                f"{place}: unknown key {key!r}.{nearest(str(key), KEYS)} The keys are: {', '.join(KEYS)}."
            )
    values = {key: _value(key, value, f"{place}: {key}") for key, value in entry.items()}
    published = PUBLISHED.get(symbol)
    if published is not None:
        return replace(published, **values)
    missing = [key for key in NEEDED if key not in values]
    if missing:
        raise ConfigError(f"{place} lacks {' and '.join(missing)}. Write {symbol}: {EXAMPLE}, with its own values.")
    return Instrument(**{"symbol": symbol, "name": symbol, "calendar": None, **values})


def _value(key: str, value: Any, place: str) -> Any:
    """Return a value as the table has it, or raise `ConfigError`."""
    if key in NEEDED:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise ConfigError(f"{place} must be a positive number, found {value!r}.")
        return float(value)
    if key == "negative_prices":
        if not isinstance(value, bool):
            raise ConfigError(f"{place} must be true or false, found {value!r}.")
        return value
    if value is None:
        return None if key == "calendar" else ""
    if not isinstance(value, str):
        raise ConfigError(f"{place} must be a text, found {value!r}.")
    if key == "calendar":
        _one_of(value, NAMED_CALENDARS, place)
    if key == "roll" and value:
        _one_of(value, ROLL_RULES, place)
    if key == "regular_hours" and value:
        try:
            RegularHours.parse(value)
        except NQError as exc:
            raise ConfigError(f"{place}: {exc}") from exc
    return value


def _one_of(value: str, known: Iterable[str], place: str) -> None:
    if value not in known:
        raise ConfigError(
            f"{place}: {value!r} is not known.{nearest(value, known)} Write one of {', '.join(known)}, or leave it out."
        )
