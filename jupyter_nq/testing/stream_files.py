"""What lies in the directory of a stream that nobody needs: it should be nothing once it has come to rest.

A crash may leave a segment under construction or one that the lane has let go of, a draft of the schema, a consumer
without a name. The next publisher of a lane, the next first batch and whoever looks at the consumers remove them.
On the disk it may leave one draft, which the next one takes the place of, and what is dropped half.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from jupyter_nq.errors import StreamBusy
from jupyter_nq.streams import layout
from jupyter_nq.streams.consumers import CONSUMERS, consumers
from jupyter_nq.streams.control import CONTROL, MappedControl
from jupyter_nq.streams.directory import controls, names
from jupyter_nq.streams.durable.home import LINK
from jupyter_nq.streams.lanes import is_taken, lock_path
from jupyter_nq.streams.publisher import Publisher
from jupyter_nq.streams.rolling import segment_path
from jupyter_nq.streams.schema import file_of

_ON_DISK = re.compile(
    r"control|schema(\.\d+)?|\d+-\d+\.\d+|consumers|consumers/[A-Za-z0-9]\S*|\.draft|(draft|positions|restore|\d+)\.lock"
)
_BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system


def clean_streams(parent: Path) -> None:
    """Take each lane of each stream that was ever used and is free, and give it back, which removes what is left."""
    for control in controls(parent):
        with contextlib.ExitStack() as stack, contextlib.suppress(StreamBusy):
            for lane in list(control.lanes()):
                if not is_taken(control, lane.number):
                    stack.enter_context(Publisher(control))


def stream_leftovers(parent: Path) -> list[str]:
    """Return a line for each thing in the streams of a directory that nobody needs, now that nobody publishes."""
    found = [entry.name for entry in os.scandir(parent) if entry.name.startswith(".")]
    for control in controls(parent):
        name = control.static.name
        if control.closed:
            found.append(f"{name}: it was dropped, and is there")
        found += [f"{name}: a consumer of process {seen.pid}" for seen in consumers(control.path) if seen.pid]
        there = {Path(where) / file for where, _, files in os.walk(control.path) for file in files}
        found += sorted(f"{name}/{path.relative_to(control.path)}" for path in there - set(_needed(control)))
        found += _beyond_retention(control)
    return found


def disk_leftovers(directory: Path, parent: Path) -> list[str]:
    """Return a line for each thing on the disk that no stream needs, nor would a restart."""
    there = set(names(parent))
    found = [] if not directory.is_dir() else sorted(os.listdir(directory))
    lines: list[str] = []
    for name in found:
        if name.startswith(".") and name.endswith(".lock"):  # the next one with that name takes it, and removes it
            continue
        if name not in there and not (directory / name / CONTROL).exists():
            lines.append(name)
            continue
        inside = (path.relative_to(directory) for path in sorted((directory / name).rglob("*")))
        lines += [str(path) for path in inside if not _ON_DISK.fullmatch(str(path.relative_to(name)))]
    return lines


def _needed(control: MappedControl) -> Iterator[Path]:
    """Yield the files that a stream at rest has, whether they are there or not."""
    yield control.path / CONTROL
    yield from (control.path / file_of(epoch) for epoch in range(control.epoch + 1))
    yield control.path / LINK  # which is a directory once there is something on the disk
    yield control.path / "epoch.lock"
    yield control.path / "claim.lock"  # empty, and taken again by the next publisher
    for number in range(control.static.lanes):
        yield lock_path(control.path, number)
    for lane in control.lanes():
        for number in range(lane.get(layout.TAIL_SEGMENT), lane.get(layout.HEAD_SEGMENT) + 1):
            yield segment_path(control.path, lane.number, number)
    for seen in consumers(control.path):
        if seen.name:
            yield control.path / CONSUMERS / seen.name


def _beyond_retention(control: MappedControl) -> list[str]:
    """Return a line for each lane that takes more memory than was promised to its publisher."""
    limit, found = control.static.options["retention_bytes"], []
    for lane in control.lanes():
        taken = sum(path.stat().st_blocks * _BLOCK_BYTES for path in control.path.glob(f"{lane.number}-*"))
        if taken > limit:
            found.append(f"{control.static.name}: lane {lane.number} takes {taken:,} bytes of {limit:,}")
    return found
