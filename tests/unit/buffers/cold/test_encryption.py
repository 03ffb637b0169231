"""Encryption of cold files: a chunk opens in its place, with its key, and nowhere else."""

from __future__ import annotations

import mmap
import re
import struct
from pathlib import Path

import msgpack
import numpy as np
import pytest
import xxhash

from jupyter_nq.buffers import ColdCopies, KeyRing, ObjectInfo, Store, check_cold, freeze, thaw
from jupyter_nq.buffers.cold.copies import read_head
from jupyter_nq.buffers.cold.encryption import TAG_BYTES, Cipher, cipher_of, exclude_from_core_dumps
from jupyter_nq.buffers.cold.layout import HEAD_FIELDS, Head
from jupyter_nq.errors import ChecksumError, UnknownKey
from tests.unit.buffers.cold.objects import MASTER_KEY, cold_file

RING = KeyRing([MASTER_KEY])
KEY, SALT = bytes(32), bytes(8)


def _cipher(object_id: str = "a" * 32, version: int = 1, count: int = 3) -> Cipher:
    return Cipher(KEY, SALT, object_id, version, count)


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_a_chunk_comes_back(size: int) -> None:
    """With a tag behind it, from larger buffers that are used again."""
    data = np.random.default_rng(size).bytes(size)
    buffer, plain = bytearray(size + 100), bytearray(size + 50)
    for index in (0, 1):
        sealed = _cipher().seal_into(index, memoryview(data), buffer, b"about")
        assert len(sealed) == size + TAG_BYTES
        assert bytes(_cipher().open_into(index, sealed, plain, b"about")) == data
    assert size < 16 or data not in bytes(sealed)


def test_no_two_chunks_look_alike() -> None:
    """Equal bytes differ when they are encrypted, by their number."""
    seen = {bytes(_cipher().seal_into(i, memoryview(bytes(64)), bytearray(80))) for i in range(100)}
    assert len(seen) == 100


@pytest.mark.parametrize(
    ("cipher", "index", "about"),
    [
        (_cipher(), 1, b""),
        (_cipher("b" * 32), 0, b""),
        (_cipher(version=2), 0, b""),
        (_cipher(count=2), 0, b""),
        (_cipher(), 0, b"else"),
        (Cipher(bytes(31) + b"x", SALT, "a" * 32, 1, 3), 0, b""),
        (Cipher(KEY, bytes(7) + b"x", "a" * 32, 1, 3), 0, b""),
    ],
    ids=["place", "object", "version", "count", "context", "key", "salt"],
)
def test_what_was_sealed_for_another_place_does_not_open(cipher: Cipher, index: int, about: bytes) -> None:
    """Neither in another place, nor with another key."""
    sealed = _cipher().seal_into(0, memoryview(b"x" * 100), bytearray(116))
    with pytest.raises(ChecksumError, match="not authentic"):
        cipher.open_into(index, sealed, bytearray(100), about)


def test_what_is_too_short_does_not_open() -> None:
    """Not even a tag."""
    with pytest.raises(ChecksumError, match="too short"):
        _cipher().open_into(0, memoryview(b"x" * 15), bytearray(100))


# -- whole files ---------------------------------------------------------------------------------
@pytest.fixture
def info(store: Store, cold: ColdCopies) -> ObjectInfo:
    """Give an object of six equal chunks, two lanes of three, with an encrypted copy."""
    chunk = np.random.default_rng(0).bytes(4 << 20)
    lane = np.frombuffer(chunk * 3, np.uint8)
    info = store.write("t", {"x": lane, "y": lane})
    freeze(store, info.id, cold, keys=RING)
    return info


def test_files_of_one_object_have_nothing_in_common(store: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """Each has a key and a salt of its own."""
    first = cold_file(cold.path, info.id).read_bytes()
    freeze(store, info.id, cold, keys=RING)
    second = cold_file(cold.path, info.id).read_bytes()
    for name in ("nonce_salt", "key_nonce", "key_sealed"):
        at, size = HEAD_FIELDS[name]
        assert first[at : at + size] != second[at : at + size]
    assert first[-100_000:] != second[-100_000:]


def test_a_missing_key_is_named(other: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """None at all, or another one: the message says which is needed, and where a user gives one."""
    for keys in (None, KeyRing([bytes(32)])):
        with pytest.raises(UnknownKey, match=RING.current_id):
            thaw(other, info.id, cold, keys=keys)
    with pytest.raises(UnknownKey, match=rf"{info.name} is encrypted .*Set JUPYTER_NQ_KEY to that key, or key_file in"):
        thaw(other, info.id, cold)
    assert other.used_bytes() == 0


def test_a_key_of_another_file_is_refused(store: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """A sealed key is bound to its object."""
    second = store.write("u", np.arange(10))
    freeze(store, second.id, cold, keys=RING)
    with cold.opened(info.id) as (fd, path):
        head = read_head(fd, path)
    with cold.opened(second.id) as (fd, path):
        theirs = read_head(fd, path).key
    assert theirs is not None
    with pytest.raises(ChecksumError, match="not authentic"):
        cipher_of(head.rekeyed(theirs), RING)


class _Forger:
    """Rewrites a cold file with right digests, as who has no key could."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self.head: Head = read_head(file.fileno(), path)
        self.cipher = cipher_of(self.head, RING)
        assert self.cipher is not None
        content = path.read_bytes()
        self.detail = content[self.head.detail_offset :]
        plain = self.cipher.open_into(
            self.head.chunk_count, memoryview(self.detail), bytearray(len(self.detail)), self.head.authentic()
        )
        sizes = [size for _, size, _ in struct.iter_unpack("<BI16s", msgpack.unpackb(plain)["chunks"])]
        self.chunks, at = [], self.head.chunks_offset
        for size in sizes:
            self.chunks.append(content[at : at + size])
            at += size

    def seal_again(self, chunks: list[bytes]) -> None:
        """Write other chunks, and a detail that has their digests: the digests are then no help."""
        assert self.cipher is not None
        plain = self.cipher.open_into(
            self.head.chunk_count, memoryview(self.detail), bytearray(len(self.detail)), self.head.authentic()
        )
        content = msgpack.unpackb(plain)
        codecs = [codec for codec, _, _ in struct.iter_unpack("<BI16s", content["chunks"])]
        content["chunks"] = b"".join(
            struct.pack("<BI16s", codec, len(chunk), xxhash.xxh3_128_digest(chunk))
            for codec, chunk in zip(codecs, chunks, strict=True)
        )
        packed = msgpack.packb(content)
        assert len(packed) == len(plain)
        sealed = self.cipher.seal_into(
            self.head.chunk_count, memoryview(packed), bytearray(len(packed) + TAG_BYTES), self.head.authentic()
        )
        words = bytearray(self.head.encode())
        at, size = HEAD_FIELDS["detail_digest"]
        words[at : at + size] = xxhash.xxh3_128_digest(sealed)
        at, size = HEAD_FIELDS["head_digest"]
        words[at : at + size] = xxhash.xxh3_128_digest(bytes(words[:at]) + self.head.packed_summary)
        self.path.write_bytes(bytes(words) + b"".join(chunks) + bytes(sealed))


def _moved(chunks: list[bytes]) -> list[bytes]:
    return [chunks[1], chunks[0], *chunks[2:]]


def _repeated(chunks: list[bytes]) -> list[bytes]:
    return [chunks[0], chunks[0], *chunks[2:]]


def _of_another_lane(chunks: list[bytes]) -> list[bytes]:
    return [*chunks[3:], *chunks[3:]]


def _changed(chunks: list[bytes]) -> list[bytes]:
    return [bytes([chunks[0][0] ^ 1]) + chunks[0][1:], *chunks[1:]]


@pytest.mark.parametrize("change", [_moved, _repeated, _of_another_lane, _changed])
def test_chunks_in_other_places_do_not_open(cold: ColdCopies, info: ObjectInfo, change: object) -> None:
    """Moved, repeated, or of another lane, all of equal content: even with right digests they are not authentic."""
    forger = _Forger(cold_file(cold.path, info.id))
    forger.seal_again(forger.chunks)
    check_cold(info.id, cold, keys=RING)
    forger.seal_again(change(forger.chunks))  # type: ignore[operator]
    with pytest.raises(ChecksumError, match=r"chunk 0 of column 'x'|chunk 1 of column 'x'") as caught:
        check_cold(info.id, cold, keys=RING)
    assert "not authentic" in str(caught.value)


def test_a_cut_file_is_found(cold: ColdCopies, info: ObjectInfo) -> None:
    """The last chunk is missing, and every size and digest that is not encrypted says so."""
    path = cold_file(cold.path, info.id)
    forger = _Forger(path)
    content = path.read_bytes()
    cut = len(forger.chunks[-1])
    words = bytearray(content[: forger.head.chunks_offset])
    at, size = HEAD_FIELDS["file_bytes"]
    words[at : at + size] = (len(content) - cut).to_bytes(size, "little")
    at, size = HEAD_FIELDS["head_digest"]
    words[at : at + size] = xxhash.xxh3_128_digest(bytes(words[:at]) + forger.head.packed_summary)
    path.write_bytes(bytes(words) + b"".join(forger.chunks[:-1]) + forger.detail)
    with pytest.raises(ChecksumError, match="not authentic"):
        check_cold(info.id, cold, keys=RING)


def test_what_is_readable_cannot_be_changed(cold: ColdCopies, info: ObjectInfo) -> None:
    """The summary is authenticated: another name with a right digest is found."""
    path = cold_file(cold.path, info.id)
    content = bytearray(path.read_bytes())
    start = 256 + content[256:].index(b"\xa1t")  # the name, as msgpack packs it
    content[start + 1] = ord("u")
    summary_bytes = int.from_bytes(content[48:56], "little")
    content[240:256] = xxhash.xxh3_128_digest(bytes(content[:240] + content[256 : 256 + summary_bytes]))
    path.write_bytes(content)
    assert cold.info(info.id).name == "u"
    with pytest.raises(ChecksumError, match="not authentic"):
        check_cold(info.id, cold, keys=RING)


def test_a_mapping_is_left_out_of_core_dumps(store: Store, info: ObjectInfo) -> None:
    """The kernel's flag is set for the mapping of an object, and for no other one."""
    with store.open_id(info.id) as handle:
        flags = _flags(handle.address)
        assert "dd" not in flags
        assert exclude_from_core_dumps(handle.mapping())
        assert "dd" in _flags(handle.address)


def test_tensors_are_left_out_of_core_dumps_too(store: Store) -> None:
    """They have a mapping of their own."""
    pytest.importorskip("torch")
    written = store.write("t", np.zeros(1 << 16))
    with store.open_id(written.id) as handle:
        before = handle.torch()
        assert "dd" not in _flags(_mapped_at(before.data_ptr()))
        handle.exclude_from_core_dumps()
        after = handle.torch()
        assert "dd" in _flags(handle.address)
        assert "dd" in _flags(_mapped_at(after.data_ptr()))


def test_where_nothing_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so."""
    monkeypatch.delattr(mmap, "MADV_DONTDUMP")
    with mmap.mmap(-1, 4096) as mapping:
        assert not exclude_from_core_dumps(mapping)


def _flags(address: int) -> list[str]:
    text = Path("/proc/self/smaps").read_text()
    found = re.search(rf"^{address:08x}-.*?^VmFlags: ([^\n]*)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].split()


def _mapped_at(address: int) -> int:
    """Return where the mapping of an address starts."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, stop = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < stop:
            return start
    raise AssertionError(f"{address:x} is not mapped")
