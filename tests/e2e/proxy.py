"""What stands between a browser and a server, and cuts a WebSocket in the middle of a message when it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

_CHUNK_BYTES = 1 << 16
_TEXT_FRAME = 0x81
_LONGER = 126  # the length stands in the next two bytes


class CuttingProxy:
    """Carries connections to a port of this machine, until it is closed.

    Parameters
    ----------
    port
        Of the server.
    path
        Part of the address of the sockets that are cut.
    """

    def __init__(self, port: int, path: str) -> None:
        # _cut is set by the test, and cleared by the thread that cuts; _open is changed under the lock.
        self._server = port
        self._path = path.encode()
        self._cut = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.cuts = 0
        """Connections that were cut."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._start(self._accept)

    def cut(self) -> None:
        """Have the next message of such a socket be its last, of which only half comes through."""
        self._cut.set()

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            ends = [self._listening, *self._open]
        for end in ends:
            _shut(end)

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                # a browser opens connections ahead of time, too, on which it says nothing for now
                self._start(lambda client=client: self._carry(client))  # type: ignore[misc]

    def _carry(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._server))
            with self._lock:
                self._open |= {client, server}
            asked = client.recv(_CHUNK_BYTES)
            server.sendall(asked)
        except OSError:
            _shut(client)
            return
        wanted = self._path in asked.split(b"\r\n", 1)[0]
        self._start(lambda: self._pump(server, client, cuts=wanted))
        self._pump(client, server, cuts=False)

    def _pump(self, source: socket.socket, sink: socket.socket, *, cuts: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK_BYTES):
                if cuts and self._cut.is_set() and _is_frame(chunk):
                    self._cut.clear()
                    sink.sendall(chunk[: len(chunk) // 2])
                    self.cuts += 1
                    break
                sink.sendall(chunk)
        _shut(source)
        _shut(sink)
        with self._lock:
            self._open -= {source, sink}


def _is_frame(chunk: bytes) -> bool:
    """Tell whether bytes are one text message, from its head to its end."""
    return chunk[0] == _TEXT_FRAME and chunk[1] == _LONGER and len(chunk) == 4 + int.from_bytes(chunk[2:4], "big")


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
