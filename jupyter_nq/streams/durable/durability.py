"""Whether a stream is durable, and what the disk has of it, read from its control file: it needs no pyarrow."""

from __future__ import annotations

from jupyter_nq.streams import layout
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.durable.flushing import flusher


def is_durable(control: MappedControl) -> bool:
    """Tell whether a stream was made to outlive the machine."""
    return bool(control.static.options.get("durable"))


def durability(control: MappedControl) -> list[dict[str, object]] | None:
    """Return, of each lane, what the disk has of it; None of a stream that is not durable.

    `refused` is why the disk does not take what this process publishes; None of others' lanes.
    """
    if not is_durable(control):
        return None
    errors = {
        entry.kept.lane: str(entry.error)
        for entry in flusher.of(control.static.stream_id)
        if entry.kept.lane is not None and entry.error is not None
    }
    return [
        {
            "lane": lane.number,
            "messages": lane.head,
            "durable": lane.get(layout.DURABLE),
            "missed": lane.get(layout.MISSED),
            "refused": errors.get(lane.number),
        }
        for lane in control.lanes()
    ]
