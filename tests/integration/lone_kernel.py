"""A kernel without a server, driven over its message protocol."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

SECONDS = 60.0


@dataclass
class Outcome:
    """Everything that one cell sent."""

    status: str = ""
    out: str = ""
    err: str = ""
    tracebacks: list[str] = field(default_factory=list)
    results: list[dict[str, str]] = field(default_factory=list)


class Kernel:
    """One ipykernel process and the client that talks to it; `python` is that of another environment."""

    def __init__(self, store: Path, data: Path, python: str | None = None, **environment: str) -> None:
        self.manager = KernelManager(kernel_name="python3")
        if python is not None:
            self.manager.kernel_spec.argv[0] = python
        given = {**os.environ, "JUPYTER_NQ_STORE": str(store), "JUPYTER_NQ_DATA": str(data), **environment}
        self.manager.start_kernel(env=given, cwd=str(data))
        self._client: BlockingKernelClient = self.manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=SECONDS)

    def run(self, code: str, *, interrupt_at: str | None = None, seconds: float = SECONDS) -> Outcome:
        """Run a cell; interrupt the kernel at the first output that holds `interrupt_at`."""
        outcome = Outcome()
        waiting = [interrupt_at] if interrupt_at else []

        def hook(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                name = "out" if content["name"] == "stdout" else "err"
                setattr(outcome, name, getattr(outcome, name) + content["text"])
                if waiting and waiting[0] in content["text"]:
                    waiting.clear()
                    self.manager.interrupt_kernel()
            elif message["msg_type"] == "execute_result":
                outcome.results.append(content["data"])
            elif message["msg_type"] == "error":
                outcome.tracebacks.append("\n".join(content["traceback"]))

        reply = self._client.execute_interactive(code, timeout=seconds, output_hook=hook)
        outcome.status = reply["content"]["status"]
        return outcome

    def complete(self, code: str) -> list[str]:
        """Return what the lab would offer at the end of `code`."""
        content = self._client.complete(code, reply=True, timeout=SECONDS)["content"]
        return list(content["matches"])

    def close(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@contextmanager
def running(
    store: Path, data: Path, pythons: Sequence[str | None], setup: str = "%load_ext jupyter_nq"
) -> Iterator[list[Kernel]]:
    """Run a kernel on one store for each Python, None being this one, and end them all; each runs a cell first."""
    started: list[Kernel] = []
    try:
        for python in pythons:
            started.append(Kernel(store, data, python))
            started[-1].run(setup)
        yield started
    finally:
        for kernel in started:
            kernel.close()
