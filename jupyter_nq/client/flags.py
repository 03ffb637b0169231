"""The flags of this process's store: opened by name, without a session and without a coordinator.

`_open` is the mutable state; `_lock` guards it. A forked child opens its flags anew.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from jupyter_nq.buffers.directory import open_directory
from jupyter_nq.client.api import at_hand
from jupyter_nq.client.cold.disk import machine
from jupyter_nq.config import Settings, default_store_dir, load_settings, spill_dir_of
from jupyter_nq.coordinator.identity import program
from jupyter_nq.errors import InvalidArgument
from jupyter_nq.streams.flags import Flag, Places, State, Who
from jupyter_nq.streams.flags.listing import flag_states
from jupyter_nq.streams.flags.owner import check_heartbeat
from jupyter_nq.streams.flags.places import FLAGS

_NOTEBOOK = "JPY_SESSION_NAME"  # Jupyter's server gives it to its kernels

_lock = threading.Lock()
_open: dict[tuple[Path, str], Flag] = {}


def flag(name: str, *, deadman: float | None = None, beat: str | None = None) -> Flag:
    """Return a flag of the store, such as a kill switch: made unless it is there, and one object for each name.

    Parameters
    ----------
    name
        `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    deadman
        Seconds. This process becomes the owner: when it gives no sign of life for so long, or ends without
        `flag.release()`, the flag is set.
    beat
        "thread" (None): a background thread gives the signs of life, also while a cell blocks. "manual": your code
        does, with `flag.beat()`.

    Raises
    ------
    InvalidName, InvalidArgument
    FlagBusy
        Another process is the owner.
    StoreError
        There is no store, and none can be made; or the owner cannot be written down.

    Examples
    --------
    >>> halt = nq.flag("halt")  # doctest: +SKIP
    >>> halt.check()  # raises Halted when it is set  # doctest: +SKIP
    """
    if beat is not None and deadman is None:
        raise InvalidArgument(f"beat={beat!r} is of a dead man's switch: give deadman=SECONDS, too.")
    if deadman is not None:
        check_heartbeat(deadman, beat or "thread")
    places = _places()
    with _lock:
        found = _open.get((places.memory, name))
        if found is None or not found.is_open:
            found = _open[places.memory, name] = Flag(places, name, who_am_i)
    if deadman is not None:
        found.own(deadman, beat or "thread")
    return found


def flags() -> list[State]:
    """Return the state of each flag of the store, by name; one that cannot be read counts as set, and says why."""
    return flag_states(_places(), who_am_i)


def who_am_i() -> Who:
    """Return this process as the coordinator would name it, without asking it."""
    return Who(program(os.getpid()), os.getpid(), os.environ.get(_NOTEBOOK) or None, machine())


def places_of(store_path: Path, settings: Settings) -> Places:
    """Return where the flags of a store lie, in memory and on the disk.

    Machines that share a home directory share the one on the disk, also when each has cold copies of its own: what one
    of them has set is set on the others when they next open it, and on whatever follows a container of another name.
    """
    copies = spill_dir_of(settings.spill_dir, store_path)
    return Places(Path(os.path.realpath(store_path)) / FLAGS, copies.with_name(f"{copies.name}.{FLAGS}"))


def _places() -> Places:
    """Return those of the session that is open, else of the store that the settings name."""
    session = at_hand()
    if session is not None:
        return places_of(session.store.path, session.settings)
    settings = load_settings()
    path = Path(settings.store_dir or default_store_dir())
    open_directory(path, create=True)
    return places_of(path, settings)


def _forget_in_child() -> None:
    global _lock, _open
    _lock, _open = threading.Lock(), {}


os.register_at_fork(after_in_child=_forget_in_child)
