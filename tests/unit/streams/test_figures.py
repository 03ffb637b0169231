"""Figures of a stream, from its files alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.figures import figures
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, ticks


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
        "import sys, jupyter_nq.streams.onlooker, jupyter_nq.server.app;"
        "print([m for m in ('numpy', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
