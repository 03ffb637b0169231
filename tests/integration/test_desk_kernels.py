"""Snapshots, notices and following between two real kernels."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.lone_kernel import Kernel, running


@pytest.fixture
def kernels(nq_store_dir: Path, tmp_path: Path) -> Iterator[tuple[Kernel, Kernel]]:
    """Give two kernels on one store, of which the first has shared something."""
    setup = "%load_ext jupyter_nq\nimport jupyter_nq as nq, numpy as np"
    with running(nq_store_dir, tmp_path, (None, None), setup) as (first, second):
        first.run("nq.put('signals', np.arange(5)); nq.put('limits', np.arange(3))")
        yield first, second


def test_a_notebook_is_told_that_it_is_behind(kernels: tuple[Kernel, Kernel]) -> None:
    """Once, below its next cell; what follows moves instead, between cells."""
    first, second = kernels
    second.run("old = nq.get('signals')\nmine = nq.get('limits')\nnq.follow('limits', as_='limits');")
    assert second.run("1").out == ""
    first.run("nq.put('signals', np.zeros(9)); nq.put('limits', np.ones(4));")
    told = second.run("print(len(limits))").out.splitlines()
    assert told[:2] == ["limits: limits v1 -> v2", "4"]
    assert [line for line in told[2:] if line.startswith("signals v2 is there, published by ")]
    assert "this notebook works on v1 (old). %nq_get signals as old moves it on." in told[-1]
    assert second.run("len(old)").out == ""
    assert first.run("nq.stale()").out == "", "who published it is not told"


def test_a_snapshot_outlives_the_kernel_that_took_it(kernels: tuple[Kernel, Kernel]) -> None:
    """The coordinator was there, too."""
    first, second = kernels
    first.run("%nq_snapshot --label close")
    os.kill(int(first.run("import os; print(os.getpid())").out), signal.SIGKILL)
    told = second.run(
        "nq.put('signals', np.zeros(9)); nq.drop('limits')\n"
        "close = nq.snapshot_of('close')\n"
        "print(close.versions, close.get('signals', 'numpy', verify='always'), close.get('limits', 'numpy'))"
    )
    assert told.out.strip() == "{'limits': 1, 'signals': 1} [0 1 2 3 4] [0 1 2]", told
    assert "snapshot close is released" in second.run("%nq_snapshot --release close").out
