"""What the magics about streams show: a line for what was done, a table of what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_nq.client.listing import plain, who
from jupyter_nq.sizes import counted, size
from nq_magics.formats import duration
from nq_magics.rows_view import RowsView

if TYPE_CHECKING:
    from jupyter_nq.client.records import Notebook
    from jupyter_nq.client.streams.streaming import Listed
    from jupyter_nq.streams import Stream, Subscription
    from jupyter_nq.streams.background import Listener


class StreamsView(RowsView["Listed"]):
    """The rows of `%nq_streams`: a sequence of streams that shows itself as a table.

    Parameters
    ----------
    rows
        The streams.
    notebooks
        Who is connected: a process among them is shown by its notebook or program instead of its pid.
    """

    headers = ("name", "form", "messages", "rate", "kept", "published by", "read by", "lag", "lost", "memory")
    empty = "There is no stream yet. %nq_publish or nq.stream makes one."
    figures = frozenset({2, 3, 4, 7, 8})

    def __init__(self, rows: Sequence[Listed], notebooks: Iterable[Notebook] = ()) -> None:
        super().__init__(rows)
        self._people = {str(notebook.pid): who(notebook) for notebook in notebooks}

    def _cells(self, row: Listed) -> tuple[str, ...]:
        return (
            row.name,
            row.form,
            f"{row.messages:,}",
            "damaged" if row.rate is None else f"{row.rate:,}/s",
            f"{row.kept:,}",
            self._named(map(str, row.publishers)),
            self._named(row.consumers),
            f"{row.lag:,}",
            f"{row.lost:,}",
            f"{size(row.retention_bytes)} each",
        )

    def _named(self, people: Iterable[str]) -> str:
        """Name processes, and consumers that have a name of their own; several of one notebook are counted."""
        found = Counter(self._people.get(one) or (f"pid {one}" if one.isdigit() else plain(one)) for one in people)
        return ", ".join(name if count == 1 else f"{name} ({count})" for name, count in found.items()) or "nobody"


def published_line(stream: Stream, seq: int | None, data: Any, seconds: float, *, is_new: bool) -> str:
    """Return the one line of `%nq_publish`."""
    if seq is None:
        return f"{stream.name}: dropped, because it keeps what a gating consumer has not read"
    readers = sum(1 for seen in stream.consumers() if seen.pid)
    what = ", ".join(filter(None, [f"message {seq}", _amount(data), counted(readers, "consumer")]))
    return f"{stream.name}: {what}, published in {duration(seconds)}{', the stream is new' if is_new else ''}"


def _amount(data: Any) -> str:
    """Return how much data a message has: rows, where it has columns; bytes, where it is these."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return size(memoryview(data).nbytes)
    if isinstance(data, dict):
        columns = [value for value in data.values() if hasattr(value, "dtype") and hasattr(value, "__len__")]
        return counted(len(columns[0]), "row") if columns and len(columns) == len(data) else ""
    if isinstance(data, (list, tuple, str)) or not hasattr(data, "__len__"):
        return ""
    return counted(len(data), "row")


def subscribed_line(stream: str, found: Subscription, variable: str, name: str | None) -> str:
    """Return the one line of `%nq_subscribe`."""
    calls = f"{variable}.get_messages(timeout=5), {variable}.read_table(timeout=5), or for message in {variable}"
    kept = f"; {variable}.ack() keeps the position of {name}" if name else ""
    return f"{variable} reads {stream}, {counted(found.lag, 'message')} there: {calls}{kept}"


def listener_line(stream: str, listener: Listener) -> str:
    """Return the one line of `%%nq_on`."""
    how = "" if listener.stopped else f"; %nq_on {stream} --stop ends it"
    return f"{listener!r} on {stream}{how}"


def dropped_line(stream: str, messages: int) -> str:
    """Return the one line of `%nq_drop_stream`."""
    return f"{stream} is dropped after {counted(messages, 'message')}; batches that are held stay readable."
