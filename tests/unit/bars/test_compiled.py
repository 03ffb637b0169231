"""Kernels: the plain and the compiled twin of one source."""

from __future__ import annotations

import importlib
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_nq.bars import compiled
from jupyter_nq.bars.compiled import Kernels
from jupyter_nq.errors import NQError

_SOURCE = """
from jupyter_nq.bars.compiled import kernel

@kernel
def _square(x):
    return x * x

@kernel
def total(values):
    sum_ = 0.0
    for i in range(len(values)):
        sum_ += _square(values[i])
    return sum_
"""


def _practise(module: Any) -> None:
    module.total(np.zeros(2))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the name of a module of kernels, with a cache directory of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "nq_test_kernels.py").write_text(_SOURCE)
    importlib.invalidate_caches()
    yield "nq_test_kernels"
    for name in ("nq_test_kernels", "nq_test_kernels_compiled"):
        sys.modules.pop(name, None)


def test_both_twins_give_the_same_bits(source: str) -> None:
    """The compiled sum of many floats equals the plain one exactly."""
    pytest.importorskip("numba")
    kernels = Kernels(source, _practise)
    values = np.random.default_rng(5).normal(size=10_000)
    assert kernels.wait().total(values) == kernels.plain.total(values)
    assert repr(kernels) == "<Kernels nq_test_kernels: compiled>"
    assert kernels.for_rows(1, small=100) is kernels.wait(), "once loaded, it serves small work too"


def test_the_cache_is_the_owners_alone(source: str, tmp_path: Path) -> None:
    """Compiled code lies in a directory of mode 0700, and a directory that others may write to is refused."""
    pytest.importorskip("numba")
    Kernels(source, _practise).wait()
    cache = tmp_path / "cache" / "jupyter-nq" / "kernels"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert list(cache.rglob("*.nbc"))
    cache.chmod(0o777)
    with pytest.raises(NQError, match="chmod 0700"):
        compiled.cache_dir()


def test_small_work_waits_for_no_compiler(source: str) -> None:
    """Few rows are given the plain module, and nothing starts to compile."""
    kernels = Kernels(source, _practise)
    assert kernels.for_rows(100, small=100) is kernels.plain
    assert repr(kernels) == "<Kernels nq_test_kernels: plain>"


def test_without_numba_everything_is_plain(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off by its variable, numba is not asked, whatever the number of rows."""
    monkeypatch.setenv("JUPYTER_NQ_COMPILE", "0")
    kernels = Kernels(source, _practise)
    assert kernels.ready() is None
    assert kernels.for_rows(10**9, small=100) is kernels.plain
    assert compiled.warm_up((kernels,)) == {}


def test_a_kernel_that_cannot_be_compiled_is_an_error(source: str) -> None:
    """The message names the module and the way to go on without numba."""
    pytest.importorskip("numba")
    kernels = Kernels(source, lambda module: module.total("text"))
    with pytest.raises(NQError, match=r"nq_test_kernels.*JUPYTER_NQ_COMPILE=0"):
        kernels.wait()


def test_warming_up_tells_the_time_of_each_module(source: str) -> None:
    """`jupyter nq warmup` prints these seconds."""
    pytest.importorskip("numba")
    taken = compiled.warm_up((Kernels(source, _practise),))
    assert list(taken) == [source]
    assert taken[source] > 0


def test_who_has_to_wait_is_told(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compilation that lasts is announced, once for who waits; one that was kept is not."""
    pytest.importorskip("numba")
    told: list[str] = []
    monkeypatch.setattr(compiled, "announce", told.append)
    Kernels(source, _practise).wait()
    assert told == []
    monkeypatch.setattr(compiled, "_QUIET_SECONDS", 0.0)
    release = threading.Event()
    monkeypatch.setattr(compiled, "announce", lambda text: (told.append(text), release.set()))
    Kernels(source, lambda module: (release.wait(), _practise(module))).wait()
    assert len(told) == 1
    assert "jupyter nq warmup" in told[0]
