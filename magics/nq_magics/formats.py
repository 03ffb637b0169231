"""Durations and stamps as a trader reads them."""

from __future__ import annotations

from typing import Any


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


def stamp(value: Any) -> str:
    """Format a numpy datetime64 in UTC to the minute, or to the second where that says more.

    >>> import numpy as np
    >>> stamp(np.datetime64("2020-06-28T22:00"))
    '2020-06-28 22:00'
    """
    text = str(value.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(":00")
