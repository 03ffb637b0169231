"""Samples of this machine, with real processes over a real store."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import psutil
import pytest

from jupyter_nq.client.memory.sampling import take
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import CoordinatorUnavailable
from tests.unit.client.memory.child import Child


def test_a_sample_has_the_figures_of_the_machine(nq_store_dir: Path) -> None:
    """The kernel's total, and what the store says of its pool."""
    with Session(nq_store_dir) as session:
        session.put("signals", np.zeros(1 << 20))
        found = take(session)
        assert found.system.total_bytes == psutil.virtual_memory().total
        assert 0 < found.system.available_bytes <= found.system.total_bytes
        assert found.pool is not None
        assert found.pool.used_bytes >= 8 << 20
        assert found.pool.limit_bytes == session.status().pool_limit_bytes
        assert found.pool.datasets == 1
        assert found.pool.spare_bytes >= 0
        assert found.cgroup is None or found.cgroup.limit_bytes > 0


def test_private_memory_is_counted_by_process_and_shared_memory_is_not(nq_store_dir: Path) -> None:
    """A process that maps 64 MiB and reads them has less than that for itself; one that copies them has it."""
    code = """
say("up")
for _ in range(2):
    input()
    frame = pool.retrieve("bars")
    total = float(frame.to_numpy().sum())
    if total != 8 << 20: die()
    say("read")
    input()
    own = frame.to_numpy(copy=True)
    say("copied")
"""
    with Session(nq_store_dir) as session, Child(nq_store_dir, code) as child:
        session.put("bars", {"close": np.ones(8 << 20)})

        def private() -> int:
            kernels = {kernel.pid: kernel for kernel in take(session).kernels}
            assert set(kernels) == {os.getpid(), child.pid}
            found = kernels[child.pid].private_bytes
            assert found is not None
            return found

        assert child.line() == "up"
        before = private()
        child.tell()
        assert child.line() == "read"
        mapped = private()
        child.tell()
        assert child.line() == "copied"
        assert mapped - before < 16 << 20
        assert private() - mapped > 56 << 20


def test_without_a_coordinator_the_machine_is_still_seen(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool and the processes are not known then."""
    with Session(settings=Settings(store_dir=str(nq_store_dir))) as session:

        def nobody() -> None:
            raise CoordinatorUnavailable("nobody answers")

        monkeypatch.setattr(session, "status", nobody)
        found = take(session)
        assert (found.pool, found.kernels) == (None, ())
        assert found.system.total_bytes > 0
