"""GPU memory through libraries that are there, on stand-ins for them."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_nq.client.memory.gpus import gpus
from jupyter_nq.client.memory.sample import GpuMemory


class NVMLError(Exception):
    """What NVML raises."""


def _nvml(**changes: Any) -> Any:
    devices = {0: ("NVIDIA one", 1_000, 250), 1: (b"NVIDIA two", 2_000, 2_000)}
    functions = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: len(devices),
        "nvmlDeviceGetHandleByIndex": devices.__getitem__,
        "nvmlDeviceGetName": lambda device: device[0],
        "nvmlDeviceGetMemoryInfo": lambda device: SimpleNamespace(total=device[1], free=device[2]),
    }
    return SimpleNamespace(**{**functions, **changes})


def _torch(initialized: bool) -> Any:
    cuda = SimpleNamespace(
        is_initialized=lambda: initialized,
        device_count=lambda: 1,
        mem_get_info=lambda index: (100, 400),
        get_device_name=lambda index: f"device {index}",
    )
    return SimpleNamespace(cuda=cuda)


def test_nvml_shows_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """With names as text, whatever the version of the library gives; torch is not asked then."""
    monkeypatch.setitem(sys.modules, "pynvml", _nvml())
    monkeypatch.setitem(sys.modules, "torch", _torch(True))
    assert gpus() == (GpuMemory(0, "NVIDIA one", 1_000, 250), GpuMemory(1, "NVIDIA two", 2_000, 2_000))
    assert [gpu.used_fraction for gpu in gpus()] == [0.75, 0.0]
    assert GpuMemory(0, "", 0, 0).used_fraction == 1.0


def test_without_a_driver_torch_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML is there and finds nothing; CUDA that is in use tells."""

    def fail() -> None:
        raise NVMLError("driver not loaded")

    monkeypatch.setitem(sys.modules, "pynvml", _nvml(nvmlInit=fail))
    monkeypatch.setitem(sys.modules, "torch", _torch(True))
    assert gpus() == (GpuMemory(0, "device 0", 400, 100),)


def test_nothing_is_started_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA that nobody uses stays unused, and torch that nobody imported is not imported."""
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "torch", _torch(False))
    assert gpus() == ()
    monkeypatch.delitem(sys.modules, "torch")
    assert gpus() == ()
    assert "torch" not in sys.modules


def test_a_real_device() -> None:
    """Where there is one, its figures make sense."""
    pytest.importorskip("pynvml")
    if not gpus():
        pytest.skip("there is no GPU here")
    assert all(0 < gpu.free_bytes <= gpu.total_bytes and gpu.name for gpu in gpus())
