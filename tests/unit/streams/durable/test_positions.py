"""Named consumers of durable streams: they go on where they were after a restart of the machine."""

from __future__ import annotations

import os

from jupyter_nq.streams import Subscription
from jupyter_nq.streams.durable import positions
from jupyter_nq.streams.durable.flushing import flusher
from jupyter_nq.streams.durable.home import home_of
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.streams.conftest import SCHEMA, sequences, ticks
from tests.unit.streams.durable.conftest import Machine


def _read(machine: Machine, count: int, *, ack: bool = True) -> Subscription:
    reader = machine.open().subscribe("earliest", name="risk")
    reader.get_messages(count)
    if ack:
        reader.ack()
    return reader


def test_a_consumer_goes_on_at_what_it_acknowledged(machine: Machine) -> None:
    """What was read and not acknowledged comes again; one without a name leaves nothing."""
    stream = machine.make(schema=SCHEMA)
    for _ in range(10):
        stream.publish(ticks(1))
    stream.subscribe("earliest").get_messages(3)
    reader = _read(machine, 4)
    reader.get_messages(2)
    stream.flush(10)
    reader.close()
    again = machine.reboot()
    assert [(seen.name, seen.pid, seen.positions) for seen in again.consumers()] == [("risk", 0, {0: 4})]
    assert sequences(again.subscribe(name="risk").get_messages(100)) == list(range(4, 10))


def test_it_is_on_the_disk_soon_without_flush(machine: Machine) -> None:
    """The consumer's own thread writes it, and closing does."""
    stream = machine.make(schema=SCHEMA)
    for _ in range(10):
        stream.publish(ticks(1))
    stream.flush(10)
    reader = _read(machine, 4)
    path = machine.disk / "s" / "consumers" / "risk"
    wait_until(path.exists)
    reader.get_messages(3)
    reader.ack()
    reader.close()
    assert machine.reboot().consumers()[0].positions == {0: 7}


def test_a_consumer_that_is_killed_is_written_by_who_opens_the_stream(machine: Machine) -> None:
    """It acknowledged in memory and died before its thread had written it."""
    stream = machine.make(schema=SCHEMA)
    for _ in range(10):
        stream.publish(ticks(1))
    stream.flush(10)

    def consume(say: Say) -> None:
        reader = machine.open().subscribe("earliest", name="risk")
        assert reader._kept is not None
        reader._kept.close()
        reader.get_messages(6)
        reader.ack()
        say("acknowledged")
        os.kill(os.getpid(), 9)

    with Forked(consume) as child:
        assert child.hear() == "acknowledged"
        child.wait()
    positions.catch_up(machine.open()._control, lambda: None)
    assert machine.reboot().consumers()[0].positions == {0: 6}


def test_no_position_is_behind_what_came_back(machine: Machine) -> None:
    """What was acknowledged, and not on the disk itself, has its sequence given anew: those messages are read."""
    stream = machine.make(schema=SCHEMA)
    stream.publish(ticks(1))
    stream.flush(10)
    publisher = stream._writer()
    assert publisher._kept is not None
    publisher._kept.close()
    for _ in range(5):
        stream.publish(ticks(1))
    _read(machine, 6).close()
    home = home_of(stream._control)
    assert home is not None
    again = machine.reboot()
    assert (again.messages, again.consumers()[0].positions) == (1, {0: 1})
    again.publish(ticks(2))
    assert [m.data.num_rows for m in again.subscribe(name="risk").get_messages()] == [2]


def test_unchanged_positions_are_not_written_again(machine: Machine) -> None:
    """A consumer that acknowledges nothing leaves the disk alone."""
    stream = machine.make(schema=SCHEMA)
    stream.publish(ticks(1))
    reader = _read(machine, 1)
    stream.flush(10)
    path = machine.disk / "s" / "consumers" / "risk"
    before = path.stat().st_ino
    assert flusher.group(None)
    positions.catch_up(stream._control, lambda: None)
    assert path.stat().st_ino == before
    reader.close()
