"""What the magics show: one line for what was done, a short table for what is there.

A view wraps frozen rows of the session and adds `__repr__` and `_repr_html_`; it holds no frame, so
that `Out[n]` keeps no shared memory alive. The words are those of `jupyter nq`, from `jupyter_nq.client.listing`.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from jupyter_nq.bars.rules import CHECK
from jupyter_nq.client.listing import HEADERS, cells, listed, plain, pool, problem
from jupyter_nq.sizes import counted, size
from nq_magics.formats import duration, stamp
from nq_magics.rows_view import RowsView, Table

if TYPE_CHECKING:
    from jupyter_nq.buffers import Handle
    from jupyter_nq.client.bars.loading import Mapped
    from jupyter_nq.client.records import Dataset, Desk, Status, Stored

_DATASETS_SHOWN = 30
_APPENDED = ("rows", "refreshed", "end")  # the evidence of rows that were appended
_DECISIONS = ("layout", "day order", "zone", "edge", "rows", "end")  # the evidence that is shown: how it was read


class DatasetsView(RowsView["Dataset"]):
    """The rows of `%nq_ls`: a sequence of datasets that shows itself as a table."""

    headers = HEADERS
    empty = "No dataset is shared yet. %nq_load or %nq_put makes one."

    def __repr__(self) -> str:
        return listed(self._rows) if self._rows else self.empty

    def _cells(self, row: Dataset) -> tuple[str, ...]:
        return cells(row)


class StatusView:
    """The result of `%nq_status`; `.status` holds the values."""

    def __init__(self, status: Status) -> None:
        self.status = status

    def __repr__(self) -> str:
        return "\n".join(f"{name:<9} {value}" for name, value in status_lines(self.status))

    def _repr_html_(self) -> str:
        return Table(("", ""), tuple(status_lines(self.status))).html()


class DeskView:
    """The result of `%nq`: host, pool and newest problem, then the datasets; `.desk` holds the values, all of them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def __repr__(self) -> str:
        more = f"\n{self._more}" if self._more else ""
        return f"{StatusView(self.desk.status)!r}\n\n{self._shown!r}{more}"

    def _repr_html_(self) -> str:
        more = f"<p>{html.escape(self._more)}</p>" if self._more else ""
        return StatusView(self.desk.status)._repr_html_() + self._shown._repr_html_() + more

    @property
    def _shown(self) -> DatasetsView:
        return DatasetsView(self.desk.datasets[:_DATASETS_SHOWN])

    @property
    def _more(self) -> str:
        more = len(self.desk.datasets) - _DATASETS_SHOWN
        return f"... and {more} more: %nq_ls" if more > 0 else ""


def status_lines(status: Status) -> list[tuple[str, str]]:
    """Return the lines of a status: what, and its value."""
    return [
        ("store", plain(status.store)),
        ("host", f"{plain(status.host)} (pid {status.host_pid})"),
        ("pool", pool(status.pool_used_bytes, status.pool_limit_bytes, status.superseded_bytes)),
        ("datasets", f"{status.datasets:,}"),
        ("processes", f"{status.peers:,} connected"),
        ("problem", problem(status.problem, status.problem_at)),
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
    bars = counted(shown, "bar") if shown == rows else f"{shown:,} of {counted(rows, 'bar')}"
    span = f", {stamp(stamps[0])} to {stamp(stamps[-1])} UTC" if shown else _all_of(mapped.handle)
    how = f"{mapped.how} in {duration(mapped.seconds)}"
    decisions = _DECISIONS if mapped.parsed else _APPENDED if "refreshed" in mapped.how else ()
    evidence = [line for line in mapped.evidence if line.startswith((*decisions, CHECK))]
    notice = [mapped.notice] if mapped.notice else []
    return [
        f"{info.name} v{info.version}: {bars}{span}, {how}",
        *(f"  {plain(line)}" for line in evidence),
        *map(plain, notice),
    ]


def _all_of(handle: Handle) -> str:
    """Return the span of a dataset's bars, for a selection that shows none of them."""
    stamps = handle.numpy(columns=["timestamp"])["timestamp"]
    return f", which are from {stamp(stamps[0])} to {stamp(stamps[-1])} UTC" if len(stamps) else ""


def got_line(handle: Handle, seconds: float) -> str:
    """Return the one line of `%nq_get`."""
    return f"{handle.info.name} v{handle.info.version}: {counted(handle.rows, 'row')}, mapped in {duration(seconds)}"


def stored_line(stored: Stored, seconds: float, *, replaces: bool = False) -> str:
    """Return the one line of `%nq_put`; `replaces` says whether the name was there."""
    held = f"{counted(stored.rows, 'row')}, {size(stored.bytes)}"
    line = f"{stored.name} v{stored.version}: {held}, shared in {duration(seconds)}"
    return f"{line}, replaces v{stored.version - 1}" if replaces else line
