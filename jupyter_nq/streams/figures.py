"""The figures of a stream, read from its control file and the files of its consumers.

It needs no pyarrow, but for a stream that keeps messages for a time: how old they are is in the segments.
"""

from __future__ import annotations

from typing import Any

from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams import layout
from jupyter_nq.streams.consumers import consumers
from jupyter_nq.streams.control import Lane, MappedControl
from jupyter_nq.streams.durable.durability import durability
from jupyter_nq.streams.lanes import is_taken


def figures(control: MappedControl) -> dict[str, Any]:
    """Return messages ever and kept, publishers, and consumers with their lag and what they lost.

    Who reads while this looks may be ahead of the messages that it counted: its lag is then 0. `durability` has of each
    lane how many messages the disk has, how many it never got, and why it refuses; None of a stream that is fleeting.
    """
    lanes = list(control.lanes())
    kept = sum(max(0, lane.head - tail) for lane, tail in zip(lanes, _tails(control, lanes), strict=True))
    heads = {lane.number: lane.head for lane in lanes}
    return {
        "name": control.static.name,
        "form": control.static.form,
        "messages": sum(heads.values()),
        "kept": kept,
        "epoch": control.epoch,
        "retention_bytes": control.static.options["retention_bytes"],
        "durability": durability(control),
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


def _tails(control: MappedControl, lanes: list[Lane]) -> list[int]:
    """Return the oldest message of each lane that is kept and not too old; where one is damaged, of memory."""
    if not control.static.options.get("retention_seconds"):
        return [lane.tail for lane in lanes]
    from jupyter_nq.streams.forms import Epochs
    from jupyter_nq.streams.starting import visible_tail

    try:
        form = Epochs(control)
        return [visible_tail(control, form, lane) for lane in lanes]
    except ChecksumError:
        return [lane.tail for lane in lanes]


def _lag(heads: dict[int, int], positions: dict[int, int]) -> int:
    return sum(max(0, head - positions.get(lane, 0)) for lane, head in heads.items())
