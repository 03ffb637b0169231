"""Channels over a fork: the child has a line of its own, the parent keeps its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jupyter_nq.buffers import Store
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.config import Settings
from jupyter_nq.testing import wait_until
from tests.unit.client.child import Child


def _fork(work: Callable[[], bool]) -> int:
    """Fork, do the work there, and return the child's pid; it exits with 0 when the work is true."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(2)
    return pid


def _exit_status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_of_the_host_connects_to_its_parent(nq_store_dir: Path) -> None:
    """The child's request goes over its own line, under its own pid; the parent still hosts."""
    with Channel(nq_store_dir, Settings(connect_seconds=10)) as channel:
        parent = os.getpid()

        def work() -> bool:
            status = channel.request("status")
            return status["host"]["pid"] == parent and status["peers"] == 2 and not channel.is_host

        assert _exit_status(_fork(work)) == 0
        assert channel.is_host
        wait_until(lambda: channel.request("status")["peers"] == 1)


def test_a_child_of_a_client_announces_the_holds_it_inherited(nq_store_dir: Path) -> None:
    """Parent and child both hold the mapping, and both are listed."""
    with Channel(nq_store_dir, Settings(connect_seconds=10)) as host, Channel(nq_store_dir, Settings()) as channel:
        store = Store(nq_store_dir)
        info = store.write("bars", np.zeros(4))
        channel.request("publish", id=info.id)
        channel.hold(info.id, 1)
        into_child, from_parent = os.pipe()

        def work() -> bool:
            channel.request("status")
            os.read(into_child, 1)
            channel.close()
            channel.close()
            return True

        pid = _fork(work)
        expected = {os.getpid(), pid}
        wait_until(lambda: {h["pid"] for h in host.request("ls")[0]["holders"]} == expected)
        os.write(from_parent, b"x")
        assert _exit_status(pid) == 0
        wait_until(lambda: {h["pid"] for h in host.request("ls")[0]["holders"]} == {os.getpid()})
        os.close(into_child)
        os.close(from_parent)


def test_a_child_that_never_talks_keeps_nothing_alive(nq_store_dir: Path) -> None:
    """The host closes while its child lives: the lock is free, and the socket's clients notice."""
    into_child, from_parent = os.pipe()
    channel = Channel(nq_store_dir, Settings(connect_seconds=10))
    pid = _fork(lambda: os.read(into_child, 1) == b"x")
    try:
        channel.close()
        with Channel(nq_store_dir, Settings(connect_seconds=10)) as second:
            assert second.is_host
    finally:
        os.write(from_parent, b"x")
        assert _exit_status(pid) == 0
        os.close(into_child)
        os.close(from_parent)


def test_a_child_takes_over_when_its_parent_is_killed(nq_store_dir: Path) -> None:
    """A worker that outlives the script that hosted becomes the host by itself."""
    code = """
channel = Channel(sys.argv[1], settings)
pid = os.fork()
if pid == 0:
    channel.request("ls")
    say(os.getpid())
    while not channel.is_host:
        threading.Event().wait(0.01)
    say("hosting")
    input()
    os._exit(0)
os.waitpid(pid, 0)
"""
    with Child(nq_store_dir, code) as parent:
        worker = int(parent.line())
        parent.kill()
        assert parent.line() == "hosting"
        with Channel(nq_store_dir, Settings(connect_seconds=10)) as channel:
            assert channel.peer_info["host"]["pid"] == worker
        parent.tell()
