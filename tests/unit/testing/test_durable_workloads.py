"""What the workloads of durable streams say is what memory and the disk have; what the disk lacks is found."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.durable.home import home_of, parts
from jupyter_nq.testing import Child, stream_workloads, workloads
from jupyter_nq.testing.durable_workloads import read_durable
from jupyter_nq.testing.leftovers import leftovers, settle
from jupyter_nq.testing.stream_workloads import Published, stream_version
from jupyter_nq.testing.workloads import Content, State


@pytest.fixture
def session(nq_store_dir: Path, tmp_path: Path) -> Iterator[Session]:
    """A session on an empty store, with a disk of its own; what its workloads held is let go of."""
    with Session(settings=Settings(store_dir=str(nq_store_dir), spill_dir=str(tmp_path / "disk"))) as opened:
        yield opened
    stream_workloads._held.clear()


def _do(session: Session, step: str, name: str, before: Content | None, seed: int = 1) -> Content | None:
    """Do one step to its end, and let go as its process would; returns what it said that there will be."""
    last = [before, *workloads.workloads("durable")[step](session, name, before, Random(seed))][-1]
    stream_workloads.let_go(session)
    return last


def _read(session: Session, name: str) -> State | None:
    return read_durable(session.store, name, [])


def _home(session: Session, name: str) -> Path:
    found = home_of(MappedControl(session.store.path / STREAMS / name))
    assert found is not None
    return found


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("step", list(workloads.workloads("durable")))
def test_each_workload_does_what_it_announced(session: Session, step: str, number: int) -> None:
    """Four times in a row, from nothing on, with messages between; the disk is no further than memory."""
    content: Content | None = None
    name = f"durable{number}"
    for seed in range(4):
        for one in ("publish", step):
            content = _do(session, one, name, content, seed)
            found = _read(session, name)
            assert (found is None) is (content is None)
            assert stream_version(session.store, name) == (found.version if found else 0)
            if found is not None:
                assert found.content.lies_between(content, None)
                content = found.content
    assert settle(session.store) == []


def test_what_is_flushed_is_what_a_restart_brings_back(session: Session) -> None:
    """Messages, and what was acknowledged."""
    content = _do(session, "flush", "durable0", None, seed=1)  # which acknowledges
    assert isinstance(content, Published)
    assert content.acknowledged == content.heads
    assert content.after_restart == content
    assert _do(session, "lose_memory", "durable0", content) == content
    found = _read(session, "durable0")
    assert found is not None
    assert found.content == content


def test_what_the_disk_has_may_grow_and_not_shrink() -> None:
    """As far as memory is; a restart may set memory back, as far as the disk is."""
    memory = Published.of({0: 9, 1024: 5})
    flushed = memory.with_disk(Published.of({0: 7, 1024: 2}))
    assert memory.with_disk(memory).lies_between(flushed, None)
    assert not memory.with_disk(Published.of({0: 6, 1024: 2})).lies_between(flushed, None)
    assert not memory.with_disk(Published.of({0: 10, 1024: 2})).lies_between(flushed, None)
    back = flushed.after_restart
    assert (back.heads, back.acknowledged) == ({0: 7}, {0: 2})
    assert Published.of({0: 8, 1024: 3, 2048: 8, 3072: 3}).lies_between(flushed, back)
    assert not Published.of({0: 6, 1024: 2, 2048: 6, 3072: 2}).lies_between(flushed, back)
    assert back.may_have(back.version, State(flushed.version, flushed, sealed=True))
    assert not memory.may_have(memory.version + 1, State(flushed.version, flushed, sealed=True))


def test_a_disk_that_lost_what_was_flushed_is_found(session: Session) -> None:
    """All messages of it, or a byte of one."""
    content = _do(session, "flush", "durable2", None)
    (part,) = parts(_home(session, "durable2"), 0)
    whole = part.path.read_bytes()
    part.path.write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
    found = _read(session, "durable2")
    assert found is not None
    assert not found.content.lies_between(content, None)
    part.path.unlink()
    found = _read(session, "durable2")
    assert found is not None
    assert not found.content.lies_between(content, None)


def test_a_disk_that_is_ahead_of_memory_is_found(session: Session, tmp_path: Path) -> None:
    """Memory is as it was before the second flush: the disk may not have what was never committed."""
    memory = session.store.path / STREAMS / "durable0"
    content = _do(session, "flush", "durable0", None)
    shutil.copytree(memory, tmp_path / "before", symlinks=True)
    _do(session, "flush", "durable0", content)
    shutil.rmtree(memory)
    shutil.copytree(tmp_path / "before", memory, symlinks=True)
    with pytest.raises(ChecksumError, match="is ahead of"):
        _read(session, "durable0")


def test_what_lies_on_the_disk_and_belongs_to_nobody_is_a_leftover(session: Session) -> None:
    """A directory without a stream, a file that no stream has."""
    _do(session, "flush", "durable0", None)
    home = _home(session, "durable0")
    assert leftovers(session.store) == []
    (home / "0-1.part").touch()
    (home.parent / "nobodys").mkdir()
    assert leftovers(session.store) == ["disk/durable0/0-1.part", "disk/nobodys"]


def test_a_flush_that_does_not_flush_is_found_out(nq_store_dir: Path) -> None:
    """The harness reads the disk: a step that acknowledged what it has not ends the run."""
    code = """
import json
from pathlib import Path
from jupyter_nq.streams import Stream
from jupyter_nq.testing.kills import Harness
Stream.flush = lambda stream, timeout: None
with Harness(Path(sys.argv[1]), 1, only=["flush"], patience_seconds=1) as harness:
    lost = harness.run(60).lost
say(json.dumps(lost))
"""
    with Child(code, str(nq_store_dir)) as child:
        assert "older" in child.line()
