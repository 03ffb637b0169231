"""No header is believed: whatever its bytes say, an object is sound or a `ChecksumError`, and quickly."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.buffers import ObjectInfo, Store, layout, words
from jupyter_nq.buffers.layout import item_bytes
from jupyter_nq.buffers.objects import read_static
from jupyter_nq.errors import ChecksumError
from tests.unit.buffers.child import Child
from tests.unit.buffers.conftest import make_bars, publish

_GARBAGE = [b"\xff" * 8, struct.pack("<Q", 1 << 62), struct.pack("<Q", 1 << 45), struct.pack("<Q", 1), bytes(8)]


@pytest.fixture
def appended(store: Store) -> ObjectInfo:
    """Give an object with three versions and metadata beyond the first page."""
    info = publish(store, store.write("a", make_bars(10), reserve_rows=50, meta={"evidence": "x" * 2000}))
    store.append(info.id, make_bars(10))
    return store.append(info.id, make_bars(10))


@contextlib.contextmanager
def _patched(path: Path, offset: int, content: bytes) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR)
    before = os.pread(fd, len(content), offset)
    try:
        os.pwrite(fd, content, offset)
        yield
    finally:
        os.pwrite(fd, before, offset)
        os.close(fd)


def _look(store: Store, object_id: str) -> bool:
    """Use the object in every way; False when it is found damaged in one."""
    sound = True
    for use in (store.info, store.verify, lambda id_: store.open_id(id_).pandas()):
        try:
            use(object_id)
        except ChecksumError:
            sound = False
    return sound


def test_every_byte_of_a_header_may_be_wrong(store: Store, appended: ObjectInfo) -> None:
    """Flip each byte of the header in two ways: what reads it says that it is damaged, or shows what was written."""
    path = store.path / "obj" / appended.id
    header = path.read_bytes()[: 2 * layout.PAGE]
    slots = range(layout.RING_OFFSET, layout.RING_OFFSET + len(appended.versions) * layout.SLOT_BYTES)
    changing = range(layout.CHANGING_FIELDS["sealed"][0], layout.CHANGING_FIELDS["digest_root"][0])
    checked = {*range(layout.STATIC_BYTES), *changing, *slots}
    for at in (at for at in range(len(header)) if header[at] or at in checked):
        for flip in (0xFF, 0x01):
            with _patched(path, at, bytes([header[at] ^ flip])):
                sound = _look(store, appended.id)
            assert not sound or at not in checked
    assert _look(store, appended.id)


@pytest.mark.parametrize("garbage", _GARBAGE, ids=range(len(_GARBAGE)))
def test_every_word_of_a_header_may_be_garbage(store: Store, appended: ObjectInfo, garbage: bytes) -> None:
    """Sizes and counts beyond all bounds neither hang nor allocate; a scan lists the object or its damage."""
    path = store.path / "obj" / appended.id
    for at in range(0, layout.RING_OFFSET + 64, 8):
        with _patched(path, at, garbage):
            _look(store, appended.id)
            assert len(store.scan()) + len(store.damaged()) == 1


def test_a_garbage_ring_does_not_hang(store: Store, appended: ObjectInfo) -> None:
    """Nobody counts down from 2**62."""
    path = store.path / "obj" / appended.id
    count = layout.CHANGING_FIELDS["version_count"][0]
    with _patched(path, layout.RING_OFFSET, b"\x7f" * 2048), _patched(path, count, struct.pack("<Q", 1 << 62)):
        assert store.scan() == []
        assert "differs from its check" in store.damaged()[0].reason


def _block(**changes: Any) -> Callable[[layout.Static], layout.Static]:
    return lambda s: replace(s, blocks=(replace(s.blocks[0], **changes), *s.blocks[1:]))


_HOSTILE: dict[str, Callable[[layout.Static], layout.Static]] = {
    "an object dtype": _block(dtype="|O"),
    "no dtype": _block(dtype="xx"),
    "a wider dtype": _block(dtype="<f16"),
    "another dtype of the width": _block(dtype="<i8"),
    "a block behind the file": _block(offset=1 << 30),
    "a block in the header": _block(offset=0),
    "a negative offset": _block(offset=-4096),
    "a block off its page": lambda s: _block(offset=s.blocks[0].offset + 8)(s),
    "a block over another": lambda s: _block(offset=s.blocks[1].offset)(s),
    "a stride of nothing": _block(stride=0),
    "a stride beyond the file": _block(stride=1 << 40),
    "a lane twice": _block(lanes=(0, 0)),
    "a lane too many": _block(lanes=(0, 9)),
    "a lane of no column": lambda s: replace(s, lanes=((7, "values"), *s.lanes[1:])),
    "a lane of no role": lambda s: replace(s, lanes=((0, "value"), *s.lanes[1:])),
    "two lanes of values": lambda s: replace(s, lanes=((1, "values"), *s.lanes[1:])),
    "offsets without text": lambda s: replace(s, lanes=((0, "offsets"), *s.lanes[1:])),
    "lanes out of order": lambda s: replace(s, lanes=(s.lanes[1], s.lanes[0], s.lanes[2])),
    "a lane too few": lambda s: replace(s, lanes=s.lanes[:-1]),
    "categories of no column": lambda s: replace(s, dictionaries={"q": b""}),
    "categories of numbers": lambda s: replace(s, dictionaries={"x": b""}),
    "categories that are none": lambda s: replace(s, dictionaries={"x": 7}),  # type: ignore[dict-item]
    "more capacity than room": lambda s: replace(s, capacity_rows=1 << 40),
    "a header beyond the file": lambda s: replace(s, header_bytes=1 << 40),
    "digests outside the header": lambda s: replace(s, digest_offset=1 << 20),
    "digests over the metadata": lambda s: replace(s, digest_offset=layout.METADATA_OFFSET),
    "no digests": lambda s: replace(s, digest_bytes=0),
    "columns of one name": lambda s: replace(s, columns=("x", "x", "y")),
    "a path for a name": lambda s: replace(s, name="../x"),
    "a shape for a table": lambda s: replace(s, shape=(2,)),
    "an array of columns": lambda s: replace(s, kind="array"),
    "a schema of other columns": lambda s: replace(s, columns=("a", "b", "c")),
    "a schema that is none": lambda s: replace(s, schema=b"\xff" * 8),
    "no schema": lambda s: replace(s, schema=None),
    "an index that is no column": lambda s: replace(s, origin={"index": {"column": "q"}}),
    "an index that is no range": lambda s: replace(s, origin={"index": {"range": ["a", 1]}}),
    "levels that are no columns": lambda s: replace(
        s, origin={"index": {"columns": ["q"], "names": [None], "dtypes": [None]}}
    ),
    "levels of other names": lambda s: replace(s, origin={"index": {"columns": ["x"], "names": [], "dtypes": [None]}}),
    "forms that are no map": lambda s: replace(s, origin={"forms": ["x"]}),
    "a scalar of three columns": lambda s: replace(s, origin={"scalar": True}),
    "metadata that are no map": lambda s: replace(s, meta=[1]),  # type: ignore[arg-type]
    "another object's id": lambda s: replace(s, object_id="0" * 32),
}


@pytest.mark.parametrize("change", _HOSTILE.values(), ids=_HOSTILE)
def test_a_right_digest_does_not_make_a_header_true(
    store: Store, change: Callable[[layout.Static], layout.Static]
) -> None:
    """A header that some program wrote with its digest, but with addresses that cannot be, gives no view."""
    info = store.write("t", {"x": np.ones(5), "y": np.ones(5, "i4"), "z": np.ones(5, "u1")}, reserve_rows=100)
    path = store.path / "obj" / info.id
    with path.open("r+b") as file:
        static = change(read_static(file.fileno(), path))
        metadata = layout.encode_metadata(static)
        os.pwrite(file.fileno(), layout.encode_static(replace(static, object_id=static.object_id), metadata), 0)
        os.pwrite(file.fileno(), metadata, layout.METADATA_OFFSET)
    with pytest.raises(ChecksumError, match="is not a sound object"):
        store.open_id(info.id)


def test_rows_without_memory_are_not_believed(store: Store) -> None:
    """A commit word and a ring that agree on rows that were never written are damage, not zeros."""
    info = store.write("t", {"x": np.arange(5.0)}, reserve_rows=100_000)
    path = store.path / "obj" / info.id

    def word(name: str, value: int) -> tuple[int, bytes]:
        at = layout.CHANGING_FIELDS[name][0]
        return at, struct.pack("<Q", words.seal(info.id, at // 8, value))

    slot = struct.pack("<Q", words.seal(info.id, 1 << 32, 50_005, info.created_ns))
    with _patched(path, *word("committed_rows", 50_005)):
        assert not _look(store, info.id)
        assert "digest counts differ" in store.damaged()[0].reason
        with _patched(path, *word("digest_state", layout.PENDING)), _patched(path, layout.RING_OFFSET, slot):
            for use in (store.info, store.open_id, store.verify):
                with pytest.raises(ChecksumError, match="rows without memory"):
                    use(info.id)


def test_an_object_under_another_name_is_damage(store: Store) -> None:
    """A copied file is no second object."""
    info = store.write("t", np.ones(5))
    path = store.path / "obj" / info.id
    copy = path.with_name("a" * 32)
    copy.write_bytes(path.read_bytes())
    assert [found.id for found in store.scan()] == [info.id]
    assert f"it is the object {info.id} under another name" in store.damaged()[0].reason


def test_reading_while_another_appends_finds_no_damage(store: Store) -> None:
    """The ring and the counts are of one moment, also when the ring goes round several times."""
    info = publish(store, store.write("a", np.arange(1), reserve_rows=1000, digest=False))
    code = "input()\nfor i in range(1, 1000): store.append(sys.argv[2], np.arange(i, i + 1))\nsay('done')"
    done = threading.Event()
    with Child(store.path, code, info.id) as child:
        child.tell()
        threading.Thread(target=lambda: (child.line(), done.set())).start()
        while not done.is_set():
            found = store.info(info.id)
            assert (found.version, found.versions[-1][1]) == (found.rows, found.rows)
    assert store.info(info.id).rows == 1000


def test_a_scalar_has_no_second_row(store: Store) -> None:
    """Choosing rows of what has no dimension reads nothing beside it."""
    with store.open_id(store.write("s", np.array(7.5)).id) as handle:
        assert handle.numpy() == handle.numpy(start=1) == 7.5


@pytest.mark.parametrize(("dtype", "size"), [("<f8", 8), ("|b1", 1), ("<U5", 20), ("|S3", 3), ("<M8[25s]", 8)])
def test_sizes_are_those_of_numpy(dtype: str, size: int) -> None:
    """The header is read without numpy, and counts as numpy does."""
    assert item_bytes(dtype) == np.dtype(dtype).itemsize == size


@pytest.mark.parametrize("dtype", ["|O", "<f3", "<M9", "<f8[ns]", ">f8", "<V8", "", None, "<i4,<i4", "|S0"])
def test_other_dtypes_are_none(dtype: Any) -> None:
    """Nothing that holds pointers, and nothing of another width or order."""
    with pytest.raises(ChecksumError, match="its dtype"):
        item_bytes(dtype)


def test_frames_of_a_fuzzed_object_are_still_right(store: Store, appended: ObjectInfo) -> None:
    """After all that, the object is what was written."""
    with store.open("a") as handle:
        pd.testing.assert_frame_equal(handle.pandas(), pd.concat([make_bars(10)] * 3, ignore_index=True))
