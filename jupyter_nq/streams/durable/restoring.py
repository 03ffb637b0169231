"""Bringing a durable stream back into memory, as it was: the same segments, sequences, schemas and positions.

The files of a lane say which bytes of which segment each message was. They are followed from the newest segment
backwards, as long as each ends where the next begins; the sequences of a lane go on behind the last message.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.buffers.layout import PAGE
from jupyter_nq.buffers.locks import exclusive
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import allocate
from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import CONTROL, MappedControl
from jupyter_nq.streams.drafts import drafted
from jupyter_nq.streams.durable import positions, schema
from jupyter_nq.streams.durable.frames import Frame, FrameReader, Piece
from jupyter_nq.streams.durable.home import LINK, Part, is_unborn, lanes, parts, read_control
from jupyter_nq.streams.layout import Control, Segment, decode_segment, encode_control, encode_segment
from jupyter_nq.streams.retention import trim
from jupyter_nq.streams.rolling import segment_path

_LOCK = "restore.lock"
_log = logging.getLogger("jupyter_nq")


@dataclass
class Found:
    """One segment as the disk has it."""

    segment: Segment
    end_seq: int
    frames: list[Frame] = field(repr=False)


def memory_bytes(home: Path, keys: KeyRing | None) -> int:
    """Return what the lanes of a stream may have in memory when it is back.

    Raises
    ------
    ChecksumError, UnknownKey
    """
    return lanes(home) * int(read_control(home, keys).options["retention_bytes"])


def messages(home: Path) -> int:
    """Return how many messages of a stream were ever published, as far as the disk knows; no key is needed."""
    return sum(_end(home, lane) for lane in range(lanes(home)))


def _end(home: Path, lane: int) -> int:
    found = [part.path for part in parts(home, lane) if not is_unborn(part.path)]
    return max((end for path in found[-1:] for _, end in FrameReader(path).spans()), default=0)


def restore(home: Path, parent: Path, keys: KeyRing | None) -> MappedControl:
    """Make a stream again from the disk, unless it is there.

    Parameters
    ----------
    home
        Its directory on the disk.
    parent
        Directory of the streams in memory.
    keys
        Master keys, None when this process has none.

    Raises
    ------
    UnknownKey
        It is encrypted, and the master key is not there.
    ChecksumError
        What the disk has of it is damaged, beyond the end of a file.
    StoreFull, StoreError
        There is no memory for it.
    """
    with exclusive(home / _LOCK):
        if not (parent / home.name / CONTROL).exists():
            _make(home, parent, keys)
    return MappedControl(parent / home.name)


def _make(home: Path, parent: Path, keys: KeyRing | None) -> None:
    static = read_control(home, keys)
    with drafted(parent, static.stream_id) as draft:
        content = bytearray(encode_control(static))
        words = memoryview(content).cast("Q")
        heads = {lane: _restore_lane(home, draft, static, lane, words, keys) for lane in range(lanes(home))}
        words[layout.EPOCH] = schema.bring_back(home, draft, keys)
        positions.bring_back(home, draft, heads, keys)
        with refused(draft):
            (draft / CONTROL).touch(0o600)
            (draft / CONTROL).write_bytes(content)
            os.symlink(home, draft / LINK)
        trim(MappedControl(draft))
        with refused(draft):
            os.rename(draft, parent / home.name)
    _log.info("the stream %s is back from %s: %d messages", static.name, home, sum(heads.values()))


def _restore_lane(home: Path, draft: Path, static: Control, lane: int, words: memoryview, keys: KeyRing | None) -> int:
    """Write the segments of a lane and its words; returns its head."""
    first = layout.lane_word(lane)
    words[first + layout.OWNER_PID] = os.getpid()  # it was in use, and consumers look as far as that goes
    found = _without_holes(_kept(home, static, lane, keys))
    for place, one in enumerate(found):
        following = found[place + 1].segment.first_seq if place + 1 < len(found) else 0
        _write_segment(segment_path(draft, lane, one.segment.number), one, following)
    if not found:
        return 0
    oldest, newest = found[0], found[-1]
    words[first + layout.HEAD] = words[first + layout.DURABLE] = newest.end_seq
    words[first + layout.TAIL] = oldest.segment.first_seq
    words[first + layout.HEAD_SEGMENT] = newest.segment.number
    words[first + layout.TAIL_SEGMENT] = oldest.segment.number
    return newest.end_seq


def _kept(home: Path, static: Control, lane: int, keys: KeyRing | None) -> list[Found]:
    """Return the segments that follow each other without a gap, oldest first, as far as the retention has room."""
    kept: list[Found] = []
    room = int(static.options["retention_bytes"])
    for found in _newest_first(home, lane, keys):
        follows = not kept or found.end_seq == kept[0].segment.first_seq
        begun = found.frames[0].first_seq == found.segment.first_seq
        if not kept and not begun:
            raise ChecksumError(f"{home} is damaged: segment {found.segment.number} of lane {lane} has no beginning.")
        if not (follows and begun):  # its first part may have gone already, when its turn was to be removed
            _log.warning(
                "%s: lane %d has a gap before message %d; what is older is left out",
                home,
                lane,
                kept[0].segment.first_seq,
            )
            break
        room -= found.segment.file_bytes
        if kept and room < 0:
            break
        if found.segment.stream_id != static.stream_id or found.segment.lane != lane:
            raise ChecksumError(f"{home} is damaged: it has a segment of another stream. Remove that.")
        kept.insert(0, found)
    return kept


def _without_holes(kept: list[Found]) -> list[Found]:
    """Put an empty segment in the place of each that has no message on the disk: they are found by their numbers."""
    found: list[Found] = []
    for one in kept:
        first = found[-1].segment.number + 1 if found else one.segment.number
        found += [_empty(one.segment, number) for number in range(first, one.segment.number)]
        found.append(one)
    return found


def _empty(following: Segment, number: int) -> Found:
    segment = replace(following, number=number, slots=0, rows=0, file_bytes=PAGE)
    first = segment.first_seq
    return Found(segment, first, [Frame(first, first, [(0, memoryview(encode_segment(segment)))])])


def _newest_first(home: Path, lane: int, keys: KeyRing | None) -> Iterator[Found]:
    for _, group in groupby(reversed(parts(home, lane)), key=lambda part: part.number):
        found = _found(sorted(group), keys)
        if found is not None:
            yield found


def _found(group: list[Part], keys: KeyRing | None) -> Found | None:
    """Return the segment of some files, which follow each other; None when they have no message."""
    frames: list[Frame] = []
    for part in group:
        for frame in _frames(part, keys, is_last=part is group[-1]):
            if frames and frame.first_seq > frames[-1].end_seq:
                raise ChecksumError(f"{part.path} is damaged: messages are missing before {frame.first_seq}.")
            frames.append(frame)
    if not frames:
        return None
    segment = decode_segment(frames[0].pieces[0][1])
    return Found(segment, max(frame.end_seq for frame in frames), frames)


def _frames(part: Part, keys: KeyRing | None, *, is_last: bool) -> list[Frame]:
    if is_last and is_unborn(part.path):
        return []
    return list(FrameReader(part.path).frames(keys))


def _write_segment(path: Path, found: Found, following: int) -> None:
    """Write a segment as it was; `following` is the sequence that the next begins with, 0 of the newest."""
    with refused(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, fd)
        allocate(fd, [(0, found.segment.file_bytes)], path.parent)
        with refused(path):
            mapped = mmap.mmap(fd, found.segment.file_bytes)
        with memoryview(mapped) as raw:
            for frame in found.frames:
                for piece in frame.pieces:
                    _put(raw, piece, path)
            with raw[:PAGE].cast("Q") as words:
                words[layout.END_SEQ] = following
        mapped.close()


def _put(raw: memoryview, piece: Piece, path: Path) -> None:
    place, content = piece
    if place + len(content) > len(raw):
        raise ChecksumError(f"{path.name} on the disk is damaged: it has bytes behind the end of its segment.")
    raw[place : place + len(content)] = content
