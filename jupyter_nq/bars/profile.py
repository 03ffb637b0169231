"""The profile: everything that had to be found out about a file before it can be read.

A profile is explicit and complete: reading a file with it asks nothing and guesses nothing. `sniff`
finds one and says why, in the sentences of `evidence`; a user may override any field with
`dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

from jupyter_nq.errors import ConfigError

Edge = Literal["start", "end"]

ROLES = ("timestamp", "open", "high", "low", "close", "volume")
"""The canonical columns of a bar file."""


@dataclass(frozen=True)
class Dialect:
    """The form of a table, without the meaning of its stamps; a `Profile` adds that."""

    delimiter: str
    """One character."""
    header: bool
    """Whether a line of column names stands before the data."""
    skip_lines: int
    """Lines before the first row, the header included."""
    names: tuple[str, ...]
    """Every column of the file in its order, by the header's names, or `column 1 ...` without a header."""
    columns: Mapping[str, tuple[str, ...]]
    """Canonical column -> the file's columns: two for a separate date and time, or for up and down volume; and the
    column `contract`, where there is one."""
    decimal: str
    """The decimal mark, `.` or `,`."""
    price_scale: int = field(default=1, kw_only=True)
    """What the file's prices are divided by: 1, or 10**9 for whole billionths."""
    contract: str | None = field(default=None, kw_only=True)
    """The symbol in the file's column `contract` whose rows are read; None reads all rows."""


@dataclass(frozen=True)
class Profile(Dialect):
    """How one file is read: the form of its table, and what its stamps mean."""

    layouts: tuple[str, ...]
    """Every way in which this file writes a stamp, day and month order decided."""
    day_first: bool | None
    """True or False when all layouts agree on it, None when they differ or begin with the year."""
    tz: str
    """Zone of the stamps' clock: an IANA name, `UTC`, or a fixed offset such as `UTC+3`."""
    edge: Edge
    """Whether a stamp is the start or the end of its bar."""
    minutes: int
    """Length of a bar."""
    calendar: str | None = None
    """Trading calendar of the instrument, None when the instrument is not known."""
    positive_prices: bool = False
    """Whether a price of zero or below cannot be real; False when the instrument is not known."""
    zone_names: tuple[str, ...] = ()
    """All zones that give this same reading in UTC over the file's span, when the zone was found."""
    evidence: tuple[str, ...] = ()
    """Why each of the above was decided, a sentence each."""

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as JSON-able lists, mappings and scalars."""
        plain = asdict(self) | {"columns": {role: list(names) for role, names in self.columns.items()}}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def check_edge(edge: str) -> Edge:
    """Return `edge` when it is `start` or `end`, else raise `ConfigError`."""
    if edge not in ("start", "end"):
        raise ConfigError(f"edge={edge!r}: a stamp is the 'start' or the 'end' of its bar.")
    return cast(Edge, edge)
