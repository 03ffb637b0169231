"""Where each word of a stream's files lies: the control file, and the segments of its lanes.

`STREAMS.md` is the same table for readers in other languages; a test compares the two. Whatever changes is one aligned
64-bit store through a memoryview, so another process never sees half of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import msgpack
import xxhash

from jupyter_nq.buffers.layout import PAGE, UNREADABLE, align
from jupyter_nq.errors import ChecksumError

LAYOUT = 1
CONTROL_MAGIC = b"NQSTREAM"
SEGMENT_MAGIC = b"NQSEGMNT"
FORMS = ("tape", "log")

LANES = 64
"""Publishers that may write to a stream at the same time."""
LANE_BYTES = 64
LANES_OFFSET = PAGE
METADATA_OFFSET = LANES_OFFSET + LANES * LANE_BYTES
METADATA_LIMIT_BYTES = 1 << 20  # 1 MiB

# Words of the control file, as places among its 64-bit words. `wake` and `space` are futexes in their lower halves.
WAKE, WAITING, SPACE, SPACE_WAITING, CLOSED, EPOCH = range(32, 38)
# Words of a lane, counted from its first.
HEAD, TAIL, HEAD_SEGMENT, TAIL_SEGMENT, OWNER_PID, OWNER_STARTED, DURABLE, MISSED = range(8)
END_SEQ = 32
"""Word of a segment: the sequence behind its last message once it is full; 0 while it is written."""

OWNERS = 64
"""First word of a segment, to the end of its page, of those that say who went on in it: see `owners`."""

_CONTROL = struct.Struct("<8sQ16sQQQ")
_SEGMENT = struct.Struct("<8sQ16s11Q")
_DIGEST_OFFSET = 248
STATIC_BYTES = 256


def lane_word(lane: int) -> int:
    """Return the place of a lane's first word among the 64-bit words of the control file."""
    return (LANES_OFFSET + lane * LANE_BYTES) // 8


@dataclass(frozen=True)
class Control:
    """What a stream is, and never changes."""

    stream_id: str
    """32 hexadecimal digits."""
    created_ns: int
    """Nanoseconds since 1970, UTC."""
    lanes: int
    """How many publishers it may have at the same time."""
    name: str
    form: str
    """`tape` or `log`."""
    schema: bytes | None
    """Serialised Arrow schema; of a log that was made without one the first batch decides."""
    options: dict[str, Any] = field(default_factory=dict)

    def metadata(self) -> bytes:
        """Return what is not in the fixed fields, as msgpack."""
        kept: bytes = msgpack.packb([self.name, self.form, self.schema, self.options])
        return kept


def encode_control(control: Control) -> bytes:
    """Return the whole control file of a new stream, whose words are all zero."""
    metadata = control.metadata()
    fixed = _CONTROL.pack(
        CONTROL_MAGIC, LAYOUT, bytes.fromhex(control.stream_id), control.created_ns, control.lanes, len(metadata)
    )
    content = bytearray(align(METADATA_OFFSET + len(metadata)))
    content[: len(fixed)] = fixed
    content[METADATA_OFFSET : METADATA_OFFSET + len(metadata)] = metadata
    content[_DIGEST_OFFSET:STATIC_BYTES] = _digest(content[:_DIGEST_OFFSET], metadata)
    return bytes(content)


def decode_control(content: bytes | memoryview) -> Control:
    """Read a control file; `ChecksumError` when it is damaged, or of another layout."""
    try:
        magic, layout, id_, created_ns, lanes, length = _CONTROL.unpack_from(content)
        _check_magic(magic, CONTROL_MAGIC, layout)
        if length > METADATA_LIMIT_BYTES:
            raise ChecksumError(f"its metadata would have {length:,} bytes")
        metadata = bytes(content[METADATA_OFFSET : METADATA_OFFSET + length])
        if bytes(content[_DIGEST_OFFSET:STATIC_BYTES]) != _digest(bytes(content[:_DIGEST_OFFSET]), metadata):
            raise ChecksumError("its header differs from its digest")
        name, form, schema, options = msgpack.unpackb(metadata)
    except UNREADABLE as exc:
        raise ChecksumError(f"its header cannot be read: {exc}") from exc
    return Control(id_.hex(), created_ns, lanes, name, form, schema, options)


@dataclass(frozen=True)
class Segment:
    """What a segment is, and does not change before it is written anew."""

    stream_id: str
    lane: int
    number: int
    """Counts up from 1 in each lane."""
    first_seq: int
    """Sequence of its first message."""
    form: str
    slots: int
    """Messages for which a tape has room; 0 in a log."""
    rows: int
    """Rows for which a tape has room; 0 in a log."""
    file_bytes: int
    publisher_pid: int
    publisher_started: int
    """When that process began, by which a pid that was used again is told apart."""
    created_ns: int
    epoch: int = 0
    """Of the schema that its messages have."""


def encode_segment(segment: Segment) -> bytes:
    """Return the first 256 bytes of a segment."""
    fixed = _SEGMENT.pack(
        SEGMENT_MAGIC,
        LAYOUT,
        bytes.fromhex(segment.stream_id),
        segment.lane,
        segment.number,
        segment.first_seq,
        FORMS.index(segment.form),
        segment.slots,
        segment.rows,
        segment.file_bytes,
        segment.publisher_pid,
        segment.publisher_started,
        segment.created_ns,
        segment.epoch,
    )
    content = bytearray(STATIC_BYTES)
    content[: len(fixed)] = fixed
    content[_DIGEST_OFFSET:] = _digest(content[:_DIGEST_OFFSET])
    return bytes(content)


def decode_segment(content: bytes | memoryview) -> Segment:
    """Read the first 256 bytes of a segment; `ChecksumError` when they are damaged, or of another layout."""
    try:
        magic, layout, id_, lane, number, first, form, *rest = _SEGMENT.unpack_from(content)
        _check_magic(magic, SEGMENT_MAGIC, layout)
        if bytes(content[_DIGEST_OFFSET:STATIC_BYTES]) != _digest(bytes(content[:_DIGEST_OFFSET])):
            raise ChecksumError("its header differs from its digest")
        return Segment(id_.hex(), lane, number, first, FORMS[form], *rest)
    except UNREADABLE as exc:
        raise ChecksumError(f"its header cannot be read: {exc}") from exc


def _check_magic(found: bytes, wanted: bytes, layout: int) -> None:
    if found != wanted:
        raise ChecksumError(f"it does not begin with {wanted.decode()}")
    if layout != LAYOUT:
        raise ChecksumError(f"it has layout {layout}, this version reads {LAYOUT}")


def _digest(*parts: bytes | bytearray) -> bytes:
    return xxhash.xxh3_64_digest(b"".join(parts))
