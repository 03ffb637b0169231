"""Freeing, and who waits for it: a loop that runs what it is given when the test says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from jupyter_nq.buffers import Catalogue
from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.freeing import Freeing
from jupyter_nq.errors import StoreError


class _Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class _Loop:
    """Keeps timers for ever, and collections until the test ends them."""

    def __init__(self) -> None:
        self.timers: list[_Timer] = []
        self.refusal: StoreError | None = None

    def apply(self, event: ev.Event) -> Any:
        if self.refusal is not None and isinstance(event, ev.Collected):
            raise self.refusal

    def call(self, function: Callable[[], None]) -> None:
        raise AssertionError("the worker does nothing here")

    def later(self, seconds: float, function: Callable[[], None]) -> asyncio.TimerHandle:
        self.timers.append(_Timer())
        return cast(asyncio.TimerHandle, self.timers[-1])


@pytest.fixture
def loop() -> _Loop:
    """Give a loop."""
    return _Loop()


@pytest.fixture
def freeing(nq_store_dir: Path, loop: _Loop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Freeing]:
    """Give one with two collections under way, which end when the test calls `_collected`."""
    found = Freeing(Catalogue(nq_store_dir), Desk(), loop, lambda: 0)
    monkeypatch.setattr(found, "_in_background", lambda work, done: True)
    for id_ in ("a", "b"):
        found.collect(id_)
    yield found
    found.close()


def _wait(freeing: Freeing, answers: list[bool], heard: list[tuple[str, bool]], who: str = "") -> None:
    """Wait for room, with what each question is answered; what is asked is heard."""

    def again(last: bool) -> bool:
        heard.append((who, last))
        return answers.pop(0)

    assert freeing.wait_for_room(again, lambda: heard.append((who, True)))


def test_who_waits_is_asked_after_each_object_that_was_freed(freeing: Freeing, loop: _Loop) -> None:
    """Room for one is not kept from it until all is free; who has an answer is asked no more."""
    heard: list[tuple[str, bool]] = []
    _wait(freeing, [True], heard, "small")
    _wait(freeing, [False, True], heard, "large")
    freeing._collected("a", True)
    assert heard == [("small", False), ("large", False)]
    assert [timer.cancelled for timer in loop.timers] == [True, False]
    freeing._collected("b", True)
    assert heard[2:] == [("large", True)]
    assert [timer.cancelled for timer in loop.timers] == [True, True]
    assert not freeing.wait_for_room(lambda last: True, lambda: None), "nothing more is being freed"


def test_what_could_not_be_freed_asks_nobody_but_at_the_end(freeing: Freeing) -> None:
    """There is no more room than before; after the last there will be none, which is an answer."""
    heard: list[tuple[str, bool]] = []
    _wait(freeing, [True], heard)
    freeing._collected("a", False)
    assert heard == []
    freeing._collected("b", False)
    assert heard == [("", True)]


def test_one_that_fails_takes_no_answer_from_the_others(freeing: Freeing, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and those behind it are asked."""
    heard: list[tuple[str, bool]] = []
    _wait(freeing, [], heard, "broken")
    _wait(freeing, [True], heard, "sound")
    with caplog.at_level(logging.ERROR, "jupyter_nq"):
        freeing._collected("a", True)
    assert heard == [("broken", False), ("sound", False)]
    assert "pop from empty list" in caplog.text
    assert "0 waiting" in repr(freeing)


def test_a_store_that_refuses_takes_no_answer_from_those_who_wait(freeing: Freeing, loop: _Loop) -> None:
    """What the desk wanted done after a collection may fail; the memory is free all the same."""
    heard: list[tuple[str, bool]] = []
    _wait(freeing, [True], heard)
    loop.refusal = StoreError("the disk is full")
    with pytest.raises(StoreError, match="the disk is full"):
        freeing._collected("a", True)
    assert heard == [("", False)]
