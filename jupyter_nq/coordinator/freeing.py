"""Freeing memory and looking for leftovers, in one worker thread beside the service's loop.

Old versions go when nobody holds them. An attempt that finds the lock of an object still taken is repeated,
soon at first and then every few seconds; with nothing to free there is no timer at all. A reservation that
lacks the memory which is being freed is asked again whenever some has been, for less time than its client waits for
the answer.

All state belongs to the loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

from jupyter_nq.buffers import Catalogue, Damaged
from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.drops import Drops
from jupyter_nq.coordinator.files import cold_copies, copy_of, damaged, remove_copy, stored_object
from jupyter_nq.streams.drafts import sweep_drafts

_FIRST_RETRY_SECONDS = 0.05
_LONGEST_RETRY_SECONDS = 5.0
SPARE_SECONDS = 30.0  # that the memory of freed objects waits for the next write
_ROOM_SECONDS = 1.0  # well below the time that clients wait for an answer

_log = logging.getLogger("jupyter_nq")


Again = Callable[[bool], bool]
"""Asks once more for room; returns whether that was answered. It must be when the argument says that this is the last
time."""


class Loop(Protocol):
    """What freeing needs of the service around it."""

    def apply(self, event: ev.Event) -> Any:
        """Move the desk and do what follows."""

    def call(self, function: Callable[[], None]) -> None:
        """Call a function on the loop, from any thread, and tell everybody what it changed."""

    def later(self, seconds: float, function: Callable[[], None]) -> asyncio.TimerHandle:
        """Call a function on the loop after a time."""


class Freeing:
    """The work that takes long: removing files, scanning the store.

    Parameters
    ----------
    store, desk
        What is worked on.
    loop
        The service.
    spare_bytes
        Tells how much of the memory that is freed may be kept for the next write.
    """

    def __init__(self, store: Catalogue, desk: Desk, loop: Loop, spare_bytes: Callable[[], int]) -> None:
        self._store = store
        self._desk = desk
        self._loop = loop
        self._spare_bytes = spare_bytes
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="jupyter-nq-store")
        self._collections = 0
        self._waiting: dict[Again, asyncio.TimerHandle] = {}  # in the order in which they came
        self._retry: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None  # runs while there may be spare segments
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._cleaning = self._clean_again = self._closed = False

    def __repr__(self) -> str:
        return f"<Freeing in {self._store.path}, {self._collections} under way, {len(self._waiting)} waiting>"

    def start(self) -> None:
        """Free what can be, look for leftovers, and name what is damaged."""
        self.tick()
        self.clean()
        if self._store.pool.spares():
            self.keep_spares()
        self._in_background(partial(damaged, self._store), self._name_damaged)

    def close(self) -> None:
        """Finish what is under way and begin nothing new; closing twice is fine."""
        self._closed = True
        for timer in (self._retry, self._idle, *self._waiting.values()):
            if timer is not None:
                timer.cancel()
        self._worker.shutdown(wait=True)

    # -- memory --------------------------------------------------------------------------------------
    def collect(self, id_: str, *, keep_copy: bool = False) -> None:
        """Free an object, and its copy on the disk; its memory may be kept a while for the next write."""
        # Of what leaves memory nothing may be lost, and its copy must have all; what was replaced goes in any case.
        copy = self._desk.eviction.copies.get(id_) if id_ in self._desk.eviction.leaving else None
        version = copy.version if copy is not None else None

        def work(spare_bytes: int) -> bool:
            if not self._store.collect(id_, spare_bytes, version):
                return False
            if keep_copy:
                return not self._store.exists(id_)  # it may have been brought back at once
            remove_copy(self._store, id_)
            return True

        def done(gone: bool | None) -> None:
            self._collected(id_, bool(gone), copy_kept=keep_copy)

        spare = self._spare_bytes()
        if self._in_background(partial(work, spare), done):
            self._collections += 1
            if spare:
                self.keep_spares()

    def keep_spares(self) -> None:
        """Free the spare segments when nothing has been freed for a while: then nobody writes."""
        if self._idle is not None:
            self._idle.cancel()
        if not self._closed:
            self._idle = self._loop.later(SPARE_SECONDS, self._drop_spares)

    def _drop_spares(self) -> None:
        self._idle = None
        self._in_background(lambda: self._store.pool.trim(0), lambda _freed: None)

    def settle(self) -> None:
        """Try again later, if there is something that could not be freed yet."""
        if self._retry is None and self._desk.versions.loose and not self._closed:
            self._retry = self._loop.later(self._retry_seconds, self.tick)

    def tick(self) -> None:
        """Try to free everything that nobody needs."""
        self._retry = None
        self._retry_seconds = min(2 * self._retry_seconds, _LONGEST_RETRY_SECONDS)
        self._loop.apply(ev.Tick(time.monotonic()))
        self.settle()

    def wait_for_room(self, again: Again, give_up: Callable[[], None]) -> bool:
        """Call `again` whenever memory has been freed, until it has an answer, or `give_up` when that takes long.

        Returns
        -------
        bool
            False when none will be freed: then nothing is called.
        """
        self._loop.apply(ev.Tick(time.monotonic()))
        if not self._collections or self._closed:
            return False

        def too_long() -> None:
            del self._waiting[again]
            give_up()

        self._waiting[again] = self._loop.later(_ROOM_SECONDS, too_long)
        return True

    def _collected(self, id_: str, gone: bool, *, copy_kept: bool = False) -> None:
        self._collections -= 1
        try:
            self._loop.apply(ev.Collected(id_, gone, copy_kept))
        finally:  # whatever the store refused, those who wait are waiting for an answer
            if gone or not self._collections:
                self._ask_again(last=not self._collections)

    def _ask_again(self, *, last: bool) -> None:
        """Let those who wait for room ask, first who came first; one that fails takes no answer from the others."""
        for again in list(self._waiting):
            try:
                answered = again(last)
            except Exception:
                _log.exception("a request that waited for room failed")
                answered = True
            if answered:
                self._waiting.pop(again).cancel()

    # -- leftovers -----------------------------------------------------------------------------------
    def clean(self) -> None:
        """Look for what writers left that did not finish: one look at a time, and one more if asked meanwhile."""
        self._clean_again = self._cleaning
        if not self._cleaning:
            self._cleaning = self._in_background(self._leftovers, self._found)

    def _leftovers(self) -> ev.Found:
        """Remove files of dead writers, and return what is there beside them."""
        self._store.sweep()
        sweep_drafts(self._store.path / STREAMS)
        copies = {}
        if (cold := cold_copies(self._store)) is not None:
            cold.sweep()
            copies = {info.id: copy_of(info) for info in cold.scan()}
        objects = tuple(stored_object(info) for info in self._store.scan())
        return ev.Found(objects, time.monotonic(), copies, Drops(self._store.path).read())

    def _found(self, found: ev.Found | None) -> None:
        self._cleaning = False
        if found is not None:
            self._loop.apply(found)
        if self._clean_again:
            self.clean()

    def _name_damaged(self, found: list[Damaged] | None) -> None:
        if found:
            named = {id_: name for name, id_ in self._desk.versions.links.items()}
            names = ", ".join(named[d.path.stem] for d in found if d.path.stem in named) or "none has a name"
            self._report(f"{len(found)} damaged objects are in the store ({names}): {found[0].reason}")

    # -- the worker ----------------------------------------------------------------------------------
    def _in_background(self, work: Callable[[], Any], done: Callable[[Any], None]) -> bool:
        """Run `work` in the worker thread and `done` with its result, None when it failed, on the loop."""
        try:
            future = self._worker.submit(work)
        except RuntimeError:  # the interpreter is ending, or the service is
            return False

        def finish() -> None:
            if future.exception() is not None:
                self._report(f"{self._store.path}: {future.exception()}")
            done(None if future.exception() is not None else future.result())

        future.add_done_callback(lambda _: self._loop.call(finish))
        return True

    def _report(self, text: str) -> None:
        _log.warning(text)
        self._loop.apply(ev.ProblemReported(None, text, time.time_ns()))
