"""A sample as the specification's report has it: plain values, gigabytes of 2**30 bytes, and percents."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from jupyter_nq.client.memory.sample import MemorySample

_GIGABYTE = 1 << 30


def report(sample: MemorySample) -> dict[str, Any]:
    """Return `system_memory`, `cgroup`, `kernels` and `gpus` of a sample."""
    system, cgroup = sample.system, sample.cgroup
    return {
        "system_memory": _filled(system.total_bytes, system.available_bytes),
        "cgroup": cgroup and {"path": str(cgroup.path), **_filled(cgroup.limit_bytes, cgroup.rest_bytes)},
        "kernels": [asdict(kernel) for kernel in sample.kernels],
        "gpus": [
            {"index": gpu.index, "name": gpu.name, **_filled(gpu.total_bytes, gpu.free_bytes)} for gpu in sample.gpus
        ],
    }


def _filled(total_bytes: int, available_bytes: int) -> dict[str, float]:
    used_bytes = total_bytes - available_bytes
    return {
        "total_gb": total_bytes / _GIGABYTE,
        "available_gb": available_bytes / _GIGABYTE,
        "used_gb": used_bytes / _GIGABYTE,
        "usage_percent": 100.0 * used_bytes / total_bytes if total_bytes else 100.0,
    }
