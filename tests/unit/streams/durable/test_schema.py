"""Schemas on the disk: those that were decided on and those of each epoch come back before the messages need them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from jupyter_nq.streams import schema
from tests.unit.streams.conftest import SCHEMA, ticks
from tests.unit.streams.durable.conftest import Machine

_NEW = pa.schema([("n", pa.int64())])


@pytest.mark.parametrize("form", ["tape", "log"])
def test_epochs_come_back(machine: Machine, form: str) -> None:
    """Messages of two epochs, and the schema that the next ones have."""
    stream = machine.make(schema=SCHEMA, form=form)
    stream.publish(ticks(2))
    stream.evolve(_NEW)
    stream.publish(pa.record_batch([[1, 2, 3]], schema=_NEW))
    again = machine.reboot()
    assert [(m.epoch, m.data.schema) for m in again.subscribe("earliest").get_messages()] == [(0, SCHEMA), (1, _NEW)]
    assert (again.epoch, again.schema) == (1, _NEW)
    again.publish(pa.record_batch([[4]], schema=_NEW))
    assert machine.reboot().messages == 3


def test_an_epoch_without_messages_is_on_the_disk_at_once(machine: Machine) -> None:
    """Who evolved a stream has it evolved after a restart, published or not."""
    stream = machine.make()
    assert stream.evolve(_NEW) == 1
    assert (machine.reboot().epoch, machine.open().schema) == (1, _NEW)


def test_a_schema_of_an_epoch_that_did_not_begin_is_not_kept(machine: Machine) -> None:
    """Who evolved died between its file and the word: the next one may want another schema."""
    stream = machine.make(schema=SCHEMA)
    schema.write(stream._control.path, 1, _NEW)
    stream.publish(ticks(1))
    stream.flush(10)
    assert not (machine.disk / "s" / "schema.1").exists()
    other = pa.schema([("m", pa.int32())])
    assert stream.evolve(other) == 1
    assert machine.reboot().schema == other
