"""Files of frames: appended to, each frame with a digest, so that a torn one is known and ends what counts.

`DURABLE.md` has the offsets; a test compares the two. With a master key each file has a random key of its own, and
what follows the header of a frame is sealed with it; the header is authenticated too. Nothing is ever written twice at
one place of a file, so no nonce comes twice with one key: who goes on behind a torn frame begins another file.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from jupyter_nq.buffers.cold.encryption import Cipher, key_about, new_seal
from jupyter_nq.buffers.cold.keys import KEY_VARIABLE, KeyRing
from jupyter_nq.buffers.cold.layout import SealedKey
from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError, UnknownKey

MAGIC = b"NQDURABL"
FORMAT = 1
HEAD_BYTES = 256
FRAME_BYTES = 48
PIECE_BYTES = 16
CONTROL, SCHEMA, MESSAGES, POSITIONS = range(4)
"""What a file keeps."""

_HEAD = struct.Struct("<8sQ16sQQQQ8s8s12s4x48s")
_DIGEST_OFFSET = 248
_FRAME = struct.Struct("<5Q8s")
_PIECE = struct.Struct("<2Q")
_LONGEST_BYTES = 1 << 40  # 1 TiB: no frame is so long

Piece = tuple[int, memoryview]
"""Bytes, and where they belong."""


@dataclass(frozen=True)
class Head:
    """What a file is."""

    stream_id: str
    """32 hexadecimal digits."""
    what: int
    lane: int = 0
    number: int = 0
    """Of the segment."""
    part: int = 0
    """Counts from 0 in its segment: who goes on with a segment begins another."""
    key: SealedKey | None = None
    salt: bytes = bytes(8)
    """First bytes of its nonces."""

    @property
    def place(self) -> int:
        """Return what tells this file from all others of its stream."""
        return self.what << 56 | self.lane << 48 | self.part

    def encode(self) -> bytes:
        """Return the first 256 bytes of the file."""
        key = self.key or SealedKey("0" * 16, bytes(12), bytes(48))
        fixed = _HEAD.pack(
            MAGIC,
            FORMAT,
            bytes.fromhex(self.stream_id),
            self.what,
            self.lane,
            self.number,
            self.part,
            bytes.fromhex(key.key_id),
            self.salt,
            key.nonce,
            key.sealed,
        )
        content = fixed.ljust(_DIGEST_OFFSET, b"\0")
        return content + xxhash.xxh3_64_digest(content)


@dataclass(frozen=True)
class Frame:
    """Some messages, or one whole thing, as pieces of bytes with their places."""

    first_seq: int
    end_seq: int
    """Sequence behind its last message."""
    pieces: list[Piece]


def decode_head(content: bytes) -> Head:
    """Read the first 256 bytes of a file; `ChecksumError` when they are damaged, or of another format."""
    if len(content) < HEAD_BYTES or content[:8] != MAGIC:
        raise ChecksumError(f"it does not begin with {MAGIC.decode()}")
    if content[_DIGEST_OFFSET:HEAD_BYTES] != xxhash.xxh3_64_digest(content[:_DIGEST_OFFSET]):
        raise ChecksumError("its head differs from its digest")
    _, version, id_, what, lane, number, part, key_id, salt, nonce, sealed = _HEAD.unpack_from(content)
    if version != FORMAT:
        raise ChecksumError(f"it has format {version}, this version reads {FORMAT}")
    key = SealedKey(key_id.hex(), nonce, sealed) if any(sealed) else None
    return Head(id_.hex(), what, lane, number, part, key, salt)


class FrameWriter:
    """A new file of frames, open for appending by one thread at a time.

    Parameters
    ----------
    path
        Where it is made; there must be none.
    head
        What it is; its key is made here.
    keys
        Master keys, None when nothing is to be encrypted.
    """

    def __init__(self, path: Path, head: Head, keys: KeyRing | None) -> None:
        self.path = path
        self.size = 0
        """Bytes of whole frames."""
        self._index = 0
        self._cipher: Cipher | None = None
        if keys is not None:
            seal = new_seal(keys, head.stream_id, head.number, head.place)
            head = Head(head.stream_id, head.what, head.lane, head.number, head.part, seal.key, seal.salt)
            self._cipher = seal.cipher
        with refused(path):
            self._fd = own(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        try:
            self._write([head.encode()])
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<FrameWriter {self.path}, {self._index} frames>"

    def append(self, frame: Frame) -> None:
        """Write a frame, which the disk has after `sync`."""
        table = b"".join(_PIECE.pack(place, len(raw)) for place, raw in frame.pieces)
        body: list[bytes | memoryview] = [table, *(raw for _, raw in frame.pieces)]
        nbytes = sum(map(len, body)) + (16 if self._cipher else 0)
        fixed = struct.pack("<5Q", frame.first_seq, frame.end_seq, nbytes, len(frame.pieces), self._index)
        if self._cipher is not None:
            plain = memoryview(b"".join(body))
            body = [self._cipher.seal_into(self._index, plain, bytearray(nbytes), fixed)]
        self._index += 1  # before it is written: its nonce is used up
        self._write([fixed, _digest(fixed, body), *body])

    def _write(self, parts: Sequence[bytes | memoryview]) -> None:
        left = memoryview(b"".join(parts))
        nbytes = len(left)
        with refused(self.path):
            while left:
                left = left[os.write(self._fd, left) :]
        self.size += nbytes

    def sync(self) -> None:
        """Return when the disk has all that was appended."""
        with refused(self.path):
            os.fdatasync(self._fd)

    def close(self) -> None:
        """Close it; closing twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            disown(fd)
            os.close(fd)


class FrameReader:
    """A file of frames as it is on the disk: what is behind the first frame that is torn does not count.

    Raises
    ------
    ChecksumError
        It has no sound head.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with refused(path):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(fd, "rb") as file:
                self._content = memoryview(file.read())
        try:
            self.head = decode_head(bytes(self._content[:HEAD_BYTES]))
        except ChecksumError as exc:
            raise ChecksumError(f"{path} is damaged: {exc}.") from exc
        self.sound_bytes = HEAD_BYTES
        """Bytes up to the first frame that is torn, as far as it was looked for."""

    def __repr__(self) -> str:
        return f"<FrameReader {self.path}>"

    @property
    def is_whole(self) -> bool:
        """Tell, after all frames were looked at, whether none was torn."""
        return self.sound_bytes == len(self._content)

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield first and end sequence of each sound frame; no key is needed."""
        for fixed, _ in self._sound():
            yield struct.unpack_from("<2Q", fixed)

    def frames(self, keys: KeyRing | None) -> Iterator[Frame]:
        """Yield the sound frames.

        Raises
        ------
        UnknownKey
            They are encrypted, and the master key is not there.
        ChecksumError
            A frame has a digest that fits, and is not what was sealed for this place.
        """
        cipher = self._cipher(keys)
        for index, (fixed, body) in enumerate(self._sound()):
            first, end, _, count, _, _ = _FRAME.unpack_from(fixed)
            if cipher is not None:
                with self._named():
                    body = cipher.open_into(index, body, bytearray(len(body)), bytes(fixed[: FRAME_BYTES - 8]))
            yield Frame(first, end, self._pieces(body, count))

    def only(self, keys: KeyRing | None) -> bytes:
        """Return the one piece of a file that keeps one whole thing; `ChecksumError` when that is torn."""
        for frame in self.frames(keys):
            return bytes(frame.pieces[0][1])
        raise ChecksumError(f"{self.path} is damaged: it ends before its content.")

    def _sound(self) -> Iterator[tuple[memoryview, memoryview]]:
        raw, at, index = self._content, HEAD_BYTES, 0
        while at + FRAME_BYTES <= len(raw):
            fixed = raw[at : at + FRAME_BYTES]
            _, _, nbytes, _, found, digest = _FRAME.unpack_from(fixed)
            body = raw[at + FRAME_BYTES : at + FRAME_BYTES + nbytes] if nbytes < _LONGEST_BYTES else raw[:0]
            if found != index or len(body) != nbytes or digest != _digest(fixed[:-8], [body]):
                return
            at += FRAME_BYTES + nbytes
            index += 1
            self.sound_bytes = at
            yield fixed, body

    def _pieces(self, body: memoryview, count: int) -> list[Piece]:
        found, start = [], count * PIECE_BYTES
        for place, nbytes in _PIECE.iter_unpack(body[:start]):
            found.append((place, body[start : start + nbytes]))
            start += nbytes
        if len(found) != count or start != len(body):
            raise ChecksumError(f"{self.path} is damaged: the pieces of a frame have other lengths than it.")
        return found

    def _cipher(self, keys: KeyRing | None) -> Cipher | None:
        head = self.head
        if head.key is None:
            return None
        if keys is None:
            raise UnknownKey(
                f"{self.path} is encrypted with the master key {head.key.key_id}, and this process has none. Set "
                f"{KEY_VARIABLE} to that key, or key_file in the settings to a file that has it."
            )
        with self._named():
            data_key = keys.unwrap(head.key, key_about(head.stream_id))
        return Cipher(data_key, head.salt, head.stream_id, head.number, head.place)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except ChecksumError as exc:
            raise ChecksumError(f"{self.path} is damaged: {exc}.") from exc


def _digest(fixed: bytes | memoryview, body: Sequence[bytes | memoryview]) -> bytes:
    found = xxhash.xxh3_64(fixed)
    for part in body:
        found.update(part)
    return found.digest()
