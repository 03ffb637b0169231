"""Limits of a lane beside its memory: how many rows it keeps, and for how long.

The publisher moves the tail with each message, one message at a time, and lets go of segments that are whole behind it.
An idle lane has nobody to do that: who reads one with an age limit looks at the times, and skips what is too old. Its
memory goes with the next message, and is bounded by `retention_bytes` meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from jupyter_nq.streams import layout
from jupyter_nq.streams.control import Lane, MappedControl
from jupyter_nq.streams.forms import Epochs, Reader, Reads
from jupyter_nq.streams.reading import header_of
from jupyter_nq.streams.rolling import Kept, Rolling

_NS = 1_000_000_000


def age_ns(options: Mapping[str, Any]) -> int:
    """Return for how long messages are kept; 0 for as long as there is memory."""
    return int(options.get("retention_seconds", 0) * _NS)


def is_limited(options: Mapping[str, Any]) -> bool:
    """Tell whether a stream has limits beside its memory."""
    return bool(options.get("retention_rows") or options.get("retention_seconds"))


class Limits:
    """Moves the tail of a lane; its publisher's lock guards it.

    Parameters
    ----------
    control, form, lane
        The stream, and the words of its lane.
    rolling
        The segments of the lane.
    """

    def __init__(self, control: MappedControl, form: Reads, lane: Lane, rolling: Rolling) -> None:
        options = control.static.options
        self._form = form
        self._lane = lane
        self._rolling = rolling
        self._rows = int(options.get("retention_rows", 0))
        self._age_ns = age_ns(options)
        self._is_durable = bool(options.get("durable"))
        self._readers: dict[int, Reader] = {}
        self._kept_rows = 0  # of the messages from the tail to _counted
        self._tail = self._counted = lane.tail

    def __repr__(self) -> str:
        return f"<Limits of {self._lane!r}: {self._rows} rows, {self._age_ns / _NS:g} s>"

    def apply(self, now_ns: int) -> None:
        """Move the tail behind what exceeds the limits; the newest message stays, however many rows it has."""
        lane = self._lane
        before, head = lane.tail, lane.head
        if before != self._tail:  # memory was full, and the oldest segment went: count what is left
            self._kept_rows, self._counted = 0, before
        self._count(head)
        tail, oldest_ns = before, now_ns - self._age_ns if self._age_ns else 0
        while tail < head - 1 and self._is_behind(tail, oldest_ns):
            self._kept_rows -= self._reader(tail).rows(tail, tail + 1)
            tail += 1
        self._tail = tail
        if tail > before:
            lane.set(layout.TAIL, tail)
        if self._rolling.oldest_end() <= tail:
            self._forget(tail)

    def _is_behind(self, seq: int, oldest_ns: int) -> bool:
        if self._rows and self._kept_rows > self._rows:
            return True
        return oldest_ns > 0 and self._reader(seq).stamp(seq) < oldest_ns

    def _count(self, head: int) -> None:
        while self._rows and self._counted < head:
            kept, end = self._rolling.around(self._counted)
            stop = min(head, end)
            self._kept_rows += self._read(kept).rows(self._counted, stop)
            self._counted = stop

    def _forget(self, tail: int) -> None:
        """Let go of segments behind the tail, of a durable stream when the disk has had them."""
        self._rolling.forget(min(tail, self._lane.get(layout.DURABLE)) if self._is_durable else tail)
        oldest = self._lane.get(layout.TAIL_SEGMENT)
        self._readers = {number: reader for number, reader in self._readers.items() if number >= oldest}

    def _reader(self, seq: int) -> Reader:
        return self._read(self._rolling.around(seq)[0])

    def _read(self, kept: Kept) -> Reader:
        found = self._readers.get(kept.number)
        if found is None:
            segment = header_of(kept.mapped, kept.path)
            found = self._readers[kept.number] = self._form.reader(kept.mapped, segment, kept.path)
        return found


def trim(control: MappedControl) -> None:
    """Move the tails of a stream that nobody publishes to behind its limits."""
    form, static = Epochs(control), control.static
    for lane in control.lanes() if is_limited(static.options) else ():
        rolling = Rolling(control.path, static.stream_id, lane, static.options["retention_bytes"], lambda _: True)
        try:
            Limits(control, form, lane, rolling).apply(time.time_ns())
        finally:
            rolling.close()
