"""What the magics show: one line for what was done, a short table for what is there.

A view wraps frozen rows of the session and adds `__repr__` and `_repr_html_`; it holds no frame, so
that `Out[n]` keeps no shared memory alive. Both forms come from one `Table`, whose HTML is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nq_magics.formats import age, duration, plain, size, stamp

if TYPE_CHECKING:
    from jupyter_nq.buffers import Handle
    from jupyter_nq.client.loading import Mapped
    from jupyter_nq.client.records import Dataset, Desk, Holder, Status, Stored

_NUMBERS = frozenset({"version", "rows", "size", "age"})
_HOLDERS_SHOWN = 4
_DECISIONS = ("layout", "day order", "zone", "edge", "rows", "end")  # the evidence that is shown: how it was read
_EMPTY = "No dataset is shared yet. %nq_load or %nq_put makes one."


@dataclass(frozen=True)
class Table:
    """A heading row and text cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Return the table with aligned columns."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
                for name, cell, width in zip(self.columns, line, widths, strict=True)
            ).rstrip()
            for line in lines
        )

    def html(self) -> str:
        """Return the table as HTML with escaped content."""
        names = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        head = f"<thead><tr>{names}</tr></thead>" if any(self.columns) else ""
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        return f"<table>{head}<tbody>{body}</tbody></table>"


class DatasetsView(Sequence["Dataset"]):
    """The rows of `%nq_ls`: a sequence of datasets that shows itself as a table."""

    def __init__(self, rows: Sequence[Dataset]) -> None:
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __iter__(self) -> Iterator[Dataset]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return dataset_table(self._rows).text() if self._rows else _EMPTY

    def _repr_html_(self) -> str:
        return dataset_table(self._rows).html() if self._rows else f"<p>{html.escape(_EMPTY)}</p>"


class StatusView:
    """The result of `%nq_status`; `.status` holds the values."""

    def __init__(self, status: Status) -> None:
        self.status = status

    def __repr__(self) -> str:
        return "\n".join(f"{name:<9} {value}" for name, value in status_lines(self.status))

    def _repr_html_(self) -> str:
        return Table(("", ""), tuple(status_lines(self.status))).html()


class DeskView:
    """The result of `%nq`: datasets and who holds them, pool, host, newest problem; `.desk` holds the values."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def __repr__(self) -> str:
        return f"{DatasetsView(self.desk.datasets)!r}\n\n{StatusView(self.desk.status)!r}"

    def _repr_html_(self) -> str:
        return DatasetsView(self.desk.datasets)._repr_html_() + StatusView(self.desk.status)._repr_html_()


def dataset_table(rows: Sequence[Dataset]) -> Table:
    """Return the table of datasets, one row each."""
    return Table(
        ("name", "version", "rows", "size", "age", "held by"),
        tuple(
            (row.name, f"v{row.version}", f"{row.rows:,}", size(row.bytes), age(row.created), holders(row))
            for row in rows
        ),
    )


def holders(row: Dataset) -> str:
    """Name who holds a dataset, with the version where it is not the newest."""
    named = [_holder(holder, row.version) for holder in row.holders]
    more = len(named) - _HOLDERS_SHOWN
    return ", ".join([*named[:_HOLDERS_SHOWN], *([f"{more} more"] if more > 0 else [])]) or "nobody"


def status_lines(status: Status) -> list[tuple[str, str]]:
    """Return the lines of a status: what, and its value."""
    return [
        ("store", plain(status.store)),
        ("host", f"{plain(status.host)} (pid {status.host_pid})"),
        ("pool", f"{size(status.pool_used_bytes)} used of {size(status.pool_limit_bytes)}"),
        ("datasets", f"{status.datasets:,}"),
        ("processes", f"{status.peers:,} connected"),
        ("problem", plain(status.problem) if status.problem else "none"),
    ]


def load_lines(mapped: Mapped, stamps: Any) -> list[str]:
    """Return what a load prints: one line, how the file was read if it was read now, and a notice.

    Parameters
    ----------
    mapped
        The outcome of the load.
    stamps
        datetime64 array of the starts of the bars that the user's selection shows, UTC.
    """
    info, shown, rows = mapped.handle.info, len(stamps), mapped.handle.rows
    bars = f"{shown:,} bars" if shown == rows else f"{shown:,} of {rows:,} bars"
    span = f", {stamp(stamps[0])} to {stamp(stamps[-1])} UTC" if shown else ""
    how = f"{'parsed' if mapped.parsed else 'mapped'} in {duration(mapped.seconds)}"
    evidence = [line for line in mapped.evidence if mapped.parsed and line.startswith(_DECISIONS)]
    notice = [mapped.notice] if mapped.notice else []
    return [
        f"{info.name} v{info.version}: {bars}{span}, {how}",
        *(f"  {plain(line)}" for line in evidence),
        *map(plain, notice),
    ]


def got_line(handle: Handle, seconds: float) -> str:
    """Return the one line of `%nq_get`."""
    return f"{handle.info.name} v{handle.info.version}: {handle.rows:,} rows, mapped in {duration(seconds)}"


def stored_line(stored: Stored, seconds: float) -> str:
    """Return the one line of `%nq_put`."""
    return f"{stored.name} v{stored.version}: {stored.rows:,} rows, {size(stored.bytes)}, shared in {duration(seconds)}"


def _holder(holder: Holder, newest: int) -> str:
    who = plain(holder.who) if holder.path else f"{plain(holder.who)} (pid {holder.pid})"
    return who if holder.version == newest else f"{who} (v{holder.version})"
