"""Any damage to a cold file is found before it is used, and so is any to an object in memory.

`JUPYTER_NQ_MUTATIONS` says how many mutations each test tries; without it they are as many as take seconds.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pyarrow as pa
import pytest

from jupyter_nq.buffers import ColdCopies, KeyRing, ObjectInfo, Store, check_cold, freeze, layout, thaw
from jupyter_nq.buffers.objects import read_static
from jupyter_nq.buffers.places import digest_pieces, places
from jupyter_nq.errors import ChecksumError
from tests.unit.buffers.cold.objects import MASTER_KEY, cold_file, committed, committed_ranges, versions
from tests.unit.buffers.conftest import publish

COUNT = int(os.environ.get("JUPYTER_NQ_MUTATIONS", "3000"))
KEYS = {"plain": None, "encrypted": KeyRing([MASTER_KEY])}


def mutated(content: bytes, seed: int) -> Iterator[bytes]:
    """Give files with a bit or a byte flipped, a range cut out, doubled, zeroed or swapped, cut short or extended."""
    chance = random.Random(seed)
    size, given = len(content), 0
    while given < COUNT:
        start, length = chance.randrange(size), chance.choice((1, 8, 16, 100, 4096))
        stop = min(start + length, size)
        part, kind = content[start:stop], chance.randrange(8)
        if kind < 2:
            found = content[:start] + bytes([content[start] ^ 1 << chance.randrange(8)]) + content[start + 1 :]
        elif kind == 2:
            found = content[:start] + chance.randbytes(len(part)) + content[stop:]
        elif kind == 3:
            found = content[:start] + bytes(len(part)) + content[stop:]
        elif kind == 4:
            found = content[:start] + content[stop:]
        elif kind == 5:
            found = content[:stop] + part + content[stop:]
        elif kind == 6:
            other = chance.randrange(size)
            first, second = sorted((start, other))
            length = min(length, second - first, size - second)
            swapped = content[second : second + length], content[first : first + length]
            found = content[:first] + swapped[0] + content[first + length : second] + swapped[1]
            found += content[second + length :]
        else:
            found = content[:start] if chance.random() < 0.5 else content + chance.randbytes(length)
        if found != content:  # zeros may have been zeroed
            given += 1
            yield found


@pytest.fixture
def info(store: Store) -> ObjectInfo:
    """Give an object of four versions with text, nulls and a note."""
    return versions(store, 4)


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_any_damage_to_a_cold_file_is_found(
    store: Store, other: Store, cold: ColdCopies, info: ObjectInfo, keys: KeyRing | None
) -> None:
    """There is no byte in it that is not checked: each mutation is an error that names the file."""
    freeze(store, info.id, cold, keys=keys)
    path = cold_file(cold.path, info.id)
    content = path.read_bytes()
    for number, found in enumerate(mutated(content, seed=len(content))):
        path.write_bytes(found)
        with pytest.raises(ChecksumError, match=str(path)):
            check_cold(info.id, cold, keys=keys)
        if number % 50 == 0:  # it is the same reading
            with pytest.raises(ChecksumError, match=str(path)):
                thaw(other, info.id, cold, keys=keys)
            assert other.used_bytes() == 0
    path.write_bytes(content)
    assert thaw(other, info.id, cold, keys=keys) == info
    assert committed(other, info) == committed(store, info)


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_each_byte_of_a_cold_file_counts(
    store: Store, cold: ColdCopies, info: ObjectInfo, keys: KeyRing | None
) -> None:
    """Flip each byte of head and summary, and of the rest as many as there is time for."""
    freeze(store, info.id, cold, keys=keys)
    path = cold_file(cold.path, info.id)
    content = path.read_bytes()
    with path.open("r+b") as file:
        for at in (*range(1000), *range(1000, len(content), max(1, len(content) // COUNT))):
            os.pwrite(file.fileno(), bytes([content[at] ^ 0x10]), at)
            with pytest.raises(ChecksumError, match=str(path)):
                check_cold(info.id, cold, keys=keys)
            os.pwrite(file.fileno(), content[at : at + 1], at)
    check_cold(info.id, cold, keys=keys)


# -- objects in memory ---------------------------------------------------------------------------
def _digested(store: Store, info: ObjectInfo) -> list[tuple[int, int]]:
    """Return the ranges of an object's file that have a digest, or are one.

    Not among them are what follows a lane's committed bytes in its last page, and its reserve; slots of the ring that
    have no version; the rest of the header's pages, and of the digest table. Those are no data.
    """
    path = store.path / "obj" / info.id
    with path.open("rb") as file:
        static = read_static(file.fileno(), path)
    lanes = list(committed_ranges(store, info))
    found = [(0, layout.STATIC_BYTES), (layout.METADATA_OFFSET, layout.METADATA_OFFSET + static.metadata_bytes), *lanes]
    found += [(at, at + size) for at, size in layout.CHANGING_FIELDS.values()]
    found.append((layout.RING_OFFSET, layout.RING_OFFSET + len(info.versions) * layout.SLOT_BYTES))
    at = static.digest_offset
    for place, (start, stop) in zip(places(static), lanes, strict=True):
        found.append((at, at + digest_pieces(stop - start) * layout.DIGEST_BYTES))
        at += place.table_bytes
    return [(start, stop) for start, stop in found if stop > start]


def test_any_damage_to_an_object_is_found(store: Store) -> None:
    """Flip any digested byte: the object is refused, or verifying names the column and its piece."""
    table = pa.table({"x": [i * 0.25 for i in range(900)], "n": [1, None, 3] * 300, "s": [f"{i}" for i in range(900)]})
    info = publish(store, store.write("a", table, reserve_rows=100))
    info = store.append(info.id, table.slice(0, 50))
    path = store.path / "obj" / info.id
    ranges, data = _digested(store, info), set(committed_ranges(store, info))
    content = path.read_bytes()
    chance = random.Random(7)
    with path.open("r+b") as file:
        for _ in range(COUNT):
            start, stop = ranges[chance.randrange(len(ranges))]
            at = chance.randrange(start, stop)
            os.pwrite(file.fileno(), bytes([content[at] ^ chance.randrange(1, 256)]), at)
            _expect_damage(store, info, is_data=(start, stop) in data)
            os.pwrite(file.fileno(), content[at : at + 1], at)
    assert path.read_bytes() == content
    assert store.verify(info.id)


def _expect_damage(store: Store, info: ObjectInfo, *, is_data: bool) -> None:
    says = ("is damaged in its 1 MiB piece 0", "lie outside its data", "is not a sound object")
    reason = ""
    try:
        store.info(info.id)
        store.verify(info.id)
    except ChecksumError as exc:
        reason = str(exc)
    assert reason
    assert not is_data or any(part in reason for part in says)


def test_what_has_no_digest_is_never_shown(store: Store, info: ObjectInfo) -> None:
    """Bytes behind the committed rows may be anything: views and digests are the same."""
    path = store.path / "obj" / info.id
    before = committed(store, info)
    with store.open_id(info.id) as handle:
        shown = handle.arrow().to_pydict()
    ends = [stop for _, stop in committed_ranges(store, info)]
    with path.open("r+b") as file:
        for end in ends:
            os.pwrite(file.fileno(), b"\xff" * (layout.align(end) - end), end)
    assert committed(store, info) == before
    assert store.verify(info.id)
    with store.open_id(info.id) as handle:
        assert handle.arrow().to_pydict() == shown
