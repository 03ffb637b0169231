"""polars over the mapping: no copy of numbers and text, and a clear error for what it has no type for."""

from __future__ import annotations

import importlib
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.errors import MissingLibrary, UnsupportedData
from tests.unit.buffers.values.nested_values import others
from tests.unit.buffers.values.test_views import _address, _inside

polars = pytest.importorskip("polars", reason="polars is not installed: pip install 'jupyter-nq[test]'")

_HAS = ["lists of codes", "codes of lists"]
_HAS_NOT = ["sparse union", "dense union", "runs", "struct of runs", "large list views", "bytes of no width"]


def test_numbers_and_text_lie_in_the_mapping(store: Store, bars: pd.DataFrame) -> None:
    """Nulls or not, appended or not; the frame has the rows of Arrow."""
    table = pa.Table.from_pandas(bars.assign(note=[f"a note of some length {i}" for i in range(1000)]))
    info = store.append(store.write("t", table, reserve_rows=2000).id, table.slice(3, 500))
    with store.open_id(info.id) as handle:
        frame = handle.view("polars")
        assert frame.to_dict(as_series=False) == handle.arrow().to_pydict()
        for name in ("open", "volume", "flags", "timestamp"):
            assert _inside(handle, _address(frame[name].to_physical().to_numpy(allow_copy=False))), name
        text = frame["note"].to_arrow(compat_level=polars.CompatLevel.newest())
        assert any(_inside(handle, buffer.address) for buffer in text.buffers()[2:])
        part = handle.view("polars", columns=["close", "note"], start=10, stop=20)
        assert part.to_dict(as_series=False) == table.select(["close", "note"]).slice(10, 10).to_pydict()


def test_a_frame_is_a_lease_and_is_never_written_through(store: Store) -> None:
    """It keeps the mapping; changing it copies, so what others see stays as it is."""
    handle = store.open_id(store.write("t", {"x": np.arange(5.0)}).id)
    released: list[int] = []
    handle.on_release(lambda: released.append(1))
    frame = handle.view("polars")
    handle.close()
    del handle
    frame[0, "x"] = 7.0
    assert frame["x"].to_list() == [7.0, 1.0, 2.0, 3.0, 4.0]
    with store.open_id(store.scan()[0].id) as again:
        assert again.numpy()["x"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    del frame
    assert released == [1]


def test_all_columns_of_a_frame(store: Store) -> None:
    """Levels of an index are columns; nulls, categories and lists are there."""
    index = pd.MultiIndex.from_product([["NQ"], [1, 2]], names=["symbol", "n"])
    frame = pd.DataFrame({"c": pd.Categorical(["a", None]), "l": [[1], None], "t": ["x", None]}, index=index)
    with store.open_id(store.write("f", frame).id) as handle:
        assert handle.view("polars").to_dict(as_series=False) == {
            "symbol": ["NQ", "NQ"],
            "n": [1, 2],
            "c": ["a", None],
            "l": [[1], None],
            "t": ["x", None],
        }


@pytest.mark.parametrize("name", _HAS)
def test_nested_columns(store: Store, name: str) -> None:
    """As Arrow has them."""
    array = others()[name]
    with store.open_id(store.write("t", pa.table({"x": array})).id) as handle:
        assert handle.view("polars")["x"].to_list() == array.to_pylist()


@pytest.mark.parametrize("name", [*_HAS_NOT, "wide decimals"])
def test_what_polars_has_no_type_for(store: Store, name: str) -> None:
    """The error names the column and the way out; the other columns can be had."""
    wide = pa.array([[Decimal(1)]] * 4, pa.list_(pa.decimal256(50, 2)))
    table = pa.table({"x": {**others(), "wide decimals": wide}[name], "y": range(4)})
    with store.open_id(store.write("t", table).id) as handle:
        with pytest.raises(UnsupportedData, match=r"no type for column 'x' .* use as_='arrow'"):
            handle.view("polars")
        assert handle.view("polars", ["y"])["y"].to_list() == [0, 1, 2, 3]


@pytest.mark.parametrize("array", [np.arange(4.0), np.array(["NQ", "ES"]), np.arange(6).reshape(3, 2)], ids=range(3))
def test_arrays(store: Store, array: Any) -> None:
    """Of one dimension a Series, of two a frame, of more none."""
    with store.open_id(store.write("a", array).id) as handle:
        found = handle.view("polars")
        assert isinstance(found, polars.Series if array.ndim == 1 else polars.DataFrame)
        np.testing.assert_array_equal(found.to_numpy(), array)
    with (
        store.open_id(store.write("c", np.zeros((2, 2, 2))).id) as handle,
        pytest.raises(UnsupportedData, match="3 dimensions is no frame"),
    ):
        handle.view("polars")


def test_without_polars(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""

    def absent(name: str) -> Any:
        raise ImportError(name)

    with store.open_id(store.write("t", {"x": np.arange(3)}).id) as handle:
        monkeypatch.setattr(importlib, "import_module", absent)
        with pytest.raises(MissingLibrary, match="Run: pip install polars"):
            handle.view("polars")


def test_a_frame_of_polars_comes_back_as_it_was(store: Store) -> None:
    """An Enum with its values, in their order, and a Categorical."""
    sides = polars.Enum(["sell", "buy"])
    frame = polars.DataFrame({"side": polars.Series(["buy", None], dtype=sides), "day": [1, 2]})
    frame = frame.with_columns(symbol=polars.Series(["NQ", "ES"], dtype=polars.Categorical))
    with store.open_id(store.write("f", frame).id) as handle:
        found = handle.view("polars")
        assert found.schema == frame.schema
        assert found.equals(frame)
        assert handle.view("polars", columns=["side"], start=1)["side"].to_list() == [None]


@pytest.mark.parametrize("array", [np.array([1j]), np.array(["2024"], "M8[D]"), np.array(["a"])], ids=["z", "M", "U"])
def test_an_array_that_arrow_has_no_tensor_of_is_refused(store: Store, array: np.ndarray[Any, Any]) -> None:
    """With the form that it has; polars is refused what it has no type for."""
    with store.open_id(store.write("a", array).id) as handle:
        with pytest.raises(UnsupportedData, match=r"Arrow has no tensor of.*Use as_='numpy'\."):
            handle.view("arrow")
        if array.dtype.kind == "c":
            with pytest.raises(UnsupportedData, match=r"polars has no type.*complex128. Use as_='numpy'\."):
                handle.view("polars")
        else:
            assert len(handle.view("polars")) == 1
