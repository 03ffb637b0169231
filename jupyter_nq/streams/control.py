"""The control file of a stream: what it is, and one commit word for each publisher.

The words belong to different processes. A lane's words are written by its publisher alone; the words of the bells by
anybody, and a store of one that gets lost costs a wake-up, which a waiter repeats.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError, UnknownStream
from jupyter_nq.streams import layout
from jupyter_nq.streams.layout import Control
from jupyter_nq.streams.waiting import Bell

CONTROL = "control"


class Lane:
    """The words of one publisher, mapped."""

    __slots__ = ("_first", "_words", "number")

    def __init__(self, words: memoryview, number: int) -> None:
        self._words = words
        self._first = layout.lane_word(number)
        self.number = number

    def __repr__(self) -> str:
        return f"<Lane {self.number}, {self.tail} to {self.head}>"

    @property
    def head(self) -> int:
        """Sequence that the next message gets; all before it are committed."""
        return self._words[self._first]

    @property
    def tail(self) -> int:
        """Sequence of the oldest message that is kept."""
        return self._words[self._first + layout.TAIL]

    def get(self, word: int) -> int:
        """Return one of the lane's words."""
        return self._words[self._first + word]

    def set(self, word: int, value: int) -> None:
        """Write one of the lane's words; its publisher alone may."""
        self._words[self._first + word] = value


class MappedControl:
    """A stream's control file, mapped until it is closed.

    Raises
    ------
    UnknownStream
        There is no such stream.
    ChecksumError
        Its control file is damaged, or another stream's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mapped = _mapped(path / CONTROL)
        raw = memoryview(self._mapped)
        try:
            self.static: Control = layout.decode_control(raw)
        except ChecksumError as exc:
            raise ChecksumError(f"{path / CONTROL} is damaged: {exc}. Remove the stream.") from exc
        # Whoever publishes to a stream under a linked name would publish there, and who drops it would drop that.
        if path.name != self.static.name and not path.name.startswith(f".{self.static.stream_id}"):
            raise ChecksumError(
                f"{path} is the stream {self.static.name!r}, which was linked or moved there. Remove that link."
            )
        self.words = raw.cast("Q")
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._mapped))
        self.news = Bell(self.words, address, layout.WAKE, layout.WAITING)
        """Rings when something was published."""
        self.space = Bell(self.words, address, layout.SPACE, layout.SPACE_WAITING)
        """Rings when a consumer has read, for publishers that wait for it."""

    def __repr__(self) -> str:
        return f"<MappedControl {self.path}, {self.static.form}>"

    def lane(self, number: int) -> Lane:
        """Return the words of a lane."""
        return Lane(self.words, number)

    def has_lane(self, number: int) -> bool:
        """Tell whether a lane is in use, or was; they come into use in their order."""
        return number < self.static.lanes and self.words[layout.lane_word(number) + layout.OWNER_PID] != 0

    def lanes(self, first: int = 0) -> Iterator[Lane]:
        """Yield the lanes that are in use, or were, from a number on."""
        number = first
        while self.has_lane(number):
            yield Lane(self.words, number)
            number += 1

    @property
    def epoch(self) -> int:
        """Return which schema the stream has now: 0 at first, one more with each that followed."""
        return self.words[layout.EPOCH]

    @property
    def closed(self) -> bool:
        """Tell whether the stream was dropped."""
        return bool(self.words[layout.CLOSED])


def _mapped(path: Path) -> mmap.mmap:
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UnknownStream(f"There is no stream {path.parent.name!r}.") from None
    try:
        with refused(path):
            if os.fstat(fd).st_size < layout.METADATA_OFFSET:
                raise ChecksumError(f"{path} is damaged: it is too short. Remove the stream.")
            return mmap.mmap(fd, 0)
    finally:
        os.close(fd)
