"""Streams of a session: opened by name, with memory that counts against the quota, and lanes that processes hand on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jupyter_nq.client.session import Session
from jupyter_nq.errors import (
    InvalidArgument,
    InvalidName,
    SchemaMismatch,
    StoreFull,
    StreamBusy,
    StreamFull,
    UnknownStream,
    UnsupportedData,
)
from jupyter_nq.testing import wait_until
from tests.unit.client.child import session_child
from tests.unit.client.small import MIB, array, small_session

pytestmark = pytest.mark.usefixtures("disk")

_TICKS = {"at": "datetime64[ns, UTC]", "price": "float64"}


# -- opening ------------------------------------------------------------------------------------------
def test_a_stream_is_made_once_and_opened_by_its_name(session: Session) -> None:
    """Whoever names it has the same one, with what was published; the first to say decides on its form."""
    tape, log = session.stream("ticks", _TICKS), session.stream("signals")
    assert (tape.form, log.form) == ("tape", "log")
    assert tape.schema is not None
    assert dict(zip(tape.schema.names, tape.schema.types, strict=True)) == {
        "at": pa.timestamp("ns", "UTC"),
        "price": pa.float64(),
    }
    tape.publish_rows([(1, 2.0)])
    again = session.stream("ticks")
    assert again.messages == 1
    assert session.stream("ticks", _TICKS).form == "tape"
    assert session.stream("ticks", again.schema, form="tape").form == "tape"
    with pytest.raises(UnknownStream, match=r"no stream 'tikcs'\. Did you mean 'ticks'\? There are: signals, ticks"):
        session.streaming.existing("tikcs")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"schema": {"price": "float64"}}, SchemaMismatch, "has at timestamp.* the data have price double"),
        ({"form": "log"}, InvalidArgument, r"is there, with form='tape', not 'log'\. Drop it first"),
        ({"retention_bytes": 1 << 20}, InvalidArgument, "retention_bytes=2097152, not 1048576"),
        ({"exclusive": True, "overflow": "block"}, InvalidArgument, "overflow='drop_oldest', not 'block'"),
    ],
)
def test_a_stream_is_not_opened_as_another(
    session: Session, options: Mapping[str, Any], error: type[Exception], says: str
) -> None:
    """What is there stays, and the error says both what it is and what was asked for."""
    session.stream("ticks", _TICKS, retention_bytes=2 << 20)
    with pytest.raises(error, match=says):
        session.stream("ticks", **options)


def test_a_stream_is_opened_with_another_schema_when_it_is_to_evolve(session: Session) -> None:
    """One that is there gets it, one that is not is made with it; from then on it is opened with that one alone."""
    renamed = {"at": "datetime64[ns, UTC]", "last": "float64"}
    for epoch in (0, 0):
        assert session.stream("ticks", _TICKS, evolve=True).epoch == epoch
    session.stream("ticks").publish_rows([(1, 2.0)])
    stream = session.stream("ticks", renamed, evolve=True)
    assert (stream.epoch, stream.publish_rows([(1, 2.0)])) == (1, 1)
    assert session.stream("ticks", renamed).epoch == 1
    with pytest.raises(
        SchemaMismatch, match="last is double there and missing here; price is missing there and double here"
    ):
        session.stream("ticks", _TICKS)
    table = stream.subscribe("earliest").read_table()
    assert table is not None
    assert table.num_rows == 1


def test_limits_of_a_stream_are_options(session: Session) -> None:
    """By rows and by age; what is no number is refused by name."""
    stream = session.stream("ticks", _TICKS, retention_rows=3, retention_seconds=60)
    stream.publish_rows([(n, 2.0) for n in range(10)])
    assert stream.stats()["kept"] == 3
    for wrong in ({"retention_rows": 2.5}, {"retention_seconds": "60"}):
        with pytest.raises(InvalidArgument, match=next(iter(wrong))):
            session.streaming.open("other", None, None, wrong)


def test_a_log_does_not_pass_for_a_tape(session: Session) -> None:
    """A log that nobody gave a schema is refused to who asks for one: single rows could not be published there."""
    session.stream("ticks")
    with pytest.raises(SchemaMismatch, match=r"'ticks' is there, without a schema"):
        session.stream("ticks", _TICKS)


@pytest.mark.parametrize(
    ("name", "options", "error", "says"),
    [
        ("../x", {}, InvalidName, r"\.\./x"),
        ("a", {"schema": ["price"]}, InvalidArgument, "Write {'price': 'float64'}"),
        ("a", {"schema": {"price": "flaot64"}}, UnsupportedData, "price"),
        ("a", {"schema": {"side": pa.string()}, "form": "tape"}, UnsupportedData, "no fixed width"),
        ("a", {"form": "tape"}, InvalidArgument, "A tape needs a schema"),
        ("a", {"form": "tpae", "schema": _TICKS}, InvalidArgument, "Did you mean 'tape'"),
        ("a", {"overflow": "blok"}, InvalidArgument, "Did you mean 'block'"),
        ("a", {"retention_bytes": "64MB"}, InvalidArgument, "retention_bytes='64MB' is no whole number"),
        ("a", {"retention_bytes": -1}, InvalidArgument, "retention_bytes"),
        ("a", {"retention_bytes": 0}, InvalidArgument, "retention_bytes"),
        ("a", {"segment_bytes": 1.5}, InvalidArgument, "segment_bytes=1.5 is no whole number"),
        ("a", {"segment_bytes": 1 << 40}, InvalidArgument, "segment_bytes"),
        ("a", {"block_seconds": "long"}, InvalidArgument, "block_seconds='long' is no number"),
        ("a", {"block_seconds": float("nan")}, InvalidArgument, "block_seconds=nan"),
        ("a", {"exclusive": "yes"}, InvalidArgument, "exclusive='yes' is neither True nor False"),
    ],
)
def test_what_makes_no_stream_is_refused(
    session: Session, name: str, options: Mapping[str, Any], error: type[Exception], says: str
) -> None:
    """With the option and its value, and nothing is made."""
    with pytest.raises(error, match=says):
        session.stream(name, **options)
    assert session.list_streams() == []


# -- memory -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("pool_mib", "retention", "segment"), [(8, 1 << 20, 1 << 17), (1, 1 << 17, 1 << 16), (1 << 10, 64 << 20, 8 << 20)]
)
def test_what_a_publisher_keeps_follows_the_pool(
    nq_store_dir: Path, pool_mib: int, retention: int, segment: int
) -> None:
    """An eighth of it, and of that an eighth for each segment, between two least segments and the usual size."""
    with small_session(nq_store_dir, pool_bytes=pool_mib * MIB) as session:
        stream = session.stream("a")
        assert session.list_streams()[0].retention_bytes == retention
        stream.publish(b"x")
        assert (session.store.path / "streams" / "a" / "0-1").stat().st_size == segment


def test_a_publisher_counts_against_the_quota_with_what_it_may_keep(nq_store_dir: Path) -> None:
    """Not before it publishes, and as long as the stream is there; each stream and process once."""
    with small_session(nq_store_dir) as session:
        before = session.status().pool_used_bytes
        first = session.stream("a", retention_bytes=2 * MIB)
        assert session.status().pool_used_bytes == before
        first.publish({"x": 1})
        session.stream("a").publish({"x": 2})
        assert session.status().pool_used_bytes == before + 2 * MIB
        session.drop_stream("a")
        assert session.status().pool_used_bytes == before


def test_datasets_make_way_for_a_publisher(nq_store_dir: Path) -> None:
    """What nobody holds leaves memory for the disk, and comes back."""
    with small_session(nq_store_dir) as session:
        for i in range(3):
            session.put(f"d{i}", array(i))
        session.stream("a", retention_bytes=3 * MIB).publish(b"x")
        assert [row.name for row in session.ls() if not row.bytes] == ["d0"]
        assert session.get("d0", as_="numpy")[0] == 0


def test_a_publisher_without_room_is_refused(nq_store_dir: Path) -> None:
    """It is told what takes the room, leaves nothing, and can publish once there is room."""
    with small_session(nq_store_dir) as session:
        for i in range(3):
            session.put(f"d{i}", array(i))
            session.pin(f"d{i}")
        stream = session.stream("a", retention_bytes=3 * MIB)
        with pytest.raises(StoreFull, match=r"streams/a' needs 3\.0 MiB.*d2 version 1, 2\.0 MiB, pinned"):
            stream.publish(b"x")
        assert session.list_streams()[0].publishers == ()
        assert stream.messages == 0
        session.unpin("d0")
        assert stream.publish(b"x") == 0


def test_messages_larger_than_what_is_kept_are_refused(nq_store_dir: Path) -> None:
    """With both sizes; the stream goes on."""
    with small_session(nq_store_dir) as session:
        stream = session.stream("a")
        with pytest.raises(StreamFull, match=r"A message takes [\d,]+ bytes; the stream 'a' keeps 1,048,576"):
            stream.publish(bytes(MIB))
        assert stream.publish(b"x") == 0


# -- listing and dropping -----------------------------------------------------------------------------
def test_streams_are_listed_with_their_figures(session: Session) -> None:
    """By name; who reads is listed by its name, else by its pid."""
    session.stream("b").publish({"x": 1})
    named = session.stream("b").subscribe("earliest", name="risk")
    other = session.stream("b").subscribe()
    session.stream("a", _TICKS)
    first, second = session.list_streams()
    assert (first.name, first.form, first.messages, first.publishers, first.consumers) == ("a", "tape", 0, (), ())
    pid = session.channel.request("notebooks")[0]["pid"]
    assert (second.name, second.messages, second.kept, second.publishers) == ("b", 1, 1, (pid,))
    assert sorted(second.consumers) == sorted(["risk", str(pid)])
    assert (second.lag, second.lost) == (1, 0)
    named.get_messages()
    named.ack()
    assert session.list_streams()[1].lag == 0
    other.close()
    assert session.list_streams()[1].consumers == ("risk",)


def test_a_damaged_stream_is_listed_without_its_rate(session: Session, nq_store_dir: Path) -> None:
    """The messages of the last second count; one that cannot be read hides no stream."""
    stream = session.stream("ticks", {"price": "float64"})
    stream.publish_rows([(1.0,), (2.0,)])
    assert (session.list_streams()[0].rate, stream.published_within(3600.0)) == (2, 2)
    with (nq_store_dir / "streams" / "ticks" / "0-1").open("r+b") as file:
        file.write(b"\xff" * 8)
    (row,) = session.list_streams()
    assert (row.messages, row.rate) == (2, None)


def test_dropping_is_told_to_who_publishes_and_reads(session: Session, nq_store_dir: Path) -> None:
    """Both in another process and here; a batch that was read stays, and the name is free for another stream."""
    stream = session.stream("a", {"x": "int64"})
    stream.publish_rows([(1,), (2,)])
    held = stream.subscribe("earliest").read_table()
    waiting = stream.subscribe()
    code = """
stream = session.stream("a")
stream.publish_rows([(3,)])
reader = stream.subscribe()
say("ready")
try:
    reader.get_messages(timeout=60)
except Exception as exc:
    say(type(exc).__name__)
try:
    stream.publish_rows([(4,)])
except Exception as exc:
    say(type(exc).__name__)
"""
    with session_child(nq_store_dir, code) as child:
        assert child.line() == "ready"
        assert len(waiting.get_messages(timeout=10)) == 1
        assert session.drop_stream("a") == 3
        assert [child.line(), child.line()] == ["UnknownStream"] * 2
    assert held is not None
    assert held["x"].to_pylist() == [1, 2]
    with pytest.raises(UnknownStream, match="was dropped"):
        stream.publish_rows([(5,)])
    with pytest.raises(UnknownStream, match="was dropped"):
        list(iter(lambda: waiting.get_messages(timeout=1), []))
    with pytest.raises(UnknownStream, match="no stream 'a'"):
        session.drop_stream("a")
    assert session.stream("a").publish({"x": "anew"}) == 0


def test_listing_goes_on_while_streams_come_and_go(session: Session) -> None:
    """A stream that is dropped meanwhile is left out, and is no error."""
    done = threading.Event()
    failed: list[Exception] = []

    def churn() -> None:
        try:
            for _ in range(30):
                session.stream("a").publish(b"x")
                session.drop_stream("a")
        except Exception as exc:
            failed.append(exc)
        done.set()

    thread = threading.Thread(target=churn)
    thread.start()
    found = set()
    while not done.is_set():
        found |= {row.name for row in session.list_streams()}
    thread.join()
    assert failed == []
    assert found <= {"a"}
    assert session.list_streams() == []


# -- processes ----------------------------------------------------------------------------------------
def test_two_processes_publish_and_read_both_ways(session: Session, nq_store_dir: Path) -> None:
    """Each has a lane of its own, and reads its own messages and the other's."""
    code = """
stream = session.stream("a")
stream.publish({"from": "child"})
say("published")
input()
say(sorted(message.data["from"] for message in stream.get_messages(10)))
"""
    stream = session.stream("a")
    reader = stream.subscribe("earliest")
    with session_child(nq_store_dir, code) as child:
        assert child.line() == "published"
        (theirs,) = reader.get_messages(timeout=10)
        assert theirs.data == {"from": "child"}
        assert stream.publish({"from": "parent"}) == 0
        assert session.list_streams()[0].publishers[0] == child.pid
        child.tell()
        assert child.line() == "['child', 'parent']"
        assert [message.lane for message in reader.get_messages()] == [1]


@pytest.mark.parametrize("end", ["session.close()", "die()"])
def test_the_next_process_goes_on_in_the_lane_of_one_that_is_gone(
    session: Session, nq_store_dir: Path, end: str
) -> None:
    """Closed or killed: its messages stay, the sequence goes on, and no more memory is counted."""
    code = f"""
session.stream("a").publish(b"one")
session.stream("a").publish(b"two")
say("published")
input()
{end}
say("closed")
input()
"""
    before = session.status().pool_used_bytes
    with session_child(nq_store_dir, code) as child:
        assert child.line() == "published"
        taken = session.status().pool_used_bytes - before
        child.tell()
        child.line()
        wait_until(lambda: session.list_streams()[0].publishers == (), message="the lane to be free")
        stream = session.stream("a")
        assert stream.publish(b"three") == 2
    found = stream.subscribe("earliest").get_messages()
    assert [(message.lane, message.data) for message in found] == [(0, b"one"), (0, b"two"), (0, b"three")]
    assert session.status().pool_used_bytes - before == taken > 0


def test_handles_of_a_process_share_its_lane(session: Session) -> None:
    """Closing one of them leaves the others publishing; closing the session ends them all."""
    first, second = session.stream("a"), session.stream("a")
    assert (first.publish(b"1"), second.publish(b"2")) == (0, 1)
    first.close()
    with pytest.raises(InvalidArgument, match="closed here"):
        first.publish(b"x")
    assert second.publish(b"3") == 2
    session.streaming.close()
    session.streaming.close()
    assert session.list_streams()[0].publishers == ()
    assert repr(session.streaming).endswith("0 publishers>")


def test_an_exclusive_stream_has_one_publishing_process(session: Session, nq_store_dir: Path) -> None:
    """The second is told which one has it, and publishes when that is gone."""
    code = (
        "session.stream('a', exclusive=True).publish(b'x')\nsay('published')\ninput()\nsession.close()\nsay('closed')"
    )
    with session_child(nq_store_dir, code) as child:
        assert child.line() == "published"
        stream = session.stream("a")
        with pytest.raises(StreamBusy, match=rf"exclusive, and process {child.pid} publishes"):
            stream.publish(b"y")
        child.tell()
        assert child.line() == "closed"
        assert stream.publish(b"y") == 1
