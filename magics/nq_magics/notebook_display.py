"""What the magics about notebooks show: who is here, and what each holds, publishes and reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jupyter_nq.client.listing import age, plain, who
from nq_magics.formats import duration
from nq_magics.rows_view import RowsView

if TYPE_CHECKING:
    from jupyter_nq.client.notebooks.inbox import Arrival
    from jupyter_nq.client.notebooks.syncing import Delivered
    from jupyter_nq.client.records import Notebook


class NotebooksView(RowsView["Notebook"]):
    """The rows of `%nq_notebooks`: a sequence of notebooks that shows itself as a table."""

    headers = ("name", "type", "capabilities", "process", "since", "holds", "publishes", "reads")
    empty = "Nobody is connected."

    def _cells(self, row: Notebook) -> tuple[str, ...]:
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


def synced_line(done: Delivered) -> str:
    """Return the one line of `%nq_sync`."""
    return (
        f"{plain(done.target)} (pid {done.target_pid}) holds {done.name} v{done.version} after {duration(done.seconds)}"
    )


def accepted_line(names: Sequence[str], variable: str | None) -> str:
    """Return the one line of `%nq_sync --accept`."""
    what = ", ".join(names) or "everything that is handed over"
    then = f"{variable} becomes what comes, between two cells" if variable else "nq.synced(name) returns what came"
    return f"{what} {'is' if len(names) < 2 else 'are'} accepted: {then}"


def arrived_line(variable: str, arrival: Arrival) -> str:
    """Return the line about a variable that is another now."""
    return (
        f"{variable} is {arrival.name} v{arrival.version} now, from {plain(arrival.sender)} (pid {arrival.sender_pid})"
    )
