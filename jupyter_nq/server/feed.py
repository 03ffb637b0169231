"""WebSocket jupyter-nq/feed: the desk, sent at once and again whenever it changed.

Each socket has one task that waits for its seat at the board and then for the browser: the next
message is taken only after the last one was written, so a slow browser skips states and never makes
the server queue. The socket only sends; a message from the other side closes it. Pings, which end
the connection of a browser that is gone, are those of Jupyter's own sockets.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado.websocket import WebSocketClosedError, WebSocketHandler

if TYPE_CHECKING:
    from jupyter_nq.server.board import Board, Seat

_GOING_AWAY = 1001
_NOT_ACCEPTED = 1003
_LARGEST_MESSAGE_BYTES = 1 << 10  # 1 KiB: nothing is expected from the other side


class FeedSocket(ExtensionHandlerMixin, WebSocketMixin, WebSocketHandler, JupyterHandler):
    """The connection of one lab panel."""

    _pump: asyncio.Task[None] | None = None

    @property
    def max_message_size(self) -> int:
        """Bytes of the largest message that is read before the connection is closed."""
        return _LARGEST_MESSAGE_BYTES

    @property
    def board(self) -> Board:
        """The board that this server's sockets share."""
        board: Board = self.extensionapp.board  # type: ignore[attr-defined]
        return board

    @ws_authenticated
    @authorized(action="read", resource="nq-desk")  # type: ignore[untyped-decorator]
    async def get(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Upgrade the connection."""
        await super().get(*args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        """Begin to send."""
        super().open(*args, **kwargs)
        self._pump = asyncio.get_running_loop().create_task(self._send(self.board.join()))

    def on_message(self, message: str | bytes) -> None:
        """Refuse: the feed only sends."""
        self.close(_NOT_ACCEPTED, "this feed only sends")

    def on_close(self) -> None:
        """Stop sending."""
        if self._pump is not None:
            self._pump.cancel()

    async def _send(self, seat: Seat) -> None:
        try:
            while (text := await seat.next()) is not None:
                await self.write_message(text)
            self.close(_GOING_AWAY, "the server is shutting down")
        except WebSocketClosedError:
            self.log.debug("the browser left the feed while a message was on its way")
        finally:
            seat.leave()
