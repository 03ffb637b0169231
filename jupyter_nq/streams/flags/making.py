"""Opening the page of a flag, made from what the disk has when it is not there: after a restart of the machine, say.

A page appears whole, by a link, so nobody sees it clear before what the disk has set.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import time
from pathlib import Path

from jupyter_nq.buffers.locks import try_flock
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import allocate, fresh_file, write_all
from jupyter_nq.errors import NQError, nearest
from jupyter_nq.streams.flags.durable import Copy, read_copy
from jupyter_nq.streams.flags.page import PAGE_BYTES, Page, new_page
from jupyter_nq.streams.flags.places import DRAFT, OWNER, WATCHER, Places
from jupyter_nq.streams.flags.record import Record, fresh_key, now_ns

_NEVER = "it was never set"

_log = logging.getLogger("jupyter_nq")


def open_page(places: Places, name: str) -> Page:
    """Return the page of a flag, made unless it is there.

    Raises
    ------
    StoreError, StoreFull, ChecksumError
        It cannot be opened, or made.
    """
    while True:
        with contextlib.suppress(FileNotFoundError):
            return Page(places.page(name))
        _make(places, name)


def remove_page(places: Places, name: str) -> None:
    """Remove the page of a flag, and what lies beside it that nobody holds."""
    with refused(places.page(name)):
        places.page(name).unlink(missing_ok=True)
    for kind in (OWNER, WATCHER, DRAFT):
        sweep(places, name, kind)


def sweep(places: Places, name: str, kind: str) -> None:
    """Remove the files of a kind beside a flag whose process is gone."""
    for path in places.all_beside(name, kind):
        if not is_locked(path):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds a file."""
    try:
        with refused(path):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        try:
            return not try_flock(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)
    except NQError:  # nobody knows, so nothing is done to it
        return True


def _make(places: Places, name: str) -> None:
    """Make a page, unless somebody else comes first."""
    _warn_of_alike(places, name)
    with refused(places.memory):
        places.memory.mkdir(mode=0o700, exist_ok=True)
    sweep(places, name, DRAFT)
    content = _first_content(places, name)
    draft = places.beside(name, DRAFT, secrets.token_hex(8))
    with fresh_file(draft, draft) as fd:
        allocate(fd, [(0, PAGE_BYTES)], places.memory)
        write_all(fd, memoryview(content), 0)
        with refused(places.page(name)), contextlib.suppress(FileExistsError):
            os.link(draft, places.page(name))
        with refused(draft), contextlib.suppress(FileNotFoundError):
            draft.unlink()


def _warn_of_alike(places: Places, name: str) -> None:
    """Say that a flag is new when there is one of nearly that name: a misspelt kill switch is clear for ever."""
    with contextlib.suppress(NQError):
        there = places.names()
        if name not in there and (hint := nearest(name, there)):
            _log.warning("the flag %r is new, and clear.%s", name, hint)


def _first_content(places: Places, name: str) -> bytes:
    try:
        copy = read_copy(places, name)
    except NQError as exc:
        return new_page(_found_set(1, f"its copy on the disk cannot be read: {exc}"), 0)
    return new_page(_first_record(copy), copy.record.generation if copy is not None else 0)


def _first_record(copy: Copy | None) -> Record:
    """Return what a new page says; whoever was to beat when memory was lost is gone."""
    if copy is None:
        return Record(0, False, fresh_key(), 0, 0, None, _NEVER)
    was = copy.record
    if was.owner is not None:
        return _found_set(was.generation + 1, f"its owner {was.owner.who} had not released it when memory was lost")
    return Record(was.generation, was.is_set, fresh_key(), was.at_ns, was.clock_ns, was.who, was.why)


def _found_set(generation: int, why: str) -> Record:
    return Record(generation, True, fresh_key(), time.time_ns(), now_ns(), None, why)
