"""A number of bytes as people read it: one form for errors, commands and magics."""

from __future__ import annotations

_UNITS = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def size(count: float) -> str:
    """Return a number of bytes in the unit that suits it.

    >>> size(2_916_352), size(812), size(-3 << 20)
    ('2.8 MiB', '812 B', '-3.0 MiB')
    """
    for unit, step in _UNITS:
        if abs(count) >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count:.0f} B"
