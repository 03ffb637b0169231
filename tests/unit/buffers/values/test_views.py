"""Zero-copy is a claim with tests: addresses, private memory, and what writing does."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.buffers import Handle, Store
from jupyter_nq.buffers.values import pandas_views
from jupyter_nq.errors import MissingLibrary, UnsupportedData
from tests.unit.buffers.child import Child
from tests.unit.buffers.conftest import make_bars

_HAS_TORCH = importlib.util.find_spec("torch") is not None


def _inside(handle: Handle, address: int) -> bool:
    return handle.address <= address < handle.address + handle.nbytes


def _address(array: Any) -> int:
    return int(np.asarray(array).__array_interface__["data"][0])


@pytest.fixture
def handle(store: Store, bars: pd.DataFrame) -> Handle:
    """Give the mapped bars."""
    return store.open_id(store.write("NQ.30min", bars, reserve_rows=100).id)


def test_numpy_lies_in_the_mapping(handle: Handle) -> None:
    """Every column is a view on a page of its own."""
    for values in handle.numpy().values():
        assert _inside(handle, _address(values))
        assert _address(values) % 4096 == 0
        assert not values.flags.writeable


@pytest.mark.parametrize("from_blocks", [True, False], ids=["pandas 3", "pandas 2"])
def test_pandas_lies_in_the_mapping(
    handle: Handle, bars: pd.DataFrame, from_blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every column of the frame, the tz-aware one included, is a view; one dtype is one block."""
    if not from_blocks:
        monkeypatch.setattr(pandas_views, "_from_blocks", None)
    elif pandas_views._from_blocks is None:
        pytest.skip("this pandas has no create_dataframe_from_blocks")
    frame = handle.pandas()
    pd.testing.assert_frame_equal(frame, bars)
    assert _inside(handle, _address(frame["timestamp"].array.asi8))
    for name in frame.columns[1:]:
        assert _inside(handle, _address(frame[name].to_numpy()))
    assert sorted(len(block.mgr_locs) for block in frame._mgr.blocks) == [1, 1, 1, 4]


def test_an_index_lies_in_the_mapping(store: Store) -> None:
    """A time index is a view as well."""
    frame = make_bars(50).set_index("timestamp")
    with store.open_id(store.write("x", frame).id) as handle:
        found = handle.pandas()
        pd.testing.assert_frame_equal(found, frame)
        assert _inside(handle, _address(found.index.asi8))


def test_arrow_lies_in_the_mapping(handle: Handle) -> None:
    """Every Arrow buffer points into the mapping and is not mutable."""
    for column in handle.arrow().columns:
        buffer = column.chunk(0).buffers()[1]
        assert _inside(handle, buffer.address)
        assert not buffer.is_mutable


def test_arrays_lie_in_the_mapping(store: Store) -> None:
    """Arrays, frames and series of arrays, and tensors share the bytes."""
    array = np.arange(12.0).reshape(3, 4)
    with store.open_id(store.write("a", array).id) as handle:
        for found in (handle.numpy(), handle.pandas().to_numpy(), handle.arrow().to_numpy()):
            np.testing.assert_array_equal(found, array)
            assert _inside(handle, _address(found))
    with store.open_id(store.write("b", array[0]).id) as handle:
        pd.testing.assert_series_equal(handle.pandas(start=1), pd.Series(array[0], pd.RangeIndex(4))[1:])
    with (
        store.open_id(store.write("c", array.reshape(3, 2, 2)).id) as handle,
        pytest.raises(UnsupportedData, match="3 dimensions"),
    ):
        handle.pandas()


@pytest.mark.parametrize(("start", "stop"), [(0, None), (100, 200), (990, 5000), (-10, None), (50, 10)])
def test_rows_are_chosen_without_a_copy(handle: Handle, bars: pd.DataFrame, start: int, stop: int | None) -> None:
    """A range of rows keeps the global row numbers, in every form."""
    expected = bars.iloc[slice(start, stop)]
    pd.testing.assert_frame_equal(handle.pandas(start=start, stop=stop), expected)
    assert handle.arrow(start=start, stop=stop).num_rows == len(expected)
    np.testing.assert_array_equal(handle.numpy(start=start, stop=stop)["close"], expected["close"])


@pytest.mark.parametrize(
    "columns", [["close"], ["volume", "open"], ["high", "low", "flags"], ["timestamp", "close", "open"], []]
)
@pytest.mark.parametrize("from_blocks", [True, False], ids=["pandas 3", "pandas 2"])
def test_columns_are_chosen_in_the_order_asked_for(
    handle: Handle, bars: pd.DataFrame, columns: list[str], from_blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any selection in any order works in every form."""
    if not from_blocks:
        monkeypatch.setattr(pandas_views, "_from_blocks", None)
    frame = handle.pandas(columns)
    assert list(frame.columns) == columns
    for name in columns:
        pd.testing.assert_series_equal(frame[name], bars[name])
        assert _inside(handle, _address(handle.numpy([name])[name]))
    assert handle.arrow(columns).column_names == columns


def test_an_unknown_column_is_named(handle: Handle) -> None:
    """The error lists the columns and the nearest one."""
    with pytest.raises(UnsupportedData, match=r"no column 'clse'. Did you mean 'close'.*It has: timestamp, open"):
        handle.numpy(["clse"])


def test_an_array_has_no_columns(store: Store) -> None:
    """Asking an array for columns is an error."""
    with store.open_id(store.write("a", np.zeros(3)).id) as handle, pytest.raises(UnsupportedData, match="no columns"):
        handle.numpy(["x"])


def test_writing_to_a_view_raises(handle: Handle, bars: pd.DataFrame) -> None:
    """Neither numpy nor pandas can change shared memory."""
    with pytest.raises(ValueError, match="read-only"):
        handle.numpy()["open"][0] = 1
    frame = handle.pandas()
    with pytest.raises(ValueError, match="read-only"):
        frame.loc[0, "open"] = 5.0
    pd.testing.assert_frame_equal(handle.pandas(), bars)


def test_a_private_mapping_is_written_for_oneself(store: Store, handle: Handle, bars: pd.DataFrame) -> None:
    """Copy-on-write: the writer sees its change, nobody else does."""
    with store.open_id(handle.info.id, private=True) as private:
        mine = private.numpy()["open"]
        mine[:] = 0
        assert private.numpy()["open"].sum() == 0
    pd.testing.assert_frame_equal(handle.pandas(), bars)


@pytest.mark.skipif(_HAS_TORCH, reason="torch is installed")
def test_without_torch_the_install_command_is_named(handle: Handle) -> None:
    """A missing library is an error with the command that installs it."""
    with pytest.raises(MissingLibrary, match="pip install"):
        handle.view("torch")


@pytest.mark.skipif(not _HAS_TORCH, reason="torch is not installed")
def test_tensors_are_private(handle: Handle, bars: pd.DataFrame) -> None:
    """Tensors share the bytes until they are written, and then keep the change to themselves."""
    released: list[int] = []
    handle.on_release(lambda: released.append(1))
    tensors = handle.torch(["timestamp", "open"])
    assert tensors["timestamp"][0] == bars["timestamp"].array.asi8[0]
    tensors["open"][0] = -1.0
    assert tensors["open"][0] == -1.0
    pd.testing.assert_frame_equal(handle.pandas(), bars)
    handle.close()
    assert not released
    del tensors
    assert released


def test_the_forms_are_named(handle: Handle) -> None:
    """`view` dispatches, and lists the forms when asked for another."""
    assert isinstance(handle.view("arrow"), pa.Table)
    assert isinstance(handle.view(), pd.DataFrame)
    with pytest.raises(ValueError, match="pandas, arrow, numpy, torch, polars"):
        handle.view("spreadsheet")


def test_reading_everything_takes_no_private_memory(store: Store, nq_store_dir: Path) -> None:
    """A process that maps 64 MB and reads every value grows by less than 2 MB of anonymous memory."""
    store.write("big", {"a": np.random.default_rng(0).random(4 << 20), "b": np.ones(4 << 20)})
    code = """
def anon():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("RssAnon"))
info = store.scan()[0]
store.open_id(info.id).pandas(stop=10)
before = anon()
frame = store.open_id(info.id).pandas()
total = frame["b"].to_numpy().sum() + frame["a"].to_numpy().max()
say(anon() - before)
"""
    with Child(nq_store_dir, code) as child:
        assert int(child.line()) < 2048
