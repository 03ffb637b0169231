"""Limits by rows of durable streams: what memory lets go of, the disk does too."""

from __future__ import annotations

import pytest

from tests.unit.streams.conftest import SCHEMA, sequences, ticks
from tests.unit.streams.durable.conftest import Machine


@pytest.mark.parametrize("form", ["tape", "log"])
def test_limits_hold_on_the_disk_and_after_a_restart(machine: Machine, form: str) -> None:
    """Files of segments behind the tail go; what comes back is cut to the message."""
    stream = machine.make(schema=SCHEMA, form=form, retention_rows=1200)
    for _ in range(40):
        stream.publish(ticks(500))
    stream.flush(10)
    tail = stream._control.lane(0).tail
    assert tail == 38
    stream.publish(ticks(1))
    stream.flush(10)
    assert stream.stats()["durability"][0]["missed"] == 0
    assert len(list((machine.disk / "s").glob("0-*"))) <= 4
    again = machine.reboot()
    assert (again._control.lane(0).tail, again.messages) == (38, 41)
    assert sequences(again.subscribe("earliest").get_messages(100)) == [38, 39, 40]
