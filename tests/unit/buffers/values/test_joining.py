"""Rows behind others: what a column is to pandas when its first nulls come with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.buffers import Store


def _grown(store: Store, had: Any, more: Any, **room: int) -> pd.DataFrame:
    info = store.grow(store.write("t", had, **room).id, more)
    return store.open_id(info.id).pandas()


@pytest.mark.parametrize("dtype", ["Int64", "UInt8", "Float32", "boolean"])
def test_the_first_null_brings_the_dtype_of_its_rows(store: Store, dtype: str) -> None:
    """A column of numpy becomes what the appended frame has for nulls; the others stay as they were."""
    more = pd.DataFrame({"x": pd.array([1, None], dtype), "y": [2.5, 3.5]})
    had = pd.DataFrame({"x": np.array([0, 1], more["x"].dtype.numpy_dtype), "y": [0.5, 1.5]})
    frame = _grown(store, had, more)
    pd.testing.assert_frame_equal(frame, pd.concat([had.astype({"x": dtype}), more], ignore_index=True))


def test_the_first_null_in_an_index_brings_its_dtype(store: Store) -> None:
    """An index is a column like others."""
    had = pd.DataFrame({"x": [1.0]}, index=pd.Index([7], name="id"))
    more = pd.DataFrame({"x": [2.0]}, index=pd.Index(pd.array([None], "Int64"), name="id"))
    assert _grown(store, had, more).index.dtype == "Int64"


def test_rows_without_nulls_change_no_dtype(store: Store) -> None:
    """Growing for room alone leaves a column of numpy what it was."""
    had = pd.DataFrame({"x": [1, 2]})
    assert _grown(store, had, had.astype("Int64"))["x"].dtype == np.dtype("int64")


@pytest.mark.parametrize("had", ["Int64", "int64[pyarrow]"])
def test_a_column_that_said_what_it_is_stays_that(store: Store, had: str) -> None:
    """Whatever has its first null behind it."""
    more = {"Int64": "int64[pyarrow]", "int64[pyarrow]": "Int64"}[had]
    frame = _grown(store, pd.DataFrame({"x": pd.array([1], had)}), pd.DataFrame({"x": pd.array([None], more)}))
    assert str(frame["x"].dtype) == had


def test_nulls_of_a_table_of_arrow_are_arrows(store: Store) -> None:
    """Rows that say nothing of pandas bring nothing of it."""
    frame = _grown(store, pd.DataFrame({"x": [1]}), pa.table({"x": pa.array([None], pa.int64())}))
    assert str(frame["x"].dtype) == "int64[pyarrow]"


@pytest.mark.parametrize("grows", [False, True])
@pytest.mark.parametrize(("had", "come"), [("string", "large_string"), ("large_binary", "binary")])
def test_text_of_another_width_is_appended(store: Store, had: str, come: str, grows: bool) -> None:
    """A dict of text and a frame of pandas differ in it; what is there keeps its type, with nulls and without."""
    first = pa.table({"x": pa.array(["a", "", "ccc"], getattr(pa, had)()), "n": pa.array([1, 2, 3])})
    more = pa.table({"x": pa.array(["ö", None, "dd"], getattr(pa, come)()), "n": pa.array([4, 5, 6])})
    info = store.write("a", first, reserve_rows=0 if grows else 100)
    info = store.grow(info.id, more) if grows else store.append(info.id, more.slice(2))
    with store.open_id(info.id) as handle:
        found = handle.arrow()
        assert found.schema == first.schema
        rest = (more if grows else more.slice(2)).column("x").cast(getattr(pa, had)())
        assert found.column("x").to_pylist() == [*first.column("x").to_pylist(), *rest.to_pylist()]
        assert handle.verify()
