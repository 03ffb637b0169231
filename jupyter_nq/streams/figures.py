"""The figures of a stream, read from its control file and the files of its consumers: it needs no pyarrow."""

from __future__ import annotations

from typing import Any

from jupyter_nq.streams import layout
from jupyter_nq.streams.consumers import consumers
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.lanes import is_taken


def figures(control: MappedControl) -> dict[str, Any]:
    """Return messages ever and kept, publishers, and consumers with their lag and what they lost.

    Who reads while this looks may be ahead of the messages that it counted: its lag is then 0.
    """
    lanes = [(lane.number, lane.tail, lane.head) for lane in control.lanes()]
    heads = {number: head for number, _, head in lanes}
    return {
        "name": control.static.name,
        "form": control.static.form,
        "messages": sum(heads.values()),
        "kept": sum(head - tail for _, tail, head in lanes),
        "retention_bytes": control.static.options["retention_bytes"],
        "publishers": [
            {"lane": number, "pid": control.lane(number).get(layout.OWNER_PID), "messages": head}
            for number, head in heads.items()
            if is_taken(control, number)
        ],
        "consumers": [
            {"name": seen.name, "pid": seen.pid, "lag": _lag(heads, seen.positions), "lost": seen.lost}
            for seen in consumers(control.path)
        ],
    }


def _lag(heads: dict[int, int], positions: dict[int, int]) -> int:
    return sum(max(0, head - positions.get(lane, 0)) for lane, head in heads.items())
