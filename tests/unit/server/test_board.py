"""Tests of the board: read once for all, newest wins, nothing read while nobody looks."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from jupyter_nq.errors import CoordinatorUnavailable
from jupyter_nq.server.board import Board

LOG = logging.getLogger("test")
FAST = 1000.0
DEADLINE_SECONDS = 10


class Source:
    """A coordinator's desk that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0
        self.peers = 0
        self.read_again = asyncio.Event()
        self.failure: Exception | None = None

    async def read(self) -> Mapping[str, Any]:
        self.reads += 1
        self.read_again.set()
        if self.failure is not None:
            raise self.failure
        return {
            "status": {"peers": self.peers, "problem": None, "since_ns": 0},
            "datasets": [],
            "notebooks": [],
        }


async def _peers(seat: Any) -> int:
    text = await asyncio.wait_for(seat.next(), DEADLINE_SECONDS)
    peers: int = json.loads(text)["status"]["peers"]
    return peers


async def test_new_seat_gets_the_desk_of_this_moment() -> None:
    """Nothing is read before somebody joins; then the desk comes at once."""
    source = Source()
    board = Board(source.read, FAST, LOG)
    board.start()
    board.changed()
    assert source.reads == 0
    source.peers = 3
    assert await _peers(board.join()) == 3
    await board.close()


async def test_all_seats_share_one_read() -> None:
    """However many look, a change costs one request."""
    source = Source()
    board = Board(source.read, FAST, LOG)
    board.start()
    seats = [board.join() for _ in range(5)]
    assert [await _peers(seat) for seat in seats] == [0] * 5
    source.peers = 1
    before = source.reads
    board.changed()
    assert [await _peers(seat) for seat in seats] == [1] * 5
    assert source.reads == before + 1
    await board.close()


async def test_slow_seat_skips_to_the_newest() -> None:
    """A listener that missed states gets only the last one: nothing queues for it."""
    source = Source()
    board = Board(source.read, FAST, LOG)
    board.start()
    slow, quick = board.join(), board.join()
    assert await _peers(slow) == 0
    await _peers(quick)
    for peers in range(1, 6):
        source.peers = peers
        board.changed()
        assert await _peers(quick) == peers
    assert await _peers(slow) == 5
    assert not asyncio.get_running_loop().create_task(slow.next()).done()
    await board.close()


async def test_unchanged_desk_is_not_sent_again() -> None:
    """A change that a browser cannot see makes no message."""
    source = Source()
    board = Board(source.read, FAST, LOG)
    board.start()
    seat = board.join()
    await _peers(seat)
    source.read_again.clear()
    board.changed()
    await asyncio.wait_for(source.read_again.wait(), DEADLINE_SECONDS)
    source.peers = 7
    board.changed()
    assert await _peers(seat) == 7
    assert board.revision == 2
    await board.close()


async def test_changes_from_another_thread_arrive() -> None:
    """The coordinator's events come from a thread of its own."""
    source = Source()
    board = Board(source.read, FAST, LOG)
    board.start()
    seat = board.join()
    await _peers(seat)
    source.peers = 2
    thread = threading.Thread(target=board.changed)
    thread.start()
    assert await _peers(seat) == 2
    thread.join()
    await board.close()


async def test_problem_is_shown_and_tried_again() -> None:
    """A coordinator that is away is a message, and its return is noticed without a change."""
    source = Source()
    source.failure = CoordinatorUnavailable("Nobody hosts.")
    board = Board(source.read, FAST, LOG)
    board.start()
    seat = board.join()
    told = json.loads(await asyncio.wait_for(seat.next(), DEADLINE_SECONDS))
    assert told == {"kind": "problem", "message": "Nobody hosts.", "reason": "CoordinatorUnavailable"}
    source.failure = None
    assert json.loads(await asyncio.wait_for(seat.next(), DEADLINE_SECONDS))["kind"] == "desk"
    await board.close()


async def test_unreadable_desk_is_logged_and_tried_again(caplog: Any) -> None:
    """A reply without the expected fields does not end the board."""
    source = Source()
    source.failure = KeyError("status")
    board = Board(source.read, FAST, LOG)
    board.start()
    seat = board.join()
    await asyncio.wait_for(source.read_again.wait(), DEADLINE_SECONDS)
    source.failure = None
    assert json.loads(await asyncio.wait_for(seat.next(), DEADLINE_SECONDS))["kind"] == "desk"
    assert "could not read the coordinator's desk" in caplog.text
    await board.close()


async def test_stop_sends_everybody_home() -> None:
    """A waiting seat gets None when the board stops; stopping twice and leaving twice are fine."""
    board = Board(Source().read, FAST, LOG)
    board.start()
    board.start()
    seat = board.join()
    await _peers(seat)
    waiting = asyncio.get_running_loop().create_task(seat.next())
    assert repr(board) == "<Board revision 1, 1 seats>"
    await board.close()
    assert await asyncio.wait_for(waiting, DEADLINE_SECONDS) is None
    await board.close()
    seat.leave()
    seat.leave()
    board.changed()
    assert repr(board) == "<Board revision 1, 0 seats>"


async def test_rate_is_bounded() -> None:
    """Twenty changes in a burst cost at most the reads that fit into the time they took."""
    source = Source()
    board = Board(source.read, 20.0, LOG)
    board.start()
    seat = board.join()
    await _peers(seat)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for peers in range(1, 21):
        source.peers = peers
        board.changed()
        await asyncio.sleep(0)
    while await _peers(seat) != 20:
        pass
    assert source.reads - 1 <= 20.0 * (loop.time() - began) + 1
    await board.close()


async def test_the_board_survives_what_it_did_not_expect(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect is logged once, and the panels see the desk when it is over."""
    monkeypatch.setattr("jupyter_nq.server.board._RETRY_SECONDS", 0.001)
    source = Source()
    source.failure = AttributeError("a defect")
    board = Board(source.read, FAST, LOG)
    board.start()
    seat = board.join()
    while source.reads < 3:
        source.read_again.clear()
        await asyncio.wait_for(source.read_again.wait(), DEADLINE_SECONDS)
    source.failure = None
    assert await _peers(seat) == 0
    assert sum("could not read" in record.message for record in caplog.records) == 1
    await board.close()


def _seen(messages: int) -> list[dict[str, Any]]:
    return [
        {
            "name": "ticks",
            "form": "log",
            "messages": messages,
            "kept": messages,
            "retention_bytes": 1 << 20,
            "overflow": "drop_oldest",
            "exclusive": False,
            "epoch": 0,
            "durability": [
                {"lane": 0, "messages": messages, "durable": 1, "missed": 0, "refused": None},
                {"lane": 1, "messages": 0, "durable": 3, "missed": 2, "refused": None},
            ],
            "rate": 12.345,
            "created_ns": 0,
            "publishers": [{"lane": 0, "pid": os.getpid(), "messages": messages}],
            "consumers": [],
        }
    ]


async def _told(seat: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(await asyncio.wait_for(seat.next(), DEADLINE_SECONDS))
    return told


async def test_streams_are_a_message_of_their_own() -> None:
    """They come beside the desk, the newest alone, once for each change, and to seats that join later too."""
    board = Board(Source().read, FAST, LOG)
    board.start()
    seat = board.join()
    assert (await _told(seat))["kind"] == "desk"
    for messages in (1, 2, 2):
        board.show_streams(_seen(messages))
    told = await _told(seat)
    assert (told["kind"], [stream["messages"] for stream in told["streams"]]) == ("streams", [2])
    row = told["streams"][0]
    assert (row["rate"], row["epoch"], row["disk"]) == (12.3, 0, {"messages": 2, "missed": 2})
    board.show_streams(_seen(2))
    later = board.join()
    assert {(await _told(later))["kind"], (await _told(later))["kind"]} == {"desk", "streams"}
    waiting = asyncio.get_running_loop().create_task(seat.next())
    board.show_streams([])
    assert json.loads(await asyncio.wait_for(waiting, DEADLINE_SECONDS)) == {"kind": "streams", "streams": []}
    await board.close()


async def test_desk_and_streams_share_the_bounded_rate() -> None:
    """While both change all the time, neither is starved, and together they are at most `hz` messages a second."""
    source = Source()
    board = Board(source.read, 20.0, LOG)
    board.start()
    seat = board.join()
    loop = asyncio.get_running_loop()
    began, kinds = loop.time(), []
    for number in range(1, 9):
        source.peers = number
        board.changed()
        board.show_streams(_seen(number))
        kinds.append((await _told(seat))["kind"])
    assert len(kinds) - 1 <= 20.0 * (loop.time() - began)
    assert 3 <= kinds.count("streams") <= 5
    await board.close()


async def test_board_is_occupied_while_somebody_has_a_seat() -> None:
    """Whoever brings the streams stops when the last one left; the next one is not shown what was then."""
    board = Board(Source().read, FAST, LOG)
    assert not board.occupied.is_set()
    first, second = board.join(), board.join()
    first.leave()
    assert board.occupied.is_set()
    board.show_streams(_seen(1))
    second.leave()
    assert not board.occupied.is_set()
    board.start()
    late = board.join()
    assert (await _told(late))["kind"] == "desk"
    board.show_streams(_seen(2))
    assert [stream["messages"] for stream in (await _told(late))["streams"]] == [2]
    await board.close()
