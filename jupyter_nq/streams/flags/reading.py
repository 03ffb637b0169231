"""Reading a flag in a fraction of a microsecond, without ever taking for clear what cannot be read.

Mostly a read compares one word with the key that was cleared. When the last look is 50 us ago it looks at the size of
the file, because what was cut off must not be touched. Ten times a second it looks at all of it: the path, the record
and its digest, the owner. These looks are made by whoever reads, so they need no thread, and hold in a forked child.
"""

from __future__ import annotations

import threading
import time

from jupyter_nq.errors import ChecksumError, NQError
from jupyter_nq.streams.flags import record as clock
from jupyter_nq.streams.flags.changing import SETTLE_SECONDS, Changes, record_or_none
from jupyter_nq.streams.flags.owner import verdict
from jupyter_nq.streams.flags.page import DEADLINE_NS, DURABLE_GENERATION, KEY, SEQ, Page
from jupyter_nq.streams.flags.places import Places
from jupyter_nq.streams.flags.record import Record, State, shown, unreadable

GLANCE_NS = 50_000  # 50 us
LOOK_NS = 100_000_000  # 100 ms
UNSEEN = -1
"""What was seen of a flag that cannot be read: no key."""
_NO_KEY = -1
_SHORTEST_PAUSE_NS = 1_000_000  # 1 ms
_PAUSE_SECONDS = 0.001
_NO_WORDS = memoryview(bytes(8 * 64)).cast("Q")


class Reader:
    """A page as one process reads it.

    Parameters
    ----------
    places, name
        Of the flag.
    changes
        Opens the page, and sets the flag for an owner that is dead.
    """

    def __init__(self, places: Places, name: str, changes: Changes) -> None:
        # Any thread may look, without a lock: what one stores of another page than the other reads is at worst taken
        # for set until the next look, because no two settings have the same key.
        self._places, self.name, self._changes = places, name, changes
        self.page: Page | None = None
        self._words = _NO_WORDS
        self._forget()
        self.lost: str | None = None
        """Why this process lost the flag for good, until it is opened again."""
        self.wrong: str | None = None
        """Why the flag cannot be read now."""

    def __repr__(self) -> str:
        return f"<Reader of {self.name}>"

    @property
    def is_set(self) -> bool:
        """Tell whether the flag is set, or counts as set."""
        now = clock.now_ns()
        if now >= self._fresh_until:
            return self._glance(now)
        return self._words[KEY] != self._cleared and self._is_changed()

    def open(self) -> Page:
        """Open the page, again if this process lost it; raises `NQError`."""
        page = self._changes.open()
        self._let_go()
        self.page, self._words, self.lost, self.wrong = page, page.words, None, None
        return page

    def look(self) -> Page | None:
        """Look at all of it now; returns the page when it may be touched."""
        self._look_at = 0
        self._glance(clock.now_ns())
        return self.page if self.lost is None else None

    def touchable(self) -> Page | None:
        """Return the page when it may be touched now, and its path leads to it; waits for nothing."""
        page = self.page
        if self.lost is not None or page is None:
            return None
        wrong = page.wrong() or page.misplaced()
        if wrong is not None:
            self.lose(wrong)
            return None
        return page

    @property
    def pause_seconds(self) -> float:
        """How long whoever waits may sleep before it looks again."""
        if self._owner is None or self.touchable() is None:
            return LOOK_NS / 1e9
        return min(max(self._words[DEADLINE_NS] - clock.now_ns(), _SHORTEST_PAUSE_NS), LOOK_NS) / 1e9

    def lose(self, why: str) -> None:
        """Count the flag as set until it is opened again."""
        self._fresh_until, self._cleared = 0, _NO_KEY
        self.lost = self.wrong = why

    def close(self) -> None:
        """Let go of the page; the flag counts as set. Closing twice is fine."""
        self.lose("it was closed here")
        self._let_go()

    # -- the looks ---------------------------------------------------------------------------------
    def _glance(self, now: int) -> bool:
        """Look whether the page may be touched, and now and then at all of it."""
        if self.lost is not None or not self._is_open():
            return True
        page = self.page
        assert page is not None
        if page.is_cut() and (wrong := page.wrong()) is not None:
            self.lose(wrong)
            return True
        if now < self._look_at and not self._is_late(now):
            self._fresh_until = min(self._fresh_from(now), self._look_at)
            return self._words[KEY] != self._cleared and self._is_changed()
        return self._look(page, now)

    def _is_open(self) -> bool:
        """Tell whether there is a page; one that could not be opened is tried again."""
        if self.page is not None:
            return True
        try:
            self.open()
        except NQError as exc:
            self.wrong = str(exc)
        return self.page is not None

    def _fresh_from(self, now: int) -> int:
        """Return until when a word tells enough: never beyond the deadline of an owner."""
        return now + GLANCE_NS if self._owner is None else min(now + GLANCE_NS, self._words[DEADLINE_NS] + 1)

    def _is_late(self, now: int) -> bool:
        return self._owner is not None and now > self._words[DEADLINE_NS]

    def _look(self, page: Page, now: int) -> bool:
        self._forget()
        wrong = page.wrong() or page.misplaced()
        if wrong is not None:
            self.lose(wrong)
            return True
        found = self._read(page)
        if found is None:
            return True
        if found.owner is not None and (why := verdict(page, self._places, self.name, found.owner)) is not None:
            self._changes.latch(page, found.owner, why)
            found = self._read(page)
            return found is None or self._words[KEY] != self._cleared
        self._look_at = now + LOOK_NS
        self._fresh_until = self._fresh_from(now)
        return self._words[KEY] != self._cleared

    def _read(self, page: Page) -> Record | None:
        """Read the record, and remember what the fast path needs of it."""
        seq = self._words[SEQ]
        try:
            found = page.record()
        except ChecksumError as exc:
            self._cleared, self.wrong = _NO_KEY, str(exc)
            return None
        self.wrong = None
        self._owner = found.owner
        self._cleared = _NO_KEY if found.is_set else found.key
        self._seq = seq
        return found

    def _is_changed(self) -> bool:
        """Tell whether the flag is set, where the key is not the one that was cleared as far as is known."""
        if self._words[SEQ] == self._seq or self.page is None:
            return True
        found = self._read(self.page)
        return found is None or found.is_set or self._words[KEY] != found.key

    def _forget(self) -> None:
        self._cleared, self._seq, self._owner = _NO_KEY, _NO_KEY, None
        self._fresh_until = self._look_at = 0

    def _let_go(self) -> None:
        self.page, self._words = None, _NO_WORDS
        self._forget()


def read_state(reader: Reader) -> tuple[State, int]:
    """Return how a flag is, and the key of that, `UNSEEN` where it cannot be read.

    Who sets it just now says why in a moment, for which this waits a little.
    """
    pause, deadline = threading.Event(), time.monotonic() + SETTLE_SECONDS
    while True:
        page = reader.look()
        if page is None:
            return unreadable(reader.name, reader.lost or reader.wrong or "it cannot be opened"), UNSEEN
        key, record = page.words[KEY], record_or_none(page)
        if record is None or record.key == key or time.monotonic() > deadline:
            durable = record is not None and page.words[DURABLE_GENERATION] >= record.generation
            return shown(reader.name, record, key, durable=durable), key
        pause.wait(_PAUSE_SECONDS)
