"""Numbers and times as a trader reads them, and text that cannot disturb the output it stands in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_SIZE_UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_AGE_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def size(count: int) -> str:
    """Format a number of bytes in the unit that suits it.

    >>> size(512), size(3_140_000), size(12_500_000_000)
    ('512 B', '3.0 MiB', '11.6 GiB')
    """
    for unit, step in _SIZE_UNITS:
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """Format how long something took.

    >>> duration(0.00093), duration(0.0412), duration(0.41), duration(75)
    ('0.9 ms', '41 ms', '0.41 s', '75.0 s')
    """
    if seconds < 0.01:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 0.1:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def age(created: datetime, now: datetime | None = None) -> str:
    """Format the time since `created` in its largest unit.

    >>> age(datetime(2025, 7, 2, 7, tzinfo=UTC), datetime(2025, 7, 2, 10, 59, tzinfo=UTC))
    '3 h'
    """
    seconds = max(0.0, ((now or datetime.now(UTC)) - created).total_seconds())
    for length, unit in _AGE_UNITS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "now"


def stamp(value: Any) -> str:
    """Format a numpy datetime64 in UTC to the minute, or to the second where that says more.

    >>> import numpy as np
    >>> stamp(np.datetime64("2020-06-28T22:00"))
    '2020-06-28 22:00'
    """
    text = str(value.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(":00")


def plain(text: str) -> str:
    """Escape what would move a cursor or break a line; notebook names may hold anything.

    >>> plain("risk\\x1b[2J.ipynb")
    'risk\\\\x1b[2J.ipynb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
