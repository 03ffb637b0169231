"""Rotation of the keys of one durable stream: every file, in its place, and none that is plain or has that key."""

from __future__ import annotations

import pytest

from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.errors import ChecksumError, UnknownKey
from jupyter_nq.streams.durable.rotation import rewrap
from tests.unit.streams.conftest import ticks
from tests.unit.streams.durable.conftest import Machine

_OLD, _NEW = bytes(range(32)), bytes(32)


def test_every_file_gets_the_new_key(machine: Machine) -> None:
    """Control, schema, messages and positions; bodies stay as they are, byte by byte."""
    pytest.importorskip("cryptography")
    machine.keys = KeyRing([_OLD])
    stream = machine.make()
    stream.publish(ticks(3))
    with stream.subscribe("earliest", name="risk") as reader:
        reader.get_messages()
        reader.ack()
        stream.flush(10)
    home = machine.disk / "s"
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and path.stat().st_size}
    assert rewrap(home, KeyRing([_NEW, _OLD])) == {"sealed": len(before)}
    assert len(before) == 4
    for path, content in before.items():
        assert path.read_bytes()[:256] != content[:256]
        assert path.read_bytes()[256:] == content[256:]
    assert rewrap(home, KeyRing([_NEW])) == {"before": len(before)}
    machine.keys = KeyRing([_NEW])
    assert machine.reboot().subscribe("earliest").get_messages()[0].data.equals(ticks(3))


def test_a_plain_stream_stays_plain(machine: Machine) -> None:
    """Nothing is sealed that has no key."""
    stream = machine.make()
    stream.publish(ticks(3))
    stream.flush(10)
    pytest.importorskip("cryptography")
    assert set(rewrap(machine.disk / "s", KeyRing([_NEW]))) == {"plain"}


def test_an_unknown_key_and_damage_are_told(machine: Machine) -> None:
    """The file with a key that is not there stays; a sealed key that was changed is damage."""
    pytest.importorskip("cryptography")
    machine.keys = KeyRing([_OLD])
    machine.make().close()
    with pytest.raises(UnknownKey, match=KeyRing([_OLD]).current_id):
        rewrap(machine.disk / "s", KeyRing([_NEW]))
    control = machine.disk / "s" / "control"
    content = bytearray(control.read_bytes())
    content[100] ^= 1
    control.write_bytes(content)
    with pytest.raises(ChecksumError, match="control is damaged"):
        rewrap(machine.disk / "s", KeyRing([_NEW, _OLD]))
