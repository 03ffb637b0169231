"""The server's channel and its watch, opened and closed together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.line.watch import Watch
from jupyter_nq.config import Settings, default_store_dir


class ServerLine:
    """A channel with role "server" for requests, and a second connection that hears of changes.

    Parameters
    ----------
    settings
        Of this server; the kernels are told them when they connect.
    changed
        Called, in a thread of the watch, when the desk is no longer what it was.
    who
        Called, in some thread, when the coordinator wants to know this server's kernels: it asked, or
        it is another one than before.
    """

    def __init__(self, settings: Settings, *, changed: Callable[[], None], who: Callable[[], None]) -> None:
        path = store_path(settings)
        self._calls = {"changed": changed, "who": who}
        self._channel = Channel(path, settings, role="server", on_connect=lambda _: who())
        self._watch = Watch(path, settings, "server", self._heard)

    def request(self, op: str, **args: Any) -> Any:
        """Ask and wait for the answer."""
        return self._channel.request(op, **args)

    def note(self, op: str, **args: Any) -> None:
        """Tell, without an answer."""
        self._channel.note(op, **args)

    def close(self) -> None:
        """Leave, or stop hosting."""
        self._watch.close()
        self._channel.close()

    def _heard(self, event: str, data: dict[str, Any]) -> None:
        call = self._calls.get(event)
        if call is not None:
            call()


def store_path(settings: Settings) -> Path:
    """Return the directory of the store that these settings name."""
    return Path(settings.store_dir) if settings.store_dir else default_store_dir()
