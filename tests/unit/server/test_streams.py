"""The routes and the feed of streams, against a real server and a real store."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import HTTPClientError

from jupyter_nq.client.session import Session
from jupyter_nq.streams import Stream

DEADLINE_SECONDS = 20


@pytest.fixture
def session(jp_serverapp: ServerApp, nq_store_dir: Path) -> Iterator[Session]:
    """Give a session on the server's store, opened while its loop rests: it needs the host's thread only."""
    with Session(nq_store_dir, require="server") as session:
        yield session


@pytest.fixture
def ticks(session: Session) -> Stream:
    """Give a tape with two messages."""
    stream = session.stream("ticks", {"price": "float64"})
    stream.publish_rows([(20000.25,), (20000.5,)])
    return stream


async def _get(jp_fetch: Any, *path: str, **options: Any) -> Any:
    return json.loads((await jp_fetch("jupyter-nq", *path, **options)).body)


async def _refusal(jp_fetch: Any, *path: str, **options: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("jupyter-nq", *path, **options)
    assert caught.value.response is not None
    return caught.value.code, json.loads(caught.value.response.body)


async def test_streams_are_listed_with_who_publishes_and_reads(ticks: Stream, jp_fetch: Any) -> None:
    """A stream is listed with its form, its processes by name, the lag, and a cell that reads it."""
    with ticks.subscribe("earliest", name="risk"):
        (row,) = await _get(jp_fetch, "streams")
    assert (row["name"], row["form"], row["messages"], row["kept"], row["rate"]) == ("ticks", "tape", 2, 2, None)
    (publisher,), (consumer,) = row["publishers"], row["consumers"]
    assert (publisher["pid"], publisher["lane"], publisher["messages"]) == (os.getpid(), 0, 2)
    assert publisher["who"] == consumer["who"] != ""
    assert (consumer["name"], consumer["lag"], consumer["lost"]) == ("risk", 2, 0)
    assert (row["lag"], row["lost"], row["overflow"], row["exclusive"]) == (2, 0, "drop_oldest", False)
    assert row["subscribe"].startswith("import jupyter_nq as nq\nticks = nq.stream('ticks').subscribe()")


async def test_no_stream_is_an_empty_list(jp_serverapp: ServerApp, jp_fetch: Any) -> None:
    """A store without streams has none."""
    assert await _get(jp_fetch, "streams") == []


async def test_one_stream_has_its_newest_rows(ticks: Stream, jp_fetch: Any) -> None:
    """The newest row comes by itself, more when they are asked for; the list has none."""
    found = await _get(jp_fetch, "streams", "ticks")
    assert found["newest"]["rows"] == [[20000.5]]
    assert found["newest"]["columns"] == [{"name": "price", "type": "double"}]
    more = await _get(jp_fetch, "streams", "ticks", params={"rows": "50"})
    assert more["newest"]["rows"] == [[20000.25], [20000.5]]
    assert {key for key in more if key != "newest"} == set((await _get(jp_fetch, "streams"))[0])
    assert len(ticks.consumers()) == 0


async def test_empty_stream_has_no_newest_row(session: Session, jp_fetch: Any) -> None:
    """What was never published to shows nothing."""
    session.stream("signals")
    assert (await _get(jp_fetch, "streams", "signals"))["newest"] is None


@pytest.mark.parametrize("rows", ["0", "51", "-1", "x", "1e1", "9" * 5000])
async def test_number_of_rows_is_checked(ticks: Stream, jp_fetch: Any, rows: str) -> None:
    """What is no number from 1 to 50 is refused in words."""
    code, body = await _refusal(jp_fetch, "streams", "ticks", params={"rows": rows})
    assert (code, body["reason"]) == (400, "InvalidArgument")
    assert "1 to 50" in body["message"]


async def test_delete_drops_the_stream(ticks: Stream, session: Session, jp_fetch: Any) -> None:
    """A dropped stream is gone for everybody; dropping it again says so."""
    dropped = json.loads((await jp_fetch("jupyter-nq", "streams", "ticks", method="DELETE")).body)
    assert dropped == {"name": "ticks", "messages": 2}
    assert session.list_streams() == []
    code, body = await _refusal(jp_fetch, "streams", "ticks", method="DELETE")
    assert (code, body["reason"]) == (404, "UnknownStream")


async def test_unknown_stream_names_the_nearest(ticks: Stream, jp_fetch: Any) -> None:
    """A 404 says what was meant."""
    code, body = await _refusal(jp_fetch, "streams", "tick")
    assert (code, body["reason"]) == (404, "UnknownStream")
    assert "Did you mean 'ticks'?" in body["message"]


@pytest.mark.parametrize("name", ["..", "%2e%2e%2fetc", "a%00b", "%CE%9DQ", "x" * 129, ".hidden"])
@pytest.mark.parametrize("verb", ["GET", "DELETE"])
async def test_name_that_is_not_allowed_is_a_400(
    jp_serverapp: ServerApp, jp_base_url: str, http_server_client: Any, jp_auth_header: Any, name: str, verb: str
) -> None:
    """Nothing but a name is looked up, however it is encoded."""
    with pytest.raises(HTTPClientError) as caught:
        await http_server_client.fetch(f"{jp_base_url}jupyter-nq/streams/{name}", method=verb, headers=jp_auth_header)
    assert caught.value.code == 400


async def test_damaged_segment_is_an_error_in_words(ticks: Stream, jp_fetch: Any, nq_store_dir: Path) -> None:
    """A preview that cannot be read says why; the list still has the stream."""
    segment = nq_store_dir / "streams" / "ticks" / "0-1"
    with segment.open("r+b") as file:
        file.write(b"\xff" * 8)
    code, body = await _refusal(jp_fetch, "streams", "ticks")
    assert (code, body["reason"]) == (500, "ChecksumError")
    assert len(await _get(jp_fetch, "streams")) == 1


async def test_feed_follows_the_streams(ticks: Stream, session: Session, jp_ws_fetch: Any) -> None:
    """A panel is told of messages by itself, with their rate, and that the stream was dropped."""
    feed = await jp_ws_fetch("jupyter-nq", "feed")

    async def until(predicate: Any) -> list[dict[str, Any]]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                message = json.loads(await feed.read_message())
                if message["kind"] == "streams" and predicate(message["streams"]):
                    return list(message["streams"])

    await until(lambda streams: streams[0]["messages"] == 2 and streams[0]["rate"] == 0.0)
    ticks.publish({"price": 1.0})
    (row,) = await until(lambda streams: streams[0]["messages"] == 3)
    assert row["rate"] > 0
    await asyncio.to_thread(session.drop_stream, "ticks")
    assert await until(lambda streams: not streams) == []
    feed.close()
