"""The newest desk, read once for all lab panels that look at it.

The coordinator says only that something changed. The board then reads the desk (one request, however
many panels are open, and none while no panel is), turns it into text once, and hands it to the seats.
It reads at most `feed_hz` times a second. A seat holds no queue: it remembers the revision that it has
seen and gets the newest one next, so a slow browser skips states and bounds its memory by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jupyter_nq.errors import NQError
from jupyter_nq.server import documents

_RETRY_SECONDS = 1.0


class Seat:
    """One listener's place at the board; it belongs to the board's event loop."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._seen = 0
        self._news = asyncio.Event()

    async def next(self) -> str | None:
        """Wait until the board is newer than what this seat got last; its text, or None when it stopped."""
        while self._seen == self._board.revision:
            if self._board.stopped:
                return None
            self._news.clear()
            await self._news.wait()
        self._seen = self._board.revision
        return self._board.text

    def leave(self) -> None:
        """Give the place up; a second call does nothing."""
        self._board.remove(self)

    def tell(self) -> None:
        """Called by the board when it has something new."""
        self._news.set()


class Board:
    """Reads the desk when it changed and somebody looks, at most `hz` times a second.

    All state belongs to the server's event loop; `changed` may be called from any thread.
    """

    def __init__(self, read: Callable[[], Awaitable[Mapping[str, Any]]], hz: float, log: logging.Logger) -> None:
        self._read = read
        self._log = log
        self._pause_seconds = 1.0 / hz
        self._seats: set[Seat] = set()
        self._stale = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure = ""  # the last one that nobody expected, so that it is logged once
        self.stopped = False
        self.revision = 0
        self.text = ""

    def __repr__(self) -> str:
        return f"<Board revision {self.revision}, {len(self._seats)} seats>"

    def start(self) -> None:
        """Begin to read for those who look; call it on the event loop."""
        if self._task is None:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._run())

    async def close(self) -> None:
        """Stop reading and send everybody home; a second call does nothing."""
        self.stopped = True
        for seat in self._seats:
            seat.tell()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def changed(self) -> None:
        """Say that the desk is no longer what was read last."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._mark)

    def join(self) -> Seat:
        """Return a new seat; its first text is the desk of this moment."""
        seat = Seat(self)
        self._seats.add(seat)
        self._stale.set()
        return seat

    def remove(self, seat: Seat) -> None:
        """Forget a seat."""
        self._seats.discard(seat)
        if not self._seats:
            self._stale.clear()

    def _mark(self) -> None:
        if self._seats:
            self._stale.set()

    async def _run(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            fresh = await self._refresh()
            if not fresh:
                self._mark()  # somebody looks at a problem: try again, at a slower pace
            await asyncio.sleep(self._pause_seconds if fresh else max(self._pause_seconds, _RETRY_SECONDS))

    async def _refresh(self) -> bool:
        """Show the desk, or why it cannot be read; say which."""
        try:
            self._show(documents.desk(await self._read()))
        except NQError as exc:
            self._show(documents.problem(exc))
            return False
        except Exception as exc:  # the root of a task: whatever it is, the panels must not stand still for ever
            if repr(exc) != self._failure:
                self._log.exception("jupyter-nq could not read the coordinator's desk")
            self._failure = repr(exc)
            return False
        return True

    def _show(self, document: documents.Document) -> None:
        text = json.dumps(document)
        if text == self.text and self.revision:
            return
        self.text = text
        self.revision += 1
        for seat in self._seats:
            seat.tell()
