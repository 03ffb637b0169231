"""Reaching a coordinator, or knowing that there is none."""

from __future__ import annotations

import fcntl
import os
import socket
import threading

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.cli import view
from jupyter_nq.client.line.hosting import LOCK_NAME
from jupyter_nq.config import load_settings
from jupyter_nq.errors import CoordinatorUnavailable


def test_a_stuck_host_is_named(store: Store) -> None:
    """A process that holds the lock and does not listen is named after the wait."""
    settings = load_settings(store_dir=str(store.path), connect_seconds=0.1)
    descriptor = os.open(store.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(CoordinatorUnavailable, match=f"pid {os.getpid()}"), view.reach(store.path, settings):
        pass
    os.close(descriptor)


def test_a_stale_socket_is_no_coordinator(store: Store) -> None:
    """A socket file that a dead host left means that there is none."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(store.path / "ctl.sock"))
    with view.reach(store.path, load_settings(store_dir=str(store.path))) as wire:
        assert wire is None


def test_nonsense_is_no_coordinator(store: Store) -> None:
    """Whoever listens there and does not speak the protocol is no coordinator."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(store.path / "ctl.sock"))
        listener.listen(1)
        thread = threading.Thread(target=_answer_nonsense, args=(listener,))
        thread.start()
        settings = load_settings(store_dir=str(store.path), connect_seconds=2.0)
        with view.reach(store.path, settings) as wire:
            assert wire is None
        thread.join()


def _answer_nonsense(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"\xff" * 64)
