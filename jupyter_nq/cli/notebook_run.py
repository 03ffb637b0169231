"""Run a notebook's cells in a kernel of a running server, and measure what each of them cost.

The kernel belongs to the server; this side only speaks to its channels through the connection file, as
the server itself does for a browser. Private memory is RssAnon, in which shared pages do not appear.
"""
# nbformat's functions carry no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import psutil
from jupyter_client.blocking.client import BlockingKernelClient

_READY_SECONDS = 60.0
_POLL_SECONDS = 0.2
_SHOWN = frozenset({"stream", "display_data", "execute_result", "error"})
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class RunFailed(Exception):
    """A cell raised, the kernel died, or the run was called off; the text is for the user."""


@dataclass(frozen=True)
class CellRun:
    """One executed code cell."""

    source: str
    text: str
    """What it printed and returned, as plain text."""
    seconds: float
    """From sending the cell to the kernel's idle message."""
    private_bytes: int
    """Growth of the kernel's RssAnon while it ran; may be negative."""


@dataclass
class NotebookRun:
    """One notebook in its kernel. Filled by the thread that runs `execute`, read after it has ended."""

    path: Path
    kernel_id: str
    pid: int
    client: BlockingKernelClient
    cells: list[CellRun] = field(default_factory=list)
    started_bytes: int = 0
    """RssAnon of the kernel before the first cell."""

    @property
    def name(self) -> str:
        """File name of the notebook."""
        return self.path.name

    @property
    def seconds(self) -> float:
        """Time that all cells took."""
        return sum(cell.seconds for cell in self.cells)

    @property
    def private_bytes(self) -> int:
        """RssAnon of the kernel after the last cell."""
        return self.started_bytes + sum(cell.private_bytes for cell in self.cells)

    def wait_ready(self) -> None:
        """Return when the kernel answers."""
        try:
            self.client.wait_for_ready(timeout=_READY_SECONDS)
        except RuntimeError as exc:
            raise RunFailed(f"{self.name}: {exc}") from exc
        self.started_bytes = private_bytes(self.pid)

    def execute(self, stop: threading.Event, tell: Callable[[CellRun], None]) -> None:
        """Run all code cells from top to bottom and keep their outputs in the notebook's file.

        Parameters
        ----------
        stop
            Ends the run between two messages of the kernel.
        tell
            Called with each finished `CellRun`.

        Raises
        ------
        RunFailed
            With the error text of the cell.
        """
        document = nbformat.read(self.path, as_version=4)
        before = self.started_bytes
        try:
            for cell in document.cells:
                if cell.cell_type != "code":
                    continue
                start = time.perf_counter()
                cell.outputs = self._run(cell.source, stop)
                took, after = time.perf_counter() - start, private_bytes(self.pid)
                self.cells.append(CellRun(cell.source, plain_text(cell.outputs), took, after - before))
                before = after
                tell(self.cells[-1])
                _raise_error(cell)
        finally:
            nbformat.write(document, self.path)

    def evaluate(self, expression: str) -> str:
        """Return the text of an expression's value in the kernel."""
        message = self.client.execute("", silent=True, user_expressions={"value": expression})
        reply: dict[str, Any] = self.client.get_shell_msg(timeout=_READY_SECONDS)
        while reply["parent_header"].get("msg_id") != message:
            reply = self.client.get_shell_msg(timeout=_READY_SECONDS)
        found = reply["content"]["user_expressions"]["value"]
        if found["status"] != "ok":
            raise RunFailed(f"{self.name}: {expression}: {found['ename']}: {found['evalue']}")
        return str(found["data"]["text/plain"])

    def _run(self, source: str, stop: threading.Event) -> list[Any]:
        message = self.client.execute(source, allow_stdin=False)
        outputs = []
        while True:
            if stop.is_set():
                raise RunFailed(f"{self.name}: called off")
            try:
                found = self.client.get_iopub_msg(timeout=_POLL_SECONDS)
            except queue.Empty:
                if alive(self.pid):
                    continue
                raise RunFailed(f"{self.name}: the kernel (pid {self.pid}) died in\n{source}") from None
            if found["parent_header"].get("msg_id") != message:
                continue
            if found["msg_type"] in _SHOWN:
                outputs.append(nbformat.v4.output_from_msg(found))
            elif found["msg_type"] == "status" and found["content"]["execution_state"] == "idle":
                return outputs


def attach(path: Path, kernel_id: str, pid: int, connection_file: Path) -> NotebookRun:
    """Connect to the kernel of a notebook."""
    client = BlockingKernelClient(connection_file=str(connection_file))
    client.load_connection_file()
    client.start_channels()
    return NotebookRun(path, kernel_id, pid, client)


def plain_text(outputs: list[Any]) -> str:
    """Return what a cell showed on standard output and as results, without its errors."""
    parts = [
        output.text if output.output_type == "stream" else output.data.get("text/plain", "")
        for output in outputs
        if output.output_type != "error" and output.get("name") != "stderr"
    ]
    return _COLOUR.sub("", "\n".join(part.rstrip("\n") for part in parts if part))


def _raise_error(cell: Any) -> None:
    for output in cell.outputs:
        if output.output_type == "error":
            trace = _COLOUR.sub("", "\n".join(output.traceback)).strip()
            raise RunFailed(f"{cell.source}\n\n{trace or f'{output.ename}: {output.evalue}'}")


def alive(pid: int) -> bool:
    """Is the process there and not a zombie?"""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def private_bytes(pid: int) -> int:
    """Return RssAnon of a process, the memory that is its alone; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:")), 0)
