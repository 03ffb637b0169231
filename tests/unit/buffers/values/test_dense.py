"""Nested arrays in one form: the same values, nothing hidden, the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.buffers.values.dense import dense
from tests.unit.buffers.values.nested_values import arrays, hiding, nested_types, others


def octets(array: pa.Array) -> list[bytes | None]:
    """Return the bytes of all buffers of an array."""
    return [None if buffer is None else buffer.to_pybytes() for buffer in array.buffers()]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_equal_rows_have_equal_bytes(data: st.DataObject) -> None:
    """A slice, a copy made by Arrow, and one in two pieces: the same values in the same buffers, and valid."""
    kind = data.draw(nested_types)
    array = data.draw(arrays(kind, data.draw(st.integers(0, 6))))
    found = dense(array)
    found.validate(full=True)
    assert (found.type, found.offset, found.to_pylist()) == (kind, 0, array.to_pylist())
    assert octets(dense(pa.array(array.to_pylist(), kind))) == octets(found)
    border = data.draw(st.integers(0, len(array)))
    assert octets(dense(pa.concat_arrays([array.slice(0, border), array.slice(border)]))) == octets(found)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_a_null_hides_is_left_out(data: st.DataObject) -> None:
    """Values under the null of a struct around them become those of a struct that never had them."""
    rows = data.draw(st.integers(1, 6))
    inner = dense(data.draw(arrays(data.draw(nested_types), rows)))
    hidden = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    array = hiding(inner, hidden)
    found = dense(array)
    found.validate(full=True)
    assert found.to_pylist() == array.to_pylist()
    assert octets(found) == octets(dense(pa.array(array.to_pylist(), array.type)))


@pytest.mark.parametrize("name", others())
@pytest.mark.parametrize("cut", [slice(0, 4), slice(1, 3), slice(2, 2)], ids=["whole", "cut", "empty"])
def test_the_other_types(name: str, cut: slice) -> None:
    """Unions, runs, codes, views and extension types, cut and hidden."""
    array: Any = others()[name][cut]
    found = dense(array)
    found.validate(full=True)
    assert (found.type, found.to_pylist()) == (array.type, array.to_pylist())
    hidden = np.arange(len(array)) % 2 == 0
    around = hiding(found, hidden)
    dense(around).validate(full=True)
    assert dense(around).to_pylist() == around.to_pylist()


def test_no_hidden_byte_is_copied() -> None:
    """Text behind the null of a list, a struct, a fixed list and a union is nowhere in the copy."""
    secret = pa.array(["secret", "seen"])
    mask = pa.array([True, False])
    cases = [
        pa.StructArray.from_arrays([secret], names=["a"], mask=mask),
        pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), secret, mask=mask),
        pa.FixedSizeListArray.from_arrays(secret, 1, mask=mask),
        pa.UnionArray.from_sparse(pa.array([1, 0], pa.int8()), [secret, pa.array([1, 2])]),
        pa.UnionArray.from_dense(pa.array([1, 0], pa.int8()), pa.array([0, 1], pa.int32()), [secret, pa.array([1])]),
    ]
    for array in cases:
        assert b"secret" in b"".join(filter(None, octets(array)))
        assert b"secret" not in b"".join(filter(None, octets(dense(array)))), array.type


def test_a_field_that_may_have_no_nulls_gets_none() -> None:
    """Under the null of its struct it is zero."""
    kind = pa.struct([pa.field("a", pa.int64(), nullable=False)])
    array = pa.StructArray.from_arrays([pa.array([7, 8])], fields=list(kind), mask=pa.array([True, False]))
    found = dense(array)
    found.validate(full=True)
    assert found.field(0).to_pylist() == [0, 8]
