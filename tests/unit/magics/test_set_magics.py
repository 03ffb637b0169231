"""`%nq_save` and `%nq_restore`, typed into a real shell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import jupyter_nq as nq
from tests.unit.magics.conftest import Shell


@pytest.fixture
def saved(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell whose desk was saved, with bars and an array."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    shell.run("%nq_load NQ 30min as bars")
    nq.put("a", np.arange(3))
    assert shell.run("%nq_save desk").out.endswith("desk.json: 2 datasets and 0 streams are saved\n")
    return shell


def test_what_was_dropped_comes_back(saved: Shell) -> None:
    """Bars from their file; what was in memory alone is named."""
    saved.run("del bars\n%nq_drop NQ.30min a")
    out = saved.run("%nq_restore desk").out
    assert "1 restored, 1 lost" in out
    assert "dataset a: lost, it has no durable copy; it was put" in out
    assert saved.run("%nq_get NQ.30min as again").out.startswith("NQ.30min v")


def test_newer_is_left(saved: Shell) -> None:
    """Until the line says otherwise."""
    nq.put("a", np.zeros(2))
    assert "version 2 is there, newer" in saved.run("%nq_restore desk").out
    assert "dataset a: lost" in saved.run("%nq_restore desk --overwrite").out
    assert nq.get("a").tolist() == [0, 0]


def test_mistakes(saved: Shell) -> None:
    """One line each; Tab offers the sets that there are."""
    assert saved.complete("%nq_restore ") == ["desk"]
    for line, message in {
        "%nq_restore des": "Did you mean 'desk'",
        "%nq_save": "required: NAME|PATH",
        '%nq_save "my desk"': "ends in .json",
    }.items():
        ran = saved.run(line)
        assert ran.failed
        assert message in ran.err
