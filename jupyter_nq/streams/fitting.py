"""Giving data the types of a stream's schema, where that changes no value.

A frame has its columns in another order, or 64 bits where the stream keeps 32. That is no other schema as long as the
way back gives the same values. What would have to be guessed or rounded is left as it is, for the schema to refuse.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the columns of a schema in its order and types; as it is where it has others."""
    names = batch.schema.names
    if names != schema.names:
        if sorted(names) != sorted(schema.names):
            return batch
        batch = batch.select(schema.names)
    if batch.schema.types == schema.types:
        return batch
    try:
        columns = [_cast(array, kind) for array, kind in zip(batch.columns, schema.types, strict=True)]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return batch
    fields = [field.with_type(array.type) for field, array in zip(batch.schema, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, batch.schema.metadata))


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind or _family(array.type) not in ("null", _family(kind)):
        return array
    done = array.cast(kind)
    return done if pa.types.is_null(array.type) or _same(array, done.cast(array.type)) else array


def _same(array: pa.Array, back: pa.Array) -> bool:
    if array.equals(back):
        return True
    if not pa.types.is_floating(array.type):
        return False
    unlike = pc.invert(pc.fill_null(pc.equal(array, back), True))
    return bool(pc.all(pc.is_nan(array.filter(unlike))).as_py() and pc.all(pc.is_nan(back.filter(unlike))).as_py())


def _family(kind: pa.DataType) -> str:
    """Name what a type means: a time without a zone, say, is no time with one."""
    types = pa.types
    if types.is_dictionary(kind):
        return f"categories of {_family(kind.value_type)}"
    if types.is_timestamp(kind):
        return "time without a zone" if kind.tz is None else "time"
    for meaning, belongs in _FAMILIES.items():
        if any(belonging(kind) for belonging in belongs):
            return meaning
    return str(kind)


_FAMILIES = {
    "number": (pa.types.is_integer, pa.types.is_floating),
    "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "bytes": (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary),
    "date": (pa.types.is_date,),
    "time of day": (pa.types.is_time,),
    "duration": (pa.types.is_duration,),
    "null": (pa.types.is_null,),
}
