"""The words of a header that change, each with a check of its own.

A word is written as one aligned 64-bit store, so a reader in another process never sees half of it; what vouches for
it must be in the same store. So a word has its value in the low 40 bits, and above it 24 bits of a digest of the
object, the place of the word and the value: a flipped bit, a word of another place or of another object is found when
the word is read. A slot of the version ring has a word for its rows, which vouches for the time beside it too.

Committing an append is one store: `committed_rows`. The slot of the new version and `version_count` are written before
it, so a version exists when its slot's rows are at most the committed rows.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence

import xxhash

from jupyter_nq.buffers.layout import (
    CHANGING_FIELDS,
    METADATA_OFFSET,
    RING_OFFSET,
    RING_SLOTS,
    STATIC_BYTES,
    WORD,
    Changing,
    Static,
    encode_static,
)
from jupyter_nq.errors import ChecksumError

VALUE_BITS = 40
VALUE_LIMIT = 1 << VALUE_BITS
"""Rows, and versions, are fewer."""

_CHECKED = tuple(name for name in CHANGING_FIELDS if name != "digest_root")
_VOUCHED = struct.Struct("<16sQQQ")
_FIRST_SLOT = 1 << 32  # place of slot 0 of the ring; commits count on, so a slot is not taken for an older one
_RING_WORD = RING_OFFSET // 8


def seal(object_id: str, place: int, value: int, beside: int = 0) -> int:
    """Return the word that holds a value, below 2**40, at a place of an object's header.

    Parameters
    ----------
    beside
        Another word, of any value, for which this one vouches too.
    """
    vouched = _VOUCHED.pack(bytes.fromhex(object_id), place, value, beside)
    return xxhash.xxh3_64_intdigest(vouched) >> VALUE_BITS << VALUE_BITS | value


@functools.lru_cache(maxsize=1 << 14)  # most words are read far more often than they change
def opened(object_id: str, place: int, word: int, beside: int = 0) -> int:
    """Return the value of a word; `ChecksumError` when it was not sealed there."""
    value = word % VALUE_LIMIT
    if seal(object_id, place, value, beside) != word:
        raise ChecksumError("its header is damaged (a word that changes differs from its check)")
    return value


# -- writing -------------------------------------------------------------------------------------
def put(words: memoryview, static: Static, name: str, value: int) -> None:
    """Write one word of a mapped header, by its name."""
    words[WORD[name]] = seal(static.object_id, WORD[name], value)


def put_slot(words: memoryview, static: Static, index: int, rows: int, created_ns: int) -> None:
    """Write the slot of a version that is not committed yet."""
    at = _RING_WORD + (index % RING_SLOTS) * 2
    words[at + 1] = created_ns
    words[at] = seal(static.object_id, _FIRST_SLOT + index, rows, created_ns)


def packed(static: Static, changing: Changing) -> bytes:
    """Return the part of a new object's header that changes, from byte 256 to the metadata."""
    content = bytearray(METADATA_OFFSET - STATIC_BYTES)
    with memoryview(content) as raw, raw.cast("Q") as words:
        for name in _CHECKED:
            place = WORD[name]
            words[place - STATIC_BYTES // 8] = seal(static.object_id, place, getattr(changing, name))
        at = CHANGING_FIELDS["digest_root"][0] - STATIC_BYTES
        raw[at : at + len(changing.digest_root)] = changing.digest_root
        for index in _kept(changing.version_count):
            slot, at = index % RING_SLOTS * 2, _RING_WORD - STATIC_BYTES // 8 + index % RING_SLOTS * 2
            rows, created_ns = changing.ring[slot], changing.ring[slot + 1]
            words[at], words[at + 1] = seal(static.object_id, _FIRST_SLOT + index, rows, created_ns), created_ns
    return bytes(content)


def whole_header(static: Static, metadata: bytes, changing: Changing) -> bytes:
    """Return the header of a new object up to the end of its metadata; the digest table lies behind."""
    return encode_static(static, metadata) + packed(static, changing) + metadata


# -- reading -------------------------------------------------------------------------------------
def value(words: memoryview, static: Static, name: str) -> int:
    """Return one word of a mapped header, by its name; `ChecksumError` when it differs from its check."""
    return opened(static.object_id, WORD[name], words[WORD[name]])


def read(words: memoryview, static: Static) -> Changing:
    """Read the changing words from a mapped header, all of one moment, while another process may append.

    An append changes the digest's state before the commit word and again after the digest, so a reading is of
    one moment when neither differs before and after it. At most one slot of the ring is then in the hands of an
    append: the one behind the newest.

    Raises
    ------
    ChecksumError
        A word differs from its check.
    """
    first = STATIC_BYTES // 8
    while True:
        before = (words[WORD["committed_rows"]], words[WORD["digest_state"]])
        found = words[first : first + len(_CHECKED)].tolist()
        root = words[first + len(_CHECKED) : first + len(_CHECKED) + 2].tobytes()
        ring = tuple(words[_RING_WORD : _RING_WORD + 2 * RING_SLOTS].tolist())
        if before == (words[WORD["committed_rows"]], words[WORD["digest_state"]]):
            break
    values = {name: opened(static.object_id, WORD[name], word) for name, word in zip(_CHECKED, found, strict=True)}
    return Changing(digest_root=root, ring=SealedRing(static.object_id, values["version_count"], ring), **values)


class SealedRing(Sequence[int]):
    """The version ring of a header: rows and created_ns of each slot, whose check is compared when they are asked for.

    Zeros where there is no version that may be read. What an append may be writing once more, after one that died, has
    rows beyond all: it is not committed, or damaged.
    """

    def __init__(self, object_id: str, count: int, words: tuple[int, ...]) -> None:
        self._object_id = object_id
        self._count = count
        self._words = words

    def __len__(self) -> int:
        return len(self._words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SealedRing) and (self._count, self._words) == (other._count, other._words)

    def __hash__(self) -> int:
        return hash(self._words)

    def __getitem__(self, position: int) -> int:  # type: ignore[override]  # nobody cuts a ring
        index = self._count - 1 - (self._count - 1 - position // 2) % RING_SLOTS
        if index not in _kept(self._count):
            return 0
        if position % 2:
            return self._words[position]
        try:
            return opened(self._object_id, _FIRST_SLOT + index, *self._words[position : position + 2])
        except ChecksumError:
            if index < self._count - 1 or index == 0:
                raise
            return VALUE_LIMIT


def _kept(count: int) -> range:
    """Return the numbers of the commits whose slots are there; the oldest may be in the hands of an append."""
    return range(max(0, count - RING_SLOTS + 1), count)
