"""`jupyter nq warmup` compiles everything that is compiled."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path

import pytest

import jupyter_nq
from jupyter_nq.cli.warmup import every_kernels, warmup


def test_every_module_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """One line per module with kernels, and none is forgotten."""
    assert warmup(Namespace()) == 0
    printed = capsys.readouterr().out
    sources = Path(jupyter_nq.__file__).parent.rglob("*.py")
    named = [name for source in sources for name in re.findall(r'= Kernels\("([\w.]+)"', source.read_text())]
    assert sorted(named) == sorted(kernels.module for kernels in every_kernels())
    assert all(re.search(rf"\d s  {name}\n", printed) for name in named)


def test_without_numba(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to install it."""
    monkeypatch.setenv("JUPYTER_NQ_COMPILE", "0")
    assert warmup(Namespace()) == 1
    assert "pip install 'jupyter-nq[fast]'" in capsys.readouterr().out
