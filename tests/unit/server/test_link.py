"""Tests of the link: calls leave the loop, a failing store is one log line, and it heals."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from jupyter_nq.errors import CoordinatorUnavailable, StoreError, UnknownDataset
from jupyter_nq.server.link import Link

LOG = logging.getLogger("test.link")


class Channel:
    """A line that answers with what it was asked, and notes its thread."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.closed = 0

    def request(self, op: str, **args: Any) -> Any:
        self.threads.add(threading.get_ident())
        if op == "drop":
            raise UnknownDataset("There is no dataset 'x'.")
        return {"op": op, **args}

    def note(self, op: str, **args: Any) -> None:
        self.notes.append((op, args))

    def close(self) -> None:
        self.closed += 1


async def test_requests_run_off_the_loop() -> None:
    """An answer comes back, the coordinator's errors with it, and the loop's thread never blocks."""
    channel = Channel()
    link = Link(lambda: channel, LOG)
    assert (repr(link), link.is_open) == ("<Link new>", False)
    assert await link.open()
    assert await link.request("find", name="a") == {"op": "find", "name": "a"}
    with pytest.raises(UnknownDataset):
        await link.request("drop", name="x")
    assert await link.note("kernels", kernels=[])
    assert channel.notes == [("kernels", {"kernels": []})]
    assert threading.get_ident() not in channel.threads
    assert (repr(link), link.is_open) == ("<Link open>", True)
    await link.close()


async def test_close_twice_and_use_after_close() -> None:
    """A closed link says so instead of opening again."""
    channel = Channel()
    link = Link(lambda: channel, LOG)
    await link.open()
    await link.close()
    await link.close()
    assert channel.closed == 1
    assert (repr(link), link.is_open) == ("<Link closed>", False)
    assert not await link.open()
    assert not await link.note("kernels")
    with pytest.raises(CoordinatorUnavailable, match="shutting down"):
        await link.request("ls")


async def test_close_of_a_link_that_never_opened() -> None:
    """Nothing was opened, so nothing is closed."""
    link = Link(Channel, LOG)
    await link.close()
    assert repr(link) == "<Link closed>"


async def test_failure_is_logged_once_and_answers_every_request(caplog: pytest.LogCaptureFixture) -> None:
    """Many requests meet the same sentence; the log holds it once, and nobody tries at each."""
    tries = []

    def refuse() -> Channel:
        tries.append(1)
        raise StoreError("/x is not a store. Choose another directory.")

    link = Link(refuse, LOG, retry_seconds=3600)
    assert not await link.open()
    for _ in range(3):
        with pytest.raises(StoreError, match="Choose another"):
            await link.request("ls")
    assert len(tries) == 1
    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert [r.getMessage() for r in errors] == [
        "jupyter-nq shares nothing: /x is not a store. Choose another directory."
    ]
    assert repr(link).startswith("<Link failed: /x is")
    await link.close()


async def test_link_heals_when_the_store_does(caplog: pytest.LogCaptureFixture) -> None:
    """The next attempt after the pause opens, and the log says so."""
    caplog.set_level(logging.INFO)
    outcomes: list[Any] = [StoreError("full"), StoreError("full"), Channel()]

    def connect() -> Channel:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Channel)
        return outcome

    link = Link(connect, LOG, retry_seconds=0)
    assert not await link.open()
    assert not await link.open()
    assert await link.open()
    assert [r.getMessage() for r in caplog.records] == ["jupyter-nq shares nothing: full", "jupyter-nq shares again."]
    await link.close()


async def test_one_waiting_request_does_not_hold_up_another() -> None:
    """Two threads: a short request passes one that waits for a coordinator."""
    release = threading.Event()

    class Slow(Channel):
        def request(self, op: str, **args: Any) -> Any:
            if op == "slow":
                release.wait(10)
            return op

    link = Link(Slow, LOG)
    slow = asyncio.get_running_loop().create_task(link.request("slow"))
    assert await asyncio.wait_for(link.request("quick"), 10) == "quick"
    assert not slow.done()
    release.set()
    assert await slow == "slow"
    await link.close()


async def test_close_while_the_line_is_being_opened(caplog: pytest.LogCaptureFixture) -> None:
    """The loop goes on while the line opens, and the line that comes too late is closed."""
    began, go_on, channel = threading.Event(), threading.Event(), Channel()

    def connect() -> Channel:
        began.set()
        go_on.wait(10)
        return channel

    link = Link(connect, LOG)
    loop = asyncio.get_running_loop()
    opening = loop.create_task(link.open())
    await loop.run_in_executor(None, began.wait, 10)
    closing = loop.create_task(link.close())
    await asyncio.sleep(0)  # the loop still turns
    assert not closing.done()
    go_on.set()
    await asyncio.wait_for(closing, 10)
    assert await opening
    assert channel.closed == 1


async def test_error_of_the_system_becomes_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    """What the file system refuses is a store that cannot be used, not a traceback."""

    def refuse() -> Channel:
        raise PermissionError(13, "Permission denied", "/x")

    link = Link(refuse, LOG)
    assert not await link.open()
    with pytest.raises(StoreError, match=r"cannot be opened: .*Permission denied.*Check NQApp.store_dir"):
        await link.request("ls")
    assert len(caplog.records) == 1
    await link.close()
