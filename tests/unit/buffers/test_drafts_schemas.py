"""Types of columns as people write them: one reading for drafts and for streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.buffers.drafts import schema_of
from jupyter_nq.errors import UnsupportedData


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("datetime64[ns, UTC]", pa.timestamp("ns", "UTC")),
        ("datetime64[s, America/New_York]", pa.timestamp("s", "America/New_York")),
        ("timestamp[us, tz=Etc/GMT+5]", pa.timestamp("us", "Etc/GMT+5")),
        ("datetime64[ms, +05:30]", pa.timestamp("ms", "+05:30")),
        ("datetime64[ns]", pa.timestamp("ns")),
        ("float64", pa.float64()),
        ("i2", pa.int16()),
        (np.uint8, pa.uint8()),
        (np.dtype("m8[s]"), pa.duration("s")),
        (pa.date32(), pa.date32()),
    ],
)
def test_types_are_what_people_write_for_them(written: Any, meant: pa.DataType) -> None:
    """As numpy, pandas and Arrow print them; a column of a schema has no nulls."""
    assert schema_of({"x": written}) == pa.schema([pa.field("x", meant, nullable=False)])


@pytest.mark.parametrize(
    "written",
    ["datetime64[h, UTC]", "datetime64[ns, ]", "datetime64[ns, U TC]", "timestamp[ns UTC]", "str", "O", 3],
)
def test_what_is_no_type_is_refused(written: Any) -> None:
    """The error names the column."""
    with pytest.raises(UnsupportedData, match="x"):
        schema_of({"good": "f8", "x": written})
