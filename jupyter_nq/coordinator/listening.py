"""The socket on which a coordinator listens.

It is bound under another name and renamed, so that a path that exists is one that answers, or a stale one
of a dead host, which only the next holder of the lock replaces.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from jupyter_nq.buffers.forking import own
from jupyter_nq.errors import CoordinatorUnavailable

SOCKET_NAME = "ctl.sock"
_BIND_NAME = "ctl.bind"  # as long as the socket's name, because the path of a Unix socket is limited
_BACKLOG = 128


def listen(store_path: Path) -> socket.socket:
    """Return a listening socket that lies under its name in the store; replaces one that a dead host left."""
    there, bound = store_path / SOCKET_NAME, store_path / _BIND_NAME
    listener = None
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(bound)
        listener.bind(os.fspath(bound))
        os.chmod(bound, 0o600)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        os.rename(bound, there)
    except OSError as exc:
        if listener is not None:
            listener.close()
        raise CoordinatorUnavailable(f"The coordinator's socket cannot be made at {there}: {exc}.") from exc
    own(listener.fileno())
    return listener
