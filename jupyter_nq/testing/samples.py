"""One of each kind of data that a store takes, and how to tell whether it came back."""

from __future__ import annotations

import datetime
import decimal
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

_ZONE = "America/New_York"


@dataclass(frozen=True)
class Sample:
    """Data of one kind."""

    name: str
    make: Callable[[], Any]
    """Returns the data, the same each time."""
    as_: str = "arrow"
    """Form of view in which it comes back as it is."""
    appendable: bool = False
    """Whether the same data may be appended to it."""

    def __str__(self) -> str:
        return self.name


def samples() -> list[Sample]:
    """Return all samples; those of torch only where it is installed."""
    found = [
        Sample("numbers", _numbers, appendable=True),
        Sample("nulls", _nulls, appendable=True),
        Sample("text", _text, appendable=True),
        Sample("categories", _categories, appendable=True),
        Sample("dates and decimals", _dates, appendable=True),
        Sample("no rows", lambda: _numbers().slice(0, 0), appendable=True),
        Sample("zones", _zones, "pandas"),
        Sample("a series", lambda: pd.Series([1.5, 2.5], name="close"), "pandas"),
        Sample("a dict of arrays", lambda: {"x": np.arange(5), "y": np.ones(5, np.float32)}, "numpy", appendable=True),
        Sample("bytes", lambda: bytes(range(256)), "pandas"),
        Sample("no bytes", lambda: b"", "pandas"),
        Sample("JSON", lambda: {"fast": 12, "names": ["NQ", "ES"], "deep": {"on": True, "off": None}}, "pandas"),
        Sample("empty JSON", dict, "pandas"),
        *(Sample(f"an array {a.dtype} {a.shape}", partial(np.copy, a, "K"), "numpy") for a in _arrays()),
    ]
    if importlib.util.find_spec("torch") is not None:
        found.append(Sample("a tensor", _tensor, "torch"))
    return found


def same(found: Any, wanted: Any) -> bool:
    """Tell whether two values are the same data: type of container, types of columns, values, nulls, NaN and index."""
    if isinstance(wanted, pa.Table):
        return isinstance(found, pa.Table) and bool(found.schema.equals(wanted.schema) and found.equals(wanted))
    if isinstance(wanted, pd.DataFrame):
        return isinstance(found, pd.DataFrame) and found.equals(wanted) and found.index.equals(wanted.index)
    if isinstance(wanted, pd.Series):
        return isinstance(found, pd.Series) and found.equals(wanted) and found.index.equals(wanted.index)
    if isinstance(wanted, np.ndarray):
        alike = isinstance(found, np.ndarray) and (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        return alike and found.tobytes() == wanted.tobytes()
    if isinstance(wanted, Mapping) and any(isinstance(value, np.ndarray) for value in wanted.values()):
        return (
            isinstance(found, Mapping)
            and list(found) == list(wanted)
            and all(same(found[key], wanted[key]) for key in wanted)
        )
    if isinstance(wanted, bytes):
        return isinstance(found, memoryview) and bytes(found) == wanted
    if type(wanted).__module__ == "torch":
        return type(found) is type(wanted) and bool(found.dtype == wanted.dtype and found.equal(wanted))
    return type(found) is type(wanted) and bool(found == wanted)


def _numbers() -> pa.Table:
    kinds = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    columns: dict[str, Any] = {kind: pa.array(np.arange(100, dtype=kind)) for kind in kinds}
    columns["float32"] = pa.array(np.linspace(0, 1, 100, dtype=np.float32))
    columns["float64"] = pa.array(np.arange(100) / 3.0)
    columns["bool"] = pa.array([i % 3 == 0 for i in range(100)])
    return pa.table(columns)


def _nulls() -> pa.Table:
    return pa.table(
        {
            "int": pa.array([1, None, 3], pa.int64()),
            "float": pa.array([None, 2.0, float("inf")], pa.float64()),
            "bool": pa.array([True, None, False]),
            "time": pa.array([0, 1, None], pa.timestamp("ns", "UTC")),
            "text": pa.array(["a", None, ""]),
        }
    )


def _text() -> pa.Table:
    words = ["", "RTH", "naïve", "多", "a" * 5000]
    return pa.table(
        {
            "short": pa.array(words),
            "long": pa.array(words, pa.large_string()),
            "raw": pa.array([b"", b"\0", *[b"x"] * 3]),
        }
    )


def _categories() -> pa.Table:
    return pa.table({"session": pa.array(["RTH", "ETH", "RTH"]).dictionary_encode(), "n": pa.array([1, 2, 3])})


def _dates() -> pa.Table:
    day = datetime.date(2024, 2, 29)
    price = decimal.Decimal("18000.25")
    return pa.table(
        {
            "day": pa.array([day, day]),
            "time": pa.array([datetime.time(9, 30), datetime.time(16)]),
            "price": pa.array([price, -price]),
            "took": pa.array([1, 2], pa.duration("us")),
        }
    )


def _zones() -> pd.DataFrame:
    index = pd.date_range("2024-03-10", periods=50, freq="30min", tz=_ZONE, name="time").as_unit("ns")
    return pd.DataFrame({"utc": index.tz_convert("UTC"), "close": np.arange(50.0)}, index=index)


def _arrays() -> list[np.ndarray[Any, Any]]:
    return [
        np.array(7.5),
        np.zeros(0),
        np.zeros((3, 0), np.int32),
        np.arange(24, dtype=np.float32).reshape(4, 3, 2),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.array(["2024-01-01", "NaT"], "datetime64[ns]"),
        np.array(["NQ", "ES"], "<U5"),
        np.array([1 + 2j]),
    ]


def _tensor() -> Any:
    import torch

    return torch.arange(12, dtype=torch.float32).reshape(3, 4)
