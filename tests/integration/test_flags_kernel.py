"""The kill switch between real kernels: who starts later is halted, and who dies halts the others."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_nq.testing import wait_until
from tests.integration.lone_kernel import Kernel

_ORDER_CELL = "import jupyter_nq as nq\nnq.flag('halt').check()\nsent = True"
Start = Callable[[str], Kernel]


@pytest.fixture
def start(nq_store_dir: Path, tmp_path: Path) -> Iterator[Start]:
    """Give a function that starts a kernel with the extension, as the notebook of a name."""
    started: list[Kernel] = []

    def starting(notebook: str) -> Kernel:
        disk = {"JUPYTER_NQ_SPILL": str(tmp_path / "disk"), "JPY_SESSION_NAME": str(tmp_path / notebook)}
        started.append(Kernel(nq_store_dir, tmp_path, **disk))
        started[-1].run("%load_ext jupyter_nq")
        return started[-1]

    yield starting
    for kernel in started:
        kernel.close()


def test_who_starts_after_the_halt_is_halted_before_the_first_order(start: Start) -> None:
    """Also when whoever halted is gone, killed, and when the halt was told in another kernel's cell."""
    risk, engine = start("risk.ipynb"), start("engine.ipynb")
    assert engine.run(_ORDER_CELL).status == "ok"
    said = risk.run("%nq_halt 'daily loss limit'").out
    assert re.search(r"seen by .*risk\.ipynb \(pid \d+\) in", said), said
    assert re.search(r"seen by .*engine\.ipynb \(pid \d+\) in", said), said
    print(f"\n{said.splitlines()[-1]}")
    again = engine.run(_ORDER_CELL)
    assert "Halted: halt was set by risk.ipynb" in again.tracebacks[0]
    risk.manager.shutdown_kernel(now=True)
    late = start("late.ipynb")
    ran = late.run(_ORDER_CELL)
    assert "daily loss limit" in ran.tracebacks[0]
    assert late.run("print('sent' in globals())").out == "False\n"
    assert "limits reset" in late.run("%nq_halt --clear 'limits reset'").out
    assert late.run(_ORDER_CELL).status == "ok"
    assert engine.run(_ORDER_CELL).status == "ok"


def test_a_killed_engine_halts_the_others_within_its_seconds(start: Start) -> None:
    """The other kernel's reads and its callback find it, and say whose notebook it was."""
    engine, risk = start("engine.ipynb"), start("risk.ipynb")
    engine.run("import jupyter_nq as nq\nnq.flag('halt', deadman=5.0)")
    risk.run("import jupyter_nq as nq\nseen = []\nwatch = nq.flag('halt').watch(lambda state: seen.append(state.why))")
    assert risk.run("print(nq.flag('halt').is_set)").out == "False\n"
    begun = time.monotonic()
    engine.manager.shutdown_kernel(now=True)
    wait_until(lambda: "True" in risk.run("print(nq.flag('halt').is_set)").out, timeout=5.0)
    print(f"\na killed kernel of 5 s is noticed after {time.monotonic() - begun:.2f} s")
    wait_until(lambda: "engine.ipynb" in risk.run("print(seen)").out)
    assert "ended without a release" in risk.run("%nq_halt").out


def test_a_kernel_that_ends_without_a_release_halts(start: Start) -> None:
    """A normal end is an end."""
    engine, risk = start("engine.ipynb"), start("risk.ipynb")
    engine.run("import jupyter_nq as nq\nnq.flag('halt', deadman=60.0)")
    engine.manager.shutdown_kernel()
    wait_until(lambda: "ended without a release" in risk.run("%nq_halt").out)
