"""Figures of a stream, from its files alone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.figures import figures
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, ticks

SECOND_NS = 1_000_000_000


def test_lag_and_loss_of_each_consumer(make: Make, nq_store_dir: Path) -> None:
    """A consumer is as far behind as it has not read; what is kept is less than what there was."""
    stream = make("s", SCHEMA, **SMALL)
    slow = stream.subscribe()
    for _ in range(40):
        stream.publish(ticks(1000))
    quick = stream.subscribe("earliest", name="quick")
    found = figures(MappedControl(nq_store_dir / "s"))
    assert found["messages"] == 40
    assert 0 < found["kept"] < 40
    lags = {consumer["name"]: consumer["lag"] for consumer in found["consumers"]}
    assert lags == {None: 40, "quick": found["kept"]}
    slow.close()
    quick.close()


def test_publisher_that_closed_is_none(make: Make, nq_store_dir: Path) -> None:
    """A lane without a living publisher keeps its messages, and is not listed."""
    stream = make()
    stream.publish("x")
    assert [one["messages"] for one in figures(MappedControl(nq_store_dir / "s"))["publishers"]] == [1]
    stream.close()
    found = figures(MappedControl(nq_store_dir / "s"))
    assert (found["publishers"], found["messages"]) == ([], 1)


def test_no_data_library_is_loaded() -> None:
    """A Jupyter server that only shows streams pays for neither numpy nor Arrow."""
    code = (
        "import sys, jupyter_nq.streams.onlooker, jupyter_nq.server.app, jupyter_nq.coordinator.operations;"
        "import jupyter_nq.client.streams.taking;"
        "print([m for m in ('numpy', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_too_old_is_not_kept(make: Make, nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a stream that nobody publishes to; a segment that is damaged counts as memory has it."""
    now = 1_700_000_000 * SECOND_NS
    monkeypatch.setattr(time, "time_ns", lambda: now)
    stream = make("s", SCHEMA, retention_seconds=10.0)
    for later in range(4):
        monkeypatch.setattr(time, "time_ns", lambda later=later: now + 3 * later * SECOND_NS)
        stream.publish(ticks(1))
    monkeypatch.setattr(time, "time_ns", lambda: now + 15 * SECOND_NS)
    found = figures(MappedControl(nq_store_dir / "s"))
    assert (found["messages"], found["kept"], found["epoch"], found["durability"]) == (4, 2, 0, None)
    assert found == stream.stats()
    with (nq_store_dir / "s" / "0-1").open("r+b") as file:
        file.write(b"damaged!")
    assert figures(MappedControl(nq_store_dir / "s"))["kept"] == 4
