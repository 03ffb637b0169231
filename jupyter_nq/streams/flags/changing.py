"""Changing a flag: each change is whole in memory before the next begins, and durable before it is reported.

Set: the key first, which everybody sees at once, then the record, then the disk. Clear: the disk first, then the
record, so that whoever dies in between leaves the flag set. Who holds the lock of the page is the only one to write
records and copies.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from jupyter_nq.errors import ChecksumError, FlagChanged, NQError
from jupyter_nq.streams.flags.durable import Copy, read_copy, remove_copy, sweep_drafts, write_copy
from jupyter_nq.streams.flags.locking import disk_locked, locked
from jupyter_nq.streams.flags.making import open_page
from jupyter_nq.streams.flags.page import DEADLINE_NS, DURABLE_GENERATION, KEY, Page
from jupyter_nq.streams.flags.places import Places
from jupyter_nq.streams.flags.record import UNFINISHED, Owner, Record, Who, fresh_key, now_ns, shortened, shown

SETTLE_SECONDS = 0.05
"""How long who sets a flag, and lives, may take to say why."""
_PAUSE_SECONDS = 0.001


@dataclass(frozen=True)
class Changed:
    """What became of a change."""

    record: Record
    trouble: str | None = None
    """Why the disk, or the record, does not have it; None when all is well."""


class Newer(FlagChanged):
    """Another setting came; `key` is its own, and whoever shows the message has seen it."""

    def __init__(self, text: str, key: int) -> None:
        super().__init__(text)
        self.key = key


class Changes:
    """The changes of one flag.

    Parameters
    ----------
    places
        Directories of the flags.
    name
        Of the flag.
    who
        Says who this process is.
    """

    def __init__(self, places: Places, name: str, who: Callable[[], Who]) -> None:
        self._places = places
        self._name = name
        self._who = who

    def __repr__(self) -> str:
        return f"<Changes of {self._name}>"

    def open(self) -> Page:
        """Open the page, made unless it is there, and bring it together with the disk.

        Raises
        ------
        StoreError, StoreFull, ChecksumError
        """
        page = open_page(self._places, self._name)
        self.reconcile(page)
        return page

    # -- set and clear -----------------------------------------------------------------------------
    def set(self, page: Page, why: str) -> Changed:
        """Set the flag; it is set for all when this returns or raises, whoever holds the lock."""
        alarm = fresh_key()
        clock_ns = now_ns()
        raise_alarm(page, alarm)
        try:
            with locked(page):
                return self._set(
                    page, record_or_none(page), why, by=self._who(), keeps_owner=True, alarm=alarm, clock_ns=clock_ns
                )
        except NQError as exc:
            raise_alarm(page)  # somebody may have cleared the first one meanwhile, as nothing was known of it
            record = Record(0, True, page.words[KEY], time.time_ns(), clock_ns, self._who(), why)
            return Changed(record, str(exc))

    def set_on_disk(self, why: str) -> str | None:
        """Set the flag where memory has no place for it; returns why the disk refuses, if it does."""
        copy = self._copy_or_none()
        record = self._next(None, copy, is_set=True, key=fresh_key(), why=why)
        return self._written(record)

    def clear(self, page: Page, seen_key: int, why: str) -> Changed:
        """Clear the setting with a key.

        Raises
        ------
        FlagChanged
            Another one came.
        StoreError, StoreFull
            The disk refuses, or somebody else has the lock; the flag stays set.
        """
        with locked(page):
            before = record_or_none(page)
            if (key := page.words[KEY]) != seen_key:
                raise self._newer(before, key)
            if before is not None and not before.is_set and before.key == seen_key:
                self._mend_copy(before)
                return Changed(before)
            with disk_locked(self._places):
                copy = self._copy_but_damaged()
                if copy is not None and before is not None and _is_newer(copy.record, before):
                    self._adopt(page, copy)
                    raise self._newer(record_or_none(page), page.words[KEY])
                record = self._next(before, copy, is_set=False, key=seen_key, why=why)
                self._write_clear(record, copy)
            page.words[DURABLE_GENERATION] = record.generation
            page.write(record)
            page.news.ring()
        return Changed(record)

    def _mend_copy(self, clear: Record) -> None:
        """Write a damaged copy anew, also where the flag is clear already: it would count as set after a restart."""
        with disk_locked(self._places):
            try:
                read_copy(self._places, self._name)
            except ChecksumError:
                write_copy(self._places, self._name, clear, ())

    # -- the dead man's switch ---------------------------------------------------------------------
    def arm(self, page: Page, owner: Owner) -> Changed:
        """Make somebody the owner, who has the lock of the owner's file; one before that died sets the flag."""
        with locked(page):
            before = page.record()
            if before.owner is not None:
                why = f"its owner {before.owner.who} ended without a release"
                before = self._set(page, before, why, by=self._who()).record
            record = shortened(replace(before, owner=owner))
            trouble = self._written(record)  # first: the disk may take longer than a heartbeat
            page.words[DEADLINE_NS] = now_ns() + round(owner.seconds * 1e9)
            page.write(record)
            page.news.ring()
            return Changed(record, trouble)

    def disarm(self, page: Page, owner: Owner) -> Changed | None:
        """Make nobody the owner; None when this one is not the owner any more."""
        with locked(page):
            before = page.record()
            if before.owner is None or before.owner.token != owner.token:
                return None
            record = replace(before, owner=None)
            page.write(record)
            page.news.ring()
            return Changed(record, self._keep(page, record))

    def latch(self, page: Page, owner: Owner, why: str) -> Changed | None:
        """Set the flag for an owner that is gone; None when somebody else did, or it is the owner no more."""
        try:
            with locked(page):
                before = page.record()
                if before.owner is None or before.owner.token != owner.token:
                    return None
                return self._set(page, before, why, by=self._who())
        except NQError as exc:
            raise_alarm(page)
            return Changed(Record(0, True, page.words[KEY], time.time_ns(), now_ns(), self._who(), why), str(exc))

    # -- memory and disk ---------------------------------------------------------------------------
    def reconcile(self, page: Page) -> str | None:
        """Bring memory and disk together: what one of them has set is set; returns what the disk refuses, if it does.

        Memory that is whole and clear while the disk cannot be read is clear: to clear it the disk was written first.
        """
        try:
            if self._agree(page):
                return None
        except NQError as exc:
            return str(exc)
        try:
            abandoned_key = _abandoned_key(page)
            with locked(page):
                return self._reconcile(page, abandoned_key)
        except NQError as exc:
            if not _is_set(page):
                raise_alarm(page)
            return str(exc)

    def _agree(self, page: Page) -> bool:
        copy = read_copy(self._places, self._name)
        before = record_or_none(page)
        if before is None:
            return True  # it counts as set, and whoever clears it writes both
        if page.words[KEY] != before.key:
            return False
        if copy is None:
            return before.generation == 0 and before.owner is None
        there = copy.record
        return there.is_set == before.is_set and (there.generation >= before.generation or not before.is_set)

    def _reconcile(self, page: Page, abandoned_key: int | None) -> str | None:
        before = page.record()
        copy = read_copy(self._places, self._name)
        if (key := page.words[KEY]) != before.key:
            if key != abandoned_key:
                return None  # whoever sets it waits for the lock
            return self._set(page, before, UNFINISHED, by=None, keeps_owner=True, alarm=key).trouble
        if not before.is_set and copy is not None and copy.record.is_set:
            self._adopt(page, copy)
            return None
        return None if self._agree(page) else self._keep(page, before)

    def _adopt(self, page: Page, copy: Copy) -> None:
        """Take over the setting that the disk has."""
        raise_alarm(page)
        page.write(replace(copy.record, key=page.words[KEY], owner=_owner(record_or_none(page), None)))
        page.words[DURABLE_GENERATION] = copy.record.generation
        page.news.ring()

    # -- under the lock ----------------------------------------------------------------------------
    def _set(
        self,
        page: Page,
        before: Record | None,
        why: str,
        *,
        by: Who | None,
        keeps_owner: bool = False,
        alarm: int = 0,
        clock_ns: int = 0,
    ) -> Changed:
        """Set the flag, by the key that gave alarm unless that is a former setting's; a key of who waits stays."""
        copy = self._copy_or_none()
        key = fresh_key() if not alarm or (before is not None and before.key == alarm) else alarm
        if before is None or page.words[KEY] == before.key:  # else it is set by who has not said why, and may not live
            page.words[KEY] = key
        record = self._next(before, copy, is_set=True, key=key, why=why)
        owner = record.owner if keeps_owner else None
        record = replace(record, who=by, owner=owner, clock_ns=clock_ns or record.clock_ns)
        page.write(record)
        page.news.ring()
        return Changed(record, self._keep(page, record))

    def _next(self, before: Record | None, copy: Copy | None, *, is_set: bool, key: int, why: str) -> Record:
        known = [before.generation] if before is not None else []
        known += [copy.record.generation] if copy is not None else []
        owner = _owner(before, copy)
        generation = max(known, default=0) + 1
        return shortened(Record(generation, is_set, key, time.time_ns(), now_ns(), self._who(), why, owner))

    def _keep(self, page: Page, record: Record) -> str | None:
        """Write the copy, and note that in the page; returns why the disk refuses, if it does."""
        trouble = self._written(record)
        if trouble is None:
            page.words[DURABLE_GENERATION] = record.generation
        return trouble

    def _written(self, record: Record) -> str | None:
        try:
            with disk_locked(self._places):
                self._write_copy(record, self._copy_or_none())
        except NQError as exc:
            return str(exc)
        return None

    def _write_copy(self, record: Record, copy: Copy | None) -> None:
        before = copy.history if copy is not None else ()
        if copy is not None and copy.record.is_set and copy.record.generation > record.generation:
            raise self._newer(copy.record, copy.record.key)  # of another machine with the same home directory
        sweep_drafts(self._places, self._name)
        write_copy(self._places, self._name, record, [one for one in before if one.generation < record.generation])

    def _write_clear(self, record: Record, copy: Copy | None) -> None:
        """Write the copy of a clear; where only the last sync failed, the one before is put back: it stays set."""
        try:
            self._write_copy(record, copy)
        except NQError:
            with contextlib.suppress(NQError):  # the disk refuses that, too: it has what it has, and memory is set
                if copy is None:
                    remove_copy(self._places, self._name)
                else:
                    write_copy(self._places, self._name, copy.record, copy.history[1:])
            raise

    def _copy_or_none(self) -> Copy | None:
        with contextlib.suppress(NQError):  # a setting is written over what cannot be read
            return read_copy(self._places, self._name)
        return None

    def _copy_but_damaged(self) -> Copy | None:
        with contextlib.suppress(ChecksumError):  # it counted as set, and that was seen
            return read_copy(self._places, self._name)
        return None

    def _newer(self, record: Record | None, key: int) -> Newer:
        state = shown(self._name, record, key)
        return Newer(f"{state}. That was not seen before: look at it, and clear it again.", key)


def record_or_none(page: Page) -> Record | None:
    """Return the record of a page; None when it is damaged."""
    with contextlib.suppress(ChecksumError):
        return page.record()
    return None


def _abandoned_key(page: Page) -> int | None:
    """Return the key of a setting whose reason does not come; who sets it and lives says why in a moment."""
    key, pause, deadline = page.words[KEY], threading.Event(), time.monotonic() + SETTLE_SECONDS
    while page.words[KEY] == key and page.record().key != key:
        if time.monotonic() > deadline:
            return key
        pause.wait(_PAUSE_SECONDS)
    return None


def _is_set(page: Page) -> bool:
    record = record_or_none(page)
    return record is None or record.is_set or record.key != page.words[KEY]


def raise_alarm(page: Page, key: int | None = None) -> None:
    """Set a flag, in one store, for everybody."""
    page.words[KEY] = fresh_key() if key is None else key
    page.news.ring()


def _owner(before: Record | None, copy: Copy | None) -> Owner | None:
    """Return the owner, whom a change keeps: of the record, or of the copy when that is damaged."""
    known = before or (copy and copy.record)
    return known.owner if known else None


def _is_newer(there: Record, here: Record) -> bool:
    """Tell whether the disk has a setting that memory never had: of a machine with the same home directory."""
    return there.is_set and there.generation > here.generation
