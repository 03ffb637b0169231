"""The head of a cold file: the documented offsets are the real ones, and no head is believed."""

from __future__ import annotations

import itertools
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
import xxhash

from jupyter_nq.buffers import ColdCopies, Store, freeze
from jupyter_nq.buffers.cold import layout as cold_layout
from jupyter_nq.buffers.cold.copies import read_head
from jupyter_nq.buffers.cold.layout import HEAD_BYTES, HEAD_FIELDS
from jupyter_nq.errors import ChecksumError
from tests.unit.buffers.cold.objects import cold_file, versions

_ROW = re.compile(r"\| (\d+) \| (\S+) \| `(\w+)` \|")


@pytest.fixture
def path(store: Store, cold: ColdCopies) -> Path:
    """Give a cold file."""
    info = versions(store)
    freeze(store, info.id, cold)
    return cold_file(cold.path, info.id)


def test_the_documented_offsets_are_the_ones_of_the_code() -> None:
    """Every field of the code is in COLD.md with its offset and size, and nothing else is."""
    text = Path(cold_layout.__file__).with_name("COLD.md").read_text(encoding="utf-8")
    documented = {name: (int(offset), size) for offset, size, name in _ROW.findall(text)}
    expected: dict[str, tuple[int, str]] = {name: (at, str(size)) for name, (at, size) in HEAD_FIELDS.items()}
    assert documented == {**expected, "summary": (HEAD_BYTES, "`summary_bytes`")}


def test_fields_do_not_overlap() -> None:
    """Each byte of the head belongs to one field."""
    spans = sorted(HEAD_FIELDS.values())
    assert all(a + size <= b for (a, size), (b, _) in itertools.pairwise(spans))
    assert sum(spans[-1]) == HEAD_BYTES


def test_the_bytes_of_a_file_are_the_documented_ones(path: Path) -> None:
    """A reader that knows only the table finds the parts, and their digests are right."""
    content = path.read_bytes()

    def field(name: str) -> bytes:
        at, size = HEAD_FIELDS[name]
        return content[at : at + size]

    def number(name: str) -> int:
        return int.from_bytes(field(name), "little")

    assert field("magic") == b"NQCOLDOB"
    assert (number("format"), number("flags"), number("file_bytes")) == (1, 0, len(content))
    assert field("object_id").hex() == path.stem
    summary = content[HEAD_BYTES : HEAD_BYTES + number("summary_bytes")]
    assert xxhash.xxh3_128_digest(content[:240] + summary) == field("head_digest")
    assert msgpack.unpackb(summary)["name"] == "a"
    detail = content[len(content) - number("detail_bytes") :]
    assert xxhash.xxh3_128_digest(detail) == field("detail_digest")
    chunks = msgpack.unpackb(detail)["chunks"]
    assert len(chunks) == 21 * number("chunk_count")
    at = HEAD_BYTES + len(summary)
    for _, size, digest in struct.iter_unpack("<BI16s", chunks):
        assert xxhash.xxh3_128_digest(content[at : at + size]) == digest
        at += size
    assert at == len(content) - len(detail)


def test_a_head_is_read_as_it_was_written(path: Path) -> None:
    """Reading and packing it again gives the same bytes."""
    with path.open("rb") as file:
        head = read_head(file.fileno(), path)
    assert path.read_bytes().startswith(head.encode())
    assert head.key is None


_IMPOSSIBLE: dict[str, dict[str, Any]] = {
    "a path for a name": {"name": "../x"},
    "no kind": {"kind": "tables"},
    "no versions": {"versions": ()},
    "versions that are none": {"versions": ((1, 2),)},
    "rows that are text": {"versions": (("a", "b", "c"),)},
    "negative bytes": {"raw_bytes": -1},
    "metadata that are no map": {"meta": [1]},
    "times that are none": {"created_ns": None},
}


@pytest.mark.parametrize("changes", _IMPOSSIBLE.values(), ids=_IMPOSSIBLE)
def test_a_right_digest_does_not_make_a_summary_true(path: Path, changes: dict[str, Any]) -> None:
    """What some program wrote with its digest is refused when it cannot be, with the path."""
    with path.open("r+b") as file:
        head = read_head(file.fileno(), path)
        packed = cold_layout.encode_summary(replace(head.summary, **changes))
        size = head.file_bytes - len(head.packed_summary) + len(packed)
        file.truncate(size)
        file.write(replace(head, packed_summary=packed, file_bytes=size).encode())
        file.flush()
        with pytest.raises(ChecksumError, match=f"{path} is not a sound cold copy: its summary"):
            read_head(file.fileno(), path)


@pytest.mark.parametrize("name", ["summary_bytes", "detail_bytes", "file_bytes", "chunk_count"])
@pytest.mark.parametrize("value", [0, 1 << 20, 1 << 40, (1 << 64) - 1])
def test_sizes_beyond_all_bounds_allocate_nothing(path: Path, name: str, value: int) -> None:
    """They are compared with the file before anything is read."""
    at, size = HEAD_FIELDS[name]
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value.to_bytes(size, "little"))
        file.flush()
        with pytest.raises(ChecksumError, match="is not a sound cold copy"):
            read_head(file.fileno(), path)
