"""The work of live bars, one step at a time: read the source, build, publish, and note what has been dealt with.

A step is synchronous and waits for nothing. It asks the clock before it reads, so that what was published before that
time is in what it reads, and lets the clock close bars only when it has read all that is there: a worker that is
behind, or was started again, makes no row late by its own delay.

What has been dealt with is kept as the position of a named consumer of the source: the first row that an open bar
needs. With the tape of closed bars, which is published first, that is all that the next worker must know.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.columns import iso
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.client.live.builder import BarBuilder
from jupyter_nq.client.live.joining import Past, is_traded, known
from jupyter_nq.client.live.rows import AHEAD, LATE, MINUTE_NS, NOTHING, Intake, Rows
from jupyter_nq.errors import Lagged, LiveGap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_nq.client.live.clocks import Clock
    from jupyter_nq.client.live.outputs import Journal, Output
    from jupyter_nq.streams import Stream
    from jupyter_nq.streams.waiting import Bell

GAPS = ("error", "keep")
_AT_ONCE = 1 << 16
_log = logging.getLogger("jupyter_nq")


@dataclass(frozen=True)
class Lane:
    """One length of bars."""

    builder: BarBuilder
    output: Output


class Worker:
    """Builds and publishes the bars of one source. Used by one thread; others may look at its counts.

    Parameters
    ----------
    source
        Stream of ticks or small bars.
    name
        Of the consumer under which the position in the source is kept.
    minutes
        Length of a source bar; 0 for ticks.
    calendar
        Trading calendar of the instrument.
    lanes
        The lengths of bars.
    journal
        Where notices are written.
    clock
        What closes bars.
    gating
        Whether the publisher of the source waits for this.
    gap
        "error" ends the work where rows are missing; "keep" writes it down, and publishes no bar that lacks some.
    """

    def __init__(
        self,
        source: Stream,
        name: str,
        minutes: int,
        calendar: str,
        lanes: Sequence[Lane],
        journal: Journal,
        clock: Clock,
        *,
        gating: bool,
        gap: str,
    ) -> None:
        self.lanes = tuple(lanes)
        self._minutes, self._calendar = minutes, calendar
        self._journal, self._clock, self._gap = journal, clock, gap
        self._intake = Intake(minutes, calendar)
        self.counts: Counter[str] = Counter()
        """Rows set aside by reason, rows skipped at the join, and gaps."""
        self._mark = source.subscribe("earliest", name=name, gating=gating)
        self._reader = source.subscribe(self._mark.position)
        self._settled: Mapping[int, int] = self._mark.position
        self._read: deque[tuple[Mapping[int, int], int]] = deque()  # position before it, newest stamp in it
        self._lost: int | None = None if journal.joined else 0  # None: no row can be missing

    def __repr__(self) -> str:
        return f"<Worker of {', '.join(repr(lane.output) for lane in self.lanes)}>"

    # -- where it begins -------------------------------------------------------------------------
    def begin(self, past: Past) -> None:
        """Join history and what was published; the first thing to do.

        Raises
        ------
        LiveGap
            Rows are missing behind history.
        """
        begin_ns = self._clock.begin_ns
        if begin_ns is not None:
            self._lost = None  # a replay has all its rows
            if past.end_ns not in (NOTHING, begin_ns):
                self._check_hole(past.end_ns, begin_ns, 0)
        for lane in self.lanes:
            published, whole = lane.output.published()
            self._check_warm(lane, past, published)
            found = known(past, lane.builder.minutes, published, self._calendar, whole=whole)
            lane.output.warm(found.before)
            lane.output.publish(found.unpublished)
            joined_ns = found.joined_ns if begin_ns is None else max(begin_ns, found.joined_ns)
            lane.builder.join(joined_ns, found.forming)
            if self._journal.cut_ns is not None:
                lane.builder.cut(self._journal.cut_ns)
        self._intake.joined_ns = max(lane.builder.joined_ns for lane in self.lanes)

    def _check_warm(self, lane: Lane, past: Past, published: pa.Table) -> None:
        """See whether history has what features went on from, and write down how far it reached."""
        if not lane.output.has_features:
            return
        warm_ns = self._journal.warm_ns
        if published.num_rows and warm_ns is not None and past.end_ns < warm_ns:
            raise LiveGap(
                f"the features of {lane.output.closed.name!r} went on from history until {iso(warm_ns)}, and what is "
                f"known now ends {f'at {iso(past.end_ns)}' if past.end_ns != NOTHING else 'nowhere'}: they would go on "
                "from other bars. Pass that history as warmup= again, or a newer one."
            )
        reach_ns = min([past.end_ns, *published["timestamp"].cast(pa.int64()).slice(0, 1).to_pylist()])
        if reach_ns != NOTHING and (warm_ns is None or reach_ns > warm_ns):
            self._journal.write_warm(reach_ns)

    def _check_join(self, rows: Rows) -> None:
        """See whether rows are missing between what is known and the first row that came."""
        lost, self._lost = self._lost, None
        if lost is None:
            return
        first_ns, reached_ns = int(rows.starts.min()), int(rows.reached[0])
        joined_ns = min(lane.builder.joined_ns for lane in self.lanes)
        if reached_ns == NOTHING and joined_ns == NOTHING:
            self._cut(first_ns)
            self._journal.write_cut(first_ns)
        elif lost and reached_ns != NOTHING:
            self._missing(max(joined_ns, reached_ns), first_ns, lost)
        elif first_ns > joined_ns:
            self._check_hole(joined_ns, first_ns, lost)
        if not self._journal.joined:
            self._journal.write_joined()

    def _check_hole(self, known_ns: int, first_ns: int, lost: int) -> None:
        stop_ns = first_ns if self._minutes else first_ns // MINUTE_NS * MINUTE_NS
        if lost or is_traded(self._calendar, known_ns, stop_ns):
            self._missing(known_ns, first_ns, lost)

    def _missing(self, known_ns: int, first_ns: int, lost: int) -> None:
        counted = f" ({lost:,} messages)" if lost else ""
        told = f"rows are missing between {iso(known_ns)} and {iso(first_ns)}{counted}"
        if self._gap == "error":
            raise LiveGap(
                f"{told}: what is known ends before what the source has. Load newer history (nq.refresh), and pass it "
                "as warmup=; or take gap='keep', which publishes no bar that lacks rows."
            )
        self.counts["gaps"] += 1
        _log.warning("live bars: %s; bars that lack rows are not published", told)
        self._cut(first_ns)
        self._journal.write_gap(known_ns, first_ns, lost)

    def _cut(self, first_ns: int) -> None:
        for lane in self.lanes:
            lane.builder.cut(first_ns)

    def catch_up(self) -> None:
        """Deal with all that is there now; errors as for `step`."""
        goal = sum(self._reader.position.values()) + self._reader.lag
        while self.step() and sum(self._reader.position.values()) < goal:
            pass

    # -- a step ----------------------------------------------------------------------------------
    def step(self) -> bool:
        """Deal with what is there; returns whether there was something, and more may be.

        Raises
        ------
        LiveGap
            Rows are missing.
        NQError
            The source or an output was dropped, or there is no room.
        """
        now_ns = self._clock.now_ns()  # before reading: see above
        before = self._reader.position
        try:
            batches = _joined(self._reader.read_as_published(_AT_ONCE))
        except Lagged as exc:
            self._lost = (self._lost or 0) + exc.lost
            return True
        for lane in self.lanes:
            lane.builder.set_back(now_ns)
        if batches:
            self._read.append((before, max(self._take(*one, now_ns) for one in batches)))
        if not self._reader.lag:
            for lane in self.lanes:
                lane.output.publish(lane.builder.advance(now_ns))
        for lane in self.lanes:
            lane.output.show(lane.builder.forming)
        self._settle()
        return bool(batches)

    def _take(self, batch: pa.RecordBatch | pa.Table, published: Ints, now_ns: int) -> int:
        """Build bars of a batch, publish those that are closed, and return its newest stamp, ns UTC."""
        latest_ns = self._clock.latest_ns()
        # By the time of the clock when they were published, not when they are read: a worker that is behind sees the
        # same rows in the future as one that is not. Where the clock was set back those times are too early.
        taken = self._intake.take(batch, np.minimum(latest_ns, published + max(0, latest_ns - now_ns)))
        for reason, rows in taken.aside:
            self._set_aside(rows, reason)
        if not len(taken.rows):
            return NOTHING
        self._check_join(taken.rows)
        for lane in self.lanes:
            built = lane.builder.add(taken.rows)
            lane.output.publish(built.closed)
            self.counts["skipped"] += built.skipped
            if built.late.any():
                self._set_aside(taken.rows.take(built.late), LATE, lane.output.label)
        return int(taken.rows.starts.max())

    def _set_aside(self, rows: Rows, reason: str, label: str | None = None) -> None:
        if reason == AHEAD and not self.counts[AHEAD]:
            _log.warning(
                "live bars: a row of %s is ahead of the clock and of all rows before it, and is set aside; if more "
                "are, the machine's clock is behind, or the feed's zone is wrong",
                iso(int(rows.starts.min())),
            )
        self.counts[reason] += len(rows)
        self._journal.set_aside(rows, reason, label)

    def _settle(self) -> None:
        """Keep the position of the first row that is still needed; those before it may go."""
        needed_ns = min(lane.builder.needed_ns for lane in self.lanes)
        while self._read and self._read[0][1] < needed_ns:
            self._read.popleft()
        position = self._read[0][0] if self._read else self._reader.position
        if position != self._settled:
            self._mark.seek(position)
            self._mark.ack()
            self._settled = position

    # -- waiting ---------------------------------------------------------------------------------
    @property
    def bells(self) -> list[Bell]:
        """Return what rings when there is something to do."""
        return [self._reader.bell, *self._clock.bells()]

    @property
    def lag(self) -> int:
        """Return how many messages of the source were not read."""
        return self._reader.lag if self._reader.usable else 0

    def wait_seconds(self) -> float:
        """Return how long nothing is to be done unless a bell rings."""
        return self._clock.seconds_until(min(lane.builder.due_ns for lane in self.lanes))

    def close(self) -> None:
        """Let go of everything. Closing twice is fine."""
        self._reader.close()
        self._mark.close()
        self._clock.close()
        self._journal.close()
        for lane in self.lanes:
            lane.output.close()


def _joined(
    found: Sequence[tuple[pa.RecordBatch, Ints]],
) -> Sequence[tuple[pa.RecordBatch | pa.Table, Ints]]:
    """Return batches as one where they have the same columns: of two feeds at once each row is one."""
    batches = [batch for batch, _ in found]
    if len(batches) > 1 and all(one.schema.equals(batches[0].schema, check_metadata=True) for one in batches[1:]):
        return [(pa.Table.from_batches(batches), np.concatenate([stamps for _, stamps in found]))]
    return found
