"""The newest desk and the newest streams, read once for all lab panels that look at them.

The coordinator says only that something changed. The board then reads the desk (one request, however many panels are
open, and none while no panel is), turns it into text once, and hands it to the seats. It reads at most `feed_hz` times
a second. The streams are brought by whoever looks at them while the board is `occupied`. A seat holds no queue: it
remembers what it has seen of both and gets what is newest next, at most `feed_hz` messages a second, so a slow browser
skips states and bounds its memory by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jupyter_nq.errors import NQError
from jupyter_nq.server import documents
from jupyter_nq.server.people import People

_RETRY_SECONDS = 1.0


class Sheet:
    """The newest text of one kind, and how often it became another."""

    def __init__(self) -> None:
        self.text = ""
        self.revision = 0

    def write(self, document: documents.Document) -> bool:
        """Take a document; False when it says what is there already."""
        text = json.dumps(document)
        if text == self.text:
            return False
        self.text = text
        self.revision += 1
        return True


class Seat:
    """One listener's place at the board; it belongs to the board's event loop."""

    def __init__(self, board: Board, sheets: list[Sheet], pause_seconds: float) -> None:
        self._board = board
        self._seen = dict.fromkeys(sheets, 0)  # in the order in which they are served: the last one served is last
        self._pause_seconds = pause_seconds
        self._free_at = 0.0
        self._news = asyncio.Event()

    async def next(self) -> str | None:
        """Wait until the board is newer than what this seat got last; its text, or None when it stopped."""
        while self._unseen() is None:
            if self._board.stopped:
                return None
            self._news.clear()
            await self._news.wait()
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._free_at - loop.time()))
        self._free_at = loop.time() + self._pause_seconds
        return self._take()

    def leave(self) -> None:
        """Give the place up; a second call does nothing."""
        self._board.remove(self)

    def tell(self) -> None:
        """Called by the board when it has something new."""
        self._news.set()

    def _unseen(self) -> Sheet | None:
        return next((sheet for sheet, seen in self._seen.items() if seen != sheet.revision), None)

    def _take(self) -> str:
        sheet = self._unseen()
        assert sheet is not None  # revisions only grow
        del self._seen[sheet]
        self._seen[sheet] = sheet.revision
        return sheet.text


class Board:
    """Reads the desk when it changed and somebody looks, at most `hz` times a second; shows it, and the streams.

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
        self._desk, self._streams = Sheet(), Sheet()
        self._people = People()
        self.occupied = asyncio.Event()
        """Set while somebody has a seat."""
        self.stopped = False

    def __repr__(self) -> str:
        return f"<Board revision {self.revision}, {len(self._seats)} seats>"

    @property
    def revision(self) -> int:
        """How often the desk became another."""
        return self._desk.revision

    @property
    def text(self) -> str:
        """The newest desk, or why there is none."""
        return self._desk.text

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
        seat = Seat(self, [self._desk, self._streams], self._pause_seconds)
        self._seats.add(seat)
        self.occupied.set()
        self._stale.set()
        return seat

    def remove(self, seat: Seat) -> None:
        """Forget a seat."""
        self._seats.discard(seat)
        if not self._seats:
            self._stale.clear()
            self.occupied.clear()
            self._streams = Sheet()  # nobody looks from now on: whoever comes later is not shown what was

    def show_streams(self, seen: list[dict[str, Any]]) -> None:
        """Show the figures of all streams, with the names of who publishes and reads; to nobody, nothing is kept."""
        if self._seats:
            rows = [documents.stream(one, self._people) for one in seen]
            self._show(self._streams, documents.streams(rows))

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
            reply = await self._read()
            self._people = People(reply["notebooks"])
            self._show(self._desk, documents.desk(reply))
        except NQError as exc:
            self._show(self._desk, documents.problem(exc))
            return False
        except Exception as exc:  # the root of a task: whatever it is, the panels must not stand still for ever
            if repr(exc) != self._failure:
                self._log.exception("jupyter-nq could not read the coordinator's desk")
            self._failure = repr(exc)
            return False
        return True

    def _show(self, sheet: Sheet, document: documents.Document) -> None:
        if sheet.write(document):
            for seat in self._seats:
                seat.tell()
