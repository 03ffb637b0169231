"""What gives a stream its place on the disk, takes it away and brings it back, killed before every line.

What was dropped stays gone, what was flushed comes back, and nothing is left that nobody removes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_nq.streams import Options, make_stream
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.directory import drop_stream, sweep
from jupyter_nq.streams.drafts import sweep_drafts
from jupyter_nq.streams.durable.home import names, settle
from jupyter_nq.streams.durable.positions import keep
from jupyter_nq.streams.durable.restoring import restore
from jupyter_nq.testing import lines
from jupyter_nq.testing.stream_files import disk_leftovers
from tests.unit.streams.conftest import SCHEMA, ticks
from tests.unit.streams.durable.conftest import Machine

_EVERY = int(os.environ.get("NQ_KILL_EVERY", "8"))
_PACKAGE = "jupyter_nq.streams"
_MESSAGES = 5

pytestmark = pytest.mark.usefixtures("light_children")


def _each_kill(machine: Machine, prepare: Callable[[], object], work: Callable[[], object]) -> Iterator[int]:
    """Yield after each kill of `work`, begun anew from what `prepare` makes; at least one kill there is."""
    number = 0
    while True:
        machine.close()
        for directory in (machine.memory, machine.disk):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(mode=0o700)
        prepare()
        machine.close()
        if not lines.killed_before(work, _PACKAGE, number):
            break
        yield number
        number += _EVERY
    assert number > 5 * _EVERY


def _flushed(machine: Machine) -> None:
    stream = machine.make(schema=SCHEMA)
    for seed in range(_MESSAGES):
        stream.publish(ticks(3, seed))
    with stream.subscribe("earliest", name="risk") as consumer:
        consumer.get_messages(2)
        consumer.ack()
        stream.flush(10)


def test_a_stream_that_is_given_its_place(machine: Machine) -> None:
    """Dropped then, it is gone for good; opened then, it is given the rest."""

    def make() -> None:
        make_stream(machine.memory, "s", options=Options(durable=True))

    def work() -> None:
        settle(MappedControl(machine.memory / "s"), machine.disk, None)

    for number in _each_kill(machine, make, work):
        if number // _EVERY % 2:
            work()
            assert names(machine.disk) == ["s"]
            assert disk_leftovers(machine.disk, machine.memory) == []
        drop_stream(machine.memory, "s")
        assert names(machine.disk) == os.listdir(machine.disk) == []


def test_a_stream_that_is_dropped(machine: Machine) -> None:
    """The next coordinator finishes it: it is there, and on the disk, or gone from both."""
    found = set()
    for _ in _each_kill(machine, lambda: _flushed(machine), lambda: drop_stream(machine.memory, "s")):
        sweep(machine.memory)
        there = os.listdir(machine.memory)
        assert names(machine.disk) == os.listdir(machine.disk) == there
        found.add(len(there))
        if there:
            assert machine.reboot().messages == _MESSAGES
    assert found == {0, 1}


def test_a_stream_that_is_brought_back(machine: Machine) -> None:
    """Whoever is next brings it back; nobody needs what the first has left in memory."""

    def lost() -> None:
        _flushed(machine)
        machine.close()
        machine.lose_memory()

    def work() -> None:
        restore(machine.disk / "s", machine.memory, None)

    for _ in _each_kill(machine, lost, work):
        there = [name for name in os.listdir(machine.memory) if not name.startswith(".")]
        sweep_drafts(machine.memory)
        assert os.listdir(machine.memory) == there
        work()
        stream = machine.open()
        assert len(stream.subscribe("earliest").get_messages(100)) == _MESSAGES
        assert stream.subscribe(name="risk").position == {0: 2}
        assert os.listdir(machine.memory) == ["s"]


def test_positions_that_are_written(machine: Machine, tmp_path: Path) -> None:
    """A restart brings back the old ones or the new ones; one draft may be left, and the next takes its place."""

    def acknowledged() -> None:
        _flushed(machine)
        stream = machine.open()
        consumer = stream.subscribe(name="risk")
        assert consumer._kept is not None
        consumer._kept.close()  # nothing is copied any more
        consumer.get_messages(2)
        consumer.ack()

    def work() -> None:
        keep(MappedControl(machine.memory / "s"), machine.disk / "s", "risk", None)

    found: set[int] = set()
    for _ in _each_kill(machine, acknowledged, work):
        drafts = [path.name for path in machine.disk.rglob(".*")]
        assert drafts in ([], [".draft"])
        assert disk_leftovers(machine.disk, machine.memory) == []
        found.add(_position(machine.disk, tmp_path / "copy"))
        work()
        assert not list(machine.disk.rglob(".*"))
        assert machine.reboot().subscribe(name="risk").position == {0: 4}
    assert found == {2, 4}


def _position(disk: Path, copy: Path) -> int:
    """Return where a restart lets the consumer go on, read from a copy."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(disk, copy / "disk")
    found = Machine(copy / "memory", copy / "disk")
    found.memory.mkdir()
    position = found.reboot().subscribe(name="risk").position
    found.close()
    return position[0]
