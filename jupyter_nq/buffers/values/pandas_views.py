"""pandas over a mapped object: neighbouring columns of one dtype become one block, without a copy.

A block is a 2-D array (columns, rows) that is strided by the object's capacity. Columns that numpy has no form for
are extension arrays over the same bytes: text and what came from Arrow with nulls (`ArrowDtype`), categories, or what
they were when they were shared. Copied are dates, masks of nulls, codes that are wider than pandas would have them,
columns of Python objects, among them what pandas has no type for, and an index of several levels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from jupyter_nq.buffers.layout import Block, Static
from jupyter_nq.buffers.places import VALID
from jupyter_nq.buffers.values import dictionaries
from jupyter_nq.buffers.values.arrow_views import column_of
from jupyter_nq.buffers.values.columns import is_coded
from jupyter_nq.buffers.values.lanes import Array
from jupyter_nq.buffers.values.python_values import ARRAYS, OBJECTS, objects_of
from jupyter_nq.buffers.values.views import Window, array_of, place_of
from jupyter_nq.errors import UnsupportedData

# pandas 3 builds a frame from blocks; before, it is put together from one frame per block, which pandas 2
# copies unless it is told not to.
_from_blocks: Callable[..., Any] | None = getattr(
    getattr(pd.api, "internals", None), "create_dataframe_from_blocks", None
)
_NO_COPY: dict[str, Any] = {"copy": False} if pd.__version__.startswith("2.") else {}


def to_pandas(window: Window, columns: Sequence[str] | None) -> Any:
    """Return a frame with one block per run of columns of one dtype, or a Series for what was one."""
    static = window.static
    if static.kind == "array":
        return _array_to_pandas(array_of(window, columns), window)
    names = [n for n in window.chosen(columns) if n not in _index_columns(static)]
    parts = [_frame_part(window, run) for run in _runs(static, tuple(names))]
    frame = _join(parts, _index(window))
    if static.origin.get("container") == "series" and columns is None:
        return frame.iloc[:, 0].rename(static.origin["series_name"])
    return frame


_Run = tuple[Block | None, int, list[str]]


@functools.lru_cache(maxsize=256)  # of the same few objects: finding it out takes longer than all else
def _runs(static: Static, names: tuple[str, ...]) -> list[_Run]:
    """Cut the names into runs of plain neighbours in one block, and special columns by themselves, without a block."""
    runs: list[_Run] = []
    for name in names:
        place = place_of(static, name)
        if place is None or _is_special(static, name):
            runs.append((None, 0, [name]))
        elif runs and runs[-1][0] is place[0] and runs[-1][1] + len(runs[-1][2]) == place[1]:
            runs[-1][2].append(name)
        else:
            runs.append((place[0], place[1], [name]))
    return runs


def _frame_part(window: Window, run: _Run) -> tuple[list[str], Any]:
    """Return the names and values of a block of pandas: a 2-D array, or one special column."""
    block, first, names = run
    if block is None:
        return names, _special(window, names[0])
    return names, window.block(block, first, len(names)).T


def _is_special(static: Static, name: str) -> bool:
    kind = static.column_type(name)
    if name in static.forms or name in static.dictionaries:
        return True
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return kind.tz is not None if pa.types.is_timestamp(kind) else False
    if isinstance(kind, pa.BaseExtensionType):
        return True
    return bool(pa.types.is_date32(kind) or place_of(static, name, VALID) is not None or _is_arrows_own(kind))


def _is_arrows_own(kind: pa.DataType) -> bool:
    """Return whether neither numpy nor pandas has a type of its own for a type of Arrow."""
    return bool(pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_null(kind))


def _special(window: Window, name: str) -> Any:
    """Return the values of one column that is no part of a block of numbers."""
    kind = window.static.column_type(name)
    form = window.static.forms.get(name)
    if form is None and pa.types.is_timestamp(kind):
        return _times(window, name, kind)
    if form is None and pa.types.is_date32(kind):
        return _days(window, name)
    if form is None and pa.types.is_dictionary(kind) and is_coded(kind):
        return _categorical(window, name, kind)
    found = column_of(window, name)
    if form in (OBJECTS, ARRAYS) or (form is None and not pandas_has(kind)):
        return objects_of(found, form)
    dtype: Any = pd.ArrowDtype(kind) if form in (None, "arrow") else pd.api.types.pandas_dtype(form)
    return dtype.__from_arrow__(found)


@functools.lru_cache(maxsize=256)
def pandas_has(kind: pa.DataType) -> bool:
    """Return whether pandas can show an Arrow type: with others inside, it raises or even ends the process."""
    try:
        pd.ArrowDtype(kind).type  # noqa: B018 - the property raises
    except NotImplementedError:
        return False
    if isinstance(kind, pa.BaseExtensionType):
        return pandas_has(kind.storage_type)
    inside = [kind.field(i).type for i in range(kind.num_fields)]
    inside += [kind.value_type] if pa.types.is_dictionary(kind) else []
    return all(pandas_has(inner) and not isinstance(inner, pa.BaseExtensionType) for inner in inside)


def _times(window: Window, name: str, kind: pa.DataType) -> Any:
    """Return times with a zone."""
    values = window.lane(name)
    assert values is not None  # a time has some
    return pd.DatetimeIndex(values.view("<i8"), dtype=_tz_dtype(kind.unit, kind.tz), copy=False).array


def _days(window: Window, name: str) -> Array:
    values, valid = window.lane(name), window.lane(name, VALID)
    assert values is not None  # a date has some
    days = values.astype("M8[D]").astype("M8[s]")
    if valid is not None:
        days[~valid] = np.datetime64("NaT")
    return days


def _categorical(window: Window, name: str, kind: pa.DataType) -> pd.Categorical:
    categories = dictionaries.decode(window.static.dictionaries[name]).to_pandas()
    codes, valid = window.codes(name, len(categories)), window.lane(name, VALID)
    if codes.dtype.kind == "u":  # pandas says with -1 what is missing
        codes = codes.astype(np.int64)
        if valid is not None:
            codes[~valid] = -1
    return pd.Categorical.from_codes(codes, pd.Index(categories).rename(None), ordered=kind.ordered, validate=False)


@functools.lru_cache(maxsize=64)
def _tz_dtype(unit: Any, tz: str) -> pd.DatetimeTZDtype:
    return pd.DatetimeTZDtype(unit, tz)


def _join(parts: list[tuple[list[str], Any]], index: pd.Index[Any]) -> pd.DataFrame:
    if _from_blocks is None:
        frames = [_frame_of(names, values, index) for names, values in parts]
        return pd.concat(frames, axis=1, **_NO_COPY) if frames else pd.DataFrame(index=index)
    blocks: list[tuple[Any, Array]] = []
    labels: list[str] = []
    for names, values in parts:
        block = values.T if values.ndim == 2 else values.reshape(1, -1) if _is_2d(values) else values
        blocks.append((block, np.arange(len(labels), len(labels) + len(names))))
        labels += names
    frame: pd.DataFrame = _from_blocks(blocks, index=index, columns=_labels(tuple(labels)).view())
    return frame


@functools.lru_cache(maxsize=256)
def _labels(names: tuple[str, ...]) -> pd.Index[Any]:
    """Return an index of pandas over names of columns; each frame has a view of it, with a name of its own."""
    return pd.Index(names)


def _is_2d(values: Any) -> bool:
    """Return whether a block of such values has two dimensions: those of numpy and of times with a zone have."""
    return isinstance(values, np.ndarray) or isinstance(values.dtype, pd.DatetimeTZDtype)


def _frame_of(names: list[str], values: Any, index: pd.Index[Any]) -> pd.DataFrame:
    data = {names[0]: values} if values.ndim == 1 else values
    return pd.DataFrame(data, index=index, columns=names, copy=False)


def _index_columns(static: Static) -> list[str]:
    """Return the columns that are the levels of an index of pandas."""
    described = static.origin.get("index", {})
    column = described.get("column")
    return described.get("columns", []) if column is None else [column]


def _index(window: Window) -> pd.Index[Any]:
    described = window.static.origin.get("index", {})
    name = described.get("name")
    columns = _index_columns(window.static)
    if not columns:
        first, step = described.get("range", (0, 1))
        return pd.RangeIndex(first + window.start * step, first + window.stop * step, step, name=name)
    levels = [pd.Index(_values(window, column), copy=False) for column in columns]
    if "columns" in described:
        return _several(levels, described)
    index: pd.Index[Any] = levels[0].rename(name)
    return index


def _several(levels: list[pd.Index[Any]], described: dict[str, Any]) -> pd.MultiIndex:
    found = pd.MultiIndex.from_arrays(levels, names=described["names"])
    for i, dtype in enumerate(described["dtypes"]):
        if dtype is not None:  # the rows of a level with missing whole numbers have another dtype than the level
            found = found.set_levels(found.levels[i].astype(dtype), level=i, verify_integrity=False)
    return found


def _values(window: Window, name: str) -> Any:
    return _special(window, name) if _is_special(window.static, name) else window.lane(name)


def _array_to_pandas(array: Array, window: Window) -> Any:
    if array.ndim == 1:
        return pd.Series(array, index=pd.RangeIndex(window.start, window.stop), copy=False)
    if array.ndim == 2:
        return pd.DataFrame(array, index=pd.RangeIndex(window.start, window.stop), copy=False)
    raise UnsupportedData(f"An array with {array.ndim} dimensions is no frame. Use as_='numpy'.")
