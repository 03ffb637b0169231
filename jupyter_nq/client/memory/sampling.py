"""Take a sample: the kernel's figures, and what the coordinator knows of the pool and its processes.

A sample costs two requests, some files of `/proc` and `/sys`, and for each connected process one more.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil

from jupyter_nq.buffers.cgroups import tightest
from jupyter_nq.buffers.platform import private_bytes
from jupyter_nq.client.memory.gpus import gpus
from jupyter_nq.client.memory.sample import KernelMemory, MemorySample, PoolMemory, SystemMemory
from jupyter_nq.errors import CoordinatorUnavailable

if TYPE_CHECKING:
    from jupyter_nq.client.records import Notebook, Status
    from jupyter_nq.client.session import Session


def take(session: Session) -> MemorySample:
    """Return what is found now; without a coordinator the figures of the machine alone."""
    memory = psutil.virtual_memory()
    pool, kernels = _shared(session)
    return MemorySample(
        at=datetime.now(UTC),
        seconds=time.monotonic(),
        system=SystemMemory(memory.total, memory.available),
        cgroup=tightest(),
        pool=pool,
        kernels=kernels,
        gpus=gpus(),
    )


def _shared(session: Session) -> tuple[PoolMemory | None, tuple[KernelMemory, ...]]:
    try:
        pool, notebooks = _pool(session.status()), session.notebooks()
    except CoordinatorUnavailable:
        return None, ()
    return pool, tuple(map(_kernel, notebooks))


def _pool(status: Status) -> PoolMemory:
    return PoolMemory(
        limit_bytes=status.pool_limit_bytes,
        used_bytes=status.pool_used_bytes,
        superseded_bytes=status.superseded_bytes,
        spare_bytes=status.pool_spare_bytes,
        datasets=status.datasets,
    )


def _kernel(notebook: Notebook) -> KernelMemory:
    return KernelMemory(notebook.who, notebook.pid, notebook.path, private_bytes(notebook.pid))
