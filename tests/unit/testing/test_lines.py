"""Killing at lines: those of a package are found in their order, and each can be the first that is not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_nq.errors import UnsupportedData
from jupyter_nq.streams.kinds import pack
from jupyter_nq.testing import lines


def test_a_piece_of_work_ends_before_any_of_its_lines(tmp_path: Path) -> None:
    """What came before has happened, and nothing after; beyond the last it ends by itself."""

    def work() -> None:
        (tmp_path / "before").touch()
        pack({"a": 1}, "it")
        (tmp_path / "after").touch()

    found = lines.lines(work, "jupyter_nq.streams")
    assert len(found) > 1
    assert {line.partition(":")[0] for line in found} == {"kinds.py"}
    for name in ("before", "after"):
        (tmp_path / name).unlink()
    assert lines.killed_before(work, "jupyter_nq.streams", len(found) - 1)
    assert [(tmp_path / name).exists() for name in ("before", "after")] == [True, False]
    assert not lines.killed_before(work, "jupyter_nq.streams", len(found))
    assert (tmp_path / "after").exists()


def test_work_that_fails_is_not_recorded() -> None:
    """An error, not an empty list."""
    with pytest.raises(RuntimeError, match=UnsupportedData.__name__):
        lines.lines(lambda: pack(object(), "it"), "jupyter_nq.streams")
