"""`jupyter nq warmup`: compile every kernel now, so that no later load or feature waits or starts slowly.

Compiled code is kept on disk; a second run only loads it.
"""

from __future__ import annotations

import importlib
from argparse import Namespace

from jupyter_nq.bars.compiled import Kernels, cache_dir, installed, warm_up

_EVERY = (
    ("jupyter_nq.bars.features.pipeline", "KERNELS"),
    ("jupyter_nq.bars.reading.fast", "KERNELS"),
    ("jupyter_nq.bars.reading.starts", "CLOCKS"),
    ("jupyter_nq.bars.validation.rows", "KERNELS"),
)
"""Module and name of every `Kernels` object."""


def every_kernels() -> tuple[Kernels, ...]:
    """Return all kernels of the package; their modules are imported here, not before."""
    return tuple(getattr(importlib.import_module(module), name) for module, name in _EVERY)


def warmup(_: Namespace) -> int:
    """Compile all kernels and print what each module took; 1 without numba."""
    if not installed():
        print("numba is not installed, or JUPYTER_NQ_COMPILE=0 switches it off; everything works without it, slower.")
        print("Install it with: pip install 'jupyter-nq[fast]'")
        return 1
    for kernels in every_kernels():
        for module, seconds in warm_up((kernels,)).items():
            print(f"{seconds:6.2f} s  {module}")
    print(f"The compiled kernels are kept in {cache_dir()}.")
    return 0
