"""Tell the coordinator which notebook each kernel of this server belongs to.

A kernel connects to the store's socket by itself, and the coordinator sees its process id. Only the
server knows the rest: process -> kernel id (kernel manager) -> notebook path (session manager). The
reporter looks every `identity_seconds`, because a rename makes no event, sends only what changed, and
looks at once when the coordinator asks (`who`) because a process that it cannot name has said hello.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
from jupyter_server.services.sessions.sessionmanager import SessionManager


@dataclass(frozen=True)
class KernelPlace:
    """One kernel process of this server and the notebook it works for."""

    pid: int
    kernel_id: str
    path: str
    """Notebook path relative to the server's root; empty for a kernel without a session."""
    name: str
    """What to show when there is no path: the session's name, or the beginning of the kernel id."""


Send = Callable[[list[dict[str, Any]]], Awaitable[bool]]
"""Sends the kernels of this server; False when nobody could be reached."""


class KernelReporter:
    """Sends this server's kernels when they differ from what was sent last.

    All state belongs to the server's event loop; `wake` may be called from any thread.
    """

    def __init__(
        self, kernels: MappingKernelManager, sessions: SessionManager, send: Send, seconds: float, log: logging.Logger
    ) -> None:
        self._kernels = kernels
        self._sessions = sessions
        self._send = send
        self._seconds = seconds
        self._log = log
        self._sent: tuple[KernelPlace, ...] | None = None
        self._failure = ""  # the last one, so that it is logged once
        self._asked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        known = "nothing sent" if self._sent is None else f"{len(self._sent)} kernels sent"
        return f"<KernelReporter every {self._seconds:g} s, {known}>"

    def start(self) -> None:
        """Begin to look; call it on the event loop."""
        if self._task is None:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._run())

    async def close(self) -> None:
        """Stop looking; a second call does nothing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def wake(self) -> None:
        """Send the kernels again, soon, changed or not: a coordinator asks, or a new one answered."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._asked.set)

    async def look(self) -> tuple[KernelPlace, ...]:
        """Return the kernels that run on this machine as children of this server, ordered by id."""
        pids = {kernel_id: pid for kernel_id in self._kernels.list_kernel_ids() if (pid := self._pid(kernel_id))}
        if not pids:
            return ()
        sessions = await self._sessions_by_kernel()
        places = (_place(pid, kernel_id, sessions.get(kernel_id)) for kernel_id, pid in pids.items())
        return tuple(sorted(places, key=lambda place: place.kernel_id))

    def _pid(self, kernel_id: str) -> int | None:
        # A kernel that is just starting has no provisioner yet, and one behind a gateway never has a local pid.
        kernel = self._kernels.get_kernel(kernel_id) if kernel_id in self._kernels else None
        return getattr(getattr(kernel, "provisioner", None), "pid", None)

    async def _sessions_by_kernel(self) -> dict[str, dict[str, Any]]:
        # One kernel may serve a notebook and a console: the notebook, sorted last, names it.
        sessions: Any = await ensure_async(self._sessions.list_sessions())  # type: ignore[no-untyped-call]
        ordered = sorted(sessions, key=lambda session: session["type"] == "notebook")
        return {session["kernel"]["id"]: session for session in ordered}

    async def _run(self) -> None:
        while True:
            await self._try_to_report()
            if await self._is_asked():
                self._asked.clear()
                self._sent = None

    async def _is_asked(self) -> bool:
        """Wait until the kernels are asked for, at most until the next look."""
        try:
            async with asyncio.timeout(self._seconds):  # wait_for of Python 3.11 can lose a cancellation
                return await self._asked.wait()
        except TimeoutError:
            return False

    async def _try_to_report(self) -> None:
        try:
            await self._report()
        except Exception as exc:  # managers are pluggable: a failure of theirs costs names, not the server
            if repr(exc) != self._failure:
                self._log.exception("jupyter-nq could not look at the kernels of this server")
            self._failure = repr(exc)

    async def _report(self) -> None:
        places = await self.look()
        if places != self._sent and await self._send([asdict(place) for place in places]):
            self._sent = places


def _place(pid: int, kernel_id: str, session: dict[str, Any] | None) -> KernelPlace:
    unnamed = f"kernel {kernel_id[:8]}"
    if session is None:
        return KernelPlace(pid, kernel_id, "", unnamed)
    return KernelPlace(pid, kernel_id, session["path"] or "", session["name"] or unnamed)
