"""Where a consumer begins in a lane."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from jupyter_nq.errors import InvalidArgument, nearest
from jupyter_nq.streams.control import Lane, MappedControl
from jupyter_nq.streams.cursor import Cursor
from jupyter_nq.streams.forms import Reads
from jupyter_nq.streams.retention import age_ns

_LAST_SEQ = (1 << 63) - 1

Start = str | int | datetime | Mapping[int, int]


def first_of(control: MappedControl, form: Reads, lane: Lane, start: Start) -> int:
    """Return the sequence of the first message of a lane that a consumer with this start reads.

    Raises
    ------
    InvalidArgument
        The start is none; or a sequence, and the stream has several publishers, who count each for itself.
    """
    if start == "latest":
        return lane.head
    if start == "earliest":
        return visible_tail(control, form, lane)
    if isinstance(start, Mapping):
        return _sequence(start.get(lane.number, 0))
    if isinstance(start, datetime):
        return _since(control, form, lane, start)
    if isinstance(start, int) and not isinstance(start, bool):
        return _counted(control, form, lane, start)
    hint = nearest(start, ("latest", "earliest")) if isinstance(start, str) else ""
    raise InvalidArgument(
        f"start={start!r} is none of 'latest', 'earliest', a sequence, -N, a datetime with a zone, or a position.{hint}"
    )


def _counted(control: MappedControl, form: Reads, lane: Lane, start: int) -> int:
    lanes = list(control.lanes())
    if len(lanes) > 1:
        raise InvalidArgument(
            f"The stream {control.static.name!r} has {len(lanes)} publishers, each with sequences of its own. Start at "
            "a time, or at a position: {lane: sequence}."
        )
    return _sequence(start) if start >= 0 else max(visible_tail(control, form, lane), lane.head + start)


def _sequence(start: int) -> int:
    if not isinstance(start, int) or not 0 <= start <= _LAST_SEQ:
        raise InvalidArgument(f"{start!r} is no sequence number: they count up from 0.")
    return start


def _since(control: MappedControl, form: Reads, lane: Lane, start: datetime) -> int:
    """Return the first message that was published at a time or later, and is kept."""
    if start.tzinfo is None:
        raise InvalidArgument(f"The time {start} has no zone. Give one, such as UTC.")
    elapsed = start.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    since_ns = 1000 * ((elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds)
    return max(since(control, form, lane, since_ns), visible_tail(control, form, lane))


def visible_tail(control: MappedControl, form: Reads, lane: Lane) -> int:
    """Return the sequence of the oldest message of a lane that is kept, and not too old now."""
    limit_ns = age_ns(control.static.options)
    return since(control, form, lane, time.time_ns() - limit_ns) if limit_ns else lane.tail


def since(control: MappedControl, form: Reads, lane: Lane, since_ns: int) -> int:
    """Return the first message that was published at a time or later, nanoseconds since 1970, UTC.

    The times of a lane never go back.
    """
    low, high = lane.tail, lane.head
    while low < high:
        middle = (low + high) // 2
        found = _stamp(control, form, lane, middle)
        if found is not None and found >= since_ns:
            high = middle
        else:
            low = middle + 1
    return low


def _stamp(control: MappedControl, form: Reads, lane: Lane, seq: int) -> int | None:
    """Return the time of a message; None when it is gone by now."""
    cursor = Cursor(control, form, lane, seq)
    ready = cursor.available()
    return ready[0].stamp(seq) if ready is not None and cursor.seq == seq else None
