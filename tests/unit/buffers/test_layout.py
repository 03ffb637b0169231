"""The header: the documented offsets are the real ones, and damage is noticed."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import pandas as pd
import pytest
import xxhash

import jupyter_nq.buffers.layout as layout
from jupyter_nq.buffers import Store
from jupyter_nq.errors import ChecksumError
from tests.unit.buffers.conftest import publish

_ROW = re.compile(r"\| (\d+) \| (\S+) \| `(\w+)` \|")


def _documented() -> dict[str, tuple[int, str]]:
    text = Path(layout.__file__).with_name("LAYOUT.md").read_text(encoding="utf-8")
    return {name: (int(offset), size) for offset, size, name in _ROW.findall(text)}


def test_the_documented_offsets_are_the_ones_of_the_code() -> None:
    """Every field of the code is in LAYOUT.md with its offset and size, and nothing else is."""
    fields = {**layout.STATIC_FIELDS, **layout.CHANGING_FIELDS}
    expected = {name: (offset, str(size)) for name, (offset, size) in fields.items()}
    expected["version_ring"] = (layout.RING_OFFSET, str(layout.RING_SLOTS * layout.SLOT_BYTES))
    expected["metadata"] = (layout.METADATA_OFFSET, "`metadata_bytes`")
    assert _documented() == expected


def test_the_bytes_of_a_file_are_the_documented_ones(store: Store, bars: pd.DataFrame) -> None:
    """A reader that knows only the table finds the right values."""
    info = publish(store, store.write("NQ.30min", bars, reserve_rows=24), 7)
    header = (store.path / "obj" / info.id).read_bytes()[: layout.PAGE]

    def word(name: str) -> int:
        offset, _ = _documented()[name]
        return int.from_bytes(header[offset : offset + 8], "little")

    assert header[:8] == b"NQOBJECT"
    assert header[32:48].hex() == info.id

    def checked(name: str, place: int, beside: int = 0) -> int:
        value = word(name) & ((1 << 40) - 1)
        parts = (n.to_bytes(8, "little") for n in (place, value, beside))
        check = xxhash.xxh3_64_intdigest(header[32:48] + b"".join(parts))
        assert word(name) >> 40 == check >> 40
        return value

    names = ("committed_rows", "first_version", "version_count", "sealed")
    assert [checked(name, _documented()[name][0] // 8) for name in names] == [1000, 7, 1, 1]
    assert (word("layout"), word("capacity_rows")) == (3, 1024)
    assert word("owner_pid") == os.getpid()
    assert word("file_bytes") == (store.path / "obj" / info.id).stat().st_size
    assert checked("version_ring", 1 << 32, info.created_ns) == 1000


def test_fields_do_not_overlap() -> None:
    """Each byte of the header belongs to one field."""
    spans = sorted([*layout.STATIC_FIELDS.values(), *layout.CHANGING_FIELDS.values()])
    assert all(a + size <= b for (a, size), (b, _) in itertools.pairwise(spans))
    assert spans[-1][0] + spans[-1][1] <= layout.RING_OFFSET


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (0, "magic"),
        (72, "damaged"),
        (2570, "damaged"),
        (104, "damaged"),
        (256, "differs from its check"),
        (287, "differs from its check"),
    ],
)
def test_a_flipped_byte_of_the_header_is_noticed(store: Store, bars: pd.DataFrame, offset: int, reason: str) -> None:
    """A damaged header is an error on open, and a quoted finding in a scan."""
    info = store.write("NQ.30min", bars)
    path = store.path / "obj" / info.id
    _flip(path, offset)
    with pytest.raises(ChecksumError, match=reason):
        store.open_id(info.id)
    assert store.scan() == []
    (found,) = store.damaged()
    assert found.path == path
    assert reason in found.reason


def test_another_layout_is_named(store: Store, bars: pd.DataFrame) -> None:
    """An object of a later layout is refused with both numbers."""
    info = store.write("NQ.30min", bars)
    _flip(store.path / "obj" / info.id, 8)
    with pytest.raises(ChecksumError, match=r"layout 252.*reads layout 3"):
        store.info(info.id)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_another_size_is_noticed(store: Store, bars: pd.DataFrame, change: int) -> None:
    """A cut or extended file is an error, not a SIGBUS."""
    info = store.write("NQ.30min", bars)
    path = store.path / "obj" / info.id
    os.truncate(path, path.stat().st_size + change * layout.PAGE)
    with pytest.raises(ChecksumError, match="cut or extended"):
        store.open_id(info.id)


def test_a_file_cut_to_nothing_is_noticed(store: Store, bars: pd.DataFrame) -> None:
    """An empty file among the objects is a finding."""
    info = store.write("NQ.30min", bars)
    os.truncate(store.path / "obj" / info.id, 0)
    assert "magic" in store.damaged()[0].reason


def test_metadata_longer_than_a_page_is_kept(store: Store, bars: pd.DataFrame) -> None:
    """The header grows by pages when the caller's metadata needs them."""
    meta = {"evidence": ["x" * 1000] * 20, "key": "k"}
    info = store.write("NQ.30min", bars, meta=meta)
    assert store.info(info.id).meta == meta
    with store.open_id(info.id) as handle:
        pd.testing.assert_frame_equal(handle.pandas(), bars)


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))
