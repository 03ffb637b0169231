"""Looks at the streams of the store for those who look at the panel.

Streams have no server: their files say all, and say it also while no coordinator can be reached. The lookout reads
them in a thread of its own, at most `hz` times a second, and not at all while nobody has a seat at the board.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.errors import NQError, StoreError
from jupyter_nq.streams.directory import open_control
from jupyter_nq.streams.onlooker import Onlooker

if TYPE_CHECKING:
    from jupyter_nq.streams.newest import Newest

_T = TypeVar("_T")
_LARGEST_SHARE = 0.05  # of a core: with very many streams the looks become rarer


class Audience(Protocol):
    """Who wants to know."""

    occupied: asyncio.Event
    """Set while somebody looks."""

    def show_streams(self, seen: list[dict[str, Any]]) -> None:
        """Take the figures of all streams."""


class Lookout:
    """Reads the figures of all streams.

    Parameters
    ----------
    where
        Returns the store's directory; None while it is not open.
    audience
        Who is shown the streams, for as long as somebody looks.
    hz
        Most looks a second.
    log
        Hears of streams that are damaged, each once.
    """

    def __init__(self, where: Callable[[], Path | None], audience: Audience, hz: float, log: logging.Logger) -> None:
        # _onlooker belongs to the one thread, everything else to the event loop.
        self._where = where
        self._audience = audience
        self._pause_seconds = 1.0 / hz
        self._log = log
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jupyter-nq-lookout")
        self._onlooker: Onlooker | None = None
        self._told: dict[str, str] = {}
        self._failure = ""  # the last one that nobody expected, so that it is logged once
        self._task: asyncio.Task[None] | None = None
        self.looks = 0

    def __repr__(self) -> str:
        return f"<Lookout, {self.looks} looks>"

    def start(self) -> None:
        """Begin to look for those who have a seat; call it on the event loop."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop looking; a second call does nothing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._thread.shutdown(wait=False)

    async def look(self) -> list[dict[str, Any]]:
        """Return the figures of all streams, as `Onlooker.look`; none while the store is not open."""
        found, damaged = await self._run_in_thread(self._look)
        self._tell(damaged)
        return found

    async def newest(self, name: str, rows: int) -> Newest | None:
        """Return what was published last to a stream.

        Raises
        ------
        UnknownStream, ChecksumError, StoreError
        """
        return await self._run_in_thread(lambda: self._newest(name, rows))

    async def _run_in_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _run(self) -> None:
        while True:
            await self._audience.occupied.wait()
            began = time.perf_counter()
            await self._show()
            took_seconds = time.perf_counter() - began
            await asyncio.sleep(max(self._pause_seconds - took_seconds, took_seconds / _LARGEST_SHARE))

    async def _show(self) -> None:
        if self._where() is None:  # nothing is known of its streams, not even that there are none
            return
        try:
            self._audience.show_streams(await self.look())
        except NQError as exc:  # the store is gone or cannot be read: what the board says of it is shown
            self._tell({"": str(exc)})
        except Exception as exc:  # the root of a task: whatever it is, the panels must not stand still for ever
            if repr(exc) != self._failure:
                self._log.exception("jupyter-nq could not look at the streams")
            self._failure = repr(exc)

    def _look(self) -> tuple[list[dict[str, Any]], dict[str, str]]:
        store = self._where()
        if store is None:
            return [], {}
        if self._onlooker is None:
            self._onlooker = Onlooker(store / STREAMS)
        self.looks += 1
        return self._onlooker.look(), self._onlooker.damaged

    def _tell(self, problems: dict[str, str]) -> None:
        for name, problem in problems.items():
            if self._told.get(name) != problem:
                self._log.warning("jupyter-nq leaves a stream out of the panel: %s", problem)
        self._told = problems

    def _newest(self, name: str, rows: int) -> Newest | None:
        from jupyter_nq.streams.newest import newest  # Arrow, when somebody wants to see rows

        store = self._where()
        if store is None:
            raise StoreError("The store is not open here. Try again when the server runs.")
        return newest(open_control(store / STREAMS, name), rows)
