"""What a process copies to the disk of a durable stream: the lanes that it publishes to, and those of who died."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.errors import NotDurable, NQError, StreamBusy
from jupyter_nq.sizes import counted
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import Lane, MappedControl
from jupyter_nq.streams.durable.durability import is_durable
from jupyter_nq.streams.durable.flushing import Entry, flusher
from jupyter_nq.streams.durable.home import check_keys, home_of, is_settled
from jupyter_nq.streams.durable.lane import LaneWriter
from jupyter_nq.streams.durable.schema import Schemas
from jupyter_nq.streams.forms import Epochs
from jupyter_nq.streams.lanes import is_taken

Keys = Callable[[], KeyRing | None]
"""Gives the master keys of this process; None when nothing is to be encrypted."""

_PAUSE_SECONDS = 0.002


def no_keys() -> KeyRing | None:
    """Give no master keys: what is written to the disk is plain."""
    return None


class KeptLane:
    """A lane that this process publishes to.

    Its file is opened with the first group, so that a publisher waits for no disk.
    """

    def __init__(self, control: MappedControl, lane: Lane, keys: Keys) -> None:
        self.stream_id = control.static.stream_id
        self.lane: int | None = lane.number
        self._control = control
        self._lane = lane
        self._keys = keys
        self._writer: LaneWriter | None = None

    def __repr__(self) -> str:
        return f"<KeptLane {self._lane.number} of {self._control.static.name}>"

    def flush(self) -> None:
        """Return when the disk has what was published before the call."""
        if self._control.closed or (self._writer is not None and self._lane.get(layout.DURABLE) == self._lane.head):
            return
        try:
            if self._writer is None:
                self._writer = writer_of(self._control, self._lane, self._keys)
            self._writer.flush()
        except NQError:
            if not self._control.closed:  # it was dropped meanwhile
                raise

    def close(self) -> None:
        """Give the lane on the disk back."""
        if self._writer is not None:
            self._writer.close()


def writer_of(control: MappedControl, lane: Lane, keys: Keys, patience_seconds: float = 1.0) -> LaneWriter:
    """Return what copies a lane.

    Raises
    ------
    NotDurable
        The stream has no directory on the disk.
    """
    return LaneWriter(control, Epochs(control), lane, settled_home(control), keys(), patience_seconds)


def settled_home(control: MappedControl) -> Path:
    """Return the directory on the disk that a stream was given; `NotDurable` when it was given none."""
    home = home_of(control)
    if home is None or not is_settled(control):
        raise NotDurable(
            f"The stream {control.static.name!r} was made to be durable, and nobody gave it a directory on the disk. "
            "Open it with nq.stream."
        )
    return home


def keep_schemas(control: MappedControl, keys: Keys) -> None:
    """Return when the disk has the schemas of a durable stream; any other has none there.

    Raises
    ------
    NotDurable, StoreError, UnknownKey
    """
    if is_durable(control):
        home, ring = settled_home(control), keys()
        check_keys(home, ring)
        Schemas(control, home, ring).keep()


def keep_lane(control: MappedControl, lane: Lane, keys: Keys) -> Entry | None:
    """Copy a lane of this process in groups from now on; None when its stream is not durable."""
    return flusher.add(KeptLane(control, lane, keys)) if is_durable(control) else None


def wait_for_disk(entry: Entry, lane: Lane, seq: int, seconds: float) -> None:
    """Wait until the disk has the messages of a lane before a sequence, as long as it takes any."""
    deadline = time.monotonic() + seconds
    while lane.get(layout.DURABLE) < seq and entry.error is None and time.monotonic() < deadline:
        flusher.group(deadline)


def catch_up(control: MappedControl, keys: Keys) -> None:
    """Have the disk take what publishers left that died; those that live do it themselves.

    Raises
    ------
    NotDurable, StoreError, ChecksumError, UnknownKey
        The disk refuses.
    """
    for lane in control.lanes():
        if lane.get(layout.DURABLE) < lane.head and not is_taken(control, lane.number):
            _catch_up(control, lane, keys)


def _catch_up(control: MappedControl, lane: Lane, keys: Keys) -> None:
    try:
        writer = writer_of(control, lane, keys, patience_seconds=0.0)
    except StreamBusy:
        return  # somebody is at it
    try:
        writer.flush()
    finally:
        writer.close()


def flush(control: MappedControl, keys: Keys, timeout: float | None, told: dict[int, int]) -> None:
    """Return when the disk has all messages of a stream that were published before, by whom ever.

    Parameters
    ----------
    control, keys
        The stream, and who may encrypt it.
    timeout
        Seconds; None waits for ever.
    told
        Lane -> messages that never came to the disk of which the caller knows; those that are new are added.

    Raises
    ------
    NotDurable
        The disk refuses, or has not all of it in time; or messages left memory before it had them.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    wanted = {lane.number: lane.head for lane in control.lanes()}
    pause = threading.Event()
    in_time = _group(control, deadline)
    while left := _left(control, wanted):
        if not in_time or (deadline is not None and time.monotonic() >= deadline):
            raise NotDurable(
                f"{counted(left, 'message')} of the stream {control.static.name!r} are not on the disk after "
                f"{timeout:g} s. They are in memory, and will be; wait longer, or see stats()."
            )
        _catch_up_or_say(control, keys)
        pause.wait(_PAUSE_SECONDS)
    _tell_missed(control, told)


def _group(control: MappedControl, deadline: float | None) -> bool:
    """Have what this process copies of a stream taken; `NotDurable` when the disk refuses."""
    mine = flusher.of(control.static.stream_id)
    in_time = not mine or flusher.group(deadline)
    for entry in mine:
        if in_time and entry.error is not None:
            raise NotDurable(_refused(control, entry.error)) from entry.error
    return in_time


def _left(control: MappedControl, wanted: dict[int, int]) -> int:
    """Return how many messages the disk does not have."""
    return sum(max(0, head - control.lane(lane).get(layout.DURABLE)) for lane, head in wanted.items())


def _catch_up_or_say(control: MappedControl, keys: Keys) -> None:
    try:
        catch_up(control, keys)
    except NotDurable:
        raise
    except NQError as exc:
        raise NotDurable(_refused(control, exc)) from exc


def _refused(control: MappedControl, error: NQError) -> str:
    return f"The stream {control.static.name!r} is not on the disk, and goes on in memory: {error}"


def _tell_missed(control: MappedControl, told: dict[int, int]) -> None:
    """Say once of messages that they were gone before the disk had them."""
    missed = {lane.number: lane.get(layout.MISSED) for lane in control.lanes()}
    new = sum(count - told.get(lane, 0) for lane, count in missed.items())
    told.update(missed)
    if new:
        raise NotDurable(
            f"{counted(new, 'message')} of the stream {control.static.name!r} left memory before the disk had them, "
            "while it refused or was too slow. What was published since is there; use a larger retention_bytes."
        )
