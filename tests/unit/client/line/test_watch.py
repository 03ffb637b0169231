"""Watching: events arrive, over hosts that come and go."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.line.watch import Watch
from jupyter_nq.config import Settings
from jupyter_nq.coordinator.operations import _OPERATIONS
from jupyter_nq.testing import wait_until

_SETTINGS = Settings(connect_seconds=10)


class Heard:
    """A callback that remembers."""

    def __init__(self) -> None:
        self.events: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()

    def __call__(self, name: str, data: dict[str, Any]) -> None:
        self.events.put((name, data))

    def next(self, name: str) -> dict[str, Any]:
        """Return the data of the next event of this name."""
        while True:
            found, data = self.events.get(timeout=10)
            if found == name:
                return data


def test_changes_are_told_first_at_the_connection_and_then_as_they_come(nq_store_dir: Path) -> None:
    """A watch that was there before any host finds one, and hears of a change."""
    heard = Heard()
    with Watch(nq_store_dir, _SETTINGS, "watch", heard) as watching:
        assert "waiting" in repr(watching)
        with Channel(nq_store_dir, _SETTINGS) as channel:
            revision = heard.next("changed")["revision"]
            assert "connected" in repr(watching)
            channel.note("problem", text="gap")
            while revision < channel.request("status")["revision"]:
                revision = heard.next("changed")["revision"]
        with Channel(nq_store_dir, _SETTINGS):
            heard.next("changed")
    assert "closed" in repr(watching)
    watching.close()


def test_a_server_is_asked_for_its_kernels(nq_store_dir: Path) -> None:
    """An unknown process that connects makes the coordinator ask."""
    heard = Heard()
    with Channel(nq_store_dir, _SETTINGS, role="server"), Watch(nq_store_dir, _SETTINGS, "server", heard):
        heard.next("changed")
        with Channel(nq_store_dir, _SETTINGS):
            assert heard.next("who") == {}


def test_a_failing_callback_does_not_end_the_watch(nq_store_dir: Path) -> None:
    """The failure is logged, the next event comes."""
    heard, failed = Heard(), threading.Event()

    def callback(name: str, data: dict[str, Any]) -> None:
        if not failed.is_set():
            failed.set()
            raise ValueError("listener")
        heard(name, data)

    with Channel(nq_store_dir, _SETTINGS) as channel, Watch(nq_store_dir, _SETTINGS, "watch", callback):
        assert failed.wait(10)
        channel.note("problem", text="gap")
        heard.next("changed")


def test_a_watch_may_be_closed_from_its_own_callback(nq_store_dir: Path) -> None:
    """No deadlock, and no further call."""
    calls: list[str] = []
    box: list[Watch] = []
    ready = threading.Event()

    def callback(name: str, data: dict[str, Any]) -> None:
        ready.wait(10)
        calls.append(name)
        box[0].close()

    with Channel(nq_store_dir, _SETTINGS) as channel:
        box.append(Watch(nq_store_dir, _SETTINGS, "watch", callback))
        ready.set()
        wait_until(lambda: not box[0]._thread.is_alive())
        channel.note("problem", text="gap")
        channel.request("status")
    assert calls == ["changed"]


def test_a_watch_survives_an_answer_of_another_form(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did not expect ends one attempt, not the thread."""
    heard = Heard()
    with Channel(nq_store_dir, _SETTINGS), monkeypatch.context() as patch:
        patch.setitem(_OPERATIONS, "watch", lambda *_: {})
        with Watch(nq_store_dir, _SETTINGS, "watch", heard) as watching:
            wait_until(lambda: watching._failure, message="the watch to meet the answer")
            patch.undo()
            assert heard.next("changed")["revision"] > 0
