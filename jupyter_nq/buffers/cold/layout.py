"""The head of a cold file: where each word lies, and how it is read and written.

A cold file is: a head of 256 bytes, the summary (msgpack: what a listing needs), the chunks of all lanes behind
each other, and the detail (all else that the object had). `COLD.md` is the same table for readers in other
languages; a test compares the two.

Nothing lies between these parts, and each has a digest: the head one of itself and the summary, and one of the
detail, which has those of the chunks. So there is no byte that may change unnoticed. In an encrypted file the
digests are of the encrypted bytes, so that damage is found, and told from a wrong key, before anything is decrypted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack
import xxhash

from jupyter_nq.buffers.layout import UNREADABLE
from jupyter_nq.buffers.names import is_name
from jupyter_nq.errors import ChecksumError

MAGIC = b"NQCOLDOB"
FORMAT = 1
HEAD_BYTES = 256
SUMMARY_LIMIT_BYTES = 65 << 20  # 65 MiB: an object's metadata, and its versions
DETAIL_LIMIT_BYTES = 256 << 20  # 256 MiB: a reader allocates no more, whatever a head says
DURABLE, ENCRYPTED = 1, 2

# name -> (offset, bytes); integers are little-endian and unsigned
HEAD_FIELDS: dict[str, tuple[int, int]] = {
    "magic": (0, 8),
    "format": (8, 8),
    "flags": (16, 8),
    "file_bytes": (24, 8),
    "object_id": (32, 16),
    "summary_bytes": (48, 8),
    "detail_bytes": (56, 8),
    "chunk_count": (64, 8),
    "detail_digest": (72, 16),
    "nonce_salt": (88, 8),
    "key_id": (96, 8),
    "key_nonce": (104, 12),
    "key_sealed": (116, 48),
    "head_digest": (240, 16),
}
_DIGESTED_BYTES = HEAD_FIELDS["head_digest"][0]
_HEAD = struct.Struct("<8sQQQ16sQQQ16s8s8s12s48s")
_AUTHENTIC_BYTES = HEAD_FIELDS["detail_digest"][0]  # what is behind is not yet known when the detail is encrypted
_KINDS = ("table", "array")


@dataclass(frozen=True)
class Summary:
    """What a cold file tells without a key: enough to list it, and to know whether it is wanted."""

    name: str
    """The dataset for which the object was written."""
    kind: str
    """`table` or `array`."""
    first_version: int
    """Version of its first commit; 0 when it was not published."""
    versions: tuple[tuple[int, int, int], ...] = field(repr=False)
    """(version, rows, created_ns) of the versions that can be opened, oldest first."""
    raw_bytes: int
    """Bytes of memory that the object takes."""
    created_ns: int
    """When the object was written, in nanoseconds since 1970, UTC."""
    owner_pid: int
    """Process that wrote it."""
    meta: dict[str, Any] = field(repr=False)
    """The metadata that its writer gave; empty in an encrypted file."""

    @property
    def version(self) -> int:
        """Newest version."""
        return self.versions[-1][0]

    @property
    def rows(self) -> int:
        """Rows of the newest version."""
        return self.versions[-1][1]


@dataclass(frozen=True)
class SealedKey:
    """The data key of a file, encrypted with a master key."""

    key_id: str
    """16 hexadecimal digits: which master key."""
    nonce: bytes
    """12 random bytes."""
    sealed: bytes = field(repr=False)
    """32 bytes of key and 16 that authenticate it."""


@dataclass(frozen=True)
class Head:
    """What the first bytes of a cold file say."""

    object_id: str
    durable: bool
    """Kept for good, not only until there is room in memory again."""
    file_bytes: int
    detail_bytes: int
    """Bytes of the detail as it lies in the file."""
    chunk_count: int
    detail_digest: bytes
    """xxh3_128 of the detail as it lies in the file."""
    nonce_salt: bytes
    """First 8 bytes of each nonce of an encrypted file, zero in a plain one."""
    key: SealedKey | None
    """None: the file is plain."""
    summary: Summary
    packed_summary: bytes = field(repr=False)

    @property
    def chunks_offset(self) -> int:
        """Bytes from the start of the file to the first chunk."""
        return HEAD_BYTES + len(self.packed_summary)

    @property
    def detail_offset(self) -> int:
        """Bytes from the start of the file to the detail."""
        return self.file_bytes - self.detail_bytes

    def authentic(self) -> bytes:
        """Return what the encryption of the detail vouches for: sizes, counts and the summary; not the sealed key."""
        return self._packed()[:_AUTHENTIC_BYTES] + self.packed_summary

    def encode(self) -> bytes:
        """Return the head and the summary as they lie in the file."""
        words = self._packed().ljust(_DIGESTED_BYTES, b"\0")
        return words + xxhash.xxh3_128_digest(words + self.packed_summary) + self.packed_summary

    def rekeyed(self, key: SealedKey) -> Head:
        """Return the same head with the data key sealed anew."""
        return replace(self, key=key)

    def _packed(self) -> bytes:
        key = self.key or SealedKey("0" * 16, bytes(12), bytes(48))
        return _HEAD.pack(
            MAGIC,
            FORMAT,
            DURABLE * self.durable | ENCRYPTED * (self.key is not None),
            self.file_bytes,
            bytes.fromhex(self.object_id),
            len(self.packed_summary),
            self.detail_bytes,
            self.chunk_count,
            self.detail_digest,
            self.nonce_salt,
            bytes.fromhex(key.key_id),
            key.nonce,
            key.sealed,
        )


def encode_summary(summary: Summary) -> bytes:
    """Pack a summary."""
    fields = {name: getattr(summary, name) for name in Summary.__dataclass_fields__}
    packed: bytes = msgpack.packb(fields, use_bin_type=True)
    return packed


def summary_bytes(words: bytes, size: int) -> int:
    """Return how many bytes the summary has, from the first 256 bytes of a file of `size` bytes.

    Raises
    ------
    ChecksumError
        They are no head of this format, or one that cannot be true.
    """
    if len(words) < HEAD_BYTES or words[:8] != MAGIC:
        raise ChecksumError("it does not start with the magic of a cold copy")
    fields = _HEAD.unpack_from(words)
    if fields[1] != FORMAT:
        raise ChecksumError(
            f"it has format {fields[1]}, this version of jupyter-nq reads format {FORMAT}; it is left as it is"
        )
    if fields[3] != size:
        raise ChecksumError("the file was cut or extended")
    length, detail = fields[5], fields[6]
    if length > SUMMARY_LIMIT_BYTES or detail > DETAIL_LIMIT_BYTES or HEAD_BYTES + length + detail > size:
        raise ChecksumError("its head is damaged (its parts lie outside the file)")
    return int(length)


def decode_head(words: bytes, packed_summary: bytes) -> Head:
    """Check the digest of the head and the summary, and read them; `ChecksumError` when they cannot be true."""
    digested = words[:_DIGESTED_BYTES]
    if xxhash.xxh3_128_digest(digested + packed_summary) != words[_DIGESTED_BYTES:HEAD_BYTES]:
        raise ChecksumError("its head is damaged (digest of the head differs)")
    fields = _HEAD.unpack_from(words)
    flags = fields[2]
    key = SealedKey(fields[10].hex(), fields[11], fields[12]) if flags & ENCRYPTED else None
    return Head(
        object_id=fields[4].hex(),
        durable=bool(flags & DURABLE),
        file_bytes=fields[3],
        detail_bytes=fields[6],
        chunk_count=fields[7],
        detail_digest=fields[8],
        nonce_salt=fields[9],
        key=key,
        summary=_decode_summary(packed_summary),
        packed_summary=packed_summary,
    )


def _decode_summary(packed: bytes) -> Summary:
    try:
        content = msgpack.unpackb(packed, raw=False)
        versions = tuple((int(version), int(rows), int(created)) for version, rows, created in content.pop("versions"))
        summary = Summary(**content, versions=versions)
        numbers = (summary.first_version, summary.raw_bytes, summary.created_ns, summary.owner_pid)
        sound = is_name(summary.name) and summary.kind in _KINDS and all(type(n) is int and n >= 0 for n in numbers)
        if not (sound and versions and isinstance(summary.meta, dict)):
            raise ChecksumError("its summary is that of no object")
    except ChecksumError:
        raise
    except UNREADABLE as exc:
        raise ChecksumError(f"its summary cannot be read ({exc!r})") from exc
    return summary
