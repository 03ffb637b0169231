"""Where a consumer begins: at either end, a sequence, -N, a time, or a position."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jupyter_nq.errors import InvalidArgument
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, sequences, ticks


@pytest.mark.parametrize(
    ("start", "first"),
    [("latest", 10), ("earliest", 0), (4, 4), (0, 0), (-3, 7), (-99, 0), (12, 10), ({0: 8}, 8), ({}, 0), ({7: 1}, 0)],
)
def test_start(make: Make, start: Any, first: int) -> None:
    """Each start gives the messages from there on."""
    stream = make()
    for number in range(10):
        stream.publish(number)
    consumer = stream.subscribe(start)
    assert sequences(consumer.get_messages()) == list(range(first, 10))
    assert consumer.lag == 0


@pytest.mark.parametrize("form", ["tape", "log"])
def test_start_at_a_time(make: Make, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time gives the first message published then or later, over many segments, also where some are gone."""
    stream = make(schema=SCHEMA, form=form, **SMALL)
    second_ns = 1_000_000_000
    for number in range(50):
        monkeypatch.setattr("time.time_ns", lambda number=number: number * second_ns)
        stream.publish(ticks(1000))
    oldest = sequences(stream.subscribe("earliest").get_messages(1))[0]
    assert oldest > 0
    for seconds, first in ((0.0, oldest), (47.0, 47), (47.5, 48), (99.0, 50)):
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        assert sequences(stream.subscribe(at).get_messages(99)) == list(range(first, 50))


@pytest.mark.parametrize("start", ["newest", 1.5, True, None, {0: -1}, {0: "x"}, 1 << 64, datetime(2024, 1, 1)])
def test_other_starts_are_refused(make: Make, start: Any) -> None:
    """What is no start is refused in words, and leaves no consumer behind."""
    stream = make()
    stream.publish("x")
    with pytest.raises(InvalidArgument):
        stream.subscribe(start)
    assert stream.consumers() == []


def test_sequence_needs_one_publisher(make: Make) -> None:
    """With two publishers a number is ambiguous: the error says what to give."""
    first, second = make(), make()
    first.publish("a")
    second.publish("b")
    with pytest.raises(InvalidArgument, match="has 2 publishers"):
        first.subscribe(-1)
