"""Handing a version of a dataset to another notebook: done when that notebook holds it, or an error says why not."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_nq.client.notebooks.inbox import Arrival, Callback
from jupyter_nq.client.notebooks.receiving import reach
from jupyter_nq.coordinator.deliveries import DELIVERED
from jupyter_nq.coordinator.protocol import raise_error
from jupyter_nq.errors import InvalidArgument, NotDelivered, NQError, SyncTimeout

if TYPE_CHECKING:
    from jupyter_nq.buffers import Handle
    from jupyter_nq.client.session import Session

TIMEOUT_SECONDS = 30.0
_AGAIN_SECONDS = 0.02


@dataclass(frozen=True)
class Delivered:
    """What `nq.sync` did: the target holds this version."""

    target: str
    target_pid: int
    name: str
    version: int
    seconds: float
    """From the call to the target's word; the writing of the data is in it."""


def sync(
    session: Session,
    target: str | int,
    name: str,
    data: Any = None,
    *,
    timeout: float = TIMEOUT_SECONDS,
    sender: str | None = None,
) -> Delivered:
    """Hand a version of a dataset to another notebook; returns when that holds it, even while a cell of it runs.

    The target must have asked for it (`nq.accept`), and finds it with `nq.synced`: none of its variables changes by
    itself. It has compared the bytes with their digest. Versions that are handed over one after the other come in that
    order; one that is older than what the target has is refused.

    Parameters
    ----------
    target
        A registered name, a notebook's path or file name, a program's name, or a pid.
    name
        The dataset: its newest version, or a new one when there are data.
    data
        What `nq.put` takes; None hands over what is there.
    timeout
        Seconds to wait for the target.
    sender
        A name that this process registered, to be shown as the sender's; None shows the notebook or program.

    Raises
    ------
    UnknownNotebook
        No such notebook is connected; with the nearest names.
    NotDelivered
        It has not asked for that, is gone, has a newer version, or found damage.
    SyncTimeout
        It has not said in time that it has it; it may get it all the same.
    InvalidName, InvalidArgument, UnknownDataset, UnsupportedData, StoreFull, CoordinatorUnavailable
    """
    start = time.monotonic()
    version = None if data is None else session.put(name, data).version
    with session.open(name, version) as handle:  # held meanwhile: nothing frees it on the way
        pid = _Sending(session, str(target), handle, start + _checked(timeout), sender).run()
        return Delivered(str(target), pid, name, handle.version, time.monotonic() - start)


class _Sending:
    """One delivery, sent again when another coordinator takes over before the target has answered."""

    def __init__(self, session: Session, target: str, handle: Handle, deadline: float, sender: str | None) -> None:
        self._session = session
        self._target = target
        self._deadline = deadline
        what = {"name": handle.info.name, "version": handle.version, "id": handle.info.id}
        self._told = {"target": target, "sender": sender, **what}

    def run(self) -> int:
        """Return the pid that holds the version."""
        pause = threading.Event()
        while True:
            try:
                pid = self._try()
            except NQError:
                raise
            except TimeoutError as exc:
                raise self._late() from exc
            except OSError:  # the coordinator left, and the next one knows nothing of it
                pid = None
            if pid is not None:
                return pid
            if time.monotonic() >= self._deadline:
                raise self._late()
            pause.wait(_AGAIN_SECONDS)

    def _try(self) -> int | None:
        """Send once; None when it is to be sent again."""
        left = self._deadline - time.monotonic()
        wire = reach(self._session, max(left, _AGAIN_SECONDS))
        try:
            answer = wire.call("sync", self._told)
            if answer.get("again"):
                return None
            while True:
                wire.sock.settimeout(max(self._deadline - time.monotonic(), 0.001))
                event, outcome = wire.next_event()
                if event == DELIVERED and outcome["number"] == answer["number"]:
                    return _pid_of(outcome)
        finally:
            wire.close()  # who gives up is not told later, and the target's word is nobody's

    def _late(self) -> NotDelivered:
        name, version = self._told["name"], self._told["version"]
        return SyncTimeout(
            f"{self._target!r} has not said in time that it has {name!r} version {version}: its process may be "
            "stopped, or busy with another one. It may get it all the same; sync it again, or with a longer timeout."
        )


def _pid_of(outcome: Mapping[str, Any]) -> int:
    if "error" in outcome:
        raise_error(outcome["error"])
    return int(outcome["pid"])


def _checked(timeout: float) -> float:
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not 0 < timeout < float("inf"):
        raise InvalidArgument(f"timeout={timeout!r} is no number of seconds above 0.")
    return timeout


# -- what a target asks for ----------------------------------------------------------------------
def accept(session: Session, *names: str) -> None:
    """Ask for what other notebooks hand over (`nq.sync`) under these names, or under any without one.

    It is taken by a background thread, also while a cell runs, and held until something newer comes under the same name
    or `nq.decline` lets go of it: `nq.synced(name)` returns it. Others can send when this returns.

    Raises
    ------
    InvalidName, CoordinatorUnavailable
    """
    session.inboxes.of().accept(*names)


def on_sync(session: Session, name: str, callback: Callback | None = None) -> None:
    """Ask for what is handed over under a name, and have a callback called with each `Arrival`.

    The sender does not wait for callbacks: they run one after the other in a thread of their own, and what they raise
    is logged once of its kind.

    Parameters
    ----------
    callback
        Called with `Arrival`: `name`, `version`, `sender`, `at`, `data`; None only asks, as `nq.accept`.

    Raises
    ------
    InvalidName, InvalidArgument, CoordinatorUnavailable
    """
    if callback is None:
        session.inboxes.of().accept(name)
    else:
        session.inboxes.of().on_sync(name, callback)


def decline(session: Session, *names: str) -> None:
    """Take these names no longer, or nothing any more without one, and let go of what came under them."""
    session.inboxes.of().decline(*names)


def synced(session: Session, name: str, timeout: float = 0.0, newer_than: int = 0) -> Arrival:
    """Return the newest version that another notebook handed to this one under a name.

    Parameters
    ----------
    timeout
        Seconds to wait until one has come.
    newer_than
        Waits for a version above this one.

    Returns
    -------
    Arrival
        `data` (a view of shared memory, where it can be one), `version`, `sender`, `at`.

    Raises
    ------
    UnknownDataset
        None has come.
    """
    return session.inboxes.of().arrival(name, timeout, newer_than)
