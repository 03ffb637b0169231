"""Shares and excesses of figures made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_nq.buffers.cgroups import Cgroup
from jupyter_nq.client.memory.report import report
from jupyter_nq.client.memory.sample import METRICS, KernelMemory, PoolMemory, SystemMemory
from tests.unit.client.memory.samples import sample


def test_fractions() -> None:
    """Each metric has its share, of GPUs the fullest; what is not there has none."""
    found = replace(sample(pool=250, system=500, gpu=900), cgroup=Cgroup(Path("/x"), 2_000, 500, 100))
    assert [found.fraction(metric) for metric in METRICS] == pytest.approx([0.5, 0.2, 0.25, 0.9])
    absent = sample(pool=None)
    assert [absent.fraction(metric) for metric in METRICS] == [0.0, None, None, None]


def test_nothing_at_all_is_full() -> None:
    """Where nothing is allowed, all of it is used; nothing is divided by."""
    assert PoolMemory(0, 0, 0, 0, 0).used_fraction == 1.0
    assert SystemMemory(0, 0).used_fraction == 1.0


def test_excess() -> None:
    """What is above a share of the whole, never below 0."""
    found = replace(sample(pool=950, system=100), cgroup=Cgroup(Path("/x"), 2_000, 1_900, 0))
    assert found.excess_bytes("pool", 0.9) == 50
    assert found.excess_bytes("cgroup", 0.9) == 100
    assert found.excess_bytes("system", 0.9) == 0
    assert sample(pool=None).excess_bytes("pool", 0.1) == 0


def test_the_report_is_plain() -> None:
    """JSON can hold it, and its figures are those of the sample."""
    found = replace(
        sample(system=250, gpu=500),
        system=SystemMemory(8 << 30, 6 << 30),
        cgroup=Cgroup(Path("/sys/fs/cgroup/job"), 4 << 30, 3 << 30, 1 << 30),
        kernels=(KernelMemory("risk.ipynb", 7, "risk.ipynb", 5),),
    )
    told = json.loads(json.dumps(report(found)))
    assert told["system_memory"] == {"total_gb": 8, "available_gb": 6, "used_gb": 2, "usage_percent": 25}
    assert told["cgroup"]["path"] == "/sys/fs/cgroup/job"
    assert (told["cgroup"]["available_gb"], told["cgroup"]["usage_percent"]) == (2, 50)
    assert told["kernels"] == [{"who": "risk.ipynb", "pid": 7, "path": "risk.ipynb", "private_bytes": 5}]
    assert [(gpu["name"], gpu["usage_percent"]) for gpu in told["gpus"]] == [("made up", 50), ("idle", 0)]
    assert report(sample())["cgroup"] is None
