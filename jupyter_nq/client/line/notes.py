"""Notes on their way to the coordinator: said in any thread, sent by whoever has the channel's lock."""

from __future__ import annotations

from collections import deque
from typing import Any

from jupyter_nq.coordinator import Encoder, Wire

_SEND_SECONDS = 0.1  # for a coordinator that does not read; a note takes a few microseconds
_MOST = 1000


class Notes:
    """Frames that wait for the line to be free; with the line they lose their meaning."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque(maxlen=_MOST)

    def __repr__(self) -> str:
        return f"<Notes, {len(self._frames)} waiting>"

    def add(self, op: str, args: dict[str, Any]) -> None:
        """Put a note at the end; `ProtocolError` when its arguments cannot be sent."""
        self._frames.append(Encoder().frame({"op": op, "a": args}))

    def send(self, wire: Wire) -> None:
        """Send all of them; `OSError` when the wire is of no further use."""
        while self._frames:
            wire.send(self._frames.popleft(), _SEND_SECONDS)

    def clear(self) -> None:
        """Forget them: the line for which they were said is gone."""
        self._frames.clear()
