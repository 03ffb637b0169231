"""What this process is registered as: told to each coordinator it connects to, as the ledger tells what it holds."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable
from typing import Any

from jupyter_nq.buffers import check_name
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.errors import InvalidArgument, NQError

_log = logging.getLogger("jupyter_nq")


class Roster:
    """The registrations of one process; a forked child begins without any."""

    def __init__(self) -> None:
        # _lock guards _told: by name, what is said to a coordinator; and _pid, whose they are.
        self._lock = threading.Lock()
        self._told: dict[str | None, dict[str, Any]] = {}
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"<Roster of {', '.join(str(name or 'this process') for name in self._mine()) or 'nobody'}>"

    def called(self) -> str:
        """Return the names that this process registered, as one reads them; empty without any."""
        return ", ".join(name for name in self._mine() if name is not None)

    def register(self, channel: Channel, name: str | None, type_: str | None, capabilities: Iterable[str]) -> None:
        """Say what this process is, now and after each reconnection; `NameTaken` when another one has the name."""
        said = _checked(name, type_, capabilities)
        with self._lock:
            mine = self._mine()
            before = mine.get(name)
            said["since_ns"] = before["since_ns"] if before else time.time_ns()
            mine[name] = said  # before it is said: another coordinator may be told meanwhile
        try:
            channel.request("register", **said)
        except BaseException:
            self._put_back(name, before)
            raise

    def unregister(self, channel: Channel, name: str | None) -> None:
        """Take back what was said under a name; `UnknownNotebook` when it was not."""
        with self._lock:
            self._mine().pop(name, None)
        channel.request("unregister", name=name)

    def tell(self, channel: Channel) -> None:
        """Say everything to a coordinator that may not know it."""
        for said in list(self._mine().values()):
            try:
                channel.request("register", **said)
            except NQError as exc:  # somebody took the name between two coordinators: the others are said all the same
                _log.warning("this process lost a name: %s", exc)
                channel.note("problem", text=str(exc))

    def _put_back(self, name: str | None, before: dict[str, Any] | None) -> None:
        with self._lock:
            if before is None:
                self._mine().pop(name, None)
            else:
                self._mine()[name] = before

    def _mine(self) -> dict[str | None, dict[str, Any]]:
        """Return what this process said; what its parent said is not its own."""
        if self._pid != os.getpid():
            self._lock, self._told, self._pid = threading.Lock(), {}, os.getpid()
        return self._told


def _checked(name: str | None, type_: str | None, capabilities: Iterable[str]) -> dict[str, Any]:
    if name is not None:
        check_name(name, "notebook")
    words = capabilities if isinstance(capabilities, str) else list(capabilities)
    if isinstance(words, str) or not all(_is_word(word) for word in words):
        raise InvalidArgument(
            f"capabilities={capabilities!r} is no list of words. Write for example ['orders', 'risk']."
        )
    if type_ is not None and not _is_word(type_):
        raise InvalidArgument(f"type={type_!r} is no word of 1 to 64 characters. Write for example 'execution'.")
    return {"name": name, "type": type_, "capabilities": words}


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 64 and value.isprintable()
