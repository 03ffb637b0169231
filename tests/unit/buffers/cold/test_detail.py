"""The detail of a cold file: whatever it says with a right digest, it is sound or a `ChecksumError`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
import xxhash

from jupyter_nq.buffers import ColdCopies, ObjectInfo, Store, freeze, layout, thaw
from jupyter_nq.buffers.cold.copies import read_head
from jupyter_nq.buffers.cold.detail import Chunk, Frozen, decode_detail, encode_detail
from jupyter_nq.buffers.cold.layout import Head
from jupyter_nq.errors import ChecksumError
from tests.unit.buffers.cold.objects import cold_file, versions

_Change = Callable[[Frozen, list[Chunk]], tuple[Frozen, list[Chunk]]]


@pytest.fixture
def info(store: Store, cold: ColdCopies) -> ObjectInfo:
    """Give an object of several lanes with a cold copy."""
    info = versions(store)
    freeze(store, info.id, cold)
    return info


def _parts(path: Path) -> tuple[Head, bytes, bytes]:
    with path.open("rb") as file:
        head = read_head(file.fileno(), path)
    content = path.read_bytes()
    return head, content[head.chunks_offset : head.detail_offset], content[head.detail_offset :]


def _rewrite(path: Path, head: Head, chunks: bytes, detail: bytes) -> None:
    size = head.chunks_offset + len(chunks) + len(detail)
    digest = xxhash.xxh3_128_digest(detail)
    head = replace(head, file_bytes=size, detail_bytes=len(detail), detail_digest=digest)
    path.write_bytes(head.encode() + chunks + detail)


def _static(**changes: Any) -> _Change:
    def change(frozen: Frozen, chunks: list[Chunk]) -> tuple[Frozen, list[Chunk]]:
        static = replace(frozen.static, **changes)
        metadata = layout.encode_metadata(static)
        return replace(frozen, static=replace(static, metadata_bytes=len(metadata)), metadata=metadata), chunks

    return change


def _changing(**changes: Any) -> _Change:
    return lambda frozen, chunks: (replace(frozen, changing=replace(frozen.changing, **changes)), chunks)


def _lane(number: int, committed: Any) -> _Change:
    def change(frozen: Frozen, chunks: list[Chunk]) -> tuple[Frozen, list[Chunk]]:
        lanes = list(frozen.committed)
        lanes[number] = committed
        return replace(frozen, committed=tuple(lanes)), chunks

    return change


def _chunk(**changes: Any) -> _Change:
    return lambda frozen, chunks: (frozen, [replace(chunks[0], **changes), *chunks[1:]])


_HOSTILE: dict[str, _Change] = {
    "another object": _static(object_id="0" * 32),
    "another name": _static(name="b"),
    "blocks outside the file": _static(file_bytes=layout.PAGE),
    "a file beyond all bounds": _static(file_bytes=1 << 63),
    "a file off its pages": _static(file_bytes=(1 << 40) + 1),
    "more room than lanes have": _static(capacity_rows=1 << 50),
    "more rows than there is room for": _changing(committed_rows=1 << 40),
    "other rows": _changing(committed_rows=5),
    "no versions": _changing(version_count=0),
    "a ring of nothing": _changing(ring=()),
    "a ring of zeros": _changing(ring=(0,) * 256),
    "an unsealed object": _changing(sealed=0),
    "digests of other rows": _changing(digest_rows=1),
    "another root": _changing(digest_root=bytes(16)),
    "no digests": _changing(digest_state=layout.OFF),
    "a state of digests that is none": _changing(digest_state=9),
    "a table of no lanes": lambda frozen, chunks: (replace(frozen, table=()), chunks),
    "a short table": lambda frozen, chunks: (replace(frozen, table=(b"", *frozen.table[1:])), chunks),
    "a lane cut": _lane(0, 8),
    "a lane of negative bytes": _lane(0, -8),
    "a lane beyond all bounds": _lane(0, 1 << 60),
    "text beyond all bounds": _lane(-1, 1 << 60),
    "text cut": _lane(-1, 100),
    "a lane of no bytes at all": _lane(0, None),
    "a lane too few": lambda frozen, chunks: (replace(frozen, committed=frozen.committed[:-1]), chunks),
    "a chunk too few": lambda frozen, chunks: (frozen, chunks[:-1]),
    "a chunk of nothing": _chunk(stored_bytes=0),
    "a chunk beyond its lane": _chunk(stored_bytes=1 << 31),
    "a codec that is none": _chunk(codec=99),
    "another codec": _chunk(codec=1),
    "another digest": _chunk(digest=bytes(16)),
    "a note beyond all bounds": lambda frozen, chunks: (replace(frozen, note=bytes((1 << 20) + 1)), chunks),
    "a note that is text": lambda frozen, chunks: (replace(frozen, note="note"), chunks),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("change", _HOSTILE.values(), ids=_HOSTILE)
def test_a_right_digest_does_not_make_a_detail_true(
    other: Store, cold: ColdCopies, info: ObjectInfo, change: _Change
) -> None:
    """What some program wrote with its digests, but cannot be, takes no memory and leaves no object."""
    path = cold_file(cold.path, info.id)
    head, stored, packed = _parts(path)
    _rewrite(path, head, stored, encode_detail(*change(*decode_detail(memoryview(packed), head))))
    with pytest.raises(ChecksumError, match=f"{path} is not a sound cold copy"):
        thaw(other, info.id, cold)
    assert other.used_bytes() == 0
    assert list((other.path / "tmp").iterdir()) == []


@pytest.mark.parametrize("key", ["static", "metadata", "changing", "ring", "committed", "table", "note", "chunks"])
@pytest.mark.parametrize("value", [None, 7, "text", b"", b"x" * 256, [], {}, [[1]]], ids=repr)
def test_any_value_may_be_another(other: Store, cold: ColdCopies, info: ObjectInfo, key: str, value: Any) -> None:
    """Each entry of the map is checked, also when it is missing."""
    path = cold_file(cold.path, info.id)
    head, stored, packed = _parts(path)
    content = msgpack.unpackb(packed)
    if (key, value) in (("note", None), ("note", b""), ("note", b"x" * 256)):
        return
    _rewrite(path, head, stored, msgpack.packb(content | {key: value}))
    with pytest.raises(ChecksumError, match="is not a sound cold copy"):
        thaw(other, info.id, cold)
    del content[key]
    _rewrite(path, head, stored, msgpack.packb(content))
    with pytest.raises(ChecksumError, match="is not a sound cold copy"):
        thaw(other, info.id, cold)
    assert other.used_bytes() == 0


def test_what_is_no_map(other: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """Nothing, garbage, a number, a list."""
    path = cold_file(cold.path, info.id)
    head, stored, _ = _parts(path)
    for detail in (b"", b"\xc1", b"\x07", b"\x90", b"\xdf\xff\xff\xff\xff", b"\x81" * 5000):
        _rewrite(path, head, stored, detail)
        with pytest.raises(ChecksumError, match="its detail cannot be read"):
            thaw(other, info.id, cold)
