"""What sharing costs: a warm load against a parse, a get at any size, a put against memcpy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.sample import write_sample
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from tests.performance.measuring import medians

pytestmark = pytest.mark.performance

ROWS = 50_000
ROUNDS = 7


@pytest.fixture
def session(nq_store_dir: Path) -> Iterator[Session]:
    """A session that hosts its own coordinator."""
    with Session(settings=Settings(store_dir=str(nq_store_dir))) as opened:
        yield opened


def test_warm_load_against_parsing(session: Session, tmp_path: Path) -> None:
    """A warm load of 50,000 bars, to a frame, against parsing the file again."""
    write_sample(tmp_path, rows=ROWS, seed=5, layouts=["30min"])
    path = next(tmp_path.iterdir())
    calls = {
        "warm": lambda: session.load(path),
        "parse": lambda: load_bars(path, timeframe="30min", symbol="NQ"),
    }
    took = medians(calls, ROUNDS)
    ratio = took["parse"] / took["warm"]
    print(f"\nwarm load {took['warm'] * 1e3:.2f} ms, parse {took['parse'] * 1e3:.0f} ms: {ratio:.0f}x")
    assert ratio > 25, "half of what a loaded machine measured"
    assert took["warm"] < 0.05, "ten times the budget of 5 ms"


def test_get_is_flat_in_size(session: Session) -> None:
    """Open, lease and numpy views cost the same for 1 MB and for 256 MB; a frame costs little more."""
    for name, rows in (("small", 1 << 14), ("large", 1 << 22)):
        session.put(name, {f"c{i}": np.zeros(rows) for i in range(8)})
    calls = {
        "small": lambda: session.get("small", as_="numpy"),
        "large": lambda: session.get("large", as_="numpy"),
        "frame": lambda: session.get("large"),
    }
    took = medians(calls, ROUNDS)
    shown = ", ".join(f"{name} {seconds * 1e6:.0f} us" for name, seconds in took.items())
    print(f"\nget: {shown}")
    assert took["large"] < 4 * took["small"]
    assert took["large"] < 1e-3, "ten times the budget of 100 us"
    assert took["frame"] < 8e-3, "ten times the budget of 0.8 ms"


def test_put_against_memcpy(session: Session) -> None:
    """A put of 64 MB into fresh memory, digest included, against one warm copy of the same bytes."""
    data = np.random.default_rng(1).random(1 << 23)
    target = np.empty_like(data)
    took = medians({"put": lambda: session.put("a", data), "memcpy": lambda: np.copyto(target, data)}, ROUNDS)
    print(f"\nput of 64 MB: {took['memcpy'] / took['put']:.2f}x memcpy ({64 / took['put'] / 1e3:.2f} GB/s)")
    assert took["put"] < 60 * took["memcpy"]
