"""The canonical bar: the one form in which every file, whatever its vendor, is shared."""

from __future__ import annotations

import pyarrow as pa

PRICES = ("open", "high", "low", "close")

BAR_SCHEMA = pa.schema(
    [
        pa.field("timestamp", pa.timestamp("ns", tz="UTC"), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in PRICES),
        pa.field("volume", pa.int64(), nullable=False),
        pa.field("flags", pa.uint32(), nullable=False),
    ]
)
"""A canonical bar: start of bar in UTC, prices as in the file, volume, and a bit for every rule that it breaks."""
