"""Samples made by hand: of the figures, and of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jupyter_nq.client.memory.sample import GpuMemory, MemorySample, PoolMemory, SystemMemory

_START = datetime(2025, 7, 2, 7, tzinfo=UTC)


def sample(seconds: float = 0.0, *, pool: int | None = 0, system: int = 0, gpu: int | None = None) -> MemorySample:
    """Return a sample at a second, with so many of 1,000 bytes in use; None is no such thing."""
    return MemorySample(
        at=_START + timedelta(seconds=seconds),
        seconds=seconds,
        system=SystemMemory(1_000, 1_000 - system),
        cgroup=None,
        pool=None if pool is None else PoolMemory(1_000, pool, 0, 0, 1),
        kernels=(),
        gpus=() if gpu is None else (GpuMemory(0, "made up", 1_000, 1_000 - gpu), GpuMemory(1, "idle", 2_000, 2_000)),
    )
