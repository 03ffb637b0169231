"""Data are cast to a stream's schema where that changes no value, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.errors import SchemaMismatch
from jupyter_nq.streams.fitting import fitted
from tests.unit.streams.conftest import Make


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([1, 2, None]), pa.int8()),
        (pa.array([1, 2]), pa.float64()),
        (pa.array([0.5, np.nan, None]), pa.float32()),
        (pa.array([1.0, 2.0]), pa.int32()),
        (pa.array([1_000_000], pa.timestamp("ns", "UTC")), pa.timestamp("us", "Asia/Jerusalem")),
        (pa.array(["a", None]), pa.large_string()),
        (pa.array([None, None]), pa.string()),
        (pa.array(["a", "b"]).dictionary_encode(), pa.dictionary(pa.int8(), pa.string())),
    ],
)
def test_what_changes_no_value_is_cast(values: pa.Array, kind: pa.DataType) -> None:
    """Another width of the same values takes the stream's type."""
    found = fitted(pa.record_batch([values], names=["x"]), pa.schema([("x", kind)]))
    assert found.schema.types == [kind]
    assert found.column(0).to_pylist()[0] == values.to_pylist()[0]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([0.1]), pa.float32()),
        (pa.array([300]), pa.int8()),
        (pa.array([2**53 + 1]), pa.float64()),
        (pa.array([1.5]), pa.int64()),
        (pa.array(["1"]), pa.int64()),
        (pa.array([1]), pa.string()),
        (pa.array([1], pa.timestamp("ns")), pa.timestamp("ns", "UTC")),
        (pa.array([1], pa.timestamp("ns", "UTC")), pa.timestamp("ns")),
        (pa.array([1], pa.timestamp("ns")), pa.timestamp("s")),
        (pa.array([1]), pa.timestamp("ns")),
        (pa.array([True]), pa.int8()),
    ],
)
def test_what_would_be_rounded_or_guessed_is_not(values: pa.Array, kind: pa.DataType) -> None:
    """A value that would change, or mean something else, keeps its type, which the schema refuses."""
    batch = pa.record_batch([values], names=["x"])
    assert fitted(batch, pa.schema([("x", kind)])).equals(batch)


@pytest.mark.parametrize("form", ["tape", "log"])
@pytest.mark.parametrize("data", [pd.DataFrame({"b": [2.0], "a": [1]}), {"b": np.array([2.0]), "a": np.array([1])}])
def test_columns_are_found_by_name(make: Make, form: str, data: Any) -> None:
    """The columns of a frame or dict may come in any order."""
    stream = make(schema=pa.schema([("a", pa.int32()), ("b", pa.float64())]), form=form)
    stream.publish(data)
    (batch,) = stream.subscribe("earliest").read_batches()
    assert batch.to_pydict() == {"a": [1], "b": [2.0]}


@pytest.mark.parametrize("form", ["tape", "log"])
def test_mismatch_shows_both_schemas(make: Make, form: str) -> None:
    """Data of another schema are refused with both schemas, and nothing was published."""
    stream = make(schema=pa.schema([("a", pa.int32()), ("b", pa.float32())]), form=form)
    with pytest.raises(SchemaMismatch) as caught:
        stream.publish(pd.DataFrame({"a": [1], "b": [0.1]}))
    assert "has a int32, b float" in str(caught.value)
    assert "data have a int64, b double" in str(caught.value) or "data have a int32, b double" in str(caught.value)
    assert stream.messages == 0
