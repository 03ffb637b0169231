"""Hosts come and go: real processes, hand-over to a server, kill -9, reconnection of idle scripts."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.config import Settings
from jupyter_nq.errors import CoordinatorUnavailable
from jupyter_nq.testing import wait_until
from tests.unit.client.child import Child

_HOST = """
channel = Channel(sys.argv[1], settings)
put("bars")
say("hosting" if channel.is_host else "connected")
input()
"""
_IDLE_HOLDER = """
channel = Channel(sys.argv[1], settings)
handle = store.open("bars")
channel.hold(handle.info.id, handle.version)
frame = handle.numpy()
say("connected")
input()
say(float(frame.sum()))
input()
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Give a stack that ends what the test started."""
    with ExitStack() as stack:
        yield stack


def _channel(stack: ExitStack, store_dir: Path, role: str = "client") -> Channel:
    return stack.enter_context(Channel(store_dir, Settings(connect_seconds=10), role=role))


def test_two_processes_share_names(stack: ExitStack, nq_store_dir: Path) -> None:
    """What one publishes, the other finds, maps, and drops."""
    child = stack.enter_context(Child(nq_store_dir, _HOST))
    assert child.line() == "hosting"
    channel = _channel(stack, nq_store_dir)
    assert channel.peer_info["host"]["pid"] == child.pid
    assert channel.request("find", name="bars")["version"] == 1
    with Store(nq_store_dir).open("bars") as handle:
        assert handle.numpy().tolist() == list(range(10))
    assert channel.request("drop", name="bars")["versions"] == 1


def test_after_kill_9_of_the_host_idle_scripts_find_each_other_again(stack: ExitStack, nq_store_dir: Path) -> None:
    """One of the others takes over within two seconds, the rest connect, and all holds are known again."""
    host = stack.enter_context(Child(nq_store_dir, _HOST))
    assert host.line() == "hosting"
    holders = [stack.enter_context(Child(nq_store_dir, _IDLE_HOLDER)) for _ in range(3)]
    assert {child.line() for child in holders} == {"connected"}
    observer = _channel(stack, nq_store_dir)
    pids = {child.pid for child in holders}
    wait_until(lambda: {h["pid"] for h in observer.request("ls")[0]["holders"]} == pids)

    host.kill()
    start = time.monotonic()
    row = observer.request("ls")[0]
    assert (row["name"], row["version"]) == ("bars", 1)
    wait_until(lambda: {h["pid"] for h in observer.request("ls")[0]["holders"]} == pids, message="all holds again")
    print(f"\nall known again {time.monotonic() - start:.2f} s after kill -9 of the host")
    assert observer.request("status")["host"]["pid"] in pids | {os.getpid()}
    for child in holders:
        child.tell()
        assert child.line() == "45.0"


def test_repeated_kill_9_of_the_host_loses_nothing(stack: ExitStack, nq_store_dir: Path) -> None:
    """Whoever hosts is killed, five times; each time a request is answered, and the dataset and its view stay."""
    children = [stack.enter_context(Child(nq_store_dir, _HOST)) for _ in range(6)]
    for child in children:
        child.line()
    frame = Store(nq_store_dir).open("bars").numpy()
    observer = stack.enter_context(Channel(nq_store_dir, Settings(connect_seconds=10), may_host=False))
    by_pid = {child.pid: child for child in children}
    for left in range(5, 0, -1):
        by_pid.pop(observer.request("status")["host"]["pid"]).kill()
        assert observer.request("status")["host"]["pid"] in by_pid
        wait_until(lambda left=left: observer.request("status")["peers"] == left + 1)  # type: ignore[misc]
        assert observer.request("ls")[0]["version"] == 6
    assert frame.tolist() == list(range(10))


def test_a_script_hands_over_to_a_server_and_survives_its_kill(stack: ExitStack, nq_store_dir: Path) -> None:
    """The script hosts, then is a client, then reads and hosts again when the server was killed."""
    script = _channel(stack, nq_store_dir)
    code = "channel = Channel(sys.argv[1], settings, role='server'); say(channel.is_host); put('bars'); say(); input()"
    server = stack.enter_context(Child(nq_store_dir, code))
    assert server.line() == "True"
    server.line()
    assert script.request("status")["host"] == {
        "pid": server.pid,
        "role": "server",
        "program": f"{Path(sys.executable).name} -c",
    }
    handle = Store(nq_store_dir).open("bars")
    script.hold(handle.info.id, handle.version)
    server.kill()
    wait_until(lambda: script.is_host, message="the script to host again by itself")
    assert [h["pid"] for h in script.request("ls")[0]["holders"]] == [os.getpid()]
    assert handle.numpy().tolist() == list(range(10))


def test_a_second_server_takes_over_at_once_and_before_scripts(stack: ExitStack, nq_store_dir: Path) -> None:
    """Of a server and two scripts that lose their host, the server gets the lock."""
    code = "channel = Channel(sys.argv[1], settings, role='server'); put('bars'); say(); input()"
    first = stack.enter_context(Child(nq_store_dir, code))
    first.line()
    scripts = [_channel(stack, nq_store_dir) for _ in range(2)]
    second = _channel(stack, nq_store_dir, role="server")
    assert not second.is_host
    first.kill()
    wait_until(lambda: second.is_host, message="the second server to host")
    assert [script.request("status")["host"]["pid"] for script in scripts] == [os.getpid()] * 2
    assert not any(script.is_host for script in scripts)


def test_a_host_that_ends_normally_leaves_no_socket(stack: ExitStack, nq_store_dir: Path) -> None:
    """The interpreter's end stops the service even if nobody closed the channel."""
    child = stack.enter_context(Child(nq_store_dir, _HOST))
    child.line()
    child.tell()
    assert child.process.wait(timeout=60) == 0
    assert not (nq_store_dir / "ctl.sock").exists()


def test_a_stopped_host_is_named_and_goes_on_later(stack: ExitStack, nq_store_dir: Path) -> None:
    """SIGSTOP: requests give up with the pid in the message; after SIGCONT everything works."""
    host = stack.enter_context(Child(nq_store_dir, _HOST))
    host.line()
    channel = stack.enter_context(Channel(nq_store_dir, Settings(connect_seconds=0.4)))
    os.kill(host.pid, signal.SIGSTOP)
    os.waitpid(host.pid, os.WUNTRACED)  # until it has stopped
    try:
        with pytest.raises(CoordinatorUnavailable, match=f"pid {host.pid}"):
            channel.request("ls")
        with Store(nq_store_dir).open("bars") as handle:
            assert handle.rows == 10
    finally:
        os.kill(host.pid, signal.SIGCONT)
    assert wait_until(lambda: _try(channel), message="the host to answer again")


def _try(channel: Channel) -> bool:
    try:
        return len(channel.request("ls")) == 1
    except CoordinatorUnavailable:
        return False


def test_eight_processes_that_start_at_once_have_one_host(stack: ExitStack, nq_store_dir: Path) -> None:
    """The lock decides, everybody else connects, and every version is published exactly once."""
    children = [stack.enter_context(Child(nq_store_dir, _HOST)) for _ in range(8)]
    said = [child.line() for child in children]
    assert sorted(said) == ["connected"] * 7 + ["hosting"]
    assert _channel(stack, nq_store_dir).request("find", name="bars")["version"] == 8
