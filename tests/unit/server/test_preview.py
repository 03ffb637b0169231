"""Previews: any message as small JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_nq.server.preview import cell, preview
from jupyter_nq.streams.newest import Newest

NOON = datetime(2025, 7, 2, 12, tzinfo=UTC)


def _preview(table: pa.Table | None, value: Any = None) -> dict[str, Any]:
    document = preview(Newest(1_700_000_000_000_000_000, 7, 1, table, value))
    json.loads(json.dumps(document, allow_nan=False))
    return document


def test_rows_are_lists_under_their_columns() -> None:
    """Every type that a stream may have arrives as JSON or as text, without pandas."""
    table = pa.table(
        {
            "at": pa.array([NOON], pa.timestamp("ns", "UTC")),
            "day": [NOON.date()],
            "took": pa.array([timedelta(seconds=2)], pa.duration("ns")),
            "price": [20000.25],
            "gap": [float("nan")],
            "id": pa.array([1 << 60], pa.int64()),
            "exact": [Decimal("1.10")],
            "side": pa.array(["buy"]).dictionary_encode(),
            "raw": [b"\x00\xff"],
            "nested": [{"a": [1]}],
            "none": pa.array([None], pa.float64()),
            "yes": [True],
        }
    )
    document = _preview(table)
    row = dict(zip([column["name"] for column in document["columns"]], document["rows"][0], strict=True))
    assert row.pop("at").startswith("2025-07-02 12:00:00.000000000")
    assert row == {
        "day": "2025-07-02",
        "took": "2000000000 ns",
        "price": 20000.25,
        "gap": "nan",
        "id": str(1 << 60),
        "exact": "1.10",
        "side": "buy",
        "raw": "00ff",
        "nested": "{'a': [1]}",
        "none": None,
        "yes": True,
    }
    assert (document["sequence"], document["lane"], document["at"]) == (7, 1, "2023-11-14T22:13:20.000+00:00")
    assert document["columns"][0] == {"name": "at", "type": "timestamp[ns, tz=UTC]"}
    assert document["text"] is None


def test_wide_and_long_values_are_cut_and_say_so() -> None:
    """A preview stays small: columns beyond 64 are counted, long text ends in an ellipsis."""
    document = _preview(pa.table({f"c{n}": ["x" * 1000] for n in range(100)}))
    assert (len(document["columns"]), len(document["rows"][0]), document["hidden_columns"]) == (64, 64, 36)
    assert document["rows"][0][0] == "x" * 199 + "…"


def test_table_without_rows_has_columns() -> None:
    """An empty batch shows what it would have."""
    document = _preview(pa.table({"x": pa.array([], pa.int64())}))
    assert (document["columns"], document["rows"]) == ([{"name": "x", "type": "int64"}], [])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"halt": True, "why": "é"}, '{"halt": true, "why": "é"}'),
        (b"\x00\xff", "2 bytes: 00 ff"),
        ("<b>", '"<b>"'),
        ({"blob": b"\x01"}, '{"blob": "b\'\\\\x01\'"}'),
    ],
)
def test_value_without_columns_is_text(value: Any, text: str) -> None:
    """JSON is shown as JSON, bytes as their number and hexadecimal."""
    assert _preview(None, value)["text"] == text


def test_large_value_is_cut() -> None:
    """Neither megabytes of text nor of bytes go to a browser."""
    assert len(_preview(None, "x" * 1_000_000)["text"]) == 4000
    assert len(_preview(None, b"x" * 1_000_000)["text"]) == 4000


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary())
def test_any_cell_is_json(value: Any) -> None:
    """No value makes JSON that a browser cannot parse, or reads as another number."""
    shown = cell(value)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    if isinstance(shown, int):
        assert abs(shown) < 1 << 53
