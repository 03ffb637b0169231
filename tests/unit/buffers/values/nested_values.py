"""Arrow types inside each other, drawn at random, with arrays of them that hide values and begin anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

_LEAVES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int8(): st.integers(-128, 127),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=15),
    pa.large_binary(): st.binary(max_size=5),
    pa.string_view(): st.text(max_size=15),
    pa.timestamp("us", "UTC"): st.integers(0, 2**50),
    pa.decimal128(20, 2): st.integers(-(10**9), 10**9),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.month_day_nano_interval(): st.tuples(*[st.integers(0, 9)] * 3),
    pa.null(): st.none(),
}


def _around(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    names = st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)
    fields = names.flatmap(lambda found: st.tuples(*[inner.map(lambda kind, n=n: pa.field(n, kind)) for n in found]))
    return st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        inner.map(pa.list_view),
        st.builds(pa.list_, inner, st.integers(0, 3)),
        st.builds(pa.map_, st.sampled_from([pa.string(), pa.int8()]), inner),
        fields.map(lambda found: pa.struct(list(found))),
    )


def _is_packed_by_arrow(kind: pa.DataType) -> bool:
    """Tell whether a type has children, and no views of text within views of lists, which Arrow cannot rearrange."""
    return bool(kind.num_fields) and not ("list_view" in str(kind) and "string_view" in str(kind))


nested_types = st.recursive(st.sampled_from(list(_LEAVES)), _around, max_leaves=5).filter(_is_packed_by_arrow)


def values_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Return what draws values of a type, None among them."""
    return st.one_of(st.none(), _present(kind))


def _present(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries(
            {kind.field(i).name: values_of(kind.field(i).type) for i in range(kind.num_fields)}
        )
    if pa.types.is_map(kind):
        return st.lists(st.tuples(_present(kind.key_type), values_of(kind.item_type)), max_size=3)
    if pa.types.is_fixed_size_list(kind):
        return st.lists(values_of(kind.value_type), min_size=kind.list_size, max_size=kind.list_size)
    if kind.num_fields:
        return st.lists(values_of(kind.value_type), max_size=3)
    return _LEAVES[kind]


@st.composite
def arrays(draw: st.DrawFn, kind: pa.DataType, rows: int) -> pa.Array:
    """Draw an array of a type: a slice of a longer one."""
    before, behind = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    count = before + rows + behind
    whole = pa.array(draw(st.lists(values_of(kind), min_size=count, max_size=count)), kind)
    return whole.slice(before, rows)


def hiding(array: pa.Array, hidden: np.ndarray[Any, Any]) -> pa.Array:
    """Return an array without a slice as a struct's only child, under whose nulls its values are still there."""
    return pa.StructArray.from_arrays([array], names=["inside"], mask=pa.array(hidden))


def others() -> dict[str, pa.Array]:
    """Return arrays of the types that hypothesis does not draw."""
    text, numbers = pa.array(["a", None, "ccc", ""]), pa.array([1, None, 3, 4])
    codes = pa.array([0, 1, 1, 0], pa.int8())
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([1, 3, 4], pa.int32()), pa.array(["x", None, "y"]))
    words = pa.DictionaryArray.from_arrays(codes, pa.array(["buy", "sell"]))
    coded_lists = pa.DictionaryArray.from_arrays(codes, pa.array([[1, 2], []], pa.list_(pa.int8())))
    uuids = pa.uuid().wrap_array(pa.array([bytes([n] * 16) for n in range(4)], pa.binary(16)))
    pairs = pa.array([[1, 2], None, [3, 4], [5, 6]], pa.list_(pa.float32(), 2))
    return {
        "sparse union": pa.UnionArray.from_sparse(codes, [numbers, text]),
        "dense union": pa.UnionArray.from_dense(codes, pa.array([0, 0, 2, 1], pa.int32()), [numbers, text]),
        "codes of a union": pa.UnionArray.from_sparse(pa.array([5, 9, 9, 5], pa.int8()), [numbers, text], None, [5, 9]),
        "runs": runs,
        "lists of codes": pa.ListArray.from_arrays(pa.array([0, 1, 1, 3, 4], pa.int32()), words),
        "codes of lists": coded_lists,
        "struct of runs": pa.StructArray.from_arrays([runs, text], names=["r", "t"]),
        "large list views": pa.array([[1], None, [], [2, 3]], pa.large_list_view(pa.int64())),
        "bytes of no width": pa.array([b"", None, b"", b""], pa.binary(0)),
        "uuids": uuids,
        "lists of uuids": pa.ListArray.from_arrays(pa.array([0, 1, 1, 3, 4], pa.int32()), uuids),
        "tensors": pa.fixed_shape_tensor(pa.float32(), [2]).wrap_array(pairs),
    }
