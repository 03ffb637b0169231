"""The real file through the builders: all lengths, in pieces of several sizes, with features that are carried on."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.features.pipeline import Features
from jupyter_nq.bars.instruments import EQUITY, instrument
from jupyter_nq.bars.resample import resample
from jupyter_nq.client.live.builder import BarBuilder
from jupyter_nq.client.live.rows import Intake
from tests.unit.client.live.feeds import MINUTE_NS, pieces, same

_FOREVER = 1 << 62


@pytest.fixture(scope="module")
def real(real_file: Path) -> pa.Table:
    """Give the bars of the real file."""
    return load_bars(real_file).table


@pytest.mark.parametrize(
    ("timeframe", "length"), [("30min", 30), ("1h", 60), ("2h", 120), ("3h", 180), ("4h", 240), ("1D", 1440)]
)
@pytest.mark.parametrize("rows", [97, 4_096, 60_000])
def test_the_real_file_live_is_the_real_file(real: pa.Table, timeframe: str, length: int, rows: int) -> None:
    """Five years of sessions with their early closes, in messages of any size, by the clock at the end."""
    hours = instrument("NQ").regular_hours
    live, whole = (Features(calendar=EQUITY, minutes=length, regular_hours=hours) for _ in range(2))
    builder, intake = BarBuilder(length, source_minutes=30, calendar=EQUITY), Intake(30, EQUITY)
    parts = [builder.add(intake.take(piece).rows).closed for piece in pieces(real, range(0, real.num_rows, rows))]
    parts.append(builder.advance(_FOREVER - MINUTE_NS))
    found = pa.concat_tables([live.add(part) for part in parts if part.num_rows])
    assert same(found, whole.compute(resample(real, timeframe, minutes=30, calendar=EQUITY)))
