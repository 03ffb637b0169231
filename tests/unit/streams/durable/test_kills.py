"""Publishers of durable streams that are killed at any moment, and machines that lose their memory: nothing that was
acknowledged is missing, whatever else is there, and sequences go on.
"""

from __future__ import annotations

import os
import time
from random import Random

import pyarrow as pa
import pytest

from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.streams import Stream
from jupyter_nq.streams.durable.keeping import catch_up
from jupyter_nq.testing.forked import Forked, Say
from tests.unit.streams.durable.conftest import Machine

_KILLS = int(os.environ.get("NQ_DURABLE_KILLS", "100"))
_SCHEMA = pa.schema([("seq", pa.int64()), ("noise", pa.int64())])
_LONGEST_MOMENT = 0.02

pytestmark = pytest.mark.usefixtures("light_children")


def _batch(seq: int) -> pa.RecordBatch:
    rows = 1 + seq * 7919 % 97
    return pa.record_batch([[seq] * rows, [seq * 31 + row for row in range(rows)]], schema=_SCHEMA)


def _publish(machine: Machine, seed: int, say: Say) -> None:
    """Publish, flush now and then, and say how far that came, until killed."""
    random = Random(seed)
    stream = machine.open()
    seq = stream.messages
    say(seq)
    while True:
        for _ in range(random.choice([1, 3, 50])):
            assert stream.publish(_batch(seq)) == seq
            seq += 1
        if random.random() < 0.5:
            stream.flush()
            say(seq)


def _check(stream: Stream, acknowledged: int) -> None:
    """All that is kept is whole, follows without a gap, and goes at least as far as what was acknowledged."""
    assert stream.messages >= acknowledged
    found = stream.subscribe("earliest").get_messages(1_000_000)
    assert [m.sequence_number for m in found] == list(range(stream.messages - len(found), stream.messages))
    for message in found:
        assert message.data.equals(_batch(message.sequence_number))
    assert len(found) > 100 or len(found) == stream.messages


def _spin(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("form", ["tape", "log"])
def test_what_was_acknowledged_outlives_kill_and_reboot(machine: Machine, form: str, encrypted: bool) -> None:
    """The publisher dies at any point; then the machine loses its memory, or the next publisher goes on with it."""
    if encrypted:
        pytest.importorskip("cryptography")
        machine.keys = KeyRing([bytes(range(32))])
    random = Random(5)
    machine.make(schema=_SCHEMA, form=form, exclusive=True)
    machine.close()
    acknowledged = reboots = 0
    for _ in range(_KILLS // 4):
        with Forked(lambda say: _publish(machine, random.randrange(1 << 30), say)) as child:
            said = [child.hear()]
            said += [child.hear() for _ in range(random.randrange(4))]
            _spin(random.uniform(0, _LONGEST_MOMENT))
            said += child.kill()
        assert said[0] >= acknowledged
        acknowledged = max([acknowledged, *said[1:]])
        if random.random() < 0.7:
            _check(machine.reboot(), acknowledged)
            reboots += 1
        elif random.random() < 0.5:
            catch_up(machine.open()._control, lambda: machine.keys)
            acknowledged = machine.open().messages
        machine.close()
    assert acknowledged > 0
    assert reboots > 0


def test_a_lane_killed_between_memory_and_disk_is_copied_by_the_next_publisher(machine: Machine) -> None:
    """What was committed in memory and not flushed is on the disk once the next publisher has flushed."""
    machine.make(schema=_SCHEMA).close()

    def publish(say: Say) -> None:
        stream = machine.open()
        publisher = stream._writer()
        assert publisher._kept is not None
        publisher._kept.close()  # nothing is copied any more
        for seq in range(40):
            stream.publish(_batch(seq))
        say("published")
        os.kill(os.getpid(), 9)

    with Forked(publish) as child:
        assert child.hear() == "published"
        child.wait()
    stream = machine.open()
    assert stream.stats()["durability"][0] | {"messages": 40, "durable": 0} == stream.stats()["durability"][0]
    assert stream.publish(_batch(40)) == 40
    stream.flush(10)
    _check(machine.reboot(), 41)


def test_a_lane_killed_between_memory_and_disk_is_copied_by_who_opens_the_stream(machine: Machine) -> None:
    """Nobody publishes again: whoever opens the stream, or flushes it, has the disk take the rest."""
    machine.make(schema=_SCHEMA).close()

    def publish(say: Say) -> None:
        stream = machine.open()
        publisher = stream._writer()
        assert publisher._kept is not None
        publisher._kept.close()
        for seq in range(40):
            stream.publish(_batch(seq))
        say("published")
        os.kill(os.getpid(), 9)

    with Forked(publish) as child:
        assert child.hear() == "published"
        child.wait()
    machine.open().flush(10)
    _check(machine.reboot(), 40)
