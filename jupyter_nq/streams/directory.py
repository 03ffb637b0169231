"""The streams of a store: which there are, what they may take, and dropping one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from jupyter_nq.buffers.names import check_name
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError, UnknownStream, nearest
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.drafts import sweep_drafts
from jupyter_nq.streams.durable.home import LINK, home_of, remove


def names(parent: Path) -> list[str]:
    """Return the names of the streams, in their order."""
    with refused(parent):
        return sorted(entry.name for entry in os.scandir(parent) if not entry.name.startswith("."))


def controls(parent: Path) -> Iterator[MappedControl]:
    """Yield each stream's control file; one that is damaged, or goes meanwhile, is left out."""
    for name in names(parent):
        try:
            yield MappedControl(parent / name)
        except (UnknownStream, ChecksumError):
            continue


def open_control(parent: Path, name: str) -> MappedControl:
    """Map a stream's control file; `UnknownStream` with the nearest names when there is none."""
    try:
        return MappedControl(parent / check_name(name, "stream"))
    except UnknownStream:
        known = names(parent)
        there = f" There are: {', '.join(known[:10])}." if known else " Make it: nq.stream(name)."
        raise UnknownStream(f"There is no stream {name!r}.{nearest(name, known)}{there}") from None


def promised_bytes(parent: Path) -> int:
    """Return what all publishers of all streams, those that are gone included, may have in memory together."""
    return sum(
        len(list(control.lanes())) * int(control.static.options["retention_bytes"]) for control in controls(parent)
    )


def drop_stream(parent: Path, name: str) -> int:
    """Remove a stream; returns how many messages it had. Publishers and consumers are told when they next use it.

    Batches that consumers hold stay readable; the memory of a segment is free when nobody has it mapped.

    Raises
    ------
    UnknownStream
    StoreError
        Its files cannot be removed.
    """
    control = open_control(parent, name)
    control.words[layout.CLOSED] = 1  # before its files go: who misses them knows why
    if (home := home_of(control)) is not None:
        remove(home, control)  # before memory: what is not there any more must not come back
    gone = parent / f".{control.static.stream_id}"
    with refused(parent / name):
        try:
            os.rename(parent / name, gone)
        except FileNotFoundError:
            raise UnknownStream(f"There is no stream {name!r} any more.") from None
    if home is None and (gone / LINK).is_symlink():  # it has been given one since
        remove(Path(os.readlink(gone / LINK)), control)
    control.news.ring()
    control.space.ring()
    shutil.rmtree(gone, ignore_errors=True)
    return sum(lane.head for lane in control.lanes())


def sweep(parent: Path) -> None:
    """Remove what a process left that died while it made or dropped a stream; only the coordinator may.

    A stream that says that it was dropped and is still there goes too: nobody could publish to it any more.
    """
    for control in controls(parent):
        if control.closed:
            drop_stream(parent, control.static.name)
    sweep_drafts(parent)
