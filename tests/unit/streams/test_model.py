"""Streams against lists: any order of publishing, reading, closing and opening gives what a list would."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jupyter_nq.errors import Lagged
from jupyter_nq.streams import Options, Stream, Subscription, make_stream

_WHO = st.integers(0, 2)
_SCHEMA = pa.schema([("lane", pa.int64()), ("seq", pa.int64()), ("x", pa.float64())])
_OPTIONS = Options(retention_bytes=192 << 10, segment_bytes=64 << 10)
_EXAMPLES = int(os.environ.get("NQ_STREAM_EXAMPLES", "40"))


class _Reader:
    """A consumer, and what the model knows of it: where it began, and what it read and was told to have lost."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.started = subscription.position
        self.next = dict(self.started)
        self.read = 0
        self.told = 0

    def take(self, lane: int, first: int, count: int) -> None:
        """Note messages, which are behind those that were read before."""
        assert first >= self.next.get(lane, 0)
        self.next[lane] = first + count
        self.read += count

    def told_of(self, read: Callable[[], list[Any]]) -> list[Any]:
        """Return what is read; nothing when it is told of a loss."""
        try:
            return read()
        except Lagged as exc:
            self.told += exc.lost
            return []


class StreamModel(RuleBasedStateMachine):
    """Publishers as lists: what a consumer read, lost and has still before it makes up what was published."""

    form: str

    @initialize()
    def begin(self) -> None:
        """Make an empty stream whose segments wrap soon."""
        self.path = Path(tempfile.mkdtemp(prefix="nqt-", dir="/dev/shm"))
        make_stream(self.path, "s", _SCHEMA, self.form, _OPTIONS)
        self.publishers: dict[int, Stream] = {}
        self.readers: dict[int, _Reader] = {}
        self.heads: dict[int, int] = {}
        self.held: list[tuple[pa.RecordBatch, dict[str, Any]]] = []

    def teardown(self) -> None:
        """Remove the stream."""
        if hasattr(self, "path"):
            shutil.rmtree(self.path)

    def _publisher(self, who: int) -> tuple[Stream, int]:
        if who not in self.publishers:
            self.publishers[who] = Stream(self.path / "s")
        return self.publishers[who], self.publishers[who]._writer().lane

    @rule(who=_WHO, sizes=st.lists(st.integers(1, 1200), min_size=1, max_size=12))
    def publish(self, who: int, sizes: list[int]) -> None:
        """Publish batches whose rows say which lane and message they belong to."""
        stream, lane = self._publisher(who)
        for rows in sizes:
            seq = self.heads.get(lane, 0)
            columns = [np.full(rows, lane), np.full(rows, seq), np.arange(float(rows))]
            assert stream.publish(pa.record_batch(columns, schema=_SCHEMA)) == seq
            self.heads[lane] = seq + 1

    @rule(who=_WHO, count=st.integers(1, 3000))
    def publish_rows(self, who: int, count: int) -> None:
        """Publish single rows; of a log fewer, as each is a batch."""
        stream, lane = self._publisher(who)
        seq = self.heads.get(lane, 0)
        stop = seq + count if self.form == "tape" else seq + 1 + count % 50
        if self.form == "tape":
            assert stream.publish_rows((lane, at, 0.0) for at in range(seq, stop)) == count
        else:
            for at in range(seq, stop):
                stream.publish(pa.record_batch([[lane], [at], [0.0]], schema=_SCHEMA))
        self.heads[lane] = stop

    @rule(who=_WHO)
    def close_publisher(self, who: int) -> None:
        """Close one; the next goes on in the first lane that is free."""
        if who in self.publishers:
            self.publishers.pop(who).close()

    @rule(who=_WHO, start=st.sampled_from(["latest", "earliest"]))
    def subscribe(self, who: int, start: str) -> None:
        """Begin anew, at either end."""
        if who in self.readers:
            self.readers.pop(who).subscription.close()
        self.readers[who] = _Reader(Stream(self.path / "s").subscribe(start))
        if start == "latest":
            assert self.readers[who].started == self.heads

    @precondition(lambda self: self.readers)
    @rule(who=_WHO, count=st.integers(1, 3000))
    def get_messages(self, who: int, count: int) -> None:
        """Read messages one by one."""
        if reader := self.readers.get(who):
            for message in reader.told_of(lambda: reader.subscription.get_messages(count)):
                data = message.data
                lanes, seqs = (data["lane"], data["seq"]) if isinstance(data, dict) else _ends(data)
                assert (lanes, seqs) == (message.lane, message.sequence_number)
                reader.take(message.lane, message.sequence_number, 1)

    @precondition(lambda self: self.readers)
    @rule(who=_WHO, hold=st.booleans())
    def read_batches(self, who: int, hold: bool) -> None:
        """Read all that is there, and perhaps keep it."""
        if reader := self.readers.get(who):
            for batch in reader.told_of(reader.subscription.read_batches):
                seqs = np.unique(batch.column(1).to_numpy())
                assert np.array_equal(seqs, np.arange(seqs[0], seqs[0] + len(seqs)))
                reader.take(batch.column(0)[0].as_py(), int(seqs[0]), len(seqs))
                if hold:
                    self.held = [*self.held[-3:], (batch, pa.RecordBatch.from_pydict(batch.to_pydict()))]

    @invariant()
    def adds_up(self) -> None:
        """What was read, lost and is still before a consumer is what was published since it began."""
        for reader in self.readers.values():
            subscription = reader.subscription
            published = sum(head - reader.started.get(lane, 0) for lane, head in self.heads.items())
            unseen = sum(head for lane, head in self.heads.items() if lane not in subscription.position)
            assert subscription.lost + reader.read + subscription.lag + unseen == published
            owed = subscription._owed.lost if subscription._owed else 0
            assert reader.told + owed == subscription.lost

    @invariant()
    def held_batches_stay(self) -> None:
        """Batches that are held are the same, whatever became of their segments."""
        for batch, copy in self.held:
            assert batch.equals(copy)

    @invariant()
    def memory_stays_within_retention(self) -> None:
        """The segments of each lane take no more than the retention."""
        for lane in self.heads:
            used = sum(path.stat().st_size for path in (self.path / "s").glob(f"{lane}-*"))
            assert used <= _OPTIONS.retention_bytes


def _ends(batch: pa.RecordBatch) -> tuple[int, int]:
    lanes, seqs = (np.unique(column.to_numpy()) for column in batch.columns[:2])
    return lanes.item(), seqs.item()  # which raise unless all rows have the same


class TapeModel(StreamModel):
    """A tape."""

    form = "tape"


class LogModel(StreamModel):
    """A log."""

    form = "log"


@pytest.mark.parametrize("model", [TapeModel, LogModel])
def test_stream_is_a_list_per_lane(model: type[StreamModel]) -> None:
    """Hypothesis finds no order of calls in which a stream differs from lists."""
    run_state_machine_as_test(
        model,
        settings=settings(
            max_examples=_EXAMPLES, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
