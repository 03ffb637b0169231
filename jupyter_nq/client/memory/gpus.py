"""GPU memory, through a library that is there already: none is imported for it that costs seconds or memory.

NVML shows every device and touches none. Without it torch is asked, but only where the notebook itself uses CUDA by
now: its first question would make a context of some hundred megabytes on the device.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

from jupyter_nq.client.memory.sample import GpuMemory


def gpus() -> tuple[GpuMemory, ...]:
    """Return the memory of each GPU that can be asked without side effect."""
    return _by_nvml() or _by_torch()


def _by_nvml() -> tuple[GpuMemory, ...]:
    if "pynvml" not in sys.modules and importlib.util.find_spec("pynvml") is None:
        return ()
    import pynvml

    try:
        pynvml.nvmlInit()
        return tuple(_device(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:  # no driver, no device
        return ()


def _device(nvml: Any, index: int) -> GpuMemory:
    device = nvml.nvmlDeviceGetHandleByIndex(index)
    memory, name = nvml.nvmlDeviceGetMemoryInfo(device), nvml.nvmlDeviceGetName(device)
    return GpuMemory(index, name.decode() if isinstance(name, bytes) else name, memory.total, memory.free)


def _by_torch() -> tuple[GpuMemory, ...]:
    torch = sys.modules.get("torch")
    cuda: Any = getattr(torch, "cuda", None)  # absent while another thread imports it
    if cuda is None or not cuda.is_initialized():
        return ()
    found = []
    for index in range(cuda.device_count()):
        free, total = cuda.mem_get_info(index)
        found.append(GpuMemory(index, cuda.get_device_name(index), total, free))
    return tuple(found)
