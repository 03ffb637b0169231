"""The channel in one process: hosting, connecting, requests, holds, closing."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.line.hosting import take_lock
from jupyter_nq.config import Settings
from jupyter_nq.coordinator.listening import SOCKET_NAME
from jupyter_nq.errors import CoordinatorUnavailable, StoreError, UnknownDataset, VersionMismatch
from jupyter_nq.testing import wait_until
from tests.unit.client.child import Child
from tests.unit.client.conftest import Open


def test_the_first_process_hosts_and_says_so(open_channel: Open, nq_store_dir: Path) -> None:
    """The first channel hosts with a notice, the second is a client of it."""
    first, second = open_channel(), open_channel()
    assert first.is_host
    assert not second.is_host
    assert str(os.getpid()) in (first.notice or "")
    assert second.notice is None
    assert second.peer_info["host"]["pid"] == os.getpid()
    assert repr(first) == f"<Channel to {nq_store_dir} as client, hosting>"
    assert repr(second) == f"<Channel to {nq_store_dir} as client, connected>"


def test_a_request_is_answered_and_a_refusal_raised(open_channel: Open) -> None:
    """Errors of the coordinator arrive as their own class, and the line stays."""
    channel = open_channel()
    assert channel.request("ls") == []
    with pytest.raises(UnknownDataset):
        channel.request("drop", name="nothing")
    channel.note("problem", text="gap")
    assert channel.request("status")["problem"]["text"] == "gap"


def test_many_threads_share_a_channel(open_channel: Open) -> None:
    """Answers never get mixed up."""
    channel = open_channel()
    wrong = []

    def ask(n: int) -> None:
        for i in range(50):
            try:
                channel.request("find", name=f"n{n}.{i}")
            except UnknownDataset as exc:
                if f"'n{n}.{i}'" not in str(exc):
                    wrong.append(str(exc))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_holds_are_announced_soon_without_a_request(open_channel: Open, nq_store_dir: Path) -> None:
    """The keeper tells what was held and let go; a hold is counted, not repeated."""
    reader, observer = open_channel(), open_channel()
    store = Store(nq_store_dir)
    info = store.write("bars", np.arange(4.0))
    observer.request("publish", id=info.id)

    def holders() -> list[int]:
        return [row["version"] for row in observer.request("ls")[0]["holders"]]

    reader.hold(info.id, 1)
    reader.hold(info.id, 1)
    wait_until(lambda: holders() == [1], message="the hold to be announced")
    reader.release(info.id, 1)
    reader.request("status")
    assert holders() == [1]
    reader.release(info.id, 1)
    wait_until(lambda: holders() == [], message="the release to be announced")


def test_holds_are_told_before_the_next_request(open_channel: Open, nq_store_dir: Path) -> None:
    """What a process does in order, the coordinator sees in order."""
    channel = open_channel()
    info = Store(nq_store_dir).write("bars", np.arange(4.0))
    channel.request("publish", id=info.id)
    channel.hold(info.id, 1)
    assert len(channel.request("ls")[0]["holders"]) == 1


def test_a_required_server_is_waited_for_and_then_missed(open_channel: Open) -> None:
    """`require="server"` never hosts, and a script that hosts does not count; the message says what to do."""
    with pytest.raises(CoordinatorUnavailable, match="jupyter lab"):
        open_channel(require="server", connect_seconds=0.2)
    script = open_channel()
    with pytest.raises(CoordinatorUnavailable, match="No Jupyter server"):
        open_channel(require="server", connect_seconds=0.2)
    script.close()
    server = open_channel(role="server")
    assert server.is_host
    assert open_channel(require="server").peer_info["host"]["role"] == "server"


def test_a_server_takes_over_from_a_script_that_goes_on_as_a_client(open_channel: Open) -> None:
    """Both work afterwards; a second server does not take over from the first."""
    script = open_channel()
    server = open_channel(role="server")
    assert server.is_host
    assert server.notice is None
    assert script.request("status")["host"]["role"] == "server"
    assert not script.is_host
    second = open_channel(role="server")
    assert not second.is_host
    assert server.is_host
    wait_until(lambda: second.request("status")["peers"] == 1, message="one process to be counted once")


def test_a_channel_that_may_not_host_waits_for_one_that_does(open_channel: Open) -> None:
    """It fails in time with a sentence, and finds a host that comes while it waits."""
    with pytest.raises(CoordinatorUnavailable, match="No coordinator answers"):
        open_channel(may_host=False, connect_seconds=0.2)
    found = []
    waiting = threading.Thread(target=lambda: found.append(open_channel(may_host=False)))
    waiting.start()
    host = open_channel()
    waiting.join()
    assert found[0].peer_info["host"] == host.peer_info["host"]


def test_closing_ends_hosting_and_the_next_takes_over_with_all_holds(open_channel: Open, nq_store_dir: Path) -> None:
    """An idle channel does so by itself, and announces what it holds and what it wants to say again."""
    met: list[Channel] = []
    host = open_channel()
    idle = open_channel(on_connect=met.append)
    info = Store(nq_store_dir).write("bars", np.arange(4.0))
    idle.request("publish", id=info.id)
    idle.hold(info.id, 1)
    idle.request("status")
    host.close()
    host.close()
    assert "closed" in repr(host)
    wait_until(lambda: idle.is_host, message="the idle channel to take over")
    row = idle.request("ls")[0]
    assert [h["version"] for h in row["holders"]] == [1]
    assert met == [idle, idle]
    with pytest.raises(CoordinatorUnavailable, match="closed"):
        host.request("ls")


def test_what_follows_a_connection_may_fail_and_may_use_the_channel(open_channel: Open) -> None:
    """A refused request in `on_connect` is logged; the line is good."""

    def drop_nothing(channel: Channel) -> None:
        channel.request("drop", name="nothing")

    assert open_channel(on_connect=drop_nothing).request("ls") == []


_INTERRUPTED = """
import re
from jupyter_nq.errors import UnknownDataset
channel = Channel(store, settings)
stopped = threading.Event()
def interrupt():
    while not stopped.wait(0.002):
        os.kill(os.getpid(), signal.SIGINT)
def ask(n):
    try:
        channel.request("find", name=f"n{n}")
    except UnknownDataset as exc:
        return re.search("'(n[0-9]+)'", str(exc))[1] == f"n{n}"
    return False
asking = False
def only_while_asking(number, frame):
    global asking
    if asking:
        asking = False  # not again before the interrupt has been caught
        raise KeyboardInterrupt
signal.signal(signal.SIGINT, only_while_asking)
thread = threading.Thread(target=interrupt, daemon=True)
wrong = interrupted = n = 0
thread.start()
while interrupted < 50:
    n += 1
    try:
        asking = True
        wrong += not ask(n)
        asking = False
    except KeyboardInterrupt:
        interrupted += 1
stopped.set()
thread.join()
say(wrong, channel.request("ls"))
"""


def test_an_interrupt_never_shifts_the_answers(open_channel: Open, nq_store_dir: Path) -> None:
    """Ctrl-C in the middle of a request ends the line; the next request has a new one and its own answer."""
    open_channel()
    with Child(nq_store_dir, _INTERRUPTED) as child:
        assert child.line() == "0 []"


def test_a_coordinator_that_does_not_answer_is_named(open_channel: Open, nq_store_dir: Path) -> None:
    """A request gives up after `connect_seconds` and says whose process is stuck."""
    host = open_channel()
    channel = open_channel(connect_seconds=0.3)
    blocked = threading.Event()
    assert host._service is not None
    host._service._loop.call_soon_threadsafe(blocked.wait)
    try:
        with pytest.raises(CoordinatorUnavailable, match=rf"pid {os.getpid()}.*did not answer for 0.3 s"):
            channel.request("ls")
    finally:
        blocked.set()
    wait_until(lambda: "connected" in repr(channel), message="the line to be mended")


def test_a_held_lock_without_a_listener_is_reported(open_channel: Open, nq_store_dir: Path) -> None:
    """The process that has the lock is named, so that it can be ended."""
    fd = take_lock(Store(nq_store_dir))
    assert fd is not None
    try:
        with pytest.raises(CoordinatorUnavailable, match=f"process {os.getpid()} hosted it last"):
            open_channel(connect_seconds=0.2)
    finally:
        os.close(fd)


def test_another_version_of_the_package_is_an_error_at_once(
    open_channel: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No waiting: a mismatch does not go away by itself."""
    open_channel()
    monkeypatch.setattr("jupyter_nq.coordinator.wire.PROTOCOL", 99)
    start = time.monotonic()
    with pytest.raises(VersionMismatch, match="pip install --upgrade"):
        open_channel()
    assert time.monotonic() - start < 5


def test_a_store_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    """The store's own sentence arrives, and nothing is left."""
    (tmp_path / "mine.txt").touch()
    with pytest.raises(StoreError, match=r"mine\.txt"):
        Channel(tmp_path, Settings())
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_a_store_that_was_removed_is_not_made_again_by_a_reconnection(open_channel: Open, nq_store_dir: Path) -> None:
    """Whoever deleted the directory meant it; the next request says that it is gone."""
    host = open_channel()
    channel = open_channel(connect_seconds=0.5)
    shutil.rmtree(nq_store_dir)
    host.close()
    with pytest.raises((StoreError, CoordinatorUnavailable)):
        channel.request("ls")
    assert not nq_store_dir.exists()


def test_closing_wakes_a_request_that_waits(open_channel: Open) -> None:
    """`close` from another thread ends a wait for an answer."""
    host = open_channel()
    channel = open_channel(connect_seconds=30)
    blocked = threading.Event()
    assert host._service is not None
    host._service._loop.call_soon_threadsafe(blocked.wait)
    caught: list[Exception] = []

    def ask() -> None:
        try:
            channel.request("ls")
        except CoordinatorUnavailable as exc:
            caught.append(exc)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: channel._lock.acquire(blocking=False) is False or channel._lock.release())  # type: ignore[func-returns-value]
    channel.close()
    blocked.set()
    asking.join(10)
    assert len(caught) == 1


def test_a_channel_closes_with_its_context(nq_store_dir: Path) -> None:
    """The socket is gone afterwards."""
    with Channel(nq_store_dir, Settings()) as channel:
        assert channel.is_host
    assert not (nq_store_dir / SOCKET_NAME).exists()
