"""`jupyter nq demo`: the main job, for real: a Jupyter server, two kernels, two notebooks, one copy of the bars.

Both notebooks run at the same time, so that they ask for the same bars at the same moment: one kernel
parses, the other waits and maps. At the end everything that was started is stopped by process id, and
everything that was written is removed; on errors and on Ctrl-C too.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_nq.cli.clean import empty
from jupyter_nq.cli.demo import summary
from jupyter_nq.cli.demo.interruption import Signals, interruptible
from jupyter_nq.cli.demo.jupyter_server import JupyterServer, ServerFailed
from jupyter_nq.cli.demo.notebook_run import CellRun, NotebookRun, RunFailed, attach
from jupyter_nq.cli.demo.place import SLOW, Place, copy_notebooks, prepare_data, prepare_store
from jupyter_nq.cli.text import seconds

_HOLDERS_SECONDS = 5.0
_POLL_SECONDS = 0.1
_INTERRUPTED = 130  # 128 + SIGINT, as shells count


def demo(arguments: Namespace) -> int:
    """Run the demo; 1 when a notebook failed, 130 when it was interrupted."""
    start = time.monotonic()
    with interruptible() as signals, ExitStack() as stack:
        try:
            _run(arguments, signals, stack)
        except (RunFailed, ServerFailed) as exc:
            print(f"\n{exc}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            signals.ignore()
            print("\njupyter nq: interrupted; stopping what was started.", file=sys.stderr)
            return _INTERRUPTED
        finally:
            signals.ignore()
            stack.close()
    print(f"Everything that was started is stopped. The demo took {seconds(time.monotonic() - start)}.")
    return 0


def _run(arguments: Namespace, signals: Signals, stack: ExitStack) -> None:
    place = _prepare(arguments, stack)
    notebooks = copy_notebooks(place.work, place.fine)
    where = {"STORE": place.store, "DATA": place.data, "CACHE": place.work / "archives"}
    variables = {f"JUPYTER_NQ_{name}": str(path) for name, path in where.items()}
    server = JupyterServer(place.work / "jupyter", place.work, variables)
    stack.callback(server.stop)
    with _step("Jupyter server") as step:
        server.start()
        step.note = f"pid {server.pid}"
    _report(signals.run(_drive(server, notebooks, place.fine)))


def _prepare(arguments: Namespace, stack: ExitStack) -> Place:
    work = Path(tempfile.mkdtemp(prefix="nq-demo-"))
    if not arguments.keep:
        stack.callback(shutil.rmtree, work, ignore_errors=True)
    with _step("bar files") as step:
        store, existed = prepare_store(arguments.store, work, arguments.rows)
        if arguments.keep:
            stack.callback(_tell_kept, work, store, arguments.data)
        else:
            stack.callback(_empty, store, keep_directory=existed)
        data, fine = prepare_data(arguments.data, work, arguments.rows, arguments.seed)
        step.note = str(data)
    return Place(work, store, data, fine)


def _tell_kept(work: Path, store: Path, data: str | None) -> None:
    """Name every directory that `--keep` leaves, and what removes it."""
    print(f"Kept: {work} (notebooks{', server files' if data else ', bar files in data, server files'})")
    print(f"Kept: {store} (the store; jupyter nq clean --store {store} --yes removes it)")


def _empty(store: Path, *, keep_directory: bool) -> None:
    for line in empty(store, keep_directory=keep_directory).refused:
        print(f"jupyter nq: {store} is not empty: {line}", file=sys.stderr)


async def _drive(server: JupyterServer, notebooks: Sequence[Path], fine: str) -> _Outcome:
    """Run the notebooks in kernels of the server, all at once; the first failure ends the others."""
    runs: list[NotebookRun] = []
    try:
        with _step("two kernels") as step:
            runs += [_open(server, path) for path in notebooks]
            await asyncio.gather(*(run.wait_ready() for run in runs))
            step.note = ", ".join(f"{run.name} in pid {run.pid}" for run in runs)
        await _execute_together(runs)
        datasets = await _held_datasets(server, {run.name for run in runs})
        again = {f"NQ.{timeframe}": await _load_again(runs[-1], timeframe) for timeframe in (SLOW, fine)}
    finally:
        for run in runs:
            run.client.stop_channels()
    return _Outcome(runs, datasets, again)


def _open(server: JupyterServer, path: Path) -> NotebookRun:
    kernel_id = server.open_notebook(path.name)
    return attach(path, server.kernel_pid(kernel_id), server.runtime / f"kernel-{kernel_id}.json")


async def _execute_together(runs: Sequence[NotebookRun]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for run in runs:
                group.create_task(_execute(run))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None  # the first failure cancelled the others


async def _execute(run: NotebookRun) -> None:
    def tell(cell: CellRun) -> None:
        print(f"  {run.name:<24} {seconds(cell.seconds):>8}  {summary.title(cell)}", flush=True)

    try:
        await run.execute(tell)
    except RunFailed as exc:
        raise RunFailed(f"{run.name} failed:\n{exc}") from exc


async def _held_datasets(server: JupyterServer, notebooks: set[str]) -> list[dict[str, Any]]:
    """Return the datasets once the coordinator has heard from every notebook; what a kernel holds it tells late."""
    deadline = time.monotonic() + _HOLDERS_SECONDS
    while True:
        found: list[dict[str, Any]] = server.get("jupyter-nq/datasets")
        known = {holder["who"] for row in found for holder in row["holders"]}
        if notebooks <= known or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_POLL_SECONDS)


async def _load_again(run: NotebookRun, timeframe: str) -> float:
    """Return the seconds of a load in a kernel that finds the dataset there."""
    return float(await run.evaluate(f"__import__('jupyter_nq').connect().map('NQ', {timeframe!r}).seconds"))


def _report(outcome: _Outcome) -> None:
    runs, datasets = outcome.runs, outcome.datasets
    for run in runs:
        print(f"\n{summary.notebook_table(run)}")
    print("\nLoaded once; who asked while another parsed waited for it")
    print(summary.indent(summary.load_table(runs, outcome.again)))
    print("\nWho holds what, as the server's REST interface tells it")
    print(summary.indent(f"{summary.desk_table(datasets)}\n{summary.shared_line(datasets)}"), end="\n\n")
    twice = [name for name, count in summary.parses(runs).items() if count != 1]
    if twice:
        raise RunFailed(f"{', '.join(twice)} was not parsed exactly once.")


@dataclass(frozen=True)
class _Outcome:
    runs: Sequence[NotebookRun]
    datasets: list[dict[str, Any]]
    """As the REST interface lists them, while the kernels hold them."""
    again: dict[str, float]
    """Seconds of a load of what is there, by dataset."""


@dataclass
class _Step:
    note: str = ""


@contextmanager
def _step(what: str) -> Iterator[_Step]:
    """Show one step with the time it took and a note, when it is done."""
    start, step = time.monotonic(), _Step()
    yield step
    print(f"{what:<16} {seconds(time.monotonic() - start):>8}  {step.note}", flush=True)
