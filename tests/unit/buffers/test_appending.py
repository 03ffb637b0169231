"""Appending in place: old views stay, new ones are contiguous, and nothing half done is ever seen."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.buffers import Store, layout
from jupyter_nq.errors import CapacityFull, ChecksumError, StoreFull, UnknownDataset, UnsupportedData
from tests.unit.buffers.child import Child
from tests.unit.buffers.conftest import make_bars, publish


def test_appended_rows_are_a_new_version_of_the_same_object(store: Store) -> None:
    """Yesterday's frame keeps its rows, today's has all of them in one piece."""
    whole = make_bars(1500)
    info = publish(store, store.write("a", whole[:1000], reserve_rows=1000), 5)
    yesterday = store.open("a")
    old = yesterday.pandas()
    after = store.append(info.id, whole[1000:])
    assert (after.id, after.version, after.first_version, after.rows) == (info.id, 6, 5, 1500)
    assert [(v, rows) for v, rows, _ in after.versions] == [(5, 1000), (6, 1500)]
    assert after.nbytes > info.nbytes
    pd.testing.assert_frame_equal(old, whole[:1000])
    pd.testing.assert_frame_equal(yesterday.pandas(), whole[:1000])
    with store.open("a") as today:
        pd.testing.assert_frame_equal(today.pandas(), whole)
        assert today.verify()
    with store.open("a", version=5) as again:
        assert (again.version, again.rows) == (5, 1000)
        pd.testing.assert_frame_equal(again.pandas(), whole[:1000])


def test_appends_give_the_digest_of_a_single_write(store: Store) -> None:
    """Rows appended in odd portions have the digest that the same rows written at once have."""
    values = np.random.default_rng(1).random((400_000, 2))
    whole = store.write("w", {"a": values[:, 0], "b": values[:, 1]})
    part = store.write("p", {"a": values[:7, 0], "b": values[:7, 1]}, reserve_rows=400_000)
    for start, stop in [(7, 100), (100, 131_072), (131_072, 262_144), (262_144, 399_999), (399_999, 400_000)]:
        part = store.append(part.id, {"a": values[start:stop, 0], "b": values[start:stop, 1]})
        assert part.digest_state == "done"
        assert store.verify(part.id)
    assert part.digest == whole.digest


def test_arrays_are_appended_by_rows(store: Store) -> None:
    """The first dimension grows."""
    array = np.arange(60.0).reshape(10, 2, 3)
    info = store.append(store.write("a", array[:4], reserve_rows=6).id, array[4:])
    assert info.shape == (10, 2, 3)
    with store.open_id(info.id) as handle:
        np.testing.assert_array_equal(handle.numpy(), array)


def test_nothing_appended_is_no_version(store: Store, bars: pd.DataFrame) -> None:
    """An append of no rows changes nothing."""
    info = publish(store, store.write("a", bars, reserve_rows=5))
    assert store.append(info.id, bars[:0]) == info


def test_columns_are_matched_by_name(store: Store, bars: pd.DataFrame) -> None:
    """Another order of columns, or another container, is fine."""
    info = store.write("a", bars[:900], reserve_rows=100)
    table = pa.Table.from_pandas(bars[900:], preserve_index=False).select(list(bars.columns[::-1]))
    store.append(info.id, table)
    with store.open_id(info.id) as handle:
        pd.testing.assert_frame_equal(handle.pandas(), bars)


def test_an_index_is_appended_with_its_rows(store: Store) -> None:
    """A frame with a time index grows by a frame with a time index."""
    frame = make_bars(20).set_index("timestamp")
    info = store.append(store.write("a", frame[:15], reserve_rows=5).id, frame[15:])
    with store.open_id(info.id) as handle:
        pd.testing.assert_frame_equal(handle.pandas(), frame)


_BAD: list[tuple[Any, Any, str]] = [
    ({"x": np.zeros(2)}, {"y": np.zeros(2)}, r"missing \['x'\], not expected \['y'\]"),
    ({"x": np.zeros(2)}, {"x": np.zeros(2, int)}, "Column 'x' of a is double, the new rows have int64"),
    ({"x": np.zeros(2)}, np.zeros(2), "a is a table; an array cannot be appended"),
    (np.zeros(2), {"x": np.zeros(2)}, "a is an array; a table cannot be appended"),
    (np.zeros((2, 3)), np.zeros((2, 4)), r"rows of shape \(3,\).*the new ones have \(4,\)"),
    (np.zeros(2), np.zeros(2, "f4"), "dtype <f8.*<f4"),
    (np.array(1.0), np.zeros(2), "no rows to append"),
    (np.zeros(2), np.array(1.0), "no rows to append"),
]


@pytest.mark.parametrize(("had", "new", "message"), _BAD, ids=range(len(_BAD)))
def test_rows_that_do_not_fit_are_refused(store: Store, had: Any, new: Any, message: str) -> None:
    """The difference is named and the object is as before."""
    info = store.write("a", had, reserve_rows=10)
    with pytest.raises(UnsupportedData, match=message):
        store.append(info.id, new)
    assert store.info(info.id) == info


def test_a_full_object_says_so_and_grows(store: Store) -> None:
    """Beyond the capacity the caller is told; growing doubles the room and copies once."""
    whole = make_bars(2500)
    info = publish(store, store.write("a", whole[:1000], meta={"key": "k"}), 1)
    with pytest.raises(CapacityFull, match="room for 0 more rows, 500 were to be appended"):
        store.append(info.id, whole[1000:1500])
    assert issubclass(CapacityFull, StoreFull)
    grown = store.grow(info.id, whole[1000:1500])
    assert grown.id != info.id
    assert (grown.name, grown.version, grown.rows, grown.capacity_rows) == ("a", 0, 1500, 2000)
    assert (grown.meta, grown.digest_state) == ({"key": "k"}, "done")
    larger = store.grow(grown.id, whole[1500:])
    assert (larger.rows, larger.capacity_rows) == (2500, 4000)
    with store.open_id(larger.id) as handle:
        pd.testing.assert_frame_equal(handle.pandas(), whole)
        assert handle.verify()
    assert store.info(info.id).rows == 1000


def test_growing_crosses_piece_borders(store: Store) -> None:
    """Old and new rows that share a 1 MiB piece are joined right."""
    array = np.random.default_rng(2).random(500_000)
    info = store.grow(store.write("a", array[:200_001]).id, array[200_001:])
    with store.open_id(info.id) as handle:
        np.testing.assert_array_equal(handle.numpy(), array)
    assert info.digest == store.write("b", array).digest


def test_the_ring_keeps_the_newest_versions(store: Store) -> None:
    """After 300 appends the last 127 versions can be opened, and older ones are said to be gone."""
    info = publish(store, store.write("a", np.arange(1), reserve_rows=300), 1)
    for i in range(1, 301):
        info = store.append(info.id, np.array([i]))
    assert (info.version, info.rows, len(info.versions)) == (301, 301, layout.RING_SLOTS - 1)
    with store.open("a", version=301 - 126) as handle:
        assert handle.rows == 301 - 126
    with pytest.raises(UnknownDataset, match="no version 174 in this object; it holds 175 to 301"):
        store.open("a", version=174)


def test_a_failed_append_gives_its_memory_back(store: Store) -> None:
    """An append that is cancelled half way leaves bytes and rows as before."""
    info = store.write("a", np.zeros(100), reserve_rows=1 << 20)

    def cancel(fraction: float) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.append(info.id, np.ones(1 << 19), progress=cancel)
    assert store.info(info.id) == info
    assert store.verify(info.id)


def test_two_appenders_take_turns(store: Store) -> None:
    """Rows appended from four threads are all there, each portion in one piece."""
    info = store.write("a", np.zeros((0, 2), np.int64), reserve_rows=4000)

    def add(who: int) -> None:
        for i in range(20):
            store.append(info.id, np.full((10, 2), who * 100 + i))

    threads = [threading.Thread(target=add, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.open_id(info.id) as handle:
        rows = handle.numpy()
        assert len(rows) == 800
        assert (rows.reshape(80, 20) == rows[::10, :1]).all()
        assert handle.verify()


def test_a_reader_in_another_process_sees_whole_appends_only(store: Store) -> None:
    """While rows arrive, another process maps only rows that hold what was appended."""
    info = publish(store, store.write("a", np.arange(10), reserve_rows=20_000))
    code = """
say("ready")
rows = 0
while rows < 2010:
    with store.open("a") as handle:
        values, rows = handle.numpy(), handle.rows
        assert (values == np.arange(rows)).all(), values
        del values
say("whole")
"""
    with Child(store.path, code) as child:
        assert child.line() == "ready"
        for start in range(10, 2010, 10):
            store.append(info.id, np.arange(start, start + 10))
        assert child.line() == "whole"


@pytest.mark.parametrize("where", ["appending.copy_lanes", "words.put_slot", "digests.root_digest"])
def test_a_killed_append_is_absent_or_complete(store: Store, where: str) -> None:
    """kill -9 before the commit leaves the old rows, after it the new ones, whose digest who verifies makes."""
    info = publish(store, store.write("a", np.arange(100), reserve_rows=1000))
    code = f"""
from jupyter_nq.buffers import appending, digests, words
{where} = lambda *a, **k: die()
store.append(sys.argv[2], np.arange(100, 200))
"""
    with Child(store.path, code, info.id) as child:
        assert child.wait() == -9
    committed = where == "digests.root_digest"
    after = store.info(info.id)
    assert (after.rows, after.version) == ((200, 2) if committed else (100, 1))
    assert after.digest_state == ("pending" if committed else "done")
    assert store.verify(info.id)
    assert store.info(info.id).digest == store.write("b", np.arange(after.rows)).digest
    again = store.append(info.id, np.arange(after.rows, 300))
    assert (again.rows, again.version, again.digest_state) == (300, after.version + 1, "done")
    with store.open("a") as handle:
        np.testing.assert_array_equal(handle.numpy(), np.arange(300))
        assert handle.verify()
    assert store.sweep() == []


_DIES_BEFORE_THE_DIGEST = """
from jupyter_nq.buffers import digests
digests.root_digest = lambda *a: die()
store.append(sys.argv[2], np.arange(300_000, 500_000))
"""


def test_an_append_after_a_pending_digest_covers_all_of_it(store: Store) -> None:
    """Whatever the dead appender left undone, the next append's digest covers every row."""
    info = store.write("a", np.arange(300_000), reserve_rows=300_000)
    with Child(store.path, _DIES_BEFORE_THE_DIGEST, info.id) as child:
        assert child.wait() == -9
    after = store.append(info.id, np.arange(500_000, 500_001))
    assert after.digest == store.write("b", np.arange(500_001)).digest
    assert store.verify(info.id)


@pytest.mark.parametrize("again", ["verify", "append"])
def test_damage_to_rows_that_had_a_digest_is_found_after_a_killed_append(store: Store, again: str) -> None:
    """Who makes the digest of the new rows takes the pieces before them as they were digested, not as they are."""
    info = store.write("a", np.arange(300_000), reserve_rows=300_000)
    with Child(store.path, _DIES_BEFORE_THE_DIGEST, info.id) as child:
        assert child.wait() == -9
    with store.open_id(info.id) as handle:
        offset = handle.numpy()[1000:].__array_interface__["data"][0] - handle.address
    with (store.path / "obj" / info.id).open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff")
    if again == "append":
        store.append(info.id, np.arange(500_000, 500_001))
    with pytest.raises(ChecksumError, match="the array is damaged in its 1 MiB piece 0 "):
        store.verify(info.id)


def test_a_half_written_version_does_not_count(store: Store) -> None:
    """A slot and a count without the commit word are not a version."""
    info = publish(store, store.write("a", np.arange(100), reserve_rows=1000))
    code = """
import mmap
from jupyter_nq.buffers import words
static = store.static(sys.argv[2])
with open(store.path / "obj" / sys.argv[2], "r+b") as file, mmap.mmap(file.fileno(), 4096) as page:
    found = memoryview(page).cast("Q")
    words.put_slot(found, static, 1, 150, 1)
    words.put(found, static, "version_count", 2)
    die()
"""
    with Child(store.path, code, info.id) as child:
        assert child.wait() == -9
    assert store.info(info.id) == info
    assert store.append(info.id, np.arange(100, 120)).version == 2
