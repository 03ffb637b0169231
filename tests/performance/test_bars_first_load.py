"""The first load of the real file in a fresh kernel: nothing imported, parsed, archived or compiled before."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.integration.lone_kernel import Kernel

pytestmark = pytest.mark.performance

ROUNDS = 5
LIMIT_SECONDS = 10.0
"""Ten times the second that the design allows for each of the two."""
TIMED = "import time; begin = time.perf_counter()\n{}\nprint(time.perf_counter() - begin)"


def test_first_load_of_the_real_file(real_file: Path, tmp_path: Path) -> None:
    """Wall seconds of the cells that import the extension, load, and load again with the features.

    No compiler runs and none is loaded: numba is not even imported.
    """
    cells = {
        "%load_ext": "%load_ext jupyter_nq",
        "%nq_load": f'%nq_load "{real_file}" as bars',
        "with the usual features": f'%nq_load "{real_file}" --features as known',
    }
    took: dict[str, list[float]] = {name: [] for name in cells}
    for turn in range(ROUNDS):
        here = tmp_path / str(turn)
        here.mkdir(mode=0o700)
        own = {name: str(here / name) for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "JUPYTER_NQ_CACHE")}
        kernel = Kernel(here / "store", here, **own)
        try:
            for name, code in cells.items():
                ran = kernel.run(TIMED.format(code))
                assert ran.status == "ok", ran
                took[name].append(float(ran.out.splitlines()[-1]))
            checked = kernel.run(
                "import sys\nprint(len(bars), len(known), known.shape[1] >= 35, 'numba' in sys.modules)"
            )
        finally:
            kernel.close()
        assert checked.out.split() == ["56083", "56083", "True", "False"]
    took["%load_ext and %nq_load"] = [sum(both) for both in zip(took["%load_ext"], took["%nq_load"], strict=True)]
    print("\nthe real file in a fresh kernel, wall:")
    for name, seconds in took.items():
        print(f"  {name}: {statistics.median(seconds):.2f} s (worst of {ROUNDS}: {max(seconds):.2f})")
        assert statistics.median(seconds) < LIMIT_SECONDS
