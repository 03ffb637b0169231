"""What the children of the kill harness do with durable streams, and what the disk must then bring back.

The steps are those of streams, one that returns when the disk has everything, and one that loses the memory of a
stream, as a restart of the machine does. After each kill a copy of the disk is brought back into another memory
directory: it must have at least what `flush` acknowledged, no more than memory has, and all of it whole.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.directory import COLD, STREAMS
from jupyter_nq.client.session import Session
from jupyter_nq.errors import ChecksumError, NotDurable
from jupyter_nq.streams import Stream, layout
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.durable import home
from jupyter_nq.streams.durable.restoring import restore
from jupyter_nq.streams.retention import trim
from jupyter_nq.testing import stream_workloads as streams
from jupyter_nq.testing.stream_workloads import Published, published, read_kept, read_stream, stream_version
from jupyter_nq.testing.workloads import Content, State, kind, workload

_PATIENCE_SECONDS = 20.0


# -- reading back --------------------------------------------------------------------------------
def read_durable(store: Store, name: str, candidates: list[Content]) -> State | None:
    """Read all that memory has of a stream, and all that the disk would bring back.

    Raises
    ------
    ChecksumError
        Messages are torn, missing or twice, in memory or on the disk; or the disk is ahead of memory.
    """
    directory = _disk(store)
    with tempfile.TemporaryDirectory(prefix="nqb-", dir=store.path.parent) as scratch:
        there, memory = Path(scratch) / "disk" / name, Path(scratch) / "memory"
        memory.mkdir(mode=0o700)
        if name in names_on_disk(store):  # a copy, from before memory is read: reading changes nothing
            shutil.copytree(directory / name, there)
        found = read_stream(store, name, candidates)
        if not there.exists():
            return found
        restore(there, memory, None)
        disk = _brought_back(memory / name, store.path / STREAMS / name)
    if found is None:
        if (store.path / STREAMS / name).is_dir():  # it was dropped, and the next coordinator goes on with that
            return None
        return State(disk.version, disk.with_disk(disk), sealed=True)
    assert isinstance(found.content, Published)
    content = found.content.with_disk(disk)
    if not content.lies_between(None, content):
        raise ChecksumError(f"the disk has {disk} of {name}, which is ahead of {found.content}")
    return State(found.version, content, sealed=True)


def names_on_disk(store: Store) -> list[str]:
    """Return the names of the durable streams that a restart would bring back."""
    return home.names(_disk(store))


def _disk(store: Store) -> Path:
    return home.directory_beside((store.path / COLD).resolve())


def _brought_back(restored: Path, original: Path) -> Published:
    """Read all of what a restart brought back, which begins where memory begins, if there is any."""
    with Stream(restored) as stream:
        found = read_kept(stream)
        if original.is_dir() and not (control := MappedControl(original)).closed:
            trim(control)  # as the next publisher does, and a restart
            for lane in stream._control.lanes():
                mine = control.lane(lane.number)
                if lane.tail > mine.tail and not mine.get(layout.MISSED):
                    raise ChecksumError(f"the disk has {stream.name} from {lane.tail} on, memory from {mine.tail} on")
    return found


# -- steps ---------------------------------------------------------------------------------------
@workload("durable")
def flush(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Publish a few messages, acknowledge all as `risk` every other time, and have the disk take what there is."""
    known = streams.there_is(before)
    yield known
    stream = streams.open_stream(session, name)
    for after in streams.burst(stream, known, random.randint(1, 20)):
        yield (known := after)
    if random.random() < 0.5:
        yield from _flushed(stream, known, Published.of(known.heads))
        return
    yield (known := known.with_acknowledged(known.heads))
    with streams.all_acknowledged(stream):
        yield from _flushed(stream, known, known)


def _flushed(stream: Stream, known: Published, wanted: Published) -> Iterator[Published]:
    """Flush: what is wanted is on the disk then, unless messages left memory before, as the stream says."""
    missed = _missed(stream)
    yield known.with_disk(wanted)
    try:
        stream.flush(_PATIENCE_SECONDS)
    except NotDurable:
        if _missed(stream) == missed:
            raise
        yield known


def _missed(stream: Stream) -> int:
    return sum(lane.get(layout.MISSED) for lane in stream._control.lanes())


@workload("durable")
def lose_memory(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Have the memory of the stream gone, as after a restart of the machine, and bring it back from the disk."""
    if name not in names_on_disk(session.store):
        yield from flush(session, name, before, random)
        return
    yield streams.there_is(before).after_restart
    streams.let_go(session)
    original = session.store.path / STREAMS / name
    if original.is_dir():
        lost = session.store.path.with_name(f"{session.store.path.name}-lost-{random.randbytes(8).hex()}")
        shutil.rmtree(original.rename(lost))
    there = published(streams.open_stream(session, name))
    yield there.with_disk(there)


for _step in (streams.publish, streams.publish_beside, streams.acknowledge, streams.consume, streams.drop_stream):
    workload("durable")(_step)
kind("durable", read_durable, stream_version, {"stream": Published})
