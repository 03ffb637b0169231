"""Whose the messages of a segment are: who made it, and who went on in it afterwards, each from a sequence on.

A publisher writes itself down before it goes on, so whoever looks at a lane later can tell its messages apart.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

from jupyter_nq.buffers.layout import PAGE
from jupyter_nq.streams import layout
from jupyter_nq.streams.layout import Segment

_WORDS = 3  # one more than the sequence, 0 for no entry; pid; when that process began
_PLACES = range(layout.OWNERS, PAGE // 8 - _WORDS + 1, _WORDS)


@dataclass(frozen=True)
class Owner:
    """A publisher, and the sequence of the first message that may be its own."""

    first_seq: int
    pid: int
    started_ns: int


def owners(mapped: mmap.mmap, segment: Segment) -> Iterator[Owner]:
    """Yield the publishers of a segment in their order; all but the last published until the next one's first."""
    yield Owner(segment.first_seq, segment.publisher_pid, segment.publisher_started)
    with memoryview(mapped) as raw, raw[:PAGE].cast("Q") as words:
        found = [words[at : at + _WORDS].tolist() for at in _PLACES]
    for following, pid, started_ns in found:
        if not following:
            return
        yield Owner(following - 1, pid, started_ns)


def go_on(mapped: mmap.mmap, owner: Owner) -> bool:
    """Write down who goes on in a segment; False when it has had too many publishers. One that published none goes."""
    with memoryview(mapped) as raw, raw[:PAGE].cast("Q") as words:
        for at in _PLACES:
            if not words[at] or words[at] > owner.first_seq:
                words[at] = 0  # until the rest is there: who dies in between has published nothing
                words[at + 1], words[at + 2] = owner.pid, owner.started_ns
                words[at] = owner.first_seq + 1
                return True
    return False


def forget(mapped: mmap.mmap) -> None:
    """Remove all but the maker, of a segment that is written anew."""
    with memoryview(mapped) as raw:
        raw[8 * layout.OWNERS : PAGE] = bytes(PAGE - 8 * layout.OWNERS)
