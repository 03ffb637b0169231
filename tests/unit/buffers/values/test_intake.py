"""What may be shared comes back as it was; what may not is refused by name."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.values.intake import take_in
from jupyter_nq.errors import UnsupportedData

_TYPES = [
    (pa.int8(), [1, -2, 3]),
    (pa.uint16(), [1, 2, 3]),
    (pa.int64(), [1, -2, 2**62]),
    (pa.float16(), np.array([1, 2, 3], np.float16)),
    (pa.float32(), [1.5, float("inf"), -3.0]),
    (pa.float64(), [1.5, 1e-300, -3.0]),
    (pa.bool_(), [True, False, True]),
    (pa.timestamp("us"), [0, 1, 2**50]),
    (pa.timestamp("ns", "America/Chicago"), [0, 1, 2**60]),
    (pa.duration("ms"), [0, 1, -5]),
    (pa.date32(), [datetime.date(2020, 1, d) for d in (1, 2, 3)]),
    (pa.date64(), [datetime.date(2020, 1, d) for d in (1, 2, 3)]),
    (pa.time32("s"), [0, 1, 2]),
    (pa.time64("ns"), [0, 1, 2]),
]


@pytest.mark.parametrize(("kind", "values"), _TYPES, ids=[str(k) for k, _ in _TYPES])
def test_every_fixed_width_arrow_type_comes_back(store: Store, kind: pa.DataType, values: Any) -> None:
    """A column of each supported type is equal after a round trip, sliced and in several chunks."""
    column = pa.chunked_array([pa.array(values, kind), pa.array(values, kind).slice(1)])
    table = pa.table({"before": pa.array(range(5)), "it": column})
    info = store.write("t", table)
    with store.open_id(info.id) as handle:
        assert handle.arrow().equals(table)
        assert handle.arrow(start=1, stop=4).equals(table.slice(1, 3))
        assert handle.verify()


def test_nan_is_a_value(store: Store) -> None:
    """A float column may hold NaN; it comes back as it was, bit for bit."""
    values = np.array([1.0, np.nan, -0.0])
    with store.open_id(store.write("n", {"x": values}).id) as handle:
        assert handle.numpy()["x"].tobytes() == values.tobytes()


def test_numpy_views_have_the_types_of_the_columns(store: Store) -> None:
    """Timestamps are datetime64, bool is bool, dates are days."""
    table = pa.table({"t": pa.array([1], pa.timestamp("us")), "b": [True], "d": pa.array([7], pa.date32())})
    with store.open_id(store.write("t", table).id) as handle:
        assert {n: v.dtype.str for n, v in handle.numpy().items()} == {"t": "<M8[us]", "b": "|b1", "d": "<i4"}


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(2, 3, 4),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.arange(10)[::-2],
        np.array(5.5),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.arange(3, dtype=">f8"),
        np.array([1 + 2j, 3]),
        np.array(["NQ", "ES=F"]),
        np.array([b"NQ", b"E"]),
        np.array(["2020-01-01", "2020-01-02"], "M8[D]"),
    ],
    ids=lambda a: f"{a.dtype.str}{a.shape}",
)
def test_arrays_of_any_shape_come_back(store: Store, array: np.ndarray[Any, Any]) -> None:
    """Shape and values survive, whatever the order in memory was."""
    info = store.write("a", array)
    assert (info.kind, info.shape) == ("array", array.shape)
    with store.open_id(info.id) as handle:
        found = handle.numpy()
        assert found.shape == array.shape
        np.testing.assert_array_equal(found, array)
        assert handle.verify()


def test_dicts_of_arrays_come_back(store: Store) -> None:
    """Strided and big-endian columns are stored contiguous and little-endian."""
    data = {"a": np.arange(20)[::2], "b": np.arange(10, dtype=">i4"), "c": np.arange(10).astype("M8[ns]")}
    with store.open_id(store.write("d", data).id) as handle:
        found = handle.numpy()
        for name, values in data.items():
            np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1, 2], "b": [1.0, 2.0], "c": [3, 4], "d": [True, False]}),
        pd.DataFrame({"a": [1.0, 2.0]}, index=pd.date_range("2020", periods=2, tz="Asia/Jerusalem", name="when")),
        pd.DataFrame({"a": [1.0, 2.0]}, index=[10, 20]),
        pd.DataFrame({"a": [1.0, 2.0]}, index=pd.RangeIndex(5, 9, 2, name="n")),
        pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index([1.5, 2.5], name="a")),
        pd.DataFrame({"a": pd.to_timedelta([1, 2], unit="s")}),
        pd.DataFrame(index=pd.RangeIndex(3)),
        pd.DataFrame({"a": np.array([], float)}),
        pd.DataFrame({"0": [1.0, 2.0]}, index=pd.Index([10.0, 20.0], name=0)),
        pd.DataFrame({"a": [1.0, 2.0]}, index=pd.RangeIndex(2, name=7)),
        pd.DataFrame({"__index__": [1.0, 2.0]}, index=pd.Index([10.0, 20.0])),
        pd.DataFrame({"__index__": [1.0], "___index__": [2.0]}, index=pd.Index([10.0], name="__index__")),
    ],
    ids=range(12),
)
def test_frames_come_back(store: Store, frame: pd.DataFrame) -> None:
    """Columns of mixed types, and a range or single index, survive."""
    with store.open_id(store.write("f", frame).id) as handle:
        pd.testing.assert_frame_equal(
            handle.pandas(), frame, check_freq=False, check_column_type=bool(len(frame.columns))
        )


def multi_indexes() -> dict[str, pd.MultiIndex]:
    """Return indexes of several levels over four rows."""
    days = pd.date_range("2020", periods=4, tz="America/Chicago")
    return {
        "named": pd.MultiIndex.from_product([["NQ", "ES"], [1, 2]], names=["symbol", "n"]),
        "times and categories": pd.MultiIndex.from_arrays([days, pd.Categorical(["b", "a", "b", None])]),
        "missing whole numbers": pd.MultiIndex.from_arrays(
            [np.array([1, 2, 3, 4], "i4"), [7, None, 8, 9]], names=["a", 5]
        ).set_levels(pd.Index([7, 8, 9], dtype="uint8"), level=1),
        "missing truth": pd.MultiIndex.from_arrays([[True, None, False, True], ["a", None, "b", "c"]]),
        "of one level": pd.MultiIndex.from_arrays([[1, 2, 3, 4]], names=["a"]),
        "a name that a column has": pd.MultiIndex.from_arrays([[1, 2, 3, 4], list("abcd")], names=["price", "price"]),
        "periods": pd.MultiIndex.from_arrays([pd.period_range("2020", periods=4, freq="D"), pd.interval_range(0, 4)]),
    }


@pytest.mark.parametrize("name", multi_indexes())
def test_indexes_of_several_levels_come_back(store: Store, name: str) -> None:
    """Names and dtypes of the levels too, of a frame, a part of it, one of no rows, and a Series."""
    frame = pd.DataFrame({"price": [1.0, 2.0, 3.0, 4.0], "side": list("bsbs")}, index=multi_indexes()[name])
    with store.open_id(store.write("f", frame).id) as handle:
        pd.testing.assert_frame_equal(handle.pandas(), frame, check_freq=False)
        assert [level.dtype for level in handle.pandas().index.levels] == [level.dtype for level in frame.index.levels]
        pd.testing.assert_frame_equal(handle.pandas(["side"]), frame[["side"]], check_freq=False)
        assert list(handle.pandas(start=1, stop=3)["price"]) == [2.0, 3.0]
    with store.open_id(store.write("s", frame["price"]).id) as handle:
        pd.testing.assert_series_equal(handle.pandas(), frame["price"], check_freq=False)
    with store.open_id(store.write("e", frame[:0]).id) as handle:
        assert (handle.pandas().index.names, len(handle.pandas())) == (frame.index.names, 0)


def test_rows_with_an_index_of_several_levels_are_appended(store: Store) -> None:
    """Levels of the same names, in place or grown; other levels are other columns, which is refused."""
    frame = pd.DataFrame({"price": [1.0, 2.0, 3.0, 4.0]}, index=multi_indexes()["named"])
    info = store.append(store.write("f", frame, reserve_rows=50).id, frame[1:3])
    expected = pd.concat([frame, frame[1:3]])
    with store.open_id(info.id) as handle:
        pd.testing.assert_frame_equal(handle.pandas(), expected)
    with store.open_id(store.grow(info.id, frame).id) as handle:
        pd.testing.assert_frame_equal(handle.pandas(), pd.concat([expected, frame]))
    with pytest.raises(UnsupportedData, match=r"missing \['symbol'\], not expected \['sym'\]"):
        store.append(info.id, frame.rename_axis(["sym", "n"]))
    with pytest.raises(UnsupportedData, match=r"missing \['symbol', 'n'\]"):
        store.append(info.id, frame.reset_index(drop=True))


@pytest.mark.parametrize("name", ["signal", None])
def test_series_come_back(store: Store, name: str | None) -> None:
    """A Series returns as a Series with its name and index."""
    series = pd.Series([1.0, 2.0, 3.0], index=[3, 4, 5], name=name)
    with store.open_id(store.write("s", series).id) as handle:
        pd.testing.assert_series_equal(handle.pandas(), series)


def test_record_batches_are_tables(store: Store) -> None:
    """A RecordBatch is taken as a table of one batch."""
    batch = pa.record_batch({"a": [1, 2]})
    with store.open_id(store.write("b", batch).id) as handle:
        assert handle.arrow().equals(pa.table(batch))


def test_schema_metadata_is_kept(store: Store) -> None:
    """What the producer wrote into the Arrow schema is there again."""
    table = pa.table({"a": [1]}).replace_schema_metadata({"source": "vendor"})
    with store.open_id(store.write("b", table).id) as handle:
        assert handle.arrow().schema.metadata == {b"source": b"vendor"}


_DAY = datetime.datetime(2024, 1, 2)
_REFUSED: list[tuple[Any, str]] = [
    ({1, 2, 3}, "set cannot be shared.*frame of pandas"),
    (pa.table([[1], [2]], names=["x", "x"]), "Column 'x' is there twice"),
    (pd.DataFrame({"x": [object()]}), "Column 'x' has dtype object, and its values are of no one type"),
    (pd.DataFrame({"x": [1, "a"]}), "Column 'x' has dtype object, and its values are of no one type"),
    (pd.DataFrame({"x": [{"a": 1}, {"b": 2}]}), r"row 0 would come back as \{'a': 1, 'b': None\}"),
    (
        pd.DataFrame({"x": pd.Series([_DAY, _DAY.replace(tzinfo=datetime.UTC)], dtype=object)}),
        "row 1, 2024-01-02.* zone",
    ),
    (pd.DataFrame({"x": [2**70, 1]}), "Column 'x' has dtype object, and its values are of no one type"),
    (pd.DataFrame({"x": [(1, 2), (3,)]}), r"row 0 would come back as \[1, 2\]"),
    (pd.DataFrame({"x": pd.cut([1, 5, 9], 3)}), r"Column 'x' has type dictionary.*\.cat\.rename_categories\(str\)"),
    (pd.DataFrame({"y": [1, 2]}, index=pd.cut([1, 9], 2)), "Column '__index__' has type dictionary.*rename_categories"),
    (pd.DataFrame({("a", 1): [1]}), r"label \('a', 1\) is tuple, not text"),
    (pd.DataFrame({0: [1]}), "label 0 is int, not text"),
    (pd.DataFrame({"a": [1]}, index=pd.Index([1.0], name=("a", 1))), "name of the index.*Set frame.index.names"),
    (np.array([object()]), "dtype object"),
    (np.zeros(2, [("a", "f8")]), "structured array"),
    ({"a": [1, 2], "b": np.zeros(2)}, "Column 'a' is not a 1-D numpy array"),
    ({"a": np.zeros((2, 2))}, "Column 'a' is not a 1-D"),
    ({"a": np.zeros(2), "b": np.zeros(3)}, r"different lengths: \[2, 3\]"),
    ({"a": np.zeros(2, complex)}, "Column 'a' has dtype complex128"),
    ({"a": np.zeros(2, "M8[D]")}, "Column 'a' has dtype datetime64"),
    ({"a": {1, 2}}, "The dict is no JSON value: Object of type set"),
    ([float("nan")], "The list is no JSON value"),
    ({"a": "\ud800"}, "The dict is no JSON value: .*surrogates"),
    (pa.chunked_array([[1], [2]]), "ChunkedArray gives no table of Arrow.*pyarrow.table"),
    ({1: "a"}, "would not come back from JSON as it is"),
    ([(1, 2)], "would not come back from JSON as it is"),
]


@pytest.mark.parametrize(("data", "message"), _REFUSED, ids=range(len(_REFUSED)))
def test_what_cannot_be_shared_is_refused(data: Any, message: str) -> None:
    """The error names the column, its type and what to do."""
    with pytest.raises(UnsupportedData, match=message):
        take_in(data)


def test_metadata_must_be_plain(store: Store) -> None:
    """A value that msgpack cannot hold is refused before anything is written."""
    with pytest.raises(UnsupportedData, match="metadata must be plain"):
        store.write("t", np.zeros(3), meta={"x": object()})
    assert store.used_bytes() == 0


def test_a_header_has_a_limit(store: Store) -> None:
    """Metadata that no reader would take are refused."""
    with pytest.raises(UnsupportedData, match="67,108,864 are possible"):
        store.write("t", np.zeros(3), meta={"x": bytes(64 << 20)})
    assert store.used_bytes() == 0


def test_what_no_reader_would_take_is_not_written(store: Store) -> None:
    """Values without a byte have no address; the refusal comes before the file."""
    with pytest.raises(UnsupportedData, match="t cannot be shared: its dtype"):
        store.write("t", np.zeros(3, [("empty", "S0")])["empty"])
    assert store.used_bytes() == 0


def test_a_frame_of_another_library(store: Store) -> None:
    """What gives an Arrow stream is a table: polars, with its own types."""
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"at": [datetime.datetime(2024, 1, 2)], "price": [1.5], "size": [7]})
    info = store.write("p", frame)
    assert store.open_id(info.id).arrow().equals(frame.to_arrow())


def test_what_arrow_has_no_type_for_is_refused_by_name() -> None:
    """Of a library that gives Arrow streams: a whole number of 128 bits, and a column that is no table."""
    polars = pytest.importorskip("polars")
    with pytest.raises(UnsupportedData, match=r"DataFrame gives no table of Arrow.*must be cast"):
        take_in(polars.DataFrame({"x": polars.Series([2**100], dtype=polars.Int128)}))
    with pytest.raises(UnsupportedData, match=r"Series gives no table of Arrow.*series\.to_frame\(\)"):
        take_in(polars.Series("x", [1]))
