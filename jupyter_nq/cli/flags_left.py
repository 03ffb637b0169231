"""The flags that a store was left with, as `jupyter nq clean` sees them: one that is set is never removed."""

from __future__ import annotations

from pathlib import Path

from jupyter_nq.client.flags import places_of
from jupyter_nq.config import Settings
from jupyter_nq.errors import NQError
from jupyter_nq.streams.flags.listing import remove_directory, remove_flag, why_kept


def sweep_flags(path: Path, settings: Settings, *, really: bool) -> tuple[list[str], list[str]]:
    """Remove the flags that are clear and that nobody has open; returns what is, or would be, and what is refused."""
    places = places_of(path, settings)
    removed, refused = [], []
    try:
        names = places.names()
    except NQError as exc:
        return [], [f"the flags: {exc}"]
    for name in names:
        try:
            why = remove_flag(places, name) if really else why_kept(places, name)
        except NQError as exc:
            why = str(exc)
        if why is None:
            removed.append(f"the flag {name}, which is clear")
        else:
            refused.append(f"the flag {name}: {why}")
    if really and not refused:
        remove_directory(places)
    return removed, refused
