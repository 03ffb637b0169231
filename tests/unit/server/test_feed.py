"""Tests of the feed on a real server: the desk at once, news when there are some, and no patience with abuse."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from tornado.websocket import WebSocketClientConnection

from jupyter_nq.server import documents
from jupyter_nq.server.app import NQApp
from jupyter_nq.server.feed import FeedSocket

DEADLINE_SECONDS = 20


@pytest.fixture
def nq_app(jp_serverapp: ServerApp) -> NQApp:
    """Give the running extension."""
    app = jp_serverapp.extension_manager.extension_points["jupyter_nq"].app
    assert isinstance(app, NQApp)
    return app


async def _message(socket_: WebSocketClientConnection, kind: str = "desk") -> dict[str, Any]:
    """Return the next message of a kind."""
    while True:
        text = await asyncio.wait_for(socket_.read_message(), DEADLINE_SECONDS)
        assert text is not None, f"closed with {socket_.close_code}"
        message: dict[str, Any] = json.loads(text)
        if message["kind"] == kind:
            return message


async def _closed(socket_: WebSocketClientConnection) -> int | None:
    while await asyncio.wait_for(socket_.read_message(), DEADLINE_SECONDS) is not None:
        pass
    socket_.close()
    return socket_.close_code


async def _eventually(predicate: Callable[[], Any]) -> None:
    """Let the loop run until something holds, at most for the deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not predicate():
            await asyncio.sleep(0.005)


async def test_feed_sends_the_desk_at_once(nq_app: NQApp, jp_ws_fetch: Any, nq_store_dir: Path) -> None:
    """The first message is the whole desk of this moment."""
    feed = await jp_ws_fetch("jupyter-nq", "feed")
    desk = await _message(feed)
    assert desk["kind"] == "desk"
    assert desk["status"]["store"] == str(nq_store_dir)
    assert (desk["datasets"], set(desk)) == ([], {"kind", "status", "datasets", "notebooks"})
    feed.close()


async def test_feed_sends_what_changed(nq_app: NQApp, jp_ws_fetch: Any) -> None:
    """A problem that somebody reports reaches the browser by itself."""
    feed = await jp_ws_fetch("jupyter-nq", "feed")
    await _message(feed)
    await nq_app.link.note("problem", text="the disk is slow")
    while (problem := (await _message(feed))["status"]["problem"]) is None:
        pass
    assert problem["text"] == "the disk is slow"
    feed.close()


async def test_closed_browser_leaves_its_seat(nq_app: NQApp, jp_ws_fetch: Any) -> None:
    """Nothing is kept for a connection that is gone."""
    feed = await jp_ws_fetch("jupyter-nq", "feed")
    await _message(feed)
    assert "1 seats" in repr(nq_app.board)
    feed.close()
    await _eventually(lambda: "0 seats" in repr(nq_app.board))


@pytest.mark.parametrize(("message", "code"), [("hello", 1003), (b"\x00\xff", 1003), ("x" * 2048, 1009)])
async def test_message_from_the_browser_closes_the_feed(
    nq_app: NQApp, jp_ws_fetch: Any, message: str | bytes, code: int
) -> None:
    """Text, bytes and oversized messages end the connection with a code; the server lives on."""
    feed = await jp_ws_fetch("jupyter-nq", "feed")
    await feed.write_message(message, binary=isinstance(message, bytes))
    assert await _closed(feed) == code
    again = await jp_ws_fetch("jupyter-nq", "feed")
    assert (await _message(again))["kind"] == "desk"
    again.close()


async def test_feed_ends_with_the_server(nq_app: NQApp, jp_ws_fetch: Any) -> None:
    """A stopping server says that it goes away, so that the lab reconnects."""
    feed = await jp_ws_fetch("jupyter-nq", "feed")
    await _message(feed)
    await nq_app.stop_extension()
    assert await _closed(feed) == 1001


async def test_pings_are_jupyters_own(nq_app: NQApp, jp_ws_fetch: Any) -> None:
    """A browser that vanished is noticed by the same pings as on a kernel's socket."""
    from jupyter_server.base.websocket import WebSocketMixin

    assert FeedSocket.ping_interval is WebSocketMixin.ping_interval
    assert FeedSocket.send_ping is WebSocketMixin.send_ping


async def test_browser_that_does_not_read_costs_one_message(
    nq_app: NQApp, jp_serverapp: ServerApp, http_server_client: Any, jp_base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a browser reads nothing the server holds one message for it, however often the desk changes.

    When it reads again, few old messages come and the newest is among the last ones.
    """
    count = 0

    async def big_desk(op: str) -> dict[str, Any]:
        nonlocal count
        count += 1
        filler = [{"who": "x" * 1_000_000, "pid": count, "role": "client", "connected": True, "holds": []}]
        return {"status": {"problem": None, "since_ns": 0}, "datasets": [], "notebooks": filler}

    monkeypatch.setattr(nq_app.link, "request", big_desk)
    reader, writer = await _stuck_browser(jp_serverapp, http_server_client.get_http_port(), jp_base_url)
    await _eventually(lambda: nq_app.board.revision)
    for _ in range(40):
        seen = nq_app.board.revision
        nq_app.board.changed()
        await _eventually(lambda seen=seen: nq_app.board.revision > seen)
    (seat,) = nq_app.board._seats
    assert seat._seen[nq_app.board._desk] < 20  # kernel buffers and one message, not forty
    writer.write(b"")
    received = b""
    newest = json.dumps(documents.desk(await _latest(nq_app))["notebooks"][0]["pid"]).encode()
    async with asyncio.timeout(DEADLINE_SECONDS):
        while b'"pid": ' + newest not in received:
            received = received[-64:] + await reader.read(1 << 20)
    writer.close()


async def _latest(app: NQApp) -> dict[str, Any]:
    shown = json.loads(app.board.text)
    return {"status": {"problem": None, "since_ns": 0}, "datasets": [], "notebooks": shown["notebooks"]}


async def _stuck_browser(app: ServerApp, port: int, base_url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open the feed by hand with a small receive buffer, and read only the answer to the upgrade."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 16)
    writer.write(
        f"GET {base_url}jupyter-nq/feed HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2VjcmV0c2VjcmV0c2VjcmU=\r\n"
        f"Authorization: token {app.identity_provider.token}\r\n\r\n".encode()
    )
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_SECONDS)
    assert b" 101 " in answer.split(b"\r\n")[0]
    return reader, writer
