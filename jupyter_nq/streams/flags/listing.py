"""The flags of a store: how each is, and removing one that nobody uses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import NQError
from jupyter_nq.streams.flags.changing import Changes
from jupyter_nq.streams.flags.durable import read_copy, remove_copy
from jupyter_nq.streams.flags.locking import disk_locked, locked
from jupyter_nq.streams.flags.making import is_locked, remove_page
from jupyter_nq.streams.flags.page import KEY, Page
from jupyter_nq.streams.flags.places import OWNER, Places
from jupyter_nq.streams.flags.reading import Reader, read_state
from jupyter_nq.streams.flags.record import State, Who, fresh_key
from jupyter_nq.streams.flags.watchers import watchers


def flag_states(places: Places, who: Callable[[], Who]) -> list[State]:
    """Return the state of each flag, by name, those included that only the disk has; none is watched for it."""
    return [flag_state(places, name, who) for name in places.names()]


def flag_state(places: Places, name: str, who: Callable[[], Who]) -> State:
    """Return the state of a flag, without watching it."""
    return read_state(Reader(places, name, Changes(places, name, who)))[0]


def users(places: Places, name: str) -> list[Who]:
    """Return the processes that have a flag open; whoever owns it is one of them."""
    return [seen.who for seen in watchers(places, name)]


def why_kept(places: Places, name: str) -> str | None:
    """Return why a flag may not be removed; None when it is whole, clear, and nobody uses it. Changes nothing."""
    try:
        copy = read_copy(places, name)
        if copy is not None and (copy.record.is_set or copy.record.owner is not None):
            return f"the disk has it set, or owned: {copy.record.why}"
        with contextlib.suppress(FileNotFoundError):
            page = Page(places.page(name))
            record = page.record()
            if record.is_set or record.key != page.words[KEY] or record.owner is not None:
                return f"it is set, or owned: {record.why}"
    except NQError as exc:
        return f"it cannot be read, and counts as set: {exc}"
    using = ", ".join(str(who) for who in users(places, name))
    return f"in use by {using}" if using else None


def remove_flag(places: Places, name: str) -> str | None:
    """Remove a flag that is clear and that nobody uses, from memory and from the disk; returns why not, else None.

    Who has it mapped all the same, such as a forked child, finds it set.
    """
    with contextlib.suppress(FileNotFoundError):
        page = Page(places.page(name))
        with locked(page):
            if (why := why_kept(places, name)) is not None:
                return why
            key = page.words[KEY]
            page.words[KEY] = fresh_key()
            if page.record().key != key or is_locked(places.beside(name, OWNER)):
                return "it is set just now"
            remove_page(places, name)
    if not places.disk.is_dir():
        return why_kept(places, name)
    with disk_locked(places):  # who has opened the flag anew, and sets it, writes its copy before this or after it
        if (why := why_kept(places, name)) is None:
            remove_copy(places, name)
        return why


def remove_directory(places: Places) -> None:
    """Remove the directory of pages when nothing is in it."""
    with refused(places.memory), contextlib.suppress(FileNotFoundError):
        os.rmdir(places.memory)
