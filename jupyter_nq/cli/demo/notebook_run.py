"""Run a notebook's cells in a kernel of a running server, and measure what each of them cost.

The kernel belongs to the server; this side only speaks to its channels through the connection file, as
the server itself does for a browser. Private memory is RssAnon, in which shared pages do not appear.
"""

from __future__ import annotations

import queue
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.asynchronous.client import AsyncKernelClient

from jupyter_nq.cli.demo.notebook_file import Document, code_cells, output, plain_text, read, write

_READY_SECONDS = 60.0
_POLL_SECONDS = 0.2
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class RunFailed(Exception):
    """A cell raised, or the kernel died; the text is for the user."""


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
    """One notebook in its kernel; all coroutines belong to one event loop."""

    path: Path
    pid: int
    """Process id of the kernel."""
    client: AsyncKernelClient
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

    async def wait_ready(self) -> None:
        """Return when the kernel answers; `RunFailed` when it does not."""
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                await self.client.wait_for_ready(timeout=max(deadline - time.monotonic(), _POLL_SECONDS))
                break
            except RuntimeError as exc:  # the client takes a late heartbeat, of a busy machine, for a death
                if not alive(self.pid) or time.monotonic() >= deadline:
                    raise RunFailed(f"{self.name}: {exc}") from exc
        self.started_bytes = private_bytes(self.pid)

    async def execute(self, tell: Callable[[CellRun], None]) -> None:
        """Run all code cells from top to bottom and keep their outputs in the notebook's file.

        Parameters
        ----------
        tell
            Called with each finished cell.

        Raises
        ------
        RunFailed
            With the error text of the cell.
        """
        document = read(self.path)
        before = self.started_bytes
        try:
            for cell in code_cells(document):
                start = time.perf_counter()
                cell["outputs"], reply = await self._run(cell["source"])
                took, after = time.perf_counter() - start, private_bytes(self.pid)
                text = _uncoloured(plain_text(cell["outputs"]))
                self.cells.append(CellRun(cell["source"], text, took, after - before))
                before = after
                tell(self.cells[-1])
                _raise_error(cell["source"], reply)
        finally:
            write(document, self.path)

    async def evaluate(self, expression: str) -> str:
        """Return the text of an expression's value in the kernel."""
        message = self.client.execute("", silent=True, user_expressions={"value": expression})
        found = (await self._reply(message))["user_expressions"]["value"]
        if found["status"] != "ok":
            raise RunFailed(f"{self.name}: {expression}: {found['ename']}: {found['evalue']}")
        return str(found["data"]["text/plain"])

    async def _run(self, source: str) -> tuple[list[Document], dict[str, Any]]:
        """Return the outputs of a cell and the kernel's reply, which alone tells of a magic's usage error."""
        message = self.client.execute(source, allow_stdin=False)
        outputs = []
        while True:
            try:
                found = await self.client.get_iopub_msg(timeout=_POLL_SECONDS)
            except queue.Empty:
                if alive(self.pid):
                    continue
                raise RunFailed(f"{self.name}: the kernel (pid {self.pid}) died in\n{source}") from None
            if found["parent_header"].get("msg_id") != message:
                continue
            if (shown := output(found["msg_type"], found["content"])) is not None:
                outputs.append(shown)
            elif found["content"].get("execution_state") == "idle":
                return outputs, await self._reply(message)

    async def _reply(self, message: str) -> dict[str, Any]:
        while True:
            reply: dict[str, Any] = await self.client.get_shell_msg(timeout=_READY_SECONDS)
            if reply["parent_header"].get("msg_id") == message:
                content: dict[str, Any] = reply["content"]
                return content


def attach(path: Path, pid: int, connection_file: Path) -> NotebookRun:
    """Connect to the kernel of a notebook; the caller stops the client's channels."""
    client = AsyncKernelClient(connection_file=str(connection_file))
    client.load_connection_file()
    client.start_channels()
    return NotebookRun(path, pid, client)


def _raise_error(source: str, reply: dict[str, Any]) -> None:
    if reply["status"] == "ok":
        return
    trace = _uncoloured("\n".join(reply.get("traceback", ()))).strip()
    raise RunFailed(f"{source}\n\n{trace or reply.get('ename', 'aborted') + ': ' + reply.get('evalue', '')}")


def _uncoloured(text: str) -> str:
    return _COLOUR.sub("", text)


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
