"""Thawing: what was frozen comes back bit for bit, in the same store or in another."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.buffers import ColdCopies, KeyRing, Store, check_cold, freeze, thaw
from jupyter_nq.buffers.directory import NOTES
from jupyter_nq.buffers.segments import fresh_file
from jupyter_nq.errors import StoreError, StoreFull, UnknownDataset
from tests.unit.buffers.cold.objects import MASTER_KEY, committed, kinds, long_table, versions
from tests.unit.buffers.conftest import make_bars, publish

KEYS = {"plain": None, "encrypted": KeyRing([MASTER_KEY])}
pytestmark = pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)


@pytest.mark.parametrize("name", kinds())
def test_every_kind_of_object_comes_back(
    store: Store, other: Store, cold: ColdCopies, keys: KeyRing | None, name: str
) -> None:
    """The same header but for the epoch, the same committed bytes, digests that agree, the same view."""
    info = store.write("t", kinds()[name], meta={"key": [1, "x"]})
    frozen = freeze(store, info.id, cold, keys=keys)
    assert (frozen.id, frozen.name, frozen.rows, frozen.kind) == (info.id, info.name, info.rows, info.kind)
    assert frozen.raw_bytes == info.nbytes
    assert thaw(other, info.id, cold, keys=keys) == info
    assert committed(other, info) == committed(store, info)
    assert other.verify(info.id)
    with store.open_id(info.id) as before, other.open_id(info.id) as after:
        if info.kind == "table":
            pd.testing.assert_frame_equal(after.pandas(), before.pandas())
            assert after.arrow().schema == before.arrow().schema
        else:
            assert after.numpy().dtype == before.numpy().dtype
            assert after.numpy().shape == before.numpy().shape


def test_a_file_is_the_same_byte_for_byte(store: Store, cold: ColdCopies, keys: KeyRing | None) -> None:
    """In the store where it was: header, versions, digests and bytes; the reserve is a hole again."""
    info = versions(store)
    path = store.path / "obj" / info.id
    before, blocks = path.read_bytes(), path.stat().st_blocks
    freeze(store, info.id, cold, keys=keys)
    assert store.collect(info.id)
    assert thaw(store, info.id, cold, keys=keys) == info
    assert path.read_bytes() == before
    assert path.stat().st_blocks == blocks
    assert path.stat().st_mode & 0o777 == 0o600


def test_versions_and_the_note_come_back(store: Store, other: Store, cold: ColdCopies, keys: KeyRing | None) -> None:
    """Each version opens with its rows, and rows can be appended to the newest."""
    info = versions(store, 4)
    assert freeze(store, info.id, cold, keys=keys).versions == info.versions
    thawed = thaw(other, info.id, cold, keys=keys)
    assert thawed.versions == info.versions
    assert [v for v, _, _ in info.versions] == [5, 6, 7, 8]
    assert other.annotation(info.id) == b"what its rows were read from"
    for version, rows, _ in info.versions:
        with other.open_id(info.id, version=version) as handle:
            assert handle.rows == rows
    more = pa.table({"x": [1.5], "n": pa.array([None], pa.int64()), "s": ["new"]})
    assert other.append(info.id, more).version == 9
    assert other.verify(info.id)


def test_more_versions_than_a_ring_holds(store: Store, other: Store, cold: ColdCopies, keys: KeyRing | None) -> None:
    """The newest 127 are there, and the next one goes on from them."""
    info = publish(store, store.write("a", np.arange(1), reserve_rows=400))
    for i in range(1, 200):
        info = store.append(info.id, np.arange(i, i + 1))
    freeze(store, info.id, cold, keys=keys)
    thawed = thaw(other, info.id, cold, keys=keys)
    assert thawed == info
    assert len(thawed.versions) == 127
    assert other.append(info.id, np.arange(200, 201)).version == 201


def test_long_lanes_come_back(store: Store, other: Store, cold: ColdCopies, keys: KeyRing | None) -> None:
    """Several chunks, one of them off the grid, some that do not shrink; progress grows to one both ways."""
    info = store.write("t", long_table())
    seen: list[float] = []
    freeze(store, info.id, cold, keys=keys, progress=seen.append)
    assert len(seen) == 2 + 2 + 2 + 1
    thaw(other, info.id, cold, keys=keys, progress=seen.append)
    assert seen[7:] == seen[:7] == sorted(seen[:7])
    assert seen[-1] == 1.0
    assert committed(other, info) == committed(store, info)
    assert other.verify(info.id)


def test_an_object_without_digests(store: Store, other: Store, cold: ColdCopies, keys: KeyRing | None) -> None:
    """It comes back without; the chunks have digests of their own."""
    info = store.write("t", make_bars(100), digest=False)
    freeze(store, info.id, cold, keys=keys)
    assert thaw(other, info.id, cold, keys=keys).digest_state == "off"
    assert committed(other, info) == committed(store, info)


def test_an_object_that_is_there_is_left_alone(store: Store, cold: ColdCopies, keys: KeyRing | None) -> None:
    """Thawing it is no error, not even without the copy, and adds nothing."""
    info = versions(store)
    freeze(store, info.id, cold, keys=keys)
    later = store.append(info.id, pa.table({"x": [0.25], "n": [3], "s": ["later"]}))
    assert thaw(store, info.id, cold, keys=keys) == later
    cold.remove(info.id)
    assert thaw(store, info.id, cold) == later


def test_what_is_not_there_is_unknown(store: Store, cold: ColdCopies, keys: KeyRing | None) -> None:
    """No cold copy of this id, and what is no id."""
    for call in (lambda i: thaw(store, i, cold, keys=keys), lambda i: check_cold(i, cold, keys=keys)):
        with pytest.raises(UnknownDataset, match="There is no cold copy of 0000"):
            call("0" * 32)
        with pytest.raises(UnknownDataset, match="is not an object id"):
            call("../x")
    assert list((store.path / "tmp").iterdir()) == []


def test_checking_writes_nothing(store: Store, cold: ColdCopies, keys: KeyRing | None) -> None:
    """It reads all of the file and gives what a listing gives."""
    info = versions(store)
    frozen = freeze(store, info.id, cold, keys=keys, durable=True)
    before = sorted(path.name for path in cold.path.rglob("*"))
    assert check_cold(info.id, cold, keys=keys) == frozen == cold.info(info.id)
    assert sorted(path.name for path in cold.path.rglob("*")) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_cancelled_thaw_leaves_nothing(
    store: Store, other: Store, cold: ColdCopies, keys: KeyRing | None, error: type[BaseException]
) -> None:
    """Whatever the progress call raises; the next one succeeds."""
    info = store.write("t", long_table())
    freeze(store, info.id, cold, keys=keys)

    def cancel(fraction: float) -> None:
        raise error

    with pytest.raises(error):
        thaw(other, info.id, cold, keys=keys, progress=cancel)
    assert other.used_bytes() == 0
    assert list((other.path / "tmp").iterdir()) == []
    assert thaw(other, info.id, cold, keys=keys) == info


def test_an_orphan_is_in_nobodys_way(store: Store, other: Store, cold: ColdCopies, keys: KeyRing | None) -> None:
    """What a killed thaw left is replaced; what a living one writes is not."""
    info = versions(store)
    freeze(store, info.id, cold, keys=keys)
    draft = other.path / "tmp" / f"{info.id}.part"
    with fresh_file(draft, draft), pytest.raises(StoreError, match="exists"):
        thaw(other, info.id, cold, keys=keys)
    draft.write_bytes(b"half of it")
    assert thaw(other, info.id, cold, keys=keys) == info


def test_a_full_store_says_so(
    store: Store, cold: ColdCopies, keys: KeyRing | None, nq_tmpfs: Callable[[str], Path]
) -> None:
    """The error names the sizes; nothing is left behind, and a smaller object fits."""
    small = Store(nq_tmpfs("4m"))
    large, little = store.write("t", long_table()), versions(store)
    for info in (large, little):
        freeze(store, info.id, cold, keys=keys)
    with pytest.raises(StoreFull, match=r"bytes do not fit: [\d,]+ are free in"):
        thaw(small, large.id, cold, keys=keys)
    assert small.used_bytes() == 0
    assert thaw(small, little.id, cold, keys=keys).rows == little.rows
    assert small.verify(little.id)


def test_spare_segments_make_way(
    store: Store, cold: ColdCopies, keys: KeyRing | None, nq_tmpfs: Callable[[str], Path]
) -> None:
    """Memory that freed objects left for the next write is given back when a thaw needs it."""
    small = Store(nq_tmpfs("20m"))
    info = store.write("t", long_table())
    freeze(store, info.id, cold, keys=keys)
    freed = small.write("u", np.zeros(6 << 17))
    assert small.collect(freed.id, spare_bytes=1 << 30)
    assert small.pool.nbytes() > 6 << 20
    assert thaw(small, info.id, cold, keys=keys).rows == info.rows
    assert small.pool.nbytes() == 0
    assert small.verify(info.id)


def test_a_note_that_a_sweep_took_is_written_again(
    store: Store, other: Store, cold: ColdCopies, keys: KeyRing | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the note and the object there is a moment when the note has no object."""
    info = versions(store)
    freeze(store, info.id, cold, keys=keys)
    rename = os.rename

    def swept_before(draft: Path, path: Path) -> None:
        if path.parent.name == "obj":
            assert [found.parent.name for found in other.sweep_notes()] == [NOTES]
        rename(draft, path)

    monkeypatch.setattr(os, "rename", swept_before)
    thaw(other, info.id, cold, keys=keys)
    assert other.annotation(info.id) == store.annotation(info.id) is not None


def test_the_newest_rows_are_those_of_the_copy(
    store: Store, other: Store, cold: ColdCopies, keys: KeyRing | None
) -> None:
    """A copy has the rows that were there; freezing again replaces it."""
    info = versions(store)
    freeze(store, info.id, cold, keys=keys)
    later = store.append(info.id, pa.table({"x": [0.25], "n": [3], "s": ["later"]}))
    assert cold.info(info.id).version == info.version
    assert freeze(store, info.id, cold, keys=keys).version == later.version
    assert replace(thaw(other, info.id, cold, keys=keys), nbytes=later.nbytes) == later
