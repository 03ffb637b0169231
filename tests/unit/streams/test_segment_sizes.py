"""Which segments messages get: of their size, several in one, and never more than the stream keeps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.errors import StreamFull
from jupyter_nq.streams.columns import FOR_THREADS
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, ticks, until_full


@pytest.mark.parametrize("form", ["tape", "log"])
def test_message_larger_than_a_segment(make: Make, form: str) -> None:
    """It gets a segment of its own size, between small ones."""
    stream = make(schema=SCHEMA, form=form, segment_bytes=64 << 10, retention_bytes=1 << 20)
    sizes = [1, 10_000, 2, 12_000, 3]
    for rows in sizes:
        stream.publish(ticks(rows, rows))
    found = stream.subscribe("earliest").get_messages()
    assert [message.data.equals(ticks(rows, rows)) for rows, message in zip(sizes, found, strict=True)] == [True] * 5


@pytest.mark.parametrize("form", ["tape", "log"])
def test_columns_that_several_threads_copy(make: Make, form: str) -> None:
    """The rows arrive as they were, also a part of a batch, which does not begin where its memory does."""
    rows = 2 * FOR_THREADS // 8 + 1
    whole = ticks(rows + 3, 1).slice(3)
    stream = make(schema=SCHEMA, form=form, retention_bytes=128 << 20)
    stream.publish(whole)
    stream.publish(ticks(5, 2))
    found = stream.subscribe("earliest").get_messages()
    assert [message.data.equals(sent) for message, sent in zip(found, (whole, ticks(5, 2)), strict=True)] == [True] * 2


@pytest.mark.parametrize("form", ["tape", "log"])
def test_message_larger_than_half_the_retention_is_refused(make: Make, form: str) -> None:
    """At least two messages fit: a larger one is refused with both figures, and the stream goes on."""
    stream = make(schema=SCHEMA, form=form, **SMALL)
    with pytest.raises(StreamFull, match="keeps 262,144 of each publisher, and at least two"):
        stream.publish(ticks(8000))
    assert stream.publish(ticks(10)) == 0


@pytest.mark.parametrize("columns", [1, 40, 300])
@pytest.mark.parametrize("form", ["tape", "log"])
def test_any_size_finds_its_segment(make: Make, form: str, columns: int) -> None:
    """Wide and narrow batches of sizes around that of a segment all fit where they were said to."""
    first = {f"c{number}": np.arange(1.0) for number in range(columns)}
    stream = make(schema=None, form=None, segment_bytes=64 << 10, retention_bytes=16 << 20)
    if form == "tape":
        stream.publish(first)
        stream = make("t", schema=stream.schema, segment_bytes=64 << 10, retention_bytes=16 << 20)
    consumer = stream.subscribe("earliest")
    full = (64 << 10) // (8 * columns)
    for rows in (full // 2, *range(max(0, full - 12), full + 4), 3 * full):
        data = {name: np.arange(float(rows)) for name in first}
        stream.publish(data)
        (message,) = consumer.get_messages()
        assert message.data.num_rows == rows
        assert message.data.column(columns - 1).to_numpy().tolist() == data["c0"].tolist()


@pytest.mark.parametrize("form", ["tape", "log"])
def test_large_messages_share_larger_segments(make: Make, form: str) -> None:
    """A quarter of the retention at most, and never smaller again: each can be written anew."""
    stream = make(schema=SCHEMA, form=form, segment_bytes=64 << 10, retention_bytes=2 << 20)
    for rows in [1, *[1_000] * 200, *[1] * 20]:
        stream.publish(ticks(rows, rows))
    sizes = {path.stat().st_size for path in stream._control.path.glob("0-*")}
    assert len(sizes) == 1
    assert 256 << 10 < sizes.pop() <= 512 << 10
    found = stream.subscribe("earliest").get_messages(1_000)
    assert all(message.data.equals(ticks(message.data.num_rows, message.data.num_rows)) for message in found)
    assert [message.data.num_rows for message in found[-20:]] == [1] * 20


@pytest.mark.parametrize("form", ["tape", "log"])
@pytest.mark.parametrize("share", [2.05, 3.5, 4.05, 5.9, 7.5, 7.9, 8.05, 9.5, 15.5, 40])
def test_larger_segments_keep_about_as_many_messages(make: Make, form: str, share: float) -> None:
    """Each of a part of the retention: a publisher that waits for readers has no less room because of them."""
    size = {"segment_bytes": 128 << 10, "retention_bytes": 1 << 20, "overflow": "error"}
    stream = make(schema=pa.schema({"x": pa.uint8()}), form=form, **size)
    needed = int((1 << 20) / share)
    frame = pd.DataFrame({"x": np.zeros((needed - (8 << 10)) // (17 if form == "tape" else 1), np.uint8)})
    with stream.subscribe("earliest", gating=True):
        assert until_full(stream, frame) >= 0.8 * int(share)


def test_small_messages_leave_segments_as_they_are(make: Make) -> None:
    """One row needs a page, and no larger segment for more of its kind."""
    stream = make(schema=SCHEMA, segment_bytes=64 << 10, retention_bytes=1 << 20)
    for _ in range(3_000):
        stream.publish(ticks(1))
    assert {path.stat().st_size for path in stream._control.path.glob("0-*")} == {64 << 10}


def test_odd_segment_sizes_are_rounded(make: Make) -> None:
    """A segment of a size that is no multiple of a page works as one that is."""
    stream = make(segment_bytes=(64 << 10) + 1, retention_bytes=(128 << 10) + 3)
    assert [stream.publish(bytes(9000)) for _ in range(50)] == list(range(50))
