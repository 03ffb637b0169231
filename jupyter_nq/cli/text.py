"""Figures and lines for a terminal."""

from __future__ import annotations


def seconds(duration: float) -> str:
    """Return a duration in s, ms or us, with three figures.

    >>> seconds(0.00091), seconds(0.412), seconds(12.3), seconds(0.0000042)
    ('0.91 ms', '412 ms', '12.3 s', '4.2 us')
    """
    if duration >= 1:
        return f"{duration:.1f} s"
    if duration >= 0.01:
        return f"{duration * 1e3:.0f} ms"
    if duration >= 0.0001:
        return f"{duration * 1e3:.2f} ms"
    return f"{duration * 1e6:.1f} us"


def one_line(text: str, width: int) -> str:
    """Return the first line of a text, cut to `width` characters.

    >>> one_line("# Trend of the closes\\nclose = 1", 10)
    '# Trend o…'
    """
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= width else line[: width - 1] + "…"
