"""The right to build one dataset: one builder, and every way in which it can end."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
from pathlib import Path

import pytest

from jupyter_nq.client.building import build
from jupyter_nq.errors import BuildFailed, NQError, UnreadableSource
from jupyter_nq.testing import wait_until

KEY = "0" * 32
_spawn = mp.get_context("spawn")


def _hold(directory: str, building: mp.synchronize.Event, release: mp.synchronize.Event, fail: str | None) -> None:
    with build(Path(directory), KEY) as builder:
        assert builder is not None
        builder.progress(0.25)
        building.set()
        release.wait(30)
        if fail == "known":
            raise UnreadableSource("line 7 is not a bar")
        if fail == "unknown":
            raise ZeroDivisionError("by zero")


def _builder(directory: Path, fail: str | None = None) -> tuple[mp.Process, mp.synchronize.Event]:
    building, release = _spawn.Event(), _spawn.Event()
    process = _spawn.Process(target=_hold, args=(str(directory), building, release, fail), daemon=True)
    process.start()
    assert building.wait(30)
    return process, release


def test_alone_is_the_builder_and_leaves_nothing(tmp_path: Path) -> None:
    """Without competition the caller builds, and the lock file is gone afterwards."""
    with build(tmp_path, KEY) as builder:
        assert builder is not None
        assert [p.name for p in tmp_path.iterdir()] == [f"{KEY}.build"]
        assert (tmp_path / f"{KEY}.build").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []


def test_waiter_sees_progress_and_then_that_it_is_done(tmp_path: Path) -> None:
    """Who waits is told the builder's progress and enters with None when it is done."""
    process, release = _builder(tmp_path)
    seen: list[float] = []

    def waiting(fraction: float) -> None:
        seen.append(fraction)
        release.set()

    with build(tmp_path, KEY, waiting) as builder:
        assert builder is None
    assert seen[0] == 0.25
    process.join(10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fail", "error", "text"),
    [("known", UnreadableSource, "line 7"), ("unknown", BuildFailed, "ZeroDivisionError: by zero")],
)
def test_waiter_gets_the_error_of_the_builder(tmp_path: Path, fail: str, error: type[NQError], text: str) -> None:
    """A failed build fails for everybody who waited for it, with the same class and message."""
    process, release = _builder(tmp_path, fail)
    with pytest.raises(error, match=text), build(tmp_path, KEY, lambda _: release.set()):
        pytest.fail("entered")
    process.join(10)
    with build(tmp_path, KEY) as builder:
        assert builder is not None, "a later call tries again"


def test_killed_builder_is_replaced(tmp_path: Path) -> None:
    """After kill -9 of the builder, one of those who waited builds."""
    process, _ = _builder(tmp_path)
    assert process.pid is not None
    pid = process.pid
    with build(tmp_path, KEY, lambda _: os.kill(pid, signal.SIGKILL)) as builder:
        assert builder is not None
    process.join(10)
    assert process.exitcode == -signal.SIGKILL


def test_interrupted_builder_is_replaced(tmp_path: Path) -> None:
    """An interrupt is no outcome: the next one builds."""
    with pytest.raises(KeyboardInterrupt), build(tmp_path, KEY):
        raise KeyboardInterrupt
    with build(tmp_path, KEY) as builder:
        assert builder is not None


def test_waiting_can_be_given_up(tmp_path: Path) -> None:
    """The progress callback may raise; the builder is not disturbed."""
    process, release = _builder(tmp_path)

    def impatient(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), build(tmp_path, KEY, impatient):
        pytest.fail("entered")
    release.set()
    process.join(10)
    assert process.exitcode == 0
    wait_until(lambda: not list(tmp_path.iterdir()))
