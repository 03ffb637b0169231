"""How much may be done to have memory back, and from which fill on it is done by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jupyter_nq.errors import InvalidArgument, nearest


@dataclass(frozen=True)
class Level:
    """One level of optimisation."""

    name: str
    own: bool
    """Collect this process's own garbage, and have Arrow give back what it keeps unused."""
    collects: bool
    """Have the store free old versions, leftovers and spare segments that nobody needs."""
    spills: bool
    """Write datasets to disk that nobody holds or has pinned; they come back when they are asked for."""
    pressure: float | None
    """Fill, 0 to 1, of the machine, the cgroup or the pool from which this is done unasked; None for never."""


LEVELS = (
    Level("off", own=False, collects=False, spills=False, pressure=None),
    Level("conservative", own=True, collects=False, spills=False, pressure=0.95),
    Level("balanced", own=True, collects=True, spills=False, pressure=0.9),
    Level("aggressive", own=True, collects=True, spills=True, pressure=0.8),
)
"""By number: 0 to 3."""


def level_of(given: Any) -> Level:
    """Return a level by its name or its number.

    >>> level_of("balanced") is level_of(2)
    True

    Raises
    ------
    InvalidArgument
    """
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(LEVELS):
        return LEVELS[given]
    names = [level.name for level in LEVELS]
    if isinstance(given, str) and given in names:
        return LEVELS[names.index(given)]
    hint = nearest(given, names) if isinstance(given, str) else ""
    choices = ", ".join(f"{number} {name!r}" for number, name in enumerate(names))
    raise InvalidArgument(f"There is no level {given!r}.{hint} The levels are {choices}.")
