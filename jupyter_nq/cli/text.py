"""Plain-text tables and figures for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_STEPS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """Return the rows under their headers in aligned columns; `right` names the columns of figures.

    >>> print(table(["name", "rows"], [["NQ.30min", "56,083"], ["signals", "9"]], right=[1]))
    name        rows
    NQ.30min  56,083
    signals        9
    """
    lines = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    figures = set(right)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in figures else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def size(count: float) -> str:
    """Return a number of bytes in the unit that suits it.

    >>> size(2_916_352), size(812), size(-3 << 20)
    ('2.8 MiB', '812 B', '-3.0 MiB')
    """
    for unit, step in _STEPS:
        if abs(count) >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count:.0f} B"


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
