"""The segments of a lane: the next publisher goes on in the newest one, unless it is damaged."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest

from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams.publisher import Publisher
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, ticks


@pytest.mark.parametrize("form", ["tape", "log"])
def test_next_publisher_goes_on_in_the_newest_segment(make: Make, form: str) -> None:
    """Forty publishers, one after the other, share one segment: none of them costs the oldest messages."""
    stream = make(schema=SCHEMA, form=form, **SMALL)
    sent = [ticks(1 + number % 7, number) for number in range(40)]
    for number, batch in enumerate(sent):
        with Publisher(stream._control) as publisher:
            assert publisher.publish(batch) == number
    found = stream.subscribe("earliest").get_messages(1000)
    assert [message.data.equals(batch) for message, batch in zip(found, sent, strict=True)] == [True] * 40
    assert len(list(stream._control.path.glob("0-*"))) == 1


def test_next_publisher_of_a_log_goes_on_behind_messages_of_any_kind(make: Make) -> None:
    """Bytes, JSON with metadata and batches, each by a publisher of its own, lie in one segment and come back."""
    stream = make(**SMALL)
    sent: list[tuple[Any, Any]] = [(b"x" * 100, None), ({"a": [1]}, {"model": "v7"}), (ticks(3), None), (b"", {"n": 1})]
    for data, metadata in sent * 3:
        with Publisher(stream._control) as publisher:
            publisher.publish(data, metadata)
    found = stream.subscribe("earliest").get_messages(100)
    assert [(message.data, message.metadata or None) for message in found] == sent * 3
    assert len(list(stream._control.path.glob("0-*"))) == 1


@pytest.mark.parametrize("form", ["tape", "log"])
def test_a_damaged_segment_is_not_written_on(make: Make, form: str) -> None:
    """Where the end of the newest message cannot be trusted the next publisher is refused with the file."""
    stream = make(schema=SCHEMA, form=form, **SMALL)
    stream.publish(ticks(3))
    stream.close()
    (path,) = stream._control.path.glob("0-*")
    slots = int.from_bytes(path.read_bytes()[64:72], "little")
    with path.open("r+b") as file:
        file.seek(4096 + 8 * slots if form == "tape" else -64, os.SEEK_SET if form == "tape" else os.SEEK_END)
        file.write(b"\xff" * 64)
    fds = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ChecksumError, match=f"{path} is damaged"):
        make().publish(ticks(2))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == fds + 1  # of the other handle's control file
