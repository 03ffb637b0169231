"""The directory of a durable stream: made once, private, one stream's, and gone when it is dropped."""

from __future__ import annotations

import contextlib
import stat
import threading
from pathlib import Path

import pytest

from jupyter_nq.errors import StoreError, UnknownStream
from jupyter_nq.streams import Options, make_stream
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.directory import drop_stream
from jupyter_nq.streams.durable import home
from jupyter_nq.streams.durable.home import home_of, names, parts, settle
from tests.unit.streams.conftest import SCHEMA, ticks
from tests.unit.streams.durable.conftest import Machine


def test_it_is_private(machine: Machine) -> None:
    """Directories 0700 and files 0600, with what a publisher and a consumer leave."""
    stream = machine.make()
    stream.publish(ticks(3))
    with stream.subscribe(name="risk"):
        stream.flush(10)
    found = [machine.disk, *machine.disk.rglob("*")]
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in found}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_it_is_made_once(machine: Machine) -> None:
    """Whoever opens the stream again has the same one, and its files."""
    stream = machine.make(schema=SCHEMA)
    stream.publish(ticks(3))
    stream.flush(10)
    again = machine.make(schema=SCHEMA)
    assert home_of(again._control) == machine.disk / "s"
    assert names(machine.disk) == ["s"]
    assert len(parts(machine.disk / "s", 0)) == 1


def test_a_crash_while_it_is_made_is_made_good(machine: Machine, nq_store_dir: Path) -> None:
    """A directory without a control file is nobody's; a control file that nothing leads to is led to."""
    control = make_stream(nq_store_dir, "s", options=Options(durable=True))
    (machine.disk / "s").mkdir(parents=True)
    assert names(machine.disk) == []
    there = settle(control, machine.disk, None)
    (nq_store_dir / "s" / "disk").unlink()
    assert settle(control, machine.disk, None) == there == home_of(control)
    (nq_store_dir / "s" / "disk").unlink()
    (nq_store_dir / "s" / "disk").symlink_to(machine.disk / "elsewhere")  # of settings that were changed since
    assert settle(control, machine.disk, None) == there == home_of(control)


def test_another_stream_of_the_name_is_refused(machine: Machine, nq_store_dir: Path) -> None:
    """The disk has one from before: it is neither taken for this one nor written over."""
    machine.make(schema=SCHEMA).close()
    before = (machine.disk / "s" / "control").read_bytes()
    machine.lose_memory()
    control = make_stream(nq_store_dir, "s", options=Options(durable=True))
    with pytest.raises(StoreError, match="has another stream of the name 's'"):
        settle(control, machine.disk, None)
    assert (machine.disk / "s" / "control").read_bytes() == before


def test_what_is_dropped_while_it_is_made_stays_gone(
    machine: Machine, nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator finds nothing on the disk, and then its maker goes on."""
    control = make_stream(nq_store_dir, "s", options=Options(durable=True))

    def dropped(path: Path) -> None:
        monkeypatch.undo()
        drop_stream(nq_store_dir, "s")
        home.make_private(path)

    monkeypatch.setattr(home, "make_private", dropped)
    settle(control, machine.disk, None)
    assert names(machine.disk) == []


def test_what_another_stream_has_on_the_disk_stays(machine: Machine, nq_store_dir: Path) -> None:
    """The disk was away when a new stream was made; it comes back, and has one of that name from before."""
    machine.make(schema=SCHEMA).close()
    before = (machine.disk / "s" / "control").read_bytes()
    machine.lose_memory()
    away = machine.disk.rename(machine.disk.with_name("away"))
    machine.disk.write_text("no directory")
    control = make_stream(nq_store_dir, "s", options=Options(durable=True))
    with pytest.raises(StoreError):
        settle(control, machine.disk, None)
    (nq_store_dir / "s" / "disk").symlink_to(machine.disk / "s")  # it may have come as far as that
    machine.disk.unlink()
    away.rename(machine.disk)
    with pytest.raises(StoreError, match="has another stream of the name 's'"):
        settle(control, machine.disk, None)
    drop_stream(nq_store_dir, "s")
    assert (machine.disk / "s" / "control").read_bytes() == before


@pytest.mark.parametrize("where", ["make_private", "sync_directory"])
def test_who_settles_late_leaves_the_next_stream_of_the_name_alone(
    machine: Machine, nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Its stream is dropped by who waits for nobody, and another one made and given its place, while it is at it."""
    control = make_stream(nq_store_dir, "s", options=Options(durable=True))
    machine.disk.mkdir()
    call, others = getattr(home, where), []

    def overtaken(path: Path) -> None:
        monkeypatch.setattr(home, where, call)
        monkeypatch.setattr(home, "_PATIENCE_SECONDS", 0.0)
        drop_stream(nq_store_dir, "s")
        second = make_stream(nq_store_dir, "s", options=Options(durable=True))
        others.append(threading.Thread(target=settle, args=(second, machine.disk, None)))
        others[0].start()
        call(path)

    monkeypatch.setattr(home, where, overtaken)
    with contextlib.suppress(StoreError):
        settle(control, machine.disk, None)
    others[0].join(60)
    there = MappedControl(nq_store_dir / "s")
    assert there.static.stream_id != control.static.stream_id
    assert home.head_of(machine.disk / "s" / "control").stream_id == there.static.stream_id


def test_dropping_removes_it_and_what_a_crash_left_of_that(machine: Machine) -> None:
    """What is dropped does not come back, also when the process that dropped it died in between."""
    stream = machine.make(schema=SCHEMA)
    stream.publish(ticks(3))
    stream.flush(10)
    (machine.disk / ".old-1.gone").mkdir()
    assert drop_stream(machine.memory, "s") == 1
    assert names(machine.disk) == []
    assert list(machine.disk.iterdir()) == []
    with pytest.raises(UnknownStream):
        stream.publish(ticks(1))
