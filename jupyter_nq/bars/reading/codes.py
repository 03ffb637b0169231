"""The layouts of stamps as the numbers that the kernels give them, and back."""

from __future__ import annotations

from functools import cache

from jupyter_nq.bars.reading import kernels as bits
from jupyter_nq.bars.reading.stamps import Layout

_SEPARATORS = {0: "", bits.SLASH: "/", bits.DOT: ".", bits.DASH: "-"}
_JOINS = {0: "", bits.SPACE: " ", bits.LETTER_T: "T"}
_UNITS = ("s", "ms", "us", "ns")
_BOTH = bits.SPACE | bits.LETTER_T


def layout_of(code: int, *, padded: bool) -> Layout:
    """Return the layout of a code that a kernel gives."""
    if code & bits.EPOCH:
        return Layout.parse(f"epoch {_UNITS[(code & ~bits.EPOCH) // bits.SECONDS]}")
    return Layout(
        "ymd" if code & bits.ISO else "???",
        _SEPARATORS[code & bits.DASH],
        _JOINS[code & _BOTH],
        seconds=bool(code & bits.SECONDS),
        fraction=bool(code & bits.FRACTION),
        offset=bool(code & bits.OFFSET),
        colons=not code & bits.CLOSE_TIME,
        half=bool(code & bits.HALF),
        short_year=bool(code & bits.SHORT_YEAR),
        padded=padded,
    )


def code_of(layout: Layout) -> int | None:
    """Return the code of a layout, None for one that the kernels do not know."""
    return _codes().get(layout.unordered)


@cache
def _codes() -> dict[Layout, int]:
    dates = [code for code in range(bits.EPOCH) if code & _BOTH != _BOTH]
    known = {layout_of(code, padded=True): code for code in dates}
    counts = [bits.EPOCH | unit * bits.SECONDS for unit in range(len(_UNITS))]
    return known | {layout_of(code, padded=True): code for code in counts}
