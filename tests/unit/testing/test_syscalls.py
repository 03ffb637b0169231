"""Killing at system calls: the calls that touch a directory are found, and each can be the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_nq.testing import syscalls


@pytest.fixture(autouse=True)
def _strace() -> None:
    if not syscalls.available():
        pytest.skip("strace is not here, or may not attach")


def test_a_piece_of_work_ends_at_any_of_its_calls(tmp_path: Path) -> None:
    """Before the call is carried out; what came before it has happened."""
    first, second = tmp_path / "first", tmp_path / "second"

    def work() -> None:
        for path in (first, second):
            path.mkdir()

    found = syscalls.points(work, tmp_path)
    assert [(point.call, point.number) for point in found] == [("mkdir", 1), ("mkdir", 2)]
    assert str(second) in found[1].line
    for path in (first, second):
        path.rmdir()
    assert syscalls.killed_at(work, found[1])
    assert (first.exists(), second.exists()) == (True, False)


def test_a_call_that_never_comes_kills_nobody(tmp_path: Path) -> None:
    """The answer tells."""
    assert not syscalls.killed_at(lambda: None, syscalls.Point("mkdir", 1, ""))


def test_work_that_fails_is_not_recorded(tmp_path: Path) -> None:
    """An error, not an empty list."""
    with pytest.raises(OSError, match="failed"):
        syscalls.points(lambda: (tmp_path / "absent").rmdir(), tmp_path)


def test_without_strace_it_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    """So tests can skip."""
    monkeypatch.setenv("PATH", "")
    assert not syscalls.available()
