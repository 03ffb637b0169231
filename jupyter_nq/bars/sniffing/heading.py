"""What stands above the rows of a text table: titles, and the names of the columns in one line or in yfinance's three.

A title has fewer cells than a row of bars can have, and no stamp. yfinance writes names, tickers and the name of its
index in lines of their own, each as long as a row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_nq.errors import UnreadableSource

FEWEST = 5
"""Columns of a table: a stamp and four prices."""

_STAMP_START = re.compile(r"\s*(\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}|\d{8}( \d{3,6})?\s*$|\d{9,19}\s*$)")
_MOST_SHOWN = 60  # letters of a title, in the evidence
_YAHOO = {"Price", "Ticker"}

Numbered = Sequence[tuple[int, str]]
"""Lines that are not empty, with their numbers from 0."""


@dataclass(frozen=True)
class Heading:
    """The lines above the first row."""

    titles: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Empty when there are none."""
    lines: int = 0
    """How many lines hold the names."""
    ticker: str = ""
    """As yfinance's second line has it."""

    @property
    def evidence(self) -> tuple[str, ...]:
        """Return a sentence for whatever is there beside one line of names."""
        count = len(self.titles)
        told = f"titles: {count} line{'s' * (count > 1)} above the table not read" if count else ""
        told += f", {self.titles[0][:_MOST_SHOWN]!r}" if count else ""
        yahoo = (
            f"header: {self.lines} lines, as yfinance writes them, of the ticker {self.ticker}" if self.ticker else ""
        )
        return tuple(filter(None, (told, yahoo)))


def heading(path: Path, lines: Numbered, delimiter: str, said: bool | None = None) -> Heading:
    """Return what stands above the rows; `said` answers whether names do. Raises `UnreadableSource` for two tickers."""
    titles = _titles(lines, delimiter)
    rest = [_cells(line, delimiter) for _, line in lines[len(titles) : len(titles) + 3]]
    if said is not False and (found := _of_yahoo(path, rest)) is not None:
        return Heading(titles, *found)
    first = rest[0]
    header = not any(_STAMP_START.match(cell) for cell in first) if said is None else said
    return Heading(titles, tuple(first) if header else (), int(header))


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _titles(lines: Numbered, delimiter: str) -> tuple[str, ...]:
    """Return the first lines that can be no row, none when no line behind them can be one."""
    found: list[str] = []
    for _, line in lines:
        cells = _cells(line, delimiter)
        if len(cells) >= FEWEST or any(_STAMP_START.match(cell) for cell in cells):
            return tuple(found)
        found.append(line)
    return ()


def _of_yahoo(path: Path, rows: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], int, str] | None:
    """Return names, number of lines and ticker of yfinance's header, None when it is none."""
    if len(rows) < 3 or {rows[0][0], rows[1][0]} != _YAHOO or any(rows[2][1:]):
        return None
    names, tickers = sorted(rows[:2], key=lambda row: row[0])  # either may come first
    several = list(dict.fromkeys(tickers[1:]))
    if len(several) > 1:
        raise UnreadableSource(
            f"{path} holds {len(several)} tickers, {', '.join(several[:FEWEST])}. Export one of them by itself, "
            f"yfinance.download({several[0]!r}, ...)."
        )
    return (rows[2][0], *names[1:]), 3, several[0]
