"""Nested columns: what goes in comes out of the mapping, appended and grown too; damage ends no process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.buffers import ColdCopies, Handle, Store, freeze, thaw
from jupyter_nq.buffers.values.nested import column_of_streams, stream_lanes
from jupyter_nq.errors import CapacityFull, ChecksumError, UnsupportedData
from tests.unit.buffers.values.nested_values import arrays, nested_types, others
from tests.unit.buffers.values.test_views import _inside


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any types inside each other, in chunks and slices, appended in place or grown: Arrow has the same rows."""
    kind = data.draw(nested_types)
    pieces = [data.draw(arrays(kind, rows)) for rows in data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))]
    store = Store(tmp_path_factory.mktemp("store") / "nq")
    info = store.write("t", pa.table({"x": pieces[0]}), reserve_rows=data.draw(st.sampled_from([0, 5, 500])))
    for piece in pieces[1:]:
        try:
            info = store.append(info.id, pa.table({"x": piece}))
        except CapacityFull:
            info = store.grow(info.id, pa.table({"x": piece}))
    expected = pa.chunked_array(pieces).to_pylist()
    with store.open_id(info.id) as handle:
        found = handle.arrow()
        found.validate(full=True)
        assert (found["x"].type, found["x"].to_pylist()) == (kind, expected)
        first, last = sorted(data.draw(st.tuples(st.integers(0, 20), st.integers(0, 20))))
        part = handle.arrow(start=first, stop=last)["x"]
        part.validate(full=True)
        assert part.to_pylist() == expected[first:last]
        assert len(handle.pandas()) == len(handle.numpy()["x"]) == handle.rows
    assert store.verify(info.id)


@pytest.fixture
def handle(store: Store) -> Handle:
    """Give a mapped column of lists that was appended to."""
    table = pa.table({"x": pa.array([[i, i + 1] if i % 7 else None for i in range(3000)], pa.list_(pa.int64()))})
    info = store.write("t", table, reserve_rows=3000)
    return store.open_id(store.append(info.id, table.slice(5, 100)).id)


@pytest.mark.parametrize("name", others())
def test_the_other_types(store: Store, cold: ColdCopies, other: Store, name: str) -> None:
    """Unions, runs, codes, views and extension types, in every form; the disk gives the same bits back."""
    table = pa.table({"before": [1, 2, 3, 4], "x": others()[name]})
    info = store.write("t", table, reserve_rows=100)
    with store.open_id(info.id) as handle:
        found = handle.arrow()
        found.validate(full=True)
        assert (found.schema, found.to_pylist()) == (table.schema, table.to_pylist())
        assert "x" in repr(handle.pandas())
        assert len(handle.numpy()["x"]) == 4
    freeze(store, info.id, cold)
    assert thaw(other, info.id, cold).digest == info.digest
    assert other.open_id(info.id).arrow().to_pylist() == table.to_pylist()
    grown = store.grow(info.id, table.slice(1))
    assert store.open_id(grown.id).arrow()["x"].to_pylist() == table["x"].to_pylist() + table["x"].to_pylist()[1:]


def test_arrays_lie_in_the_mapping(handle: Handle) -> None:
    """Offsets and values of both streams are views; pandas has them too."""
    for column in (handle.arrow()["x"], handle.pandas()["x"].array.__arrow_array__()):
        assert column.num_chunks == 2
        for chunk in column.chunks:
            _, offsets, _, values = chunk.buffers()
            assert _inside(handle, offsets.address)
            assert _inside(handle, values.address)
            assert values.address % 8 == 0


def test_growing_makes_one_stream(store: Store, handle: Handle) -> None:
    """So that what was appended in many pieces is read at once, and has the digest of the whole."""
    rows = handle.arrow()
    grown = store.grow(handle.info.id, rows.slice(0, 3))
    with store.open_id(grown.id) as found:
        assert found.arrow()["x"].num_chunks == 1
        whole = pa.concat_tables([rows, rows.slice(0, 3)]).combine_chunks()
        assert grown.digest == store.write("whole", whole).digest


def test_older_versions_end_with_their_stream(store: Store, handle: Handle) -> None:
    """Who holds one, and who asks for rows of it, sees no stream behind it."""
    with store.open_id(handle.info.id) as held:
        store.append(handle.info.id, held.arrow().slice(0, 2))
        assert held.arrow().num_rows == 3100
        assert held.arrow(start=2990, stop=3005)["x"].to_pylist() == held.arrow()["x"].to_pylist()[2990:3005]
    assert store.open_id(handle.info.id).arrow()["x"].num_chunks == 3


def test_what_arrow_cannot_read_is_not_taken(store: Store) -> None:
    """Offsets outside the values are refused before they reach the memory of others."""
    wrong = pa.Array.from_buffers(
        pa.list_(pa.int64()), 2, [None, pa.py_buffer(np.array([0, 9, 1], "<i4"))], children=[pa.array([1])]
    )
    with pytest.raises(UnsupportedData, match=r"Column 'x' has type list.*cannot pack it"):
        store.write("t", pa.table({"x": wrong}))


# -- damage --------------------------------------------------------------------------------------
def _damage(store: Store, handle: Handle, address: int, value: bytes) -> None:
    with (store.path / "obj" / handle.info.id).open("r+b") as file:
        file.seek(address - handle.address)
        file.write(value)


@pytest.mark.parametrize("value", [2**31 - 1, -2, 10**6])
def test_a_damaged_offset_inside_a_list_is_an_error(store: Store, handle: Handle, value: int) -> None:
    """Every form says which column and rows; the digest finds it too."""
    offsets = handle.arrow()["x"].chunk(1).buffers()[1]
    _damage(store, handle, offsets.address + 40, value.to_bytes(4, "little", signed=True))
    for read in (handle.arrow, handle.pandas, handle.numpy):
        with pytest.raises(ChecksumError, match=r"t: column 'x' is damaged: rows 3,000 to 3,100 cannot be read"):
            read()
    assert handle.arrow(stop=3000).num_rows == 3000, "the stream before it is sound"
    with pytest.raises(ChecksumError, match="column 'x' is damaged in its 1 MiB piece 0"):
        handle.verify()


def _streams(name: str) -> tuple[pa.DataType, np.ndarray, np.ndarray]:
    column = pa.chunked_array([others()[name]])
    offsets, data = stream_lanes("x", column)
    return column.type, offsets.read(0, offsets.nbytes), data.read(0, data.nbytes).copy()


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([64, 64], "first rows are in no stream"),
        ([0, 0, 64], "first rows are in no stream"),
        ([0, 64, 128], "cannot be"),
    ],
)
def test_damaged_ends_of_streams(offsets: list[int], message: str) -> None:
    """Rows before the first stream, and a border inside of one."""
    kind, _, data = _streams("runs")
    with pytest.raises(ChecksumError, match=message):
        column_of_streams("x", kind, np.array(offsets), data)


def test_a_stream_of_other_rows_or_of_another_type() -> None:
    """It is sound by itself, but not the one that belongs there."""
    kind, ends, data = _streams("runs")
    with pytest.raises(ChecksumError, match="rows 0 to 6 are 4 rows"):
        column_of_streams("x", kind, np.array([0, *[len(data)] * 6]), data)
    with pytest.raises(ChecksumError, match="its type is not list"):
        column_of_streams("x", pa.list_(pa.int8()), ends, data)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(list(others())), at=st.floats(0, 1, exclude_max=True), octets=st.binary(min_size=1, max_size=9)
)
def test_damaged_bytes_end_no_process(name: str, at: float, octets: bytes) -> None:
    """Whatever a stream holds, it is an error or a valid column."""
    kind, ends, data = _streams(name)
    begin = int(at * len(data))
    data[begin : begin + len(octets)] = np.frombuffer(octets, np.uint8)[: len(data) - begin]
    try:
        found = column_of_streams("x", kind, ends, data)
    except ChecksumError:
        return
    found.validate(full=True)
    assert len(found) == len(ends) - 1


# -- pandas --------------------------------------------------------------------------------------
def test_frames_come_back(store: Store) -> None:
    """ArrowDtypes, periods and intervals, and objects as lists, dicts and arrays, NaN in them too."""
    lists = pd.ArrowDtype(pa.list_(pa.int64()))
    frame = pd.DataFrame(
        {
            "lists": [[1, 2], None, []],
            "floats": [[1.5, float("nan")], [2.5], [1.0]],
            "dicts": [{"a": 1, "b": "x"}, {"a": 2, "b": None}, None],
            "arrays": [np.arange(3.0), np.arange(3.0), None],
            "period": pd.period_range("2020", periods=3, freq="M"),
            "interval": pd.interval_range(0, 3),
            "arrow": pd.array([[1], None, [2]], dtype=lists),
        }
    )
    with store.open_id(store.write("f", frame).id) as handle:
        pd.testing.assert_frame_equal(handle.pandas(), frame)
        pd.testing.assert_frame_equal(handle.pandas(start=1), frame[1:])
        assert isinstance(handle.pandas()["arrays"][0], np.ndarray)
    with store.open_id(store.write("f", frame.set_index("period")).id) as handle:
        pd.testing.assert_frame_equal(handle.pandas(), frame.set_index("period"), check_freq=False)


def test_views_outlive_the_handle(store: Store, tmp_path: Path) -> None:
    """A column keeps the mapping, and with it the lease."""
    handle = store.open_id(store.write("t", pa.table({"x": [[1, 2], [3]]})).id)
    column = handle.arrow()["x"]
    released: list[int] = []
    handle.on_release(lambda: released.append(1))
    handle.close()
    assert column.to_pylist() == [[1, 2], [3]]
    assert released == []
    del column, handle
    assert released == [1]
