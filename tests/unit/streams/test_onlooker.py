"""Onlookers: figures of all streams, rates between looks, and what they leave alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_nq.errors import StoreError
from jupyter_nq.streams.directory import drop_stream
from jupyter_nq.streams.onlooker import Onlooker, Rate
from tests.unit.streams.conftest import SCHEMA, Make, ticks


class Clock:
    """A clock that a test moves."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def _look(onlooker: Onlooker) -> dict[str, dict[str, object]]:
    return {seen["name"]: seen for seen in onlooker.look()}


def test_sees_what_the_streams_say_of_themselves(make: Make, nq_store_dir: Path) -> None:
    """The figures are those of `stats`, by name, with how the stream behaves and when it was made."""
    log, tape = make("b"), make("a", SCHEMA, exclusive=True, overflow="block")
    tape.publish(ticks(5))
    reader = log.subscribe(name="risk")
    log.publish("x")
    seen = Onlooker(nq_store_dir).look()
    assert [one["name"] for one in seen] == ["a", "b"]
    assert [seen[1][key] for key in log.stats()] == list(log.stats().values())
    assert (seen[0]["exclusive"], seen[0]["overflow"], seen[0]["form"]) == (True, "block", "tape")
    assert seen[1]["consumers"] == [{"name": "risk", "pid": os.getpid(), "lag": 1, "lost": 0}]
    assert (seen[1]["exclusive"], seen[1]["overflow"]) == (False, "drop_oldest")
    reader.close()


def test_rate_is_what_came_between_two_looks(make: Make, nq_store_dir: Path) -> None:
    """The first look knows no rate, later ones average over the last second."""
    stream, clock = make(), Clock()
    onlooker = Onlooker(nq_store_dir, clock)
    assert _look(onlooker)["s"]["rate"] is None
    for _ in range(3):
        clock.seconds += 0.5
        for _ in range(10):
            stream.publish("x")
        assert _look(onlooker)["s"]["rate"] == 20.0
    clock.seconds += 1.0
    assert _look(onlooker)["s"]["rate"] == 0.0


def test_rate_says_nothing_after_a_long_pause() -> None:
    """What was counted more than ten seconds ago is forgotten; a single look that old is too."""
    rate = Rate()
    assert rate.add(0.0, 0) is None
    assert rate.add(9.0, 90) == 10.0
    assert rate.add(60.0, 1000) is None
    assert rate.add(60.1, 1010) == pytest.approx(100.0)


def test_dropped_stream_goes_and_a_new_one_begins(make: Make, nq_store_dir: Path) -> None:
    """A stream of the same name is another: its rate begins anew, and its file is mapped anew."""
    clock = Clock()
    onlooker = Onlooker(nq_store_dir, clock)
    make().publish("x")
    onlooker.look()
    drop_stream(nq_store_dir, "s")
    assert onlooker.look() == []
    make()
    clock.seconds += 1
    assert (_look(onlooker)["s"]["messages"], _look(onlooker)["s"]["rate"]) == (0, None)


def test_stream_made_anew_between_two_looks(make: Make, nq_store_dir: Path) -> None:
    """A mapping of a stream that was dropped is not taken for its successor's."""
    onlooker = Onlooker(nq_store_dir)
    make().publish("x")
    onlooker.look()
    drop_stream(nq_store_dir, "s")
    make()
    assert _look(onlooker)["s"]["messages"] == 0


def test_damaged_stream_is_named_and_the_others_are_seen(make: Make, nq_store_dir: Path) -> None:
    """What cannot be read, or is no stream, hides no other stream, and is told."""
    make("good")
    make("bad")
    (nq_store_dir / "file").touch()
    control = nq_store_dir / "bad" / "control"
    control.write_bytes(b"\xff" + control.read_bytes()[1:])
    onlooker = Onlooker(nq_store_dir)
    assert list(_look(onlooker)) == ["good"]
    assert list(onlooker.damaged) == ["bad", "file"]
    assert "damaged" in onlooker.damaged["bad"]


def test_directory_that_is_gone_is_an_error(nq_store_dir: Path) -> None:
    """A store that was removed is told from one without streams."""
    with pytest.raises(StoreError):
        Onlooker(nq_store_dir / "gone").look()


def test_looking_again_opens_no_further_file(make: Make, nq_store_dir: Path) -> None:
    """Control files stay mapped, one descriptor each, and nothing else stays open."""
    for number in range(3):
        make(f"s{number}")
    onlooker = Onlooker(nq_store_dir)
    before = len(os.listdir("/proc/self/fd"))
    onlooker.look()
    after = len(os.listdir("/proc/self/fd"))
    onlooker.look()
    assert len(os.listdir("/proc/self/fd")) == after == before + 3
