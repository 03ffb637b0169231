"""`jupyter nq demo`: the main job, for real: a Jupyter server, two kernels, two notebooks, one copy of the bars.

Both notebooks run at the same time, so that they ask for the same bars at the same moment: one kernel
parses, the other waits and maps. At the end everything that was started is stopped by process id, and
everything that was written is removed; on errors and on Ctrl-C too.
"""

from __future__ import annotations

import queue
import shutil
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_nq.cli import summary
from jupyter_nq.cli.clean import empty
from jupyter_nq.cli.demo_place import SLOW, Place, copy_notebooks, prepare_data, prepare_store
from jupyter_nq.cli.interruption import interruptible
from jupyter_nq.cli.jupyter_server_process import JupyterServer, ServerFailed
from jupyter_nq.cli.notebook_run import CellRun, NotebookRun, RunFailed, attach
from jupyter_nq.cli.text import seconds

_HOLDERS_SECONDS = 5.0
_POLL_SECONDS = 0.1
_INTERRUPTED = 130  # 128 + SIGINT, as shells count


def demo(arguments: Namespace) -> int:
    """Run the demo; 1 when a notebook failed, 130 when it was interrupted."""
    start = time.monotonic()
    with interruptible() as signals, ExitStack() as stack:
        try:
            _run(arguments, stack)
        except (RunFailed, ServerFailed) as exc:
            print(f"\n{exc}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\njupyter nq: interrupted; stopping what was started.", file=sys.stderr)
            return _INTERRUPTED
        finally:
            signals.ignore()
            stack.close()
    print(f"Everything that was started is stopped. The demo took {seconds(time.monotonic() - start)}.")
    return 0


def _run(arguments: Namespace, stack: ExitStack) -> None:
    place = _prepare(arguments, stack)
    notebooks = copy_notebooks(place.work, place.fine)
    server = JupyterServer(
        place.work / "jupyter", place.work, {"JUPYTER_NQ_STORE": str(place.store), "JUPYTER_NQ_DATA": str(place.data)}
    )
    stack.callback(server.stop)
    with _step("Jupyter server") as step:
        server.start()
        step.note = f"pid {server.pid}"
    with _step("two kernels") as step:
        runs = [_open(server, path, stack) for path in notebooks]
        for run in runs:
            run.wait_ready()
        step.note = ", ".join(f"{run.name} in pid {run.pid}" for run in runs)
    execute_together(runs, stack)
    _report(place, server, runs)


def _prepare(arguments: Namespace, stack: ExitStack) -> Place:
    work = Path(tempfile.mkdtemp(prefix="nq-demo-"))
    if not arguments.keep:
        stack.callback(shutil.rmtree, work, ignore_errors=True)
    with _step("bar files") as step:
        store, existed = prepare_store(arguments.store, work, arguments.rows)
        if arguments.keep:
            stack.callback(print, f"Kept: {work}, and the store (jupyter nq clean --store {store} --yes removes it).")
        else:
            stack.callback(_empty, store, keep_directory=existed)
        data, fine = prepare_data(arguments.data, work, arguments.rows, arguments.seed)
        step.note = str(data)
    return Place(work, store, data, fine)


def _empty(store: Path, *, keep_directory: bool) -> None:
    for line in empty(store, keep_directory=keep_directory).refused:
        print(f"jupyter nq: {store} is not empty: {line}", file=sys.stderr)


def _open(server: JupyterServer, path: Path, stack: ExitStack) -> NotebookRun:
    kernel_id = server.open_notebook(path.name)
    run = attach(path, kernel_id, server.kernel_pid(kernel_id), server.runtime / f"kernel-{kernel_id}.json")
    stack.callback(run.client.stop_channels)
    return run


def execute_together(runs: Sequence[NotebookRun], stack: ExitStack) -> None:
    """Run all notebooks at once and show each finished cell; the first failure calls the others off.

    Raises
    ------
    RunFailed
        With the error text of the cell that failed.
    """
    stop = threading.Event()
    events: queue.SimpleQueue[tuple[NotebookRun, CellRun | BaseException | None]] = queue.SimpleQueue()
    threads = [threading.Thread(target=_work, args=(run, stop, events), daemon=True) for run in runs]

    def call_off() -> None:
        stop.set()
        for thread in threads:
            thread.join()

    stack.callback(call_off)
    for thread in threads:
        thread.start()
    running = len(runs)
    while running:
        run, event = events.get()
        if isinstance(event, CellRun):
            print(f"  {run.name:<24} {seconds(event.seconds):>8}  {summary.title(event)}", flush=True)
        elif event is None:
            running -= 1
        else:
            raise RunFailed(f"{run.name} failed:\n{event}") from event


def _work(run: NotebookRun, stop: threading.Event, events: queue.SimpleQueue[Any]) -> None:
    try:
        run.execute(stop, lambda cell: events.put((run, cell)))
    except Exception as exc:  # whatever it is, it belongs to the thread that waits for this one
        events.put((run, exc))
    else:
        events.put((run, None))


def _report(place: Place, server: JupyterServer, runs: Sequence[NotebookRun]) -> None:
    datasets = _held_datasets(server, runs)
    again = {f"NQ.{timeframe}": _load_again(runs[-1], timeframe) for timeframe in (SLOW, place.fine)}
    for run in runs:
        print(f"\n{summary.notebook_table(run)}")
    print(f"\nLoaded once\n{summary.indent(summary.load_table(runs, again))}")
    print(f"\nWho holds what, as the server's REST interface tells it\n{summary.indent(summary.desk_table(datasets))}")
    print(f"  {summary.shared_line(datasets)}\n")
    twice = [name for name, count in summary.parses(runs).items() if count != 1]
    if twice:
        raise RunFailed(f"{', '.join(twice)} was not parsed exactly once.")


def _load_again(run: NotebookRun, timeframe: str) -> float:
    """Return the seconds of a load in a kernel that finds the dataset there."""
    return float(run.evaluate(f"__import__('jupyter_nq').connect().map('NQ', {timeframe!r}).seconds"))


def _held_datasets(server: JupyterServer, runs: Sequence[NotebookRun]) -> list[dict[str, Any]]:
    """Return the datasets once the coordinator has heard from every notebook; what a kernel holds it tells late."""
    deadline = time.monotonic() + _HOLDERS_SECONDS
    wanted = {run.name for run in runs}
    while True:
        found: list[dict[str, Any]] = server.get("jupyter-nq/datasets")
        known = {holder["who"] for row in found for holder in row["holders"]}
        if wanted <= known or time.monotonic() > deadline:
            return found
        time.sleep(_POLL_SECONDS)


@dataclass
class _Step:
    note: str = ""


@contextmanager
def _step(what: str) -> Iterator[_Step]:
    """Show one step with the time it took and a note, when it is done."""
    start, step = time.monotonic(), _Step()
    yield step
    print(f"{what:<16} {seconds(time.monotonic() - start):>8}  {step.note}", flush=True)
