"""Descriptors that a forked child must not keep.

A child inherits a duplicate of every descriptor, and a lock belongs to the open file that both share. A kept
duplicate of the coordinator's lock would hold it after the host died, one of a builder's lock would keep
everybody waiting, one of a connection would hide its end from the peer. So the child puts /dev/null in the
place of each: the duplicate is gone at once, and the Python objects that still know the number close
something harmless. A lock is never released by hand, because that would release it for the parent too.
"""

from __future__ import annotations

import os

# Changed by whichever thread opens or closes a descriptor; each change is one atomic operation of the set.
_owned: set[int] = set()


def own(fd: int) -> int:
    """Remember an open descriptor as this process's alone; returns it."""
    _owned.add(fd)
    return fd


def disown(fd: int) -> None:
    """Forget a descriptor; to be called before it is closed."""
    _owned.discard(fd)


def _replace_in_child() -> None:
    if not _owned:
        return
    harmless = _harmless()
    for fd in _owned:
        os.dup2(harmless, fd, inheritable=False)
    if harmless not in _owned:
        os.close(harmless)
    _owned.clear()


def _harmless() -> int:
    """Open /dev/null; when all descriptors are in use, in the place of one that must go anyway."""
    try:
        return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        os.close(next(iter(_owned)))
        return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


os.register_at_fork(after_in_child=_replace_in_child)
