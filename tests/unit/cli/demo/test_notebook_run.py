"""Notebooks run in a real kernel: outputs kept, time and memory measured, failures told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import nbformat
import pytest
from jupyter_client.manager import KernelManager

from jupyter_nq.cli.demo.notebook_run import CellRun, NotebookRun, RunFailed, alive, attach, private_bytes

T = TypeVar("T")
Act = Callable[[NotebookRun], Awaitable[T]]


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[KernelManager]:
    """Start a kernel whose connection file is `kernel.json`."""
    manager = KernelManager(kernel_name="python3", connection_file=str(tmp_path / "kernel.json"))
    manager.start_kernel(cwd=str(tmp_path), env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")})
    yield manager
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


@pytest.fixture
def play(kernel: KernelManager, tmp_path: Path) -> Callable[..., object]:
    """Let a coroutine act on a notebook of the given cells, in the kernel."""

    def begin(act: Act[T], *sources: str) -> T:
        path = tmp_path / "book.ipynb"
        cells = [nbformat.v4.new_markdown_cell("# Title"), *map(nbformat.v4.new_code_cell, sources)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        return asyncio.run(_attached(act, path, kernel.provisioner.process.pid, tmp_path / "kernel.json"))

    return begin


async def _attached(act: Act[T], path: Path, pid: int, connection_file: Path) -> T:
    run = attach(path, pid, connection_file)
    try:
        await run.wait_ready()
        return await act(run)
    finally:
        run.client.stop_channels()


def test_cells_in_order(play: Callable[..., None]) -> None:
    """Code cells run from top to bottom; text, time and memory are measured and outputs kept in the file."""

    async def act(run: NotebookRun) -> None:
        told: list[CellRun] = []
        await run.execute(told.append)
        assert told == run.cells
        first, second = told
        assert first.private_bytes > 25 << 20
        assert second.text == f"hi\n{30 << 20}"
        assert run.seconds == first.seconds + second.seconds
        assert run.private_bytes > run.started_bytes > 1 << 20
        kept = nbformat.read(run.path, as_version=4)
        assert [output.output_type for output in kept.cells[2].outputs] == ["stream", "execute_result"]
        assert await run.evaluate("len(x) / 2") == str(15.0 * (1 << 20))

    play(act, "x = bytearray(30 << 20)\nx[::4096] = bytes([1]) * len(x[::4096])", "print('hi')\nlen(x)")


def test_an_error_ends_the_run(play: Callable[..., None]) -> None:
    """The first cell that raises ends the run with its text, without colours; the outputs so far are kept."""

    async def act(run: NotebookRun) -> None:
        with pytest.raises(RunFailed) as failed:
            await run.execute(lambda _: None)
        assert "ZeroDivisionError: division by zero" in str(failed.value)
        assert "\x1b" not in str(failed.value)
        assert [cell.text for cell in run.cells] == ["", ""]
        with pytest.raises(RunFailed, match="NameError"):
            await run.evaluate("absent")

    play(act, "import sys; print('warning', file=sys.stderr)", "1 / 0", "print('never')")


def test_a_usage_error_ends_the_run(play: Callable[..., None]) -> None:
    """A magic's usage error, which the kernel shows as plain text, ends the run too."""

    async def act(run: NotebookRun) -> None:
        with pytest.raises(RunFailed, match="UsageError: "):
            await run.execute(lambda _: None)
        assert len(run.cells) == 1

    play(act, "%alias_magic", "1")


def test_a_kernel_that_dies(play: Callable[..., None]) -> None:
    """A killed kernel is an error, not an endless wait."""

    async def act(run: NotebookRun) -> None:
        with pytest.raises(RunFailed, match="died"):
            await run.execute(lambda _: None)
        assert not alive(run.pid)

    play(act, "import os; os.kill(os.getpid(), 9)")


def test_called_off(play: Callable[..., None]) -> None:
    """A run ends when it is cancelled, in the middle of a cell."""

    async def act(run: NotebookRun) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run.execute(lambda _: None), 0.3)
        assert run.cells == []

    play(act, "while True: pass")


def test_a_kernel_that_is_gone_before_it_is_ready(play: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that says so of a process that is gone is believed."""

    async def act(run: NotebookRun) -> None:
        monkeypatch.setattr(run.client, "wait_for_ready", _never)
        run.pid = 2**22 + 1
        with pytest.raises(RunFailed, match="Kernel died"):
            await run.wait_ready()

    play(act)


def test_a_late_heartbeat_is_no_death(play: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that gives a living kernel up is asked again."""

    async def act(run: NotebookRun) -> None:
        ready = run.client.wait_for_ready
        answers = [_never, ready]
        monkeypatch.setattr(run.client, "wait_for_ready", lambda timeout: answers.pop(0)(timeout=timeout))
        await run.wait_ready()
        assert not answers

    play(act)


async def _never(timeout: float) -> None:
    raise RuntimeError("Kernel died before replying to kernel_info")


def test_private_memory_of_nobody() -> None:
    """A process that is gone has no private memory."""
    assert private_bytes(2**22 + 1) == 0
    assert private_bytes(os.getpid()) > 1 << 20
