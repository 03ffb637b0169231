"""The server's line to the coordinator: blocking calls in a few threads, awaited on the event loop.

The server is a client like every kernel, even while it hosts the coordinator itself. A store that
cannot be used must not stop the Jupyter server: opening may fail, the sentence is logged once, every
request answers with it, and the next attempt is made when somebody asks and a while has passed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from jupyter_nq.errors import CoordinatorUnavailable, NQError, StoreError

_THREADS = 2  # the server's own note is not held up by a request that waits for a new coordinator
_RETRY_SECONDS = 5.0


class Line(Protocol):
    """What the link needs of an open channel."""

    def request(self, op: str, **args: Any) -> Any:
        """Ask and wait for the answer."""

    def note(self, op: str, **args: Any) -> None:
        """Tell, without an answer."""

    def close(self) -> None:
        """Leave."""


class Link:
    """Opens the line in a thread and awaits its requests.

    `_line` and `_failure` are the mutable state; `_lock` guards them and is held in threads only, because
    opening takes a while. `_closed` changes once, on the event loop.
    """

    def __init__(self, connect: Callable[[], Line], log: logging.Logger, retry_seconds: float = _RETRY_SECONDS) -> None:
        self._connect = connect
        self._log = log
        self._retry_seconds = retry_seconds
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="jupyter-nq-link")
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._failure: NQError | None = None
        self._failed_at = 0.0
        self._closed = False

    def __repr__(self) -> str:
        if self._closed or self._line is not None:
            return f"<Link {'closed' if self._closed else 'open'}>"
        return f"<Link {f'failed: {self._failure}' if self._failure else 'new'}>"

    @property
    def is_open(self) -> bool:
        """Tell whether the store was opened, and the line was not closed."""
        return self._line is not None and not self._closed

    async def open(self) -> bool:
        """Open the line if it is not; False when that failed, which is in the log."""
        try:
            await self._run(self._opened)
        except NQError:
            return False
        return True

    async def request(self, op: str, **args: Any) -> Any:
        """Ask the coordinator; its errors arrive as the classes of `jupyter_nq.errors`."""
        return await self._run(lambda: self._opened().request(op, **args))

    async def note(self, op: str, **args: Any) -> bool:
        """Tell the coordinator something; False when nobody could be reached."""
        try:
            await self._run(lambda: self._opened().note(op, **args))
        except NQError:
            return False
        return True

    async def close(self) -> None:
        """Leave the coordinator, or stop hosting it; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._threads, self._leave)
        self._threads.shutdown(wait=False)

    async def _run(self, call: Callable[[], Any]) -> Any:
        if self._closed:
            raise _gone()
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _leave(self) -> None:
        with self._lock:  # a line that is just being opened is closed too
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def _opened(self) -> Line:
        with self._lock:
            if self._closed:
                raise _gone()
            if self._line is None:
                self._line = self._try()
            return self._line

    def _try(self) -> Line:
        if self._failure is not None and time.monotonic() - self._failed_at < self._retry_seconds:
            raise self._failure
        try:
            line = self._connect()
        except NQError as exc:
            self._remember(exc)
            raise
        except OSError as exc:
            unusable = StoreError(f"The store cannot be opened: {exc}. Check NQApp.store_dir.")
            self._remember(unusable)
            raise unusable from exc
        if self._failure is not None:
            self._log.info("jupyter-nq shares again.")
            self._failure = None
        return line

    def _remember(self, failure: NQError) -> None:
        if str(failure) != str(self._failure):
            self._log.error("jupyter-nq shares nothing: %s", failure)
        self._failure, self._failed_at = failure, time.monotonic()


def _gone() -> CoordinatorUnavailable:
    return CoordinatorUnavailable("The Jupyter server is shutting down. Connect to another one.")
