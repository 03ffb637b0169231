"""What a forked child keeps of the coordinator's descriptors: nothing."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.coordinator.service import Service
from tests.unit.coordinator.conftest import Dial


def _in_child(work: Callable[[], bool]) -> bool:
    """Fork, do the work there, and return its outcome."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Give the path of a lock file."""
    path = tmp_path / "lock"
    path.touch()
    return path


def test_an_owned_lock_is_neither_kept_nor_released_by_a_child(lock: Path) -> None:
    """The parent keeps it while the child runs, and nobody has it after the parent closed it."""
    fd = own(os.open(lock, os.O_RDWR))
    fcntl.flock(fd, fcntl.LOCK_EX)
    into_parent, from_child = os.pipe()
    into_child, from_parent = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(from_child, os.readlink(f"/proc/self/fd/{fd}").encode())
        os.read(into_child, 1)
        os._exit(0)
    try:
        assert os.read(into_parent, 100) == b"/dev/null"
        assert not _free(lock)
        disown(fd)
        os.close(fd)
        assert _free(lock)
    finally:
        os.write(from_parent, b"x")
        os.waitpid(pid, 0)
        for end in (into_parent, from_child, into_child, from_parent):
            os.close(end)


def _free(lock: Path) -> bool:
    fd = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def test_a_disowned_descriptor_is_inherited_as_usual() -> None:
    """Only what is owned is replaced."""
    one, other = socket.socketpair()
    with one, other:
        own(one.fileno())
        disown(one.fileno())
        assert _in_child(lambda: one.send(b"x") == 1)
        assert other.recv(1) == b"x"


def test_a_child_of_the_host_does_not_serve_and_does_not_stop_the_host(service: Service, connect: Dial) -> None:
    """In the child the service is not running, its `stop` does nothing, and the parent goes on."""
    wire = connect()

    def work() -> bool:
        service.stop()
        return not service.running

    assert _in_child(work)
    assert service.running
    assert wire.call("ls", {}) == []
