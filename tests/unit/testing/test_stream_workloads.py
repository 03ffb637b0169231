"""What the workloads of streams say is what is there; what is missing, torn or left over is found."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.testing import Child, stream_workloads, workloads
from jupyter_nq.testing.stream_workloads import Published, read_stream, shape_of, stream_version
from jupyter_nq.testing.workloads import Content


@pytest.fixture
def session(nq_store_dir: Path) -> Iterator[Session]:
    """A session on an empty store; what its workloads held is let go of."""
    with Session(settings=Settings(store_dir=str(nq_store_dir))) as opened:
        yield opened
    stream_workloads._held.clear()


def _do(session: Session, step: str, name: str, before: Content | None, seed: int = 1) -> Content | None:
    """Do one step to its end; returns what it said that there will be."""
    return [before, *workloads.workloads("stream")[step](session, name, before, Random(seed))][-1]


def test_the_example_runs() -> None:
    """Streams are a kind beside datasets, and a name says what its stream is."""
    assert doctest.testmod(stream_workloads).failed == 0
    assert workloads.kinds()["stream"] is read_stream
    assert {shape_of(f"stream{n}").form for n in range(8)} == {"tape", "log"}


def _own(session: Session) -> None:
    """Let go of what the dead would have let go of: the lanes of this process, and what its consumers hold."""
    session.streaming.close()
    stream_workloads._held.clear()


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("step", list(workloads.workloads("stream")))
def test_each_workload_does_what_it_announced(session: Session, step: str, number: int) -> None:
    """Six times in a row, from nothing on, with messages between, and again from what it left."""
    content: Content | None = None
    name = f"stream{number}"
    for seed in range(6):
        for one in ("publish", step):
            content = _do(session, one, name, content, seed)
            _own(session)
            found = read_stream(session.store, name, [])
            assert (found and found.content) == content
            assert stream_version(session.store, name) == (found.version if found else 0)


def test_counts_between_two_contents_are_what_a_kill_may_leave() -> None:
    """Each lane and what was acknowledged of it by itself; nothing that nobody announced."""
    before, after = Published.of({0: 5, 1: 2, 1024: 1}), Published.of({0: 9, 1: 2, 1024: 5})
    assert Published.of({0: 7, 1: 2, 1024: 1}).lies_between(before, after)
    assert before.lies_between(before, None)
    assert not Published.of({0: 10, 1: 2, 1024: 1}).lies_between(before, after)
    assert not Published.of({0: 4, 1: 2, 1024: 1}).lies_between(before, after)
    assert not Published.of({0: 5, 1: 2, 2: 1, 1024: 1}).lies_between(before, after)
    assert (after.heads, after.acknowledged, after.version) == ({0: 9, 1: 2}, {0: 5}, 16)


def test_a_head_that_is_ahead_of_the_messages_is_found(session: Session) -> None:
    """A publisher that committed before it wrote would be found out, on a tape and in a log."""
    for name in ("stream0", "stream1"):
        _do(session, "publish", name, None)
        _own(session)
        control = MappedControl(session.store.path / STREAMS / name)
        control.lane(0).set(layout.HEAD, control.lane(0).head + 1)
        with pytest.raises(ChecksumError):
            read_stream(session.store, name, [])


def test_who_should_be_dead_and_is_there_is_found(session: Session) -> None:
    """A publisher that still has its lane, a consumer that is still seen."""
    content = _do(session, "publish", "stream0", None)
    with pytest.raises(ChecksumError, match="a publisher of <Lane 0"):
        read_stream(session.store, "stream0", [])
    session.streaming.close()
    _do(session, "consume", "stream0", content)
    with pytest.raises(ChecksumError, match="Seen"):
        read_stream(session.store, "stream0", [])


def test_a_workload_that_publishes_less_than_it_says_is_found_out(nq_store_dir: Path) -> None:
    """The harness knows streams: the run ends with what was acknowledged and what is there."""
    code = """
import json
from pathlib import Path
from jupyter_nq.testing.kills import Harness
from jupyter_nq.testing.stream_workloads import Published
from jupyter_nq.testing.workloads import workload

@workload("stream")
def wrong(session, name, before, random):
    yield Published.of({0: 7})

with Harness(Path(sys.argv[1]), 1, only=["wrong"], patience_seconds=1) as harness:
    lost = harness.run(40).lost
say(json.dumps(lost))
"""
    with Child(code, str(nq_store_dir)) as child:
        assert "it is gone" in child.line()
