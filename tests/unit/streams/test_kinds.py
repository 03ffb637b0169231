"""Every kind of message comes back as it was published, from tapes and logs."""

from __future__ import annotations

import datetime as dt
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.errors import UnsupportedData
from jupyter_nq.streams import kinds
from tests.unit.streams.conftest import SCHEMA, Make, ticks

_STAMPS = pd.date_range("2024-03-08", periods=3, freq="12h", tz="America/New_York")  # over a change of clocks

FRAMES = {
    "plain": pd.DataFrame({"a": [1, 2], "b": [0.5, -1.0]}),
    "nan": pd.DataFrame({"a": [np.nan, 2.0], "b": [1.0, np.inf]}),
    "index of times": pd.DataFrame({"a": [1, 2, 3]}, index=_STAMPS.rename("ts")),
    "unnamed index": pd.DataFrame({"a": [1, 2, 3]}, index=[7, 9, 8]),
    "later rows": pd.DataFrame({"a": [1, 2, 3]})[1:],
    "two indexes": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["k", "n"])),
    "zones": pd.DataFrame({"a": _STAMPS, "b": _STAMPS.tz_localize(None)}),
    "dates": pd.DataFrame({"a": [dt.date(2024, 2, 29), dt.date(1969, 12, 31)]}),
    "durations": pd.DataFrame({"a": pd.to_timedelta([1, -5], unit="ns")}),
    "half floats": pd.DataFrame({"a": np.array([0.5, np.nan], np.float16)}),
    "categories": pd.DataFrame({"a": pd.Categorical(["long", "short", "long"], ["short", "long", "flat"])}),
    "nulls": pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")}),
    "text": pd.DataFrame({"a": ["Ärger", None, ""]}),
    "numbered columns": pd.DataFrame({0: [1], 1: [2]}),
    "named columns": pd.DataFrame([[1, 2]], columns=pd.Index(["a", "b"], name="leg")),
    "empty": pd.DataFrame({"a": np.array([], np.int64), "b": np.array([], float)}),
    "one column": pd.DataFrame({"a": np.arange(5.0)}),
}


@pytest.mark.parametrize("what", FRAMES)
def test_log_gives_a_frame_back(make: Make, what: str) -> None:
    """A frame comes back equal, its index, types, zones, categories and missing values included."""
    stream = make()
    stream.publish(FRAMES[what])
    (message,) = stream.get_messages()
    pd.testing.assert_frame_equal(message.data, FRAMES[what], check_freq=False)


def test_log_keeps_each_frame_its_own_index(make: Make) -> None:
    """Frames and batches with the same columns stay what they were: the first does not decide what is an index."""
    stream = make()
    indexed = pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 6], name="n"))
    flat = indexed.reset_index()[["a", "n"]]
    batch = pa.RecordBatch.from_pandas(flat).replace_schema_metadata({"by": "hand"})
    for data in (flat, indexed, batch, flat, indexed):
        stream.publish(data)
    found = [message.data for message in stream.get_messages()]
    for got, was in zip((found[0], found[1], found[3], found[4]), (flat, indexed, flat, indexed), strict=True):
        pd.testing.assert_frame_equal(got, was)
    assert found[2].equals(batch, check_metadata=True)


@pytest.mark.parametrize("what", ["plain", "nan", "zones", "dates", "durations", "half floats", "empty", "one column"])
def test_tape_gives_a_frame_back(make: Make, what: str) -> None:
    """A frame of columns with a fixed width comes back equal from a tape; NaN is no null there."""
    frame = FRAMES[what]
    stream = make(schema=pa.Schema.from_pandas(frame, preserve_index=False).remove_metadata())
    assert stream.form == "tape"
    stream.publish(frame)
    (message,) = stream.get_messages()
    pd.testing.assert_frame_equal(message.data, frame, check_freq=False)


_NUMBERS = [pa.int8(), pa.uint64(), pa.float16(), pa.float32()]
_TIMES = [pa.date32(), pa.date64(), pa.time32("ms"), pa.time64("ns"), pa.timestamp("us"), pa.duration("s")]


@pytest.mark.parametrize("form", ["tape", "log"])
@pytest.mark.parametrize("kind", [*_NUMBERS, *_TIMES, pa.timestamp("ns", "Asia/Jerusalem")])
def test_every_fixed_type_round_trips(make: Make, form: str, kind: pa.DataType) -> None:
    """A column of each type with a fixed width comes back equal as batch, table and dict, and a slice as that slice."""
    words = np.array([1, 0, 86_400_000], np.int64).astype(f"i{kind.bit_width // 8}")
    column = pa.Array.from_buffers(kind, 3, [None, pa.py_buffer(words)])
    batch = pa.record_batch([column], names=["x"])
    stream = make(schema=batch.schema, form=form)
    for data in (batch, pa.Table.from_batches([batch, batch]), {"x": column}, batch.slice(1, 1), batch.slice(0, 0)):
        stream.publish(data)
    whole, table, columns, piece, none = (message.data for message in stream.get_messages())
    assert whole.equals(batch)
    assert table.equals(pa.Table.from_batches([batch, batch]).combine_chunks())
    assert columns.equals(batch)
    assert piece.equals(batch.slice(1, 1))
    assert none.equals(batch.slice(0, 0))


@pytest.mark.parametrize(
    "array",
    [
        pa.array([["a", None], None, []]),
        pa.array([{"k": 1}, None]),
        pa.array([{"k": "x"}, {"k": "y"}], pa.struct([("k", pa.dictionary(pa.int8(), pa.string()))])),
        pa.array([["x"], ["y", "x"]], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
        pa.array([None, None]),
        pa.array([True, None, False]),
        pa.array([b"\0", None]),
    ],
    ids=lambda array: str(array.type),
)
def test_log_takes_any_arrow_type(make: Make, array: pa.Array) -> None:
    """Nested columns, also with categories inside, come back equal from a log, twice in a row."""
    batch = pa.record_batch([array], names=["x"])
    stream = make()
    stream.publish(batch)
    stream.publish(batch)
    assert [message.data.equals(batch) for message in stream.get_messages()] == [True, True]


@pytest.mark.parametrize(
    "value",
    [{}, {"a": [1, None, True, "x"], "b": {"c": -0.5}}, [], "text", 0, None, False, {1: {2: 3}}, 2**64 - 1, [[[]]]],
    ids=repr,
)
def test_log_takes_what_json_has(make: Make, value: Any) -> None:
    """Whatever JSON can express comes back equal."""
    stream = make()
    stream.publish(value)
    assert stream.get_messages()[0].data == value


@pytest.mark.parametrize(
    "value", [b"", b"\0\1", bytearray(b"xyz"), memoryview(b"abcd")[::2]], ids=["empty", "bytes", "bytearray", "strided"]
)
def test_log_takes_bytes(make: Make, value: Any) -> None:
    """Bytes of any kind come back as bytes."""
    stream = make()
    stream.publish(value)
    assert stream.get_messages()[0].data == bytes(value)


def test_metadata_come_along(make: Make) -> None:
    """A dict of metadata comes with its message, whatever the keys, and no other message has it."""
    stream = make()
    stream.publish(b"", {"who": "risk", 1: [2]})
    stream.publish(ticks(3), {"n": 3})
    stream.publish({"a": 1})
    assert [message.metadata for message in stream.get_messages()] == [{"who": "risk", 1: [2]}, {"n": 3}, {}]


def test_a_key_that_is_a_tuple_does_not_stop_the_reader(make: Make) -> None:
    """A dict whose key is a tuple can be read again, and what follows it too."""
    stream = make()
    stream.publish({(1, 2): 3})
    stream.publish("next")
    assert [message.data for message in stream.get_messages()] == [{(1, 2): 3}, "next"]


@pytest.mark.parametrize("value", [object(), {"a": object()}, np.arange(3), 2**64, {"a": {1, 2}}, MappingProxyType({})])
def test_other_things_are_refused(make: Make, value: Any) -> None:
    """What cannot be sent is refused with the list of what can, and takes no sequence."""
    stream = make()
    with pytest.raises(UnsupportedData, match="takes frames, Arrow tables, dicts of columns, bytes"):
        stream.publish(value)
    assert stream.publish("fine") == 0


def test_columns_of_unlike_length_are_refused(make: Make) -> None:
    """A dict of columns that do not fit together is refused."""
    with pytest.raises(UnsupportedData, match="columns cannot be sent"):
        make().publish({"a": np.arange(2), "b": np.arange(3)})


def test_a_frame_with_a_column_twice_is_refused(make: Make) -> None:
    """Two columns of one name are refused, not merged."""
    with pytest.raises(UnsupportedData, match="frame cannot be sent"):
        make().publish(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize("row", [(5, 1.5, 3), {"size": 3, "ts": 5, "price": 1.5}, [5, 1.5, 3]])
def test_tape_gives_a_row_back_as_a_dict(make: Make, row: Any) -> None:
    """One row, as tuple, list or dict, comes back as a dict of plain values."""
    stream = make(schema=SCHEMA)
    stream.publish(row)
    stream.publish_rows([(5, 1.5, 3)])
    for message in stream.get_messages():
        assert message.data == {"ts": pd.Timestamp(5, tz="UTC"), "price": 1.5, "size": 3}


def test_a_table_too_large_for_one_batch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that Arrow cannot join is refused, instead of its first part being sent."""
    table = pa.table({"a": pa.chunked_array([[1], [2]])})

    class Unjoined:
        schema = table.schema

        def combine_chunks(self) -> pa.Table:
            return table

    with pytest.raises(UnsupportedData, match="Publish it in slices"):
        kinds._joined(Unjoined())
