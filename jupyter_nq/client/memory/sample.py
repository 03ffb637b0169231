"""One look at the memory: frozen figures, in bytes; shares are fractions from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jupyter_nq.buffers.cgroups import Cgroup

METRICS = ("system", "cgroup", "pool", "gpu")
"""What a threshold can be set for; `MemorySample.fraction` has the values."""


@dataclass(frozen=True)
class SystemMemory:
    """The memory of the machine."""

    total_bytes: int
    available_bytes: int
    """What new work can have without swapping, as the kernel estimates it."""

    @property
    def used_fraction(self) -> float:
        """Share of the total that is not available."""
        return 1.0 - self.available_bytes / self.total_bytes if self.total_bytes else 1.0


@dataclass(frozen=True)
class PoolMemory:
    """The shared memory of the store."""

    limit_bytes: int
    used_bytes: int
    """Files of all objects, and what was promised to writers."""
    superseded_bytes: int
    """Of it, what old and dropped versions take that somebody holds."""
    spare_bytes: int
    """Memory of freed datasets that waits for the next write; not part of what is used."""
    datasets: int

    @property
    def used_fraction(self) -> float:
        """Share of the limit that is in use."""
        return self.used_bytes / self.limit_bytes if self.limit_bytes else 1.0


@dataclass(frozen=True)
class KernelMemory:
    """What one connected process has for itself."""

    who: str
    """Notebook file name, else the program's name."""
    pid: int
    path: str | None
    """Notebook path relative to its server's root; None for a script."""
    private_bytes: int | None
    """Anonymous memory in RAM, without shared pages; None when the process is gone or cannot be looked at."""


@dataclass(frozen=True)
class GpuMemory:
    """The memory of one GPU."""

    index: int
    name: str
    total_bytes: int
    free_bytes: int
    """What no process has taken."""

    @property
    def used_fraction(self) -> float:
        """Share of the total that is taken."""
        return 1.0 - self.free_bytes / self.total_bytes if self.total_bytes else 1.0


@dataclass(frozen=True)
class MemorySample:
    """What was found at one moment."""

    at: datetime
    """UTC."""
    seconds: float
    """The same moment on the monotonic clock, for differences."""
    system: SystemMemory
    cgroup: Cgroup | None
    """The cgroup that leaves this process least; None without a limit."""
    pool: PoolMemory | None
    """None when no coordinator answered."""
    kernels: tuple[KernelMemory, ...]
    """The connected processes; empty when no coordinator answered."""
    gpus: tuple[GpuMemory, ...]
    """Empty without a device, or without a library that is there already."""

    def fraction(self, metric: str) -> float | None:
        """Return the share in use of one of `METRICS`, of the fullest GPU; None where there is no such thing."""
        if metric == "gpu":
            return max((gpu.used_fraction for gpu in self.gpus), default=None)
        found: SystemMemory | Cgroup | PoolMemory | None = getattr(self, metric)
        return None if found is None else found.used_fraction

    def excess_bytes(self, metric: str, fraction: float) -> int:
        """Return how many bytes "system", "cgroup" or "pool" is above a share of what there is, 0 when it is below."""
        value = self.fraction(metric)
        if value is None:
            return 0
        whole = {
            "system": self.system.total_bytes,
            "cgroup": self.cgroup.limit_bytes if self.cgroup else 0,
            "pool": self.pool.limit_bytes if self.pool else 0,
        }
        return max(0, round((value - fraction) * whole[metric]))
