"""How much was published lately."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest

from jupyter_nq.streams.recent import published_within
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, ticks

SECOND_NS = 1_000_000_000


@pytest.mark.parametrize("schema", [None, SCHEMA])
def test_messages_of_the_last_seconds_count(make: Make, schema: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all publishers, by the times of their messages, to the edge."""
    now = 1_700_000_000 * SECOND_NS
    first, second = make("s", schema), make("s", schema)
    for number in range(10):
        monkeypatch.setattr("jupyter_nq.streams.publisher.time.time_ns", lambda n=number: now + n * SECOND_NS // 4)
        first.publish(ticks(1))
        second.publish(ticks(1))
    last = now + 9 * SECOND_NS // 4
    assert published_within(first._control, 1.0, last) == 2 * 5
    assert published_within(first._control, 60.0, last) == 20
    assert published_within(first._control, 1.0, last + 5 * SECOND_NS) == 0


def test_what_is_gone_does_not_count(make: Make) -> None:
    """A stream that let go of most messages counts those that it has."""
    stream = make("s", SCHEMA, **SMALL)
    for _ in range(40):
        stream.publish(ticks(1000))
    assert 0 < published_within(stream._control, 3600.0) == stream.stats()["kept"] < 40
    assert published_within(make("empty")._control, 1.0) == 0


@pytest.mark.parametrize("form", ["tape", "log"])
def test_epochs_and_ages(make: Make, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of all schemas count together; those that are too old do not, however far back this looks."""
    now = 1_700_000_000 * SECOND_NS
    monkeypatch.setattr(time, "time_ns", lambda: now)
    stream = make("s", SCHEMA, form, retention_seconds=10.0)
    stream.publish(ticks(1))
    monkeypatch.setattr(time, "time_ns", lambda: now + 8 * SECOND_NS)
    stream.publish(ticks(1))
    stream.evolve(pa.schema([("price", pa.float64())]))
    stream.publish({"price": pa.array([1.5])})
    assert published_within(stream._control, 60.0) == 3
    monkeypatch.setattr(time, "time_ns", lambda: now + 11 * SECOND_NS)
    assert (published_within(stream._control, 60.0), published_within(stream._control, 1.0)) == (2, 0)
