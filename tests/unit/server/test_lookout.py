"""The lookout: looks while somebody has a seat, and only then."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.errors import StoreError, UnknownStream
from jupyter_nq.server.lookout import Lookout
from jupyter_nq.streams import Stream, make_stream
from jupyter_nq.streams.directory import drop_stream

LOG = logging.getLogger("test")
FAST = 1000.0
DEADLINE_SECONDS = 10


class Hall:
    """An audience that notes what it is shown."""

    def __init__(self) -> None:
        self.occupied = asyncio.Event()
        self.shown: list[list[dict[str, Any]]] = []
        self.fresh = asyncio.Event()

    def show_streams(self, seen: list[dict[str, Any]]) -> None:
        self.shown.append(seen)
        self.fresh.set()

    async def until(self, predicate: Callable[[list[dict[str, Any]]], Any]) -> None:
        """Wait for streams of which something holds."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not (self.shown and predicate(self.shown[-1])):
                self.fresh.clear()
                await self.fresh.wait()


@pytest.fixture
def hall() -> Hall:
    """Give an empty audience."""
    return Hall()


@pytest.fixture
def streams(nq_store_dir: Path) -> Path:
    """Give the directory of the streams of a store."""
    (nq_store_dir / "streams").mkdir()
    return nq_store_dir / "streams"


@contextlib.asynccontextmanager
async def _lookout(hall: Hall, store: Callable[[], Path | None], hz: float = FAST) -> AsyncIterator[Lookout]:
    """Give a lookout that was started, and close it twice."""
    lookout = Lookout(store, hall, hz, LOG)
    lookout.start()
    lookout.start()
    yield lookout
    await lookout.close()
    await lookout.close()


async def test_no_look_while_nobody_looks(hall: Hall, streams: Path) -> None:
    """Nothing is read before somebody comes, and no more after the last one went."""
    other = Hall()
    async with _lookout(hall, lambda: streams.parent) as lookout, _lookout(other, lambda: streams.parent):
        other.occupied.set()
        await other.until(lambda _: len(other.shown) > 5)
        assert (lookout.looks, hall.shown) == (0, [])
        hall.occupied.set()
        await hall.until(lambda _: len(hall.shown) > 5)
        hall.occupied.clear()
        await lookout._run_in_thread(lambda: None)  # the look that was on its way is over
        looks, before = lookout.looks, len(other.shown)
        await other.until(lambda _: len(other.shown) > before + 20)
        assert lookout.looks == looks


async def test_streams_are_shown_as_they_come_and_go(hall: Hall, streams: Path) -> None:
    """A stream appears, its messages count, it goes, and nobody asked a coordinator."""
    hall.occupied.set()
    async with _lookout(hall, lambda: streams.parent):
        await hall.until(lambda seen: seen == [])
        make_stream(streams, "ticks")
        await hall.until(lambda seen: [one["name"] for one in seen] == ["ticks"])
        with Stream(streams / "ticks") as stream:
            stream.publish("x")
        await hall.until(lambda seen: seen[0]["messages"] == 1)
        drop_stream(streams, "ticks")
        await hall.until(lambda seen: seen == [])


async def test_looks_keep_their_distance(hall: Hall, streams: Path) -> None:
    """At most `hz` looks a second."""
    hall.occupied.set()
    async with _lookout(hall, lambda: streams.parent, hz=50.0):
        await hall.until(lambda _: hall.shown)
        loop = asyncio.get_running_loop()
        began, first = loop.time(), len(hall.shown)
        await hall.until(lambda _: len(hall.shown) >= first + 10)
        assert len(hall.shown) - first <= 50.0 * (loop.time() - began) + 1


async def test_slow_looks_become_rare(hall: Hall, streams: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that takes long is followed by a pause of twenty times as long."""
    pauses: list[float] = []
    real_sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await real_sleep(0)

    readings = itertools.count(0.0, 0.2)
    monkeypatch.setattr("jupyter_nq.server.lookout.time.perf_counter", lambda: next(readings))
    monkeypatch.setattr("jupyter_nq.server.lookout.asyncio.sleep", noted)
    hall.occupied.set()
    async with _lookout(hall, lambda: streams.parent):
        await hall.until(lambda _: len(pauses) > 2)
    assert pauses[0] == pytest.approx(20 * 0.2)


async def test_store_that_is_not_open_is_not_looked_at(hall: Hall, streams: Path) -> None:
    """Nobody is told that there are no streams before the store is known to be one."""
    opened: list[Path] = []
    hall.occupied.set()
    async with _lookout(hall, lambda: opened[0] if opened else None) as lookout:
        assert await lookout.look() == []
        assert (lookout.looks, hall.shown) == (0, [])
        opened.append(streams.parent)
        await hall.until(lambda seen: seen == [])


async def test_trouble_is_told_once_and_ends_nothing(
    hall: Hall, streams: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged stream, or a store that went, is one line in the log, and looking goes on."""
    make_stream(streams, "bad")
    (streams / "bad" / "control").write_bytes(b"\xff" * 9000)
    hall.occupied.set()
    async with _lookout(hall, lambda: streams.parent):
        await hall.until(lambda _: len(hall.shown) > 3)
        assert sum("bad" in record.getMessage() for record in caplog.records) == 1
        shown = streams.rename(streams.parent / "away")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not any("No such file" in record.getMessage() for record in caplog.records):
                await asyncio.sleep(0)
        shown.rename(streams)
        before = len(hall.shown)
        await hall.until(lambda _: len(hall.shown) > before)


async def test_lookout_survives_what_it_did_not_expect(
    hall: Hall, streams: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect is logged once, and the panels see the streams when it is over."""
    tries = 0

    def fails(_onlooker: object) -> list[dict[str, Any]]:
        nonlocal tries
        tries += 1
        raise AttributeError("a defect")

    hall.occupied.set()
    with monkeypatch.context() as patched:
        patched.setattr("jupyter_nq.server.lookout.Onlooker.look", fails)
        async with _lookout(hall, lambda: streams.parent):
            async with asyncio.timeout(DEADLINE_SECONDS):
                while tries < 3:
                    await asyncio.sleep(0)
            patched.undo()
            await hall.until(lambda seen: seen == [])
    assert sum("could not look at the streams" in record.getMessage() for record in caplog.records) == 1


async def test_store_that_is_not_open_has_no_newest_message(hall: Hall) -> None:
    """A request that comes while the server stops is refused in words."""
    async with _lookout(hall, lambda: None) as lookout:
        with pytest.raises(StoreError, match="not open here"):
            await lookout.newest("ticks", 1)


async def test_newest_of_a_stream(hall: Hall, streams: Path) -> None:
    """The newest message is read without a look; an unknown name says which there are."""
    make_stream(streams, "ticks")
    async with _lookout(hall, lambda: streams.parent) as lookout:
        assert await lookout.newest("ticks", 1) is None
        with Stream(streams / "ticks") as stream:
            stream.publish("x")
        found = await lookout.newest("ticks", 1)
        assert found is not None
        assert found.value == "x"
        with pytest.raises(UnknownStream, match="Did you mean 'ticks'"):
            await lookout.newest("tick", 1)
        assert repr(lookout) == "<Lookout, 0 looks>"
