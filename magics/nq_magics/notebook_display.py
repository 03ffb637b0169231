"""What the magics about notebooks show: who is here, and what each holds, publishes and reads."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_nq.client.listing import age, plain, short, table, who
from nq_magics.display import Table

if TYPE_CHECKING:
    from jupyter_nq.client.records import Notebook

HEADERS = ("name", "type", "capabilities", "process", "since", "holds", "publishes", "reads")
_EMPTY = "Nobody is connected."


class NotebooksView(Sequence["Notebook"]):
    """The rows of `%nq_notebooks`: a sequence of notebooks that shows itself as a table."""

    def __init__(self, rows: Sequence[Notebook]) -> None:
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __iter__(self) -> Iterator[Notebook]:
        return iter(self._rows)

    def __repr__(self) -> str:
        if not self._rows:
            return _EMPTY
        return table(HEADERS, [(short(name), *rest) for name, *rest in map(_cells, self._rows)])

    def _repr_html_(self) -> str:
        if not self._rows:
            return f"<p>{html.escape(_EMPTY)}</p>"
        return Table(HEADERS, tuple(map(_cells, self._rows))).html()


def _cells(row: Notebook) -> tuple[str, ...]:
    return (
        plain(row.name or row.who),
        plain(row.type or ""),
        _joined(row.capabilities),
        f"{who(row)}" if not row.path else f"{who(row)} (pid {row.pid})",
        age(row.since) if row.since else "",
        _joined(row.holds),
        _joined(row.publishes),
        _joined(row.reads),
    )


def _joined(words: Sequence[str]) -> str:
    return ", ".join(map(plain, words))
