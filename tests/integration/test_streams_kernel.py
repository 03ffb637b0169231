"""Streams between real kernels: one publishes, the other reads, also while a cell of it blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.lone_kernel import SECONDS, Kernel, running

_EACH = """%%nq_on signals
seen.append(data)
if len(seen) == 5:
    done.set()
if len(seen) < 3:
    failed += 1
    raise ValueError('odd')
"""
_FEED = """
import pathlib, threading
import jupyter_nq as nq
from jupyter_nq.testing import wait_until
def feed():
    wait_until(pathlib.Path("blocked").exists)  # the kernels have one directory
    for _ in range(5):
        nq.stream("signals").publish(frame)
threading.Thread(target=feed).start()
"""
_BLOCKING = f"""
import pathlib
pathlib.Path("blocked").touch()
print(done.wait({SECONDS}), len(seen), failed)
"""


@pytest.fixture
def kernels(nq_store_dir: Path, tmp_path: Path) -> Iterator[tuple[Kernel, Kernel]]:
    """Give a publishing and a reading kernel on one store, with a frame in the first."""
    with running(nq_store_dir, tmp_path, (None, None)) as (first, second):
        first.run("import pandas as pd\nframe = pd.DataFrame({'price': [1.5, 2.5], 'side': ['buy', 'sell']})")
        yield first, second


def test_what_one_kernel_publishes_another_reads(kernels: tuple[Kernel, Kernel]) -> None:
    """A frame comes as it was, with its sequence; both kernels are listed, and dropping ends the reader."""
    first, second = kernels
    said = first.run("%nq_publish signals frame")
    assert "signals: message 0, 2 rows, 0 consumers" in said.out
    assert "signals reads signals, 1 message there" in second.run("%nq_subscribe signals --start earliest").out
    assert re.search(r"message 1, 2 rows, 1 consumer, published in", first.run("%nq_publish signals frame").out)
    read = second.run("got = signals.get_messages(timeout=60)\nprint([m.sequence_number for m in got], got[0].data)")
    assert read.out.splitlines()[0].startswith("[0, 1]")
    assert "sell" in read.out
    (table,) = second.run("%nq_streams").results
    assert "<table>" in table["text/html"]
    assert table["text/plain"].count("(pid ") == 2
    assert "is dropped after 2 messages" in first.run("%nq_drop_stream signals").out
    assert "UnknownStream" in second.run("for message in signals: pass").tracebacks[0]


def test_a_cell_runs_for_messages_while_another_blocks(kernels: tuple[Kernel, Kernel]) -> None:
    """The kernel that waits in a cell handles what comes; an error is shown there once, and ends nothing."""
    first, second = kernels
    first.run("%nq_publish signals frame")
    second.run("import threading\nseen, failed, done = [], 0, threading.Event()")
    assert second.run(_EACH).status == "ok"
    first.run(_FEED)
    outcome = second.run(_BLOCKING)
    assert outcome.out.splitlines()[-1] == "True 5 2"
    assert outcome.err.count("ValueError: odd") == 1, outcome
    assert "raise ValueError('odd')" in outcome.err
    assert "5 calls, 2 errors, lost 0" in second.run("%nq_on signals --stop").out


def test_a_killed_publisher_is_followed_by_the_next(kernels: tuple[Kernel, Kernel]) -> None:
    """A kernel that is killed takes nothing along: the next publishes behind its messages, in the same lane."""
    first, second = kernels
    first.run("%nq_publish signals frame")
    second.run("%nq_subscribe signals --start earliest --name risk")
    first.manager.shutdown_kernel(now=True)
    published = second.run("limits = {'max': 3}\n%nq_publish signals limits")
    assert "signals: message 1, 1 consumer" in published.out
    read = second.run("print([(m.lane, m.sequence_number, type(m.data).__name__) for m in signals.get_messages()])")
    assert read.out == "[(0, 0, 'DataFrame'), (0, 1, 'dict')]\n"
