"""What one more minute of ticks costs live bars, beside reading the day so far again with pandas, as notebooks do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.client.live.starting import prepared
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from tests.performance.measuring import medians
from tests.unit.client.live.clock import ManualClock
from tests.unit.client.live.feeds import SECOND_NS, TICKS, published

pytestmark = pytest.mark.performance

_OPEN_NS = 1_593_381_600 * SECOND_NS
_TICKS = 20 * 3_600  # one a second, of a session that lasts 23 hours
_MINUTE = 60
_ROUNDS = 30
# Measured near the end of a session: 3.3 times, beside other work.
_LEAST = 1.6


def _day() -> pd.DataFrame:
    random = np.random.default_rng(1)
    steps = 0.25 * random.integers(-2, 3, _TICKS + (_ROUNDS + 1) * _MINUTE)
    stamps = pd.to_datetime(_OPEN_NS + np.arange(len(steps)) * SECOND_NS, utc=True).as_unit("ns")
    volume = 1 + np.abs(steps * 4).astype(int)
    return pd.DataFrame({"timestamp": stamps, "price": 20_000 + steps.cumsum(), "volume": volume})


def _with_pandas(rows: pd.DataFrame) -> pd.DataFrame:
    grouped = rows.set_index("timestamp").resample("5min")
    bars = grouped["price"].ohlc()
    bars["volume"] = grouped["volume"].sum()
    bars["sma_5"] = bars["close"].rolling(5).mean()
    return bars


def test_a_minute_of_ticks(nq_store_dir: Path) -> None:
    """Publish a minute, build five-minute bars with a feature and publish them; the closed bars are the same."""
    day = _day()
    settings = Settings(store_dir=str(nq_store_dir))
    with Session(settings=settings) as session, session.stream("feed.ticks", TICKS) as feed:
        there = _TICKS
        feed.publish(day[:there])
        live = prepared(
            session, "NQ", "feed.ticks", ["5min"], features=["sma(5)"], clock=ManualClock(_OPEN_NS), close_after_ms=0
        )
        live.worker.catch_up()
        ends = range(there + _MINUTE, len(day) + 1, _MINUTE)
        more = iter([pa.Table.from_pandas(day[end - _MINUTE : end], preserve_index=False) for end in ends])
        days = iter([day[:end] for end in ends])
        last: list[pd.DataFrame] = []

        def ours() -> None:
            feed.publish(next(more))
            live.worker.step()

        def again() -> None:
            last[:] = [_with_pandas(next(days))]

        took = medians({"ours": ours, "pandas": again}, _ROUNDS)
        found = published(session, live.streams["5min"]).to_pandas()
        live.stop()
    closed = last[0].iloc[: len(found)]
    for name in closed.columns:
        np.testing.assert_allclose(found[name], closed[name], rtol=1e-12, err_msg=name)
    assert len(found) >= (_TICKS + _ROUNDS * _MINUTE) // 300
    ratio = took["pandas"] / took["ours"]
    ours_ms, pandas_ms = (seconds * 1e3 for seconds in took.values())
    print(f"\na minute of ticks: {ours_ms:.2f} ms, the day again with pandas {pandas_ms:.1f} ms, {ratio:.1f}x")
    assert ratio > _LEAST
