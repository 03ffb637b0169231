"""Bridges that are killed at any moment, in processes of their own: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_nq.streams import Stream
from jupyter_nq.streams.kafka import KafkaIn, KafkaOut
from jupyter_nq.streams.publisher import Publisher
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.streams.conftest import SCHEMA, Make, ticks
from tests.unit.streams.kafka.conftest import Bridges

_KILLS = int(os.environ.get("NQ_KAFKA_KILLS", "6"))
"""Of each bridge; 100 by hand."""
_AT_A_TIME = 40
_OF_OTHERS = 5
"""Rows of a message that did not come from Kafka."""

Work = Callable[[Say], None]


def _out(directory: Path, bridges: Bridges) -> Work:
    def work(say: Say) -> None:
        bridge = KafkaOut(Stream(directory / "s")._control, bridges.topic, bridges.broker, name="kafka.t")
        say("ready")
        bridge.wait()

    return work


def _into(directory: Path, bridges: Bridges, make: Make) -> Work:
    def work(say: Say) -> None:
        control = Stream(directory / "far")._control
        options = {"name": "kafka.t", "publisher": Publisher, "dead_letters": lambda: make("dead")}
        bridge = KafkaIn(control, bridges.topic, bridges.broker, **options)
        say("ready")
        bridge.wait()

    return work


@pytest.mark.usefixtures("light_children")
@pytest.mark.parametrize("form", ["tape", "log"])
def test_bridges_killed_at_any_moment(make: Make, nq_store_dir: Path, bridges: Bridges, form: str) -> None:
    """The target has each message once; others publish to it meanwhile, and take over lanes of the dead."""
    near, far = make(schema=SCHEMA, form=form), make("far", schema=SCHEMA, form=form, segment_bytes=64 << 10)
    works = {"out": _out(nq_store_dir, bridges), "into": _into(nq_store_dir, bridges, make)}
    running = {way: Forked(work) for way, work in works.items()}
    try:
        published = _kill_in_turn(near, far, running, works)
        wait_until(lambda: _carried(far) >= published, 60)
    finally:
        for child in running.values():
            child.kill()
    arrived = [one.data for one in far.subscribe("earliest").get_messages(100_000)]
    carried = [one["ts"][0].value for one in arrived if one.num_rows != _OF_OTHERS]
    assert len(arrived) - len(carried) == 2 * _KILLS
    assert sorted(carried) == sorted(ticks(1, number)["ts"][0].value for number in range(published))


def _kill_in_turn(near: Stream, far: Stream, running: dict[str, Forked], works: dict[str, Work]) -> int:
    """Publish, and kill one bridge after the other while it works; returns how many messages there are."""
    chance, published = random.Random(7), 0
    for kill in range(2 * _KILLS):
        way = ("out", "into")[kill % 2]
        assert running[way].hear() == "ready"
        for _ in range(_AT_A_TIME):
            near.publish(ticks(1 + published % 3, published))
            published += 1
        wanted = published - chance.randrange(1, _AT_A_TIME)
        wait_until(lambda wanted=wanted: _carried(far) >= wanted, 30)  # type: ignore[misc]
        running[way].kill()
        with Publisher(far._control) as other:  # in the lane of the dead, if that one read
            other.publish(ticks(_OF_OTHERS, 10**6))
        running[way] = Forked(works[way])
    return published


def _carried(far: Stream) -> int:
    """Return how many messages came from Kafka: all but those that others published."""
    found = far.subscribe("earliest").get_messages(100_000)
    return sum(one.data.num_rows != _OF_OTHERS for one in found)
