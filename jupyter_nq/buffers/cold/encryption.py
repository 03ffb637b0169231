"""AES-256-GCM for cold files: each chunk sealed on its own, and bound to its place.

A file has a random 256-bit key. The nonce of a chunk is 8 random bytes of the file and the number of the chunk,
so none comes twice with one key. What is authenticated beside the bytes says which object and version they are of,
which chunk, and how many there are: a chunk that is cut, moved, repeated or taken from another file does not open.

Objects in memory stay plain. Every reader maps the same bytes, and shares them because nobody needs a copy of
his own to decrypt them; who may map them is decided by the permissions of the store (0700, 0600). Memory may be
swapped out, and be written into a core dump: `exclude_from_core_dumps` prevents the latter for a mapping.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass

from jupyter_nq.buffers.cold.keys import KEY_BYTES, KEY_VARIABLE, KeyRing, aead
from jupyter_nq.buffers.cold.layout import FORMAT, Head, SealedKey
from jupyter_nq.errors import ChecksumError, UnknownKey

TAG_BYTES = 16
SALT_BYTES = 8
_ABOUT = struct.Struct("<Q16sQQQ")
_KEY_ABOUT = b"jupyter-nq data key"


class Cipher:
    """Seals and opens the chunks of one file.

    Parameters
    ----------
    data_key
        32 bytes that no other file has.
    salt
        8 bytes.
    object_id, version
        What the file is a copy of.
    count
        How many chunks it has; the detail is sealed as if it were one more.
    """

    def __init__(self, data_key: bytes, salt: bytes, object_id: str, version: int, count: int) -> None:
        self._aead = aead(data_key)
        self._salt = salt
        self._object_id = bytes.fromhex(object_id)
        self._version = version
        self.count = count

    def seal_into(self, index: int, data: memoryview, buffer: bytearray, about: bytes = b"") -> memoryview:
        """Encrypt a chunk into a buffer and return the part that it fills: 16 bytes more than the data.

        Parameters
        ----------
        index
            Number of the chunk; sealing two chunks under one number would give both away.
        about
            What is authenticated too, and has to be the same when it is opened.
        """
        found = memoryview(buffer)[: len(data) + TAG_BYTES]
        self._aead.encrypt_into(self._nonce(index), data, self._about(index) + about, found)
        return found

    def open_into(self, index: int, sealed: memoryview, buffer: bytearray, about: bytes = b"") -> memoryview:
        """Decrypt a chunk into a buffer and return the part that it fills.

        Raises
        ------
        ChecksumError
            It is not what was sealed under this number for this object.
        """
        from cryptography.exceptions import InvalidTag

        if len(sealed) < TAG_BYTES:
            raise ChecksumError("it is too short to be encrypted")
        found = memoryview(buffer)[: len(sealed) - TAG_BYTES]
        try:
            self._aead.decrypt_into(self._nonce(index), sealed, self._about(index) + about, found)
        except InvalidTag as exc:
            raise ChecksumError("it is not authentic: not what was encrypted for this place") from exc
        return found

    def _nonce(self, index: int) -> bytes:
        return self._salt + index.to_bytes(4, "big")

    def _about(self, index: int) -> bytes:
        return _ABOUT.pack(FORMAT, self._object_id, self._version, index, self.count)


@dataclass(frozen=True)
class Seal:
    """What a new encrypted file needs."""

    cipher: Cipher
    salt: bytes
    """First 8 bytes of its nonces."""
    key: SealedKey
    """Its key, sealed by the current master key."""


def new_seal(keys: KeyRing, object_id: str, version: int, count: int) -> Seal:
    """Make a key for a file of `count` chunks."""
    data_key, salt = os.urandom(KEY_BYTES), os.urandom(SALT_BYTES)
    return Seal(Cipher(data_key, salt, object_id, version, count), salt, keys.wrap(data_key, key_about(object_id)))


def cipher_of(head: Head, keys: KeyRing | None) -> Cipher | None:
    """Return what opens the chunks of a file, None for a plain one.

    Raises
    ------
    UnknownKey
        The file is encrypted, and its master key is not there.
    ChecksumError
        Its key was not sealed by that master key.
    """
    if head.key is None:
        return None
    if keys is None:
        raise UnknownKey(
            f"{head.summary.name} is encrypted on the disk (object {head.object_id}) with the master key "
            f"{head.key.key_id}, and this process has none. Set {KEY_VARIABLE} to that key, or key_file in the "
            "settings to a file that has it."
        )
    data_key = keys.unwrap(head.key, key_about(head.object_id))
    return Cipher(data_key, head.nonce_salt, head.object_id, head.summary.version, head.chunk_count)


def key_about(object_id: str) -> bytes:
    """Return what a sealed key is bound to: the format and the object."""
    return _KEY_ABOUT + FORMAT.to_bytes(8, "little") + bytes.fromhex(object_id)


def exclude_from_core_dumps(mapping: mmap.mmap) -> bool:
    """Keep the pages of a mapping out of core dumps; False where the system cannot.

    For who maps objects whose cold copies are encrypted: a dump is a plain file.
    """
    advice = getattr(mmap, "MADV_DONTDUMP", None)
    if advice is None:
        return False
    mapping.madvise(advice)
    return True
