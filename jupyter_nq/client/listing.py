"""Datasets and the pool as one reads them: the same words in a notebook and in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from jupyter_nq.client.records import Dataset, Holder, Notebook
from jupyter_nq.sizes import size

HEADERS = ("name", "version", "rows", "size", "age", "held by")
FIGURES = frozenset({1, 2, 3, 4})
"""The columns of `HEADERS` that are aligned to the right."""
LONGEST_NAME = 48
"""Characters of a name that a table shows; a longer one loses its middle."""

_HOLDERS_SHOWN = 4
_AGE_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def cells(dataset: Dataset) -> tuple[str, ...]:
    """Return a dataset's cells under `HEADERS`, the name in full."""
    return (
        dataset.name,
        f"v{dataset.version}",
        f"{dataset.rows:,}",
        place(dataset),
        age(dataset.created),
        holders(dataset),
    )


def listed(datasets: Iterable[Dataset]) -> str:
    """Return the table of datasets as text, with long names cut."""
    return table(HEADERS, [(short(name), *rest) for name, *rest in map(cells, datasets)], right=FIGURES)


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


def place(dataset: Dataset) -> str:
    """Return the memory that a dataset takes, or what it takes on the disk where it has left memory; pins are told."""
    if dataset.disk_bytes and not dataset.bytes:
        return f"{size(dataset.disk_bytes)} on disk"
    return f"{size(dataset.bytes)}, pinned" if dataset.pinned else size(dataset.bytes)


def holders(dataset: Dataset) -> str:
    """Name who holds a dataset, with the version where it is not the newest."""
    named = [_holder(holder, dataset.version) for holder in dataset.holders]
    more = len(named) - _HOLDERS_SHOWN
    return ", ".join([*named[:_HOLDERS_SHOWN], *([f"{more} more"] if more > 0 else [])]) or "nobody"


def who(holder: Holder | Notebook) -> str:
    """Return a process as one reads it: its notebook, else its program with the pid."""
    name = short(plain(holder.who))
    return name if holder.path else f"{name} (pid {holder.pid})"


def _holder(holder: Holder, newest: int) -> str:
    return who(holder) if holder.version == newest else f"{who(holder)} (v{holder.version})"


def pool(used_bytes: int, limit_bytes: int, superseded_bytes: int) -> str:
    """Return the use of the pool, and how much of it no name leads to any more.

    >>> pool(46_661_632, 1 << 30, 31_562_138)
    '44.5 MiB used of 1.0 GiB; 30.1 MiB of it in old or dropped versions that are still held'
    """
    text = f"{size(used_bytes)} used of {size(limit_bytes)}"
    if not superseded_bytes:
        return text
    return f"{text}; {size(superseded_bytes)} of it in old or dropped versions that are still held"


def problem(text: str | None, at: datetime | None) -> str:
    """Return the newest problem with its age, in one line."""
    if text is None:
        return "none"
    return plain(text) if at is None else f"{plain(text)} ({ago(at)})"


def ago(at: datetime, now: datetime | None = None) -> str:
    """Return how long ago something was.

    >>> ago(datetime(2025, 7, 2, 7, tzinfo=UTC), datetime(2025, 7, 2, 10, 59, tzinfo=UTC))
    '3 h ago'
    """
    since = age(at, now)
    return since if since == "now" else f"{since} ago"


def age(created: datetime, now: datetime | None = None) -> str:
    """Return the time since `created` in its largest whole unit.

    >>> age(datetime(2025, 7, 2, 7, tzinfo=UTC), datetime(2025, 7, 2, 10, 59, tzinfo=UTC))
    '3 h'
    """
    seconds = ((now or datetime.now(UTC)) - created).total_seconds()
    for length, unit in _AGE_UNITS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "now"


def short(name: str, width: int = LONGEST_NAME) -> str:
    """Return a name, without its middle when it is longer than `width`.

    >>> short("execution_engine_signals", 13)
    'execut…ignals'
    """
    if len(name) <= width:
        return name
    head = width // 2
    return f"{name[:head]}…{name[len(name) - (width - head - 1) :]}"


def plain(text: str) -> str:
    """Escape what would move a cursor or break a line; notebook names may hold anything.

    >>> plain("risk\\x1b[2J.ipynb")
    'risk\\\\x1b[2J.ipynb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
