"""A flag: a latched value such as a kill switch, shared by all processes that open its store.

It stays set until somebody clears it, whatever is restarted; it can be set and read without any coordinator; and what
cannot be read counts as set.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable

from jupyter_nq.buffers.names import check_name
from jupyter_nq.errors import ChecksumError, FlagChanged, Halted, NQError, StoreError
from jupyter_nq.streams.flags.background import background
from jupyter_nq.streams.flags.changing import Changed, Changes, Newer, raise_alarm
from jupyter_nq.streams.flags.durable import read_copy
from jupyter_nq.streams.flags.making import remove_page
from jupyter_nq.streams.flags.owner import Ownership
from jupyter_nq.streams.flags.page import KEY, SEQ, Page
from jupyter_nq.streams.flags.places import Places
from jupyter_nq.streams.flags.reading import UNSEEN, Reader, read_state
from jupyter_nq.streams.flags.record import State, Who, state_of
from jupyter_nq.streams.flags.watchers import Acknowledged, Attendance, acknowledged
from jupyter_nq.streams.flags.watching import Watch
from jupyter_nq.streams.waiting import Bell

_NO_REASON = "no reason given"


class Flag:
    """A flag, open until it is closed; the truth of it is whether it is set.

    Parameters
    ----------
    places
        Directories of the store's flags.
    name
        `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    who
        Says who this process is.

    Raises
    ------
    InvalidName
        Nothing else: a flag that cannot be opened counts as set, and says why.
    """

    def __init__(self, places: Places, name: str, who: Callable[[], Who]) -> None:
        # What is here is replaced as a whole, by the notebook's thread, but for _seen_at: what the background thread
        # has told last. None asks it to tell again.
        self.name = check_name(name, "flag")
        self._places = places
        self._changes = Changes(places, name, who)
        self._owning = Ownership(places, name, who, self._changes)
        self._attendance = Attendance(places, name, who)
        self._watches: list[Watch] = []
        self.is_open = True
        """Until it is closed."""
        self._reader = Reader(places, name, self._changes)
        self._seen_at: tuple[int, int] | None = None
        self._seen = UNSEEN
        self.look()
        self._attendance.begin()
        background.add(self)

    def __repr__(self) -> str:
        return f"<Flag {self._state()}>"

    def __enter__(self) -> Flag:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- reading -----------------------------------------------------------------------------------
    @property
    def is_set(self) -> bool:
        """Tell whether the flag is set, or counts as set; some hundred nanoseconds."""
        return self._reader.is_set

    def __bool__(self) -> bool:
        return self._reader.is_set

    @property
    def state(self) -> State:
        """Who set or cleared it, when and why. To look at it is to have seen it: `clear` clears what was seen."""
        return self.look()

    def look(self) -> State:
        """Return the state, which then counts as seen."""
        state, self._seen = read_state(self._reader)
        return state

    def check(self) -> None:
        """Go on if the flag is clear: the first line of a cell that sends orders.

        Raises
        ------
        Halted
            It is set; the message says by whom, when and why.
        """
        if self._reader.is_set:
            raise Halted(f"Halted: {self.look()}.")

    @property
    def history(self) -> list[State]:
        """The last changes, the newest first; raises `StoreError` or `ChecksumError` when the disk cannot be read."""
        copy = read_copy(self._places, self.name)
        known = [state_of(self.name, record, durable=True) for record in (copy.history if copy else ())]
        now = self._state()
        newest = known[0].generation if known else 0
        return [now, *known] if now.unreadable is None and now.generation > newest else known

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set, or for some seconds; returns whether it is set."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while not self._reader.is_set:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            bell = self.bell
            if bell is not None:
                seen = bell.seen()
                if not self._reader.is_set:
                    bell.wait(seen, min(left, self._reader.pause_seconds))
        return True

    # -- changing ----------------------------------------------------------------------------------
    def set(self, reason: str) -> State:
        """Set the flag for everybody, at once, and return when the disk has it, too.

        Setting one that is set is another setting, with a reason of its own.

        Parameters
        ----------
        reason
            Why, for those who are halted.

        Warns
        -----
        UserWarning
            The disk refuses, or another process is stopped while it changes the flag: it is set, and says so, but a
            restart of the machine would clear it.

        Raises
        ------
        StoreError
            Memory has no place for it, because the store is gone, say: all who have the flag open see that, and count
            it as set; the disk has it set for whoever opens it later, or the message says why not.
        """
        page = self._reader.touchable() or self._reopened_to_set(_reason(reason))
        changed = self._changes.set(page, _reason(reason))
        if changed.trouble is not None and page.misplaced() is not None:  # removed just now, by who took it for clear
            changed = self._changes.set(self._reopened(), _reason(reason))
        self._seen = changed.record.key
        self._warn_of(changed, f"The flag {self.name!r} is set, for all who read it")
        return state_of(self.name, changed.record, durable=changed.trouble is None)

    def clear(self, reason: str) -> State:
        """Clear the setting that was seen: at the opening, by `state`, `check`, `set`, or the error of a clear.

        Raises
        ------
        FlagChanged
            It was set anew since; now that is seen.
        StoreError, StoreFull
            The disk refuses; it stays set.
        """
        page = self._reader.look() or self._reopened_seen()
        try:
            changed = self._changes.clear(page, self._seen, _reason(reason))
        except Newer as exc:
            self._seen = exc.key
            raise
        return state_of(self.name, changed.record, durable=True)

    def acknowledged(self, timeout: float = 1.0) -> list[Acknowledged]:
        """Wait until all living watchers have seen how the flag is, at most for some seconds; returns what they say."""
        page = self._reader.touchable()
        return [] if page is None else acknowledged(page, self._places, self.name, timeout)

    def watch(self, callback: Callable[[State], object]) -> Watch:
        """Have a callback called with the state: now if it is set, and whenever it changes, in a background thread."""
        found = Watch(callback)
        self._watches = [*(one for one in self._watches if not one.stopped), found]
        self._seen_at = None
        background.add(self)
        self._ring()
        return found

    # -- the dead man's switch ---------------------------------------------------------------------
    def own(self, seconds: float, beat: str = "thread") -> None:
        """Make this process the owner: the flag is set when its heartbeat stops for so many seconds.

        Parameters
        ----------
        seconds
            From 0.2 to a day.
        beat
            "thread": a background thread beats, also while a cell blocks, so it tells that the process lives and
            runs, not that its work goes on. "manual": your code calls `beat()`.

        Raises
        ------
        FlagBusy, InvalidArgument, StoreError, ChecksumError
        """
        page = self._reader.look() or self._reopened()
        changed = self._owning.begin(page, seconds, beat)
        if changed is not None:
            self._warn_of(changed, f"The heartbeat of the flag {self.name!r} is watched")
        background.add(self)

    def beat(self) -> None:
        """Give a sign of life; raises `Halted` when it comes too late, and `FlagBusy` of who never was the owner."""
        if not self._owning.beat(self._owned()):
            self.check()

    def release(self) -> None:
        """Be the owner no more, without setting the flag; raises `Halted` when the heartbeat had stopped before.

        Raises
        ------
        Halted, FlagBusy
            The heartbeat had stopped before; this process never was the owner.
        """
        changed = self._owning.release(self._owned())
        if changed is None:
            self._reader.look()
            self.check()
        elif changed.trouble is not None:
            self._warn_of(changed, f"The flag {self.name!r} has no owner any more")

    def close(self) -> None:
        """Let go of the flag, which counts as set here; an owner that did not release it sets it. Twice is fine."""
        self.is_open = False
        background.remove(self)
        self._owning.close()
        if self._reader.lost is None:
            self._reader.look()
        self._attendance.close()
        self._reader.close()

    # -- the background thread ---------------------------------------------------------------------
    @property
    def bell(self) -> Bell | None:
        """Rings when the flag changes; None when it cannot be touched."""
        page = self._reader.touchable()
        return page.news if page is not None else None

    @property
    def pause_seconds(self) -> float:
        """How long the background thread may sleep."""
        return min(self._reader.pause_seconds, self._owning.pause_seconds)

    def step(self) -> None:
        """Acknowledge what is new, beat, and call back."""
        page = self._reader.look() if self._seen_at is None else self._touched()
        self._owning.step(page)
        at = (page.words[KEY], page.words[SEQ]) if page is not None else (UNSEEN, UNSEEN)
        if page is not None:
            self._attendance.write(page, at[0])
        if at != self._seen_at:
            self._seen_at = at
            watches = [one for one in self._watches if not one.stopped]
            state = self._state() if watches else None
            for one in watches:
                assert state is not None
                one.tell(state)

    def part(self) -> None:
        """Leave what is the parent's to it, in a forked child, which only reads until it opens the flag itself."""
        self._owning.part()
        self._attendance.part()
        self._watches = []

    # -- what is there -----------------------------------------------------------------------------
    def _touched(self) -> Page | None:
        self._reader.is_set  # noqa: B018  # it looks when it is time
        return self._reader.touchable()

    def _owned(self) -> Page | None:
        """Return the page for its owner; whoever was that and is not any more hears of the halt."""
        if not self._owning.is_mine:
            self.check()
        return self._reader.touchable()

    def _state(self) -> State:
        return read_state(self._reader)[0]

    def _ring(self) -> None:
        bell = self.bell
        if bell is not None:
            bell.ring()

    def _warn_of(self, changed: Changed, what: str) -> None:
        if changed.trouble is not None:
            warnings.warn(f"{what}, but a restart of the machine would end that: {changed.trouble}", stacklevel=3)

    # -- opening -----------------------------------------------------------------------------------
    def _reopened(self) -> Page:
        """Open the flag again after this process lost it; a page that is no page is made anew."""
        try:
            return self._reader.open()
        except ChecksumError:
            remove_page(self._places, self.name)
            return self._reader.open()

    def _reopened_to_set(self, why: str) -> Page:
        """Open the flag again; where memory has no place for it the disk has it set, for whoever opens it later."""
        lost = self._reader.page
        if lost is not None and not lost.is_cut():
            raise_alarm(lost)  # for others who have the page that is gone
        try:
            return self._reopened()
        except NQError as exc:
            trouble = self._changes.set_on_disk(why)
            kept = "the disk has it set" if trouble is None else f"nor has the disk: {trouble}"
            raise StoreError(f"The flag {self.name!r} has no page in memory, {kept}. {exc}") from exc

    def _reopened_seen(self) -> Page:
        """Open the flag again, if it was seen that it cannot be read; what then is there must be seen, too."""
        if self._seen != UNSEEN:
            raise FlagChanged(f"{self.look()}. That was not seen before: look at it, and clear it again.")
        page = self._reopened()
        state = self.look()
        if state.is_set:
            raise FlagChanged(f"{state}. That was not seen before: look at it, and clear it again.")
        return page


def _reason(text: str) -> str:
    return " ".join(str(text).split()) or _NO_REASON
