"""Columns of every form: text, nulls, categories, decimals. What goes in comes out, appended and grown too."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.buffers import Handle, Store
from jupyter_nq.errors import CapacityFull, ChecksumError, UnsupportedData
from tests.unit.buffers.conftest import publish
from tests.unit.buffers.values.test_views import _address, _inside

DAY = datetime.date(2024, 5, 6)
NOON = datetime.datetime(2024, 5, 6, 12, tzinfo=datetime.UTC)
KINDS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=5),
    pa.large_string(): st.text(max_size=5),
    pa.binary(): st.binary(max_size=5),
    pa.large_binary(): st.binary(max_size=5),
    pa.timestamp("ns", "UTC"): st.integers(0, 2**60),
    pa.timestamp("s"): st.integers(0, 2**30),
    pa.duration("us"): st.integers(-(2**40), 2**40),
    pa.date32(): st.integers(0, 20_000),
    pa.time64("us"): st.integers(0, 86_399_999_999),
    pa.decimal128(20, 2): st.integers(-(10**9), 10**9).map(lambda cents: Decimal(cents) / 100),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.null(): st.none(),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["NQ", "ES", "CL", ""]),
    pa.dictionary(pa.uint16(), pa.int64(), ordered=True): st.integers(0, 40),
}


def column(kind: pa.DataType, values: list[Any]) -> pa.Array:
    """Return values as an array of a type."""
    if pa.types.is_dictionary(kind):
        encoded = pa.array(values, kind.value_type).dictionary_encode()
        codes = encoded.indices.cast(kind.index_type)
        return pa.DictionaryArray.from_arrays(codes, encoded.dictionary, ordered=kind.ordered)
    return pa.array(values, kind)


@st.composite
def tables(draw: st.DrawFn, kinds: list[pa.DataType], rows: st.SearchStrategy[int]) -> pa.Table:
    """Draw a table of some types, nulls in some of its columns, in chunks that begin anywhere."""
    count = draw(rows)
    columns = []
    for kind in kinds:
        value = st.one_of(KINDS[kind], st.none()) if draw(st.booleans()) else KINDS[kind]
        values = draw(st.lists(value, min_size=count + 2, max_size=count + 2))
        whole = column(kind, values)
        border = draw(st.integers(0, count))
        columns.append(pa.chunked_array([whole.slice(1, border), whole.slice(1 + border, count - border)], kind))
    return pa.table(columns, names=[f"{i} {kind}" for i, kind in enumerate(kinds)])


def plain(table: pa.Table) -> dict[str, list[Any]]:
    """Return the values of a table."""
    found: dict[str, list[Any]] = table.to_pydict()
    return found


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any types, sliced, appended in place or grown: the rows of all pieces, valid Arrow, with a right digest."""
    kinds = data.draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=5))
    pieces = data.draw(st.lists(tables(kinds, st.integers(0, 9)), min_size=1, max_size=4))
    store = Store(tmp_path_factory.mktemp("store") / "nq")
    info = store.write("t", pieces[0], reserve_rows=data.draw(st.integers(0, 20)))
    held = store.open_id(info.id)
    for piece in pieces[1:]:
        try:
            info = store.append(info.id, piece)
        except CapacityFull:
            info = store.grow(info.id, piece)
    with store.open_id(info.id) as handle:
        found = handle.arrow()
        found.validate(full=True)
        expected: dict[str, list[Any]] = {name: [] for name in pieces[0].column_names}
        for piece in pieces:
            for name, values in plain(piece).items():
                expected[name] += values
        assert plain(found) == expected
        first, last = sorted(data.draw(st.tuples(st.integers(0, 30), st.integers(0, 30))))
        part = handle.arrow(start=first, stop=last)
        part.validate(full=True)
        assert plain(part) == {name: values[first:last] for name, values in expected.items()}
        assert len(handle.pandas()) == handle.rows
        assert all(len(values) == handle.rows for values in handle.numpy().values())
    assert store.verify(info.id)
    assert plain(held.arrow()) == plain(pieces[0]), "who holds the first version keeps it"


def frames() -> dict[str, pd.DataFrame]:
    """Return frames of all kinds of columns that pandas has for what can be shared."""
    words = ["buy", None, ""]
    return {
        "text": pd.DataFrame({"a": words, "b": pd.array(words, "string"), "c": pd.Series(words, dtype=object)}),
        "nulls": pd.DataFrame(
            {
                "i": pd.array([1, None, 3], "Int32"),
                "f": pd.array([1.5, None, 3], "Float64"),
                "b": pd.array([True, None, False], "boolean"),
                "a": pd.array([1, None, 3], "int64[pyarrow]"),
                "s": pd.array(words, "string[pyarrow]"),
                "d": pd.array([DAY, None, DAY], "date32[pyarrow]"),
                "t": pd.array([NOON, None, NOON], pd.ArrowDtype(pa.timestamp("us", "UTC"))),
                "c": pd.array(["x", None, "x"], pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
            }
        ),
        "times": pd.DataFrame(
            {
                "plain": pd.to_datetime(["2020", None, "2021"]),
                "zone": pd.to_datetime(["2020", None, "2021"]).tz_localize("America/Chicago"),
                "length": pd.to_timedelta([1, None, 3], unit="s"),
            }
        ),
        "categories": pd.DataFrame(
            {
                "c": pd.Categorical(["b", None, "a"], categories=["a", "b", "unused"]),
                "o": pd.Categorical([2, 1, 2], categories=[2, 1], ordered=True),
            }
        ),
        "objects": pd.DataFrame(
            {"d": [Decimal("1.50"), None, Decimal("2.25")], "b": [b"x", b"", None], "n": [None] * 3}
        ).assign(day=pd.Series([DAY, None, DAY], dtype=object), at=pd.Series([NOON, None, NOON], dtype=object)),
        "text index": pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index(["x", "y"], name="key")),
        "category index": pd.DataFrame({"a": [1.0, 2.0]}, index=pd.CategoricalIndex(["x", "y"])),
        "of no rows": pd.DataFrame({"a": pd.Series([], dtype="string"), "c": pd.Categorical([])}),
    }


@pytest.mark.parametrize("name", frames())
def test_frames_come_back_with_their_dtypes(store: Store, name: str) -> None:
    """Extension dtypes, objects and the index too; text in None and NaN is missing all the same."""
    frame = frames()[name]
    with store.open_id(store.write("f", frame).id) as handle:
        found = handle.pandas()
        pd.testing.assert_frame_equal(found, frame)
        pd.testing.assert_frame_equal(handle.pandas(list(frame.columns)[::-1]), frame[frame.columns[::-1]])
        pd.testing.assert_frame_equal(handle.pandas(start=1), frame[1:], check_index_type=False)


@pytest.fixture
def handle(store: Store) -> Handle:
    """Give a mapped table of trades."""
    sides = pa.array(["buy", "sell", None] * 1000).cast(pa.dictionary(pa.int8(), pa.string()))
    notes = pa.array([f"note {i}" if i % 7 else None for i in range(3000)])
    sizes = pa.array([i if i % 5 else None for i in range(3000)])
    return store.open_id(store.write("t", pa.table({"side": sides, "note": notes, "size": sizes}), reserve_rows=50).id)


def test_text_codes_and_values_lie_in_the_mapping(handle: Handle) -> None:
    """Arrow's buffers and pandas' arrays are views; only Arrow's bits are copied."""
    table = handle.arrow()
    _, offsets, text = table["note"].chunk(0).buffers()
    codes, sizes = table["side"].chunk(0).indices.buffers()[1], table["size"].chunk(0).buffers()[1]
    assert all(_inside(handle, buffer.address) for buffer in (offsets, text, codes, sizes))
    frame = handle.pandas()
    assert _inside(handle, _address(frame["side"].array.codes))
    note = frame["note"].array.__arrow_array__()
    assert _inside(handle, note.chunk(0).buffers()[2].address)
    assert _inside(handle, _address(handle.numpy(["size"])["size"].data))


def test_numpy_says_what_is_missing(handle: Handle) -> None:
    """Numbers are masked, text is None."""
    found = handle.numpy(stop=8)
    assert found["size"].tolist() == [None, 1, 2, 3, 4, None, 6, 7]
    assert found["note"].tolist() == [None, *(f"note {i}" for i in range(1, 7)), None]
    assert found["side"].tolist() == ["buy", "sell", None] * 2 + ["buy", "sell"]


def test_numpy_columns_go_back_as_they_came(store: Store, handle: Handle) -> None:
    """Masked numbers, text and categories as objects: what is missing stays missing."""
    found = handle.numpy()
    times = np.ma.MaskedArray(np.arange(3).astype("M8[s]"), [False, True, False])
    again = store.write("again", {**found, "fixed": np.array(["NQ", "ES"] * 1500), "note": found["note"]})
    with store.open_id(again.id) as copy:
        assert plain(copy.arrow(["size", "note", "side"])) == plain(handle.arrow(["size", "note", "side"]))
        assert copy.numpy(["fixed"])["fixed"][:2].tolist() == ["NQ", "ES"]
    with store.open_id(store.write("times", {"t": times}).id) as copy:
        assert copy.arrow()["t"].null_count == 1
        assert np.isnat(copy.numpy()["t"]).tolist() == [False, True, False]
    with pytest.raises(UnsupportedData, match="An array with masked values cannot be shared"):
        store.write("m", times)


def test_what_has_no_place_asks_for_a_larger_object(store: Store) -> None:
    """The first null, a category that is not known, and text beyond the room: nothing is changed before."""
    table = pa.table({"n": [1, 2], "c": pa.array(["a", "b"]).dictionary_encode(), "s": ["x", "y"]})
    info = publish(store, store.write("t", table, reserve_rows=100))

    def with_column(name: str, values: pa.Array) -> pa.Table:
        return table.set_column(table.column_names.index(name), name, values)

    for more, says in (
        (with_column("n", pa.array([1, None])), "'n' of t has had no nulls"),
        (with_column("c", pa.array(["a", "z"]).dictionary_encode()), "'c' of t has not had all of these categories"),
        (with_column("s", pa.array(["x", "y" * 10_000])), "'s' of t has no room for 10,001 bytes more"),
    ):
        with pytest.raises(CapacityFull, match=says):
            store.append(info.id, more)
        assert store.open_id(info.id).arrow().equals(table)
        grown = store.grow(info.id, more)
        assert plain(store.open_id(grown.id).arrow()) == {
            name: values + plain(more)[name] for name, values in plain(table).items()
        }
    swapped = with_column("c", pa.array(["b", "a"]).dictionary_encode())
    assert store.append(info.id, swapped).rows == 4
    assert plain(store.open_id(info.id).arrow())["c"] == ["a", "b", "b", "a"]


def test_codes_count_so_many_categories(store: Store) -> None:
    """An int8 counts 128; a value more is an error that says what to do."""
    codes = pa.array(range(128), pa.int8())
    table = pa.table({"c": pa.DictionaryArray.from_arrays(codes, pa.array([f"{i}" for i in range(128)]))})
    info = store.write("t", table, reserve_rows=9)
    one = pa.table({"c": pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array(["new"]))})
    with pytest.raises(UnsupportedData, match=r"would have 129 categories, and its codes \(int8\) count 128"):
        store.grow(info.id, one)


def test_equal_columns_have_equal_digests(store: Store) -> None:
    """What lies under a null, how the chunks are cut, and where a slice begins do not count."""
    values, mask = np.array([1.5, 7.0, 2.5]), np.array([False, True, False])
    zeroed = pa.table({"x": pa.array([1.5, None, 2.5]), "s": ["a", None, "b"]})
    text = pa.array(["a", "secret", "b"])
    under = pa.Array.from_buffers(pa.string(), 3, [pa.py_buffer(b"\x05"), *text.buffers()[1:]])
    assert under.to_pylist() == ["a", None, "b"]
    digests = {
        store.write("t", zeroed).digest,
        store.write("t", pa.table({"x": pa.array(values, mask=mask), "s": under})).digest,
        store.write("t", pa.concat_tables([zeroed.slice(0, 1), zeroed.slice(1)])).digest,
    }
    assert len(digests) == 1
    codes = pa.array([0, 1], pa.int8())
    meanings = [pa.DictionaryArray.from_arrays(codes, pa.array(words)) for words in (["a", "b"], ["b", "a"])]
    assert len({store.write("t", pa.table({"c": column})).digest for column in meanings}) == 2


@pytest.mark.parametrize("column", ["note", "side"])
@pytest.mark.parametrize("value", [2**31 - 1, -2, 10**6 + 55])
def test_damaged_offsets_and_codes_end_no_kernel(store: Store, handle: Handle, column: str, value: int) -> None:
    """Reading them is a `ChecksumError` that names the column, in every form."""
    table = handle.arrow([column])
    buffer = table[column].chunk(0).buffers()[1] if column == "note" else table[column].chunk(0).indices.buffers()[1]
    size = 4 if column == "note" else 1
    at = buffer.address - handle.address + size * 100
    del table, buffer
    with (store.path / "obj" / handle.info.id).open("r+b") as file:
        file.seek(at)
        file.write(value.to_bytes(4, "little", signed=True)[:size])
    for read in (handle.arrow, handle.pandas, handle.numpy):
        with pytest.raises(ChecksumError, match=f"column '{column}'"):
            read([column])
    with pytest.raises(ChecksumError, match=f"column '{column}' is damaged in its 1 MiB piece 0"):
        handle.verify()


def test_a_last_offset_outside_its_text_is_found_on_opening(store: Store, handle: Handle) -> None:
    """It says how much of the text is committed."""
    offsets = handle.arrow(["note"])["note"].chunk(0).buffers()[1]
    at = offsets.address - handle.address + 4 * handle.rows
    del offsets
    with (store.path / "obj" / handle.info.id).open("r+b") as file:
        file.seek(at)
        file.write((2**30).to_bytes(4, "little"))
    with pytest.raises(ChecksumError, match="the offsets of column 'note' lie outside its data"):
        store.open_id(handle.info.id)


@pytest.mark.parametrize(
    "value",
    [{"symbols": ["NQ", "ES"], "limits": {"NQ": 5.5, "on": True, "none": None}}, [1, "zwei", []], "text", 7, None, {}],
)
def test_json_values_come_back(store: Store, value: Any) -> None:
    """Settings and the like, as they are."""
    info = store.write("v", value)
    with store.open_id(info.id) as handle:
        assert handle.view() == value
        assert type(handle.view()) is type(value)
        assert handle.verify()
        with pytest.raises(UnsupportedData, match="no rows to choose"):
            handle.view(start=1, stop=1)
    with pytest.raises(UnsupportedData, match="a JSON value has no rows to append"):
        store.append(info.id, value)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_come_back_as_a_view(store: Store, kind: Any) -> None:
    """Read-only, in the mapping; they may be appended to."""
    info = store.write("b", kind(b"abc"), reserve_rows=10)
    with store.open_id(info.id) as handle:
        view = handle.view()
        assert (bytes(view), view.readonly) == (b"abc", True)
        assert handle.view("numpy").tolist() == [97, 98, 99]
    store.append(info.id, b"de")
    assert bytes(store.open_id(info.id).view()) == b"abcde"


def test_tensors_come_in(store: Store) -> None:
    """As arrays, without a word about where they were."""
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6, dtype=torch.float32).reshape(2, 3).requires_grad_()
    with store.open_id(store.write("t", tensor).id) as handle:
        assert torch.equal(handle.view("torch"), tensor.detach())
    with pytest.raises(UnsupportedData, match=r"bfloat16.*Convert it"):
        store.write("t", tensor.detach().bfloat16())
    with store.open_id(store.write("n", pa.table({"x": pa.array([1, None]), "s": ["a", "b"]})).id) as handle:
        with pytest.raises(UnsupportedData, match="column 'x' has nulls"):
            handle.view("torch", ["x"])
        with pytest.raises(UnsupportedData, match="column 's' holds no numbers"):
            handle.view("torch", ["s"])


def test_views_of_polars_text(store: Store) -> None:
    """Its text comes as views of strings, which become offsets."""
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"s": ["NQ", None, "a text of more than twelve bytes"], "n": [1, None, 3]})
    with store.open_id(store.write("p", frame).id) as handle:
        assert plain(handle.arrow()) == frame.to_dict(as_series=False)
    views = pa.table({"v": pa.array(["a", None], pa.string_view()), "b": pa.array([b"a", b""], pa.binary_view())})
    with store.open_id(store.write("v", views).id) as handle:
        assert plain(handle.arrow()) == plain(views)


def test_large_text_is_copied_in_pieces(store: Store, tmp_path: Path) -> None:
    """More than a digest's block of text, in chunks, appended behind a border of blocks."""
    random = np.random.default_rng(3)
    words = [random.bytes(int(n)).hex() for n in random.integers(0, 60, 60_000)]
    table = pa.table({"w": pa.chunked_array([words[:10], words[10:40_000], words[40_000:]])})
    info = store.write("w", table, reserve_rows=60_000)
    info = store.append(info.id, table.slice(7, 30_000))
    with store.open_id(info.id) as handle:
        assert handle.arrow()["w"].to_pylist() == words + words[7:30_007]
        assert handle.verify()
