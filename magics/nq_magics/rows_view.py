"""Rows that show themselves as a table: in text, and as HTML with escaped content."""

from __future__ import annotations

import html
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from jupyter_nq.client.listing import short, table

Row = TypeVar("Row")


@dataclass(frozen=True)
class Table:
    """A heading row and text cells, as HTML; a long cell of the first column is cut, with the whole as its title."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def html(self) -> str:
        """Return the table with escaped content."""
        names = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        head = f"<thead><tr>{names}</tr></thead>" if any(self.columns) else ""
        body = "".join(f"<tr>{_first(row[0])}{''.join(map(_cell, row[1:]))}</tr>" for row in self.rows)
        return f"<table>{head}<tbody>{body}</tbody></table>"


def _first(name: str) -> str:
    shown = short(name)
    title = f' title="{html.escape(name)}"' if shown != name else ""
    return f"<td{title}>{html.escape(shown)}</td>"


def _cell(text: str) -> str:
    return f"<td>{html.escape(text)}</td>"


class RowsView(Sequence[Row]):
    """A sequence of frozen rows that shows itself as a table.

    Parameters
    ----------
    rows
        What it holds.
    """

    headers: ClassVar[tuple[str, ...]]
    """Names of the columns, of which the first names the row."""
    empty: ClassVar[str]
    """What it shows when there is no row."""
    figures: ClassVar[frozenset[int]] = frozenset()
    """The columns that are aligned to the right."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __repr__(self) -> str:
        if not self._rows:
            return self.empty
        shown = [(short(name), *rest) for name, *rest in map(self._cells, self._rows)]
        return table(self.headers, shown, right=self.figures)

    def _repr_html_(self) -> str:
        if not self._rows:
            return f"<p>{html.escape(self.empty)}</p>"
        return Table(self.headers, tuple(map(self._cells, self._rows))).html()

    @abstractmethod
    def _cells(self, row: Row) -> tuple[str, ...]:
        """Return a row as text, a cell for each column."""
