"""Events of the coordinator, on a second connection and in a thread of their own.

`changed` says that the desk is not what it was, at most one at a time however much changed; it also comes
after every connection, because what happened in between is unknown. `who` asks a Jupyter server to send its
kernels. A watch never hosts: it waits for whoever does.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_nq.config import Settings
from jupyter_nq.coordinator import Wire, dial
from jupyter_nq.coordinator.listening import SOCKET_NAME
from jupyter_nq.errors import NQError

_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 1.0

Callback = Callable[[str, dict[str, Any]], None]

_log = logging.getLogger("jupyter_nq")


class Watch:
    """Calls back for each event until it is closed.

    Parameters
    ----------
    store_path
        Directory of the store.
    settings
        Settings of this process.
    role
        "watch", or "server" for a Jupyter server that answers `who`.
    callback
        Called in the watch's thread with the event's name and data.
    """

    def __init__(self, store_path: str | os.PathLike[str], settings: Settings, role: str, callback: Callback) -> None:
        self._path = Path(os.path.abspath(store_path)) / SOCKET_NAME
        self._seconds = settings.connect_seconds
        self._role = role
        self._callback = callback
        self._closing = threading.Event()
        self._wire: Wire | None = None  # set by the thread; close() only interrupts it
        self._failure = ""  # the last one that nobody expected, so that it is logged once
        self._thread = threading.Thread(target=self._run, name="jupyter-nq-watch", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        state = "closed" if self._closing.is_set() else "connected" if self._wire else "waiting"
        return f"<Watch on {self._path.parent} as {self._role}, {state}>"

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop; no callback comes after it returns, unless it is called from one. Closing twice is fine."""
        self._closing.set()
        wire = self._wire
        if wire is not None:
            wire.interrupt()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._closing.is_set():
            if self._attend():
                pause = _FIRST_PAUSE_SECONDS
            self._closing.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _attend(self) -> bool:
        """Connect and listen until the coordinator leaves; False when nothing was heard."""
        try:
            wire = dial(self._path, self._role, self._seconds)
        except (OSError, NQError) as exc:
            _log.debug("no coordinator to watch: %s", exc)
            return False
        self._wire = wire
        heard = False
        try:
            revision = wire.call("watch", {})["revision"]
            wire.sock.settimeout(None)
            heard = True
            self._tell("changed", {"revision": revision})
            while not self._closing.is_set():
                self._tell(*wire.next_event())
        except (OSError, NQError) as exc:
            _log.debug("the coordinator left: %s", exc)
        except Exception as exc:  # the root of the thread: an answer of another form must not end the watch
            if repr(exc) != self._failure:
                _log.exception("the coordinator's events cannot be read")
            self._failure = repr(exc)
        finally:
            self._wire = None
            wire.close()
        return heard

    def _tell(self, name: str, data: dict[str, Any]) -> None:
        if self._closing.is_set():
            return
        try:
            self._callback(name, data)
        except Exception:  # a failing listener must not end the watch
            _log.exception("the callback for the event %r failed", name)
