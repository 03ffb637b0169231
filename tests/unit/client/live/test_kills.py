"""Workers that are killed while they publish, and those that follow them: no bar twice, none missing."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.client.live import worker as worker_module
from jupyter_nq.client.live.starting import prepared
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.streams.publisher import Publisher
from jupyter_nq.testing.forked import Forked
from tests.unit.client.live.clock import ManualClock
from tests.unit.client.live.feeds import (
    MINUTE_NS,
    SECOND_NS,
    TICKS,
    featured,
    history,
    minutes,
    pieces,
    published,
    same,
    ticks,
)

_FEED = minutes(400)
_OPEN = 1_593_381_600 * SECOND_NS
_END = _OPEN + 72 * 60 * MINUTE_NS
_OPTIONS: dict[str, Any] = {"features": ["sma(3)", "rsi(2)"], "close_after_ms": 0, "out": "NQ"}


def _run(store: Path, time_ns: int, fatal: int | None = None, *, after: bool = False) -> None:
    """Build bars of what is there, some messages at a time; die before or after a publication."""
    worker_module._AT_ONCE = 7
    if fatal is not None:
        _die_at(fatal, after=after)
    with Session(settings=Settings(store_dir=str(store))) as session:
        clock = ManualClock(time_ns, begin_ns=_OPEN)
        live = prepared(session, "NQ", "feed.ticks", ["5min", "30min"], clock=clock, **_OPTIONS)
        live.worker.catch_up()
        live.stop()


def _die_at(fatal: int, *, after: bool) -> None:
    count, publish = [0], Publisher.publish

    def counted(self: Publisher, data: Any, metadata: Any = None, **told: Any) -> int | None:
        count[0] += 1
        if count[0] == fatal and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        seq = publish(self, data, metadata, **told)
        if count[0] == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return seq

    Publisher.publish = counted  # type: ignore[method-assign]  # in a child that ends with it


@pytest.mark.parametrize("after", [False, True])
def test_every_bar_is_there_once_whenever_workers_are_killed(session: Session, after: bool) -> None:
    """A dozen workers, each killed at another publication, before it counts or when it has: the bars of the file."""
    store = session.store.path
    stream = session.stream("feed.ticks", TICKS)
    parts = pieces(ticks(_FEED), range(0, 1_600, 23))
    for generation, start in enumerate(range(0, len(parts), 6), 1):
        for piece in parts[start : start + 6]:
            stream.publish(piece)
        with Forked(lambda _say, n=generation: _run(store, _OPEN, n, after=after)) as child:  # type: ignore[misc]
            assert child.wait() in (-signal.SIGKILL, 0), child.rest()
    with Forked(lambda _say: _run(store, _END)) as child:
        assert child.wait() == 0, child.rest()
    for timeframe, length in (("5min", 5), ("30min", 30)):
        wanted = featured(history(_FEED, timeframe), length, _OPTIONS["features"])
        assert same(published(session, f"NQ.{timeframe}.live"), wanted)
