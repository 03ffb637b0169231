"""The operations about streams over real sockets: what they make, promise and remove, and what a host leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.coordinator.service import Service
from jupyter_nq.coordinator.streaming import Streaming
from jupyter_nq.errors import InvalidArgument, InvalidName, ProtocolError, StoreFull, UnknownStream
from jupyter_nq.streams import Stream, layout
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.publisher import Publisher
from jupyter_nq.testing import Child, wait_until
from tests.unit.client.child import session_child
from tests.unit.coordinator.conftest import Dial

_LEAST = 1 << 17  # bytes that a publisher keeps in the pool of these tests, an eighth of 1 MiB
_SCHEMA = pa.schema([("price", pa.float64())])
_MAKING = """
import secrets
from pathlib import Path
from jupyter_nq.streams.drafts import drafted
with drafted(Path(sys.argv[1]), secrets.token_hex(16)) as draft:
    (draft / "0-0").write_bytes(b"x" * 5000)
    say(draft.name)
    input()
"""


def _used(wire: Any) -> int:
    used: int = wire.call("status", {})["pool"]["used"]
    return used


def test_a_stream_is_made_once(service: Service, store: Store, connect: Dial) -> None:
    """The second who asks is told what it is; so is one who asks for something else."""
    wire = connect()
    made = wire.call("stream", {"name": "ticks", "schema": _SCHEMA.serialize().to_pybytes()})
    assert (made["name"], made["form"]) == ("ticks", "tape")
    assert pa.ipc.read_schema(pa.py_buffer(made["schema"])) == _SCHEMA
    assert (made["options"]["retention_bytes"], made["options"]["segment_bytes"]) == (_LEAST, 1 << 16)
    assert connect().call("stream", {"name": "ticks", "form": "log"}) == made
    assert [path.name for path in (store.path / STREAMS).iterdir()] == ["ticks"]


@pytest.mark.parametrize(
    ("op", "args", "error", "says"),
    [
        ("stream", {}, ProtocolError, "'name' must be text"),
        ("stream", {"name": "a/b"}, InvalidName, "a/b"),
        ("stream", {"name": "."}, InvalidName, "'.'"),
        ("stream", {"name": "a", "form": 1}, ProtocolError, "'form' must be text"),
        ("stream", {"name": "a", "schema": "price"}, ProtocolError, "schema of a stream is not bytes"),
        ("stream", {"name": "a", "schema": b"price"}, ProtocolError, "cannot be read"),
        ("stream", {"name": "a", "options": [1]}, InvalidArgument, r"The options of a stream are retention_bytes, "),
        ("stream", {"name": "a", "options": {"retention": 1}}, InvalidArgument, "not {'retention': 1}"),
        ("stream", {"name": "a", "options": {"retention_bytes": None}}, InvalidArgument, "retention_bytes=None"),
        ("stream", {"name": "a", "options": {"overflow": []}}, InvalidArgument, r"overflow=\[\]"),
        ("lane", {"name": "a"}, UnknownStream, r"no stream 'a'\. Did you mean 'ab'"),
        ("lane", {"name": ".."}, InvalidName, r"\.\."),
        ("lane", {}, ProtocolError, "'name' must be text"),
        ("drop_stream", {"name": "a"}, UnknownStream, "no stream 'a'"),
        ("drop_stream", {"name": "../tmp"}, InvalidName, r"\.\./tmp"),
        ("drop_stream", {"name": None}, ProtocolError, "'name' must be text"),
    ],
)
def test_bad_arguments_are_refused(
    service: Service, store: Store, connect: Dial, op: str, args: Mapping[str, Any], error: type[Exception], says: str
) -> None:
    """With what is wrong; nothing is made or removed, and the connection goes on."""
    wire = connect()
    wire.call("stream", {"name": "ab"})
    with pytest.raises(error, match=says):
        wire.call(op, dict(args))
    assert [path.name for path in (store.path / STREAMS).iterdir()] == ["ab"]
    assert wire.call("drop_stream", {"name": "ab"}) == {"name": "ab", "messages": 0}


def test_a_lane_is_promised_until_it_counts_by_itself(service: Service, store: Store, connect: Dial) -> None:
    """First as a reservation, then as what its publisher may keep, and as nothing when the stream is dropped."""
    wire = connect()
    wire.call("stream", {"name": "a"})
    assert _used(wire) == 0
    ticket = wire.call("lane", {"name": "a"})["ticket"]
    assert _used(wire) == _LEAST
    publisher = Publisher(MappedControl(store.path / STREAMS / "a"))
    wire.call("release", {"ticket": ticket, "tidy": True})
    assert _used(wire) == _LEAST
    publisher.close()
    assert _used(wire) == _LEAST, "what it published is still there"
    assert wire.call("drop_stream", {"name": "a"})["messages"] == 0
    assert _used(wire) == 0


def test_a_lane_that_is_free_needs_no_room(service: Service, store: Store, connect: Dial) -> None:
    """The next publisher takes it over, however full the pool is; a second one at the same time is refused."""
    wire = connect()
    wire.call("stream", {"name": "a"})
    Publisher(MappedControl(store.path / STREAMS / "a")).close()
    wire.call("reserve", {"name": "bars", "bytes": (1 << 20) - _LEAST})
    assert wire.call("lane", {"name": "a"})["ticket"]
    taken = Publisher(MappedControl(store.path / STREAMS / "a"))
    with pytest.raises(StoreFull, match=r"streams/a' needs 128\.0 KiB"):
        wire.call("lane", {"name": "a"})
    taken.close()


def test_a_free_lane_is_promised_once(service: Service, store: Store, connect: Dial) -> None:
    """Of two who ask for it at the same time one gets it, and the other room for a lane of its own."""
    first, second = connect(), connect()
    first.call("stream", {"name": "a"})
    Publisher(MappedControl(store.path / STREAMS / "a")).close()
    ticket = first.call("lane", {"name": "a"})["ticket"]
    assert _used(first) == _LEAST
    other = second.call("lane", {"name": "a"})["ticket"]
    assert _used(first) == 2 * _LEAST
    first.call("release", {"ticket": ticket, "tidy": True})
    second.call("release", {"ticket": other, "tidy": True})
    assert _used(first) == _LEAST
    assert first.call("lane", {"name": "a"})["ticket"]
    assert _used(first) == _LEAST


def test_a_stream_that_was_dropped_by_half_goes_when_the_next_coordinator_starts(store: Store) -> None:
    """It said that it was dropped and its host died: nobody could publish to it, and its name is free again."""
    streams = Streaming(store)
    streams.make({"name": "a"}, 1 << 20)
    control = MappedControl(store.path / STREAMS / "a")
    control.words[layout.CLOSED] = 1
    streams.start()
    assert list((store.path / STREAMS).iterdir()) == []
    streams.make({"name": "a"}, 1 << 20)
    with Stream(store.path / STREAMS / "a") as stream:
        assert stream.publish(b"x") == 0


def test_what_was_half_made_or_half_dropped_is_swept(store: Store) -> None:
    """A coordinator removes it when it starts; the streams that there are stay."""
    streams = Streaming(store)
    streams.make({"name": "kept"}, 1 << 20)
    with Stream(store.path / STREAMS / "kept") as stream:
        stream.publish(b"x")
    (store.path / STREAMS / ".0123").mkdir()
    (store.path / STREAMS / ".0123" / "control").write_bytes(b"half")
    (store.path / STREAMS / ".4567").mkdir()
    service = Service(store)
    service.start()
    service.stop()
    assert [path.name for path in (store.path / STREAMS).iterdir()] == ["kept"]
    with Stream(store.path / STREAMS / "kept") as stream:
        assert [message.data for message in stream.subscribe("earliest").get_messages()] == [b"x"]
    assert repr(streams) == f"<Streaming in {store.path / STREAMS}>"


def test_what_a_process_left_that_died_over_a_stream_goes_while_the_coordinator_runs(
    service: Service, store: Store, connect: Dial
) -> None:
    """With the next look for leftovers; what a living process makes stays."""
    with Child(_MAKING, str(store.path / STREAMS)) as living, Child(_MAKING, str(store.path / STREAMS)) as dead:
        drafts = {child.line(): child for child in (living, dead)}
        dead.kill()
        connect().call("release", {"ticket": 0})  # which makes it look
        wait_until(lambda: len(list((store.path / STREAMS).iterdir())) == 1)
        (left,) = (store.path / STREAMS).iterdir()
        assert drafts[left.name] is living


def test_a_damaged_stream_stops_no_coordinator(store: Store, connect: Dial) -> None:
    """It counts as nothing and the others as before."""
    streams = Streaming(store)
    for name in ("damaged", "sound"):
        streams.make({"name": name}, 1 << 20)
        Publisher(MappedControl(store.path / STREAMS / name)).close()
    assert streams.promised_bytes() == 2 * _LEAST
    with (store.path / STREAMS / "damaged" / "control").open("r+b") as file:
        file.write(b"x")
    service = Service(store, pool_bytes=1 << 20)
    service.start()
    wire = connect()
    assert _used(wire) == _LEAST
    assert wire.call("stream", {"name": "another"})["name"] == "another"
    service.stop()


def test_publishing_and_reading_go_on_when_the_host_is_killed(nq_store_dir: Path, tmp_path: Path) -> None:
    """Nothing is lost or asked; the next coordinator counts what the first has promised, and makes streams."""
    settings = Settings(store_dir=str(nq_store_dir), spill_dir=str(tmp_path / "disk"))
    code = "session.stream('a').publish(b'0')\nsay('published')\ninput()"
    with session_child(nq_store_dir, code) as host:
        assert host.line() == "published"
        with Session(settings=settings) as session:
            stream = session.stream("a")
            reader = stream.subscribe("earliest")
            assert stream.publish(b"1") == 0
            used = session.status().pool_used_bytes
            assert session.status().host_pid == host.pid
            host.kill()
            assert [stream.publish(bytes([i])) for i in range(2, 100)] == list(range(1, 99))
            found = reader.get_messages(1000)
            assert sorted((message.lane, message.sequence_number) for message in found) == [
                (0, 0),
                *((1, seq) for seq in range(99)),
            ]
            assert session.status().host_pid != host.pid
            assert session.status().pool_used_bytes == used
            assert session.stream("b").publish(b"x") == 0
            assert [row.name for row in session.list_streams()] == ["a", "b"]
