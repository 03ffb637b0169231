"""The byte quota: a request that does not fit is refused before anything is allocated.

The refusal names what takes the room and who holds it, because that is what its reader has to act on.
"""

from __future__ import annotations

from jupyter_nq.coordinator.catalogue import Catalogue
from jupyter_nq.coordinator.events import Reserve, StoredObject
from jupyter_nq.coordinator.people import People
from jupyter_nq.errors import StoreFull

_MOST_NAMED = 5
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def refuse_beyond(catalogue: Catalogue, people: People, wanted: Reserve) -> None:
    """Raise `StoreFull` when a reservation does not fit into the pool."""
    used = max(catalogue.bytes + people.reserved_bytes, wanted.taken)
    if used + wanted.bytes > wanted.limit:
        raise StoreFull(
            f"{wanted.name!r} needs {size(wanted.bytes)}, but the store may hold {size(wanted.limit)} "
            f"and {size(used)} are in use{_biggest(catalogue, people)}. "
            "Drop what is not needed, delete frames that hold old versions, or raise NQApp.pool_bytes."
        )


def size(count: int) -> str:
    """Return a number of bytes as people write it.

    >>> size(3 << 30)
    '3.0 GiB'
    """
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def _biggest(catalogue: Catalogue, people: People) -> str:
    found = sorted(catalogue.objects.values(), key=lambda stored: -stored.bytes)[:_MOST_NAMED]
    return f" ({'; '.join(_describe(stored, people) for stored in found)})" if found else ""


def _describe(stored: StoredObject, people: People) -> str:
    shown = dict.fromkeys((people.who(peer) for peer, _ in people.holders(stored.id)))
    held = ", ".join(f"{who.who}, pid {who.pid}" for who in shown) or "nobody that announced it"
    name = f"{stored.name} version {stored.version}" if stored.version else f"{stored.name}, not published"
    return f"{name}, {size(stored.bytes)}, held by {held}"
