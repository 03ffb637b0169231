"""Columns of Python objects: what Arrow would change is not taken."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.buffers.values.python_values import ARRAYS, OBJECTS, check_times, form_of, nested_of, objects_of

NAN = float("nan")


@pytest.mark.parametrize(
    "values",
    [
        [[1, 2], None, []],
        [[1.5, NAN], [NAN], None],
        [{"a": [1, None], "b": {"c": "x"}}, None],
        [[datetime.date(2024, 1, 2)], [None]],
        [[datetime.datetime(2024, 1, 2, 3)]],
        [[b"x", b""], [None]],
    ],
    ids=range(6),
)
def test_values_come_back(values: list[Any]) -> None:
    """Lists and dicts as they are, NaN inside of them too."""
    found = pa.chunked_array([nested_of(values)])
    assert form_of(values) == OBJECTS
    assert repr(objects_of(found).tolist()) == repr(values)


def test_arrays_come_back_as_arrays() -> None:
    """With their dtype, also when all have one length; what is missing is None."""
    values = [np.array([1, 2], "i2"), None, np.array([3, 4], "i2")]
    found = objects_of(pa.chunked_array([nested_of(values)]), form_of(values))
    assert form_of(values) == ARRAYS
    assert (found.shape, found[1]) == ((3,), None)
    assert [a.dtype for a in found[[0, 2]]] == [np.dtype("i2")] * 2
    np.testing.assert_array_equal(found[2], [3, 4])


def test_missing_is_none() -> None:
    """NaN, NaT and NA in the place of a list."""
    assert objects_of(pa.chunked_array([nested_of([[1], NAN, pd.NaT, pd.NA])])).tolist() == [[1], None, None, None]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([{"a": 1}, {"b": 2}], "row 0 would come back as {'a': 1, 'b': None}"),
        ([{"b": 1, "a": 2}, {"a": 1, "b": 2}], "row 1 would"),
        ([[1], (2, 3)], r"row 1 would come back as \[2, 3\]"),
        ([[1, 2.5]], r"row 0 would come back as \[1.0, 2.5\]"),
        ([[pd.Timestamp("2024-01-02")]], "row 0 would come back as"),
        ([[1], np.array([2])], "row 0 would come back as"),
    ],
    ids=range(6),
)
def test_what_would_change_is_refused(values: list[Any], says: str) -> None:
    """The error names the first row."""
    with pytest.raises(ValueError, match=says):
        nested_of(values)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            [datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 5)],
            "row 1, 2024-01-02 05:00:00, would become a date",
        ),
        ([None, pd.Timestamp("2024-01-02 00:00:00.000000001")], "row 1, .*, would lose its nanoseconds"),
        ([pd.Timedelta(1, "ns")], "row 0, .*, would lose its nanoseconds"),
        ([pd.Timestamp("2024-01-02", tz="UTC"), pd.Timestamp("2024-01-02", tz="Asia/Tokyo")], "row 1, .* zone of the"),
        ([datetime.time(9, 30, tzinfo=datetime.UTC)], r"row 0, 09:30:00\+00:00, would lose its zone"),
    ],
    ids=["date", "stamp", "span", "zone", "clock"],
)
def test_nothing_is_cut_off_a_time(values: list[Any], says: str) -> None:
    """Arrow would do it without a word."""
    with pytest.raises(ValueError, match=says):
        check_times(values, pa.array(values, from_pandas=True).type)


def test_times_of_one_kind_are_taken() -> None:
    """With missing ones between them, in one zone on both sides of a change of its clock."""
    zone = "America/New_York"
    summer, winter = pd.Timestamp("2024-07-01", tz=zone), pd.Timestamp("2024-12-01", tz=zone)
    for values in ([summer, pd.NaT, winter, None], [NAN, datetime.date(2024, 1, 2)], [datetime.timedelta(1), pd.NA]):
        found = pa.array(values, from_pandas=True)
        check_times(values, found.type)
        assert found.drop_null().to_pylist() == [value for value in values if not pd.isna(value)]


def test_a_number_of_numpy_is_a_number() -> None:
    """A list of them comes back as one of Python's."""
    assert objects_of(pa.chunked_array([nested_of([[np.float64(1.5), np.float64(2)]])])).tolist() == [[1.5, 2.0]]


@pytest.mark.parametrize(
    "values",
    [["NQ", None, "ES", "NQ"], [1.5, NAN, 1.5], [datetime.date(2024, 1, 2), None], [b"x", b""], [[1], None, [1]]],
    ids=["text", "numbers", "dates", "bytes", "lists"],
)
def test_categories_are_what_they_mean(values: list[Any]) -> None:
    """Of any type, in several chunks, the first of which shows a part."""
    whole = pa.array(values)
    codes = pa.array([None if value is None else i for i, value in enumerate(values)], pa.int8())
    coded = pa.DictionaryArray.from_arrays(codes, whole)
    found = objects_of(pa.chunked_array([coded.slice(1), coded]))
    assert repr(found.tolist()) == repr([*values[1:], *values])
