"""Durable streams of a session: made, lost with the memory of the machine, brought back, listed and dropped."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jupyter_nq.buffers.cold.keys import new_key
from jupyter_nq.client.cold.disk import directory_for
from jupyter_nq.client.session import Session
from jupyter_nq.client.sets.restoring import restore
from jupyter_nq.client.sets.saving import save
from jupyter_nq.config import Settings
from jupyter_nq.errors import ConfigError, InvalidArgument, NotDurable, StoreFull, UnknownKey, UnknownStream
from jupyter_nq.streams.durable.home import directory_beside
from jupyter_nq.testing.forked import Forked, Say

_TICKS = {"at": "datetime64[ns, UTC]", "price": "float64"}
_MIB = 1 << 20
Start = Callable[..., Session]

pytestmark = pytest.mark.usefixtures("disk", "light_children")


@pytest.fixture
def start(nq_store_dir: Path) -> Iterator[Start]:
    """Give a function that starts the machine anew, without its memory unless that is kept, and opens a session."""
    opened: list[Session] = []

    def started(*, keep_memory: bool = False, **settings: Any) -> Session:
        for session in opened:
            session.close()
        if not keep_memory:
            shutil.rmtree(nq_store_dir, ignore_errors=True)
        opened.append(Session(settings=Settings(store_dir=str(nq_store_dir), **settings)))
        return opened[-1]

    yield started
    for session in opened:
        session.close()


def _home(session: Session, name: str) -> Path:
    return directory_beside(directory_for(session.settings.spill_dir, session.store.path)) / name


def test_a_durable_stream_outlives_the_machine(start: Start) -> None:
    """By its name alone: messages, schema, options, and where a named consumer was; sequences go on."""
    session = start()
    ticks = session.stream("ticks", _TICKS, durable=True, retention_bytes=4 * _MIB)
    ticks.publish_rows([(1, 2.0), (3, 4.0), (5, 6.0)])
    reader = ticks.subscribe("earliest", name="risk")
    reader.get_messages(2)
    reader.ack()
    ticks.flush(10)
    session = start()
    again = session.stream("ticks")
    assert (again.form, again.messages, again.durable) == ("tape", 3, True)
    assert again.stats()["retention_bytes"] == 4 * _MIB
    assert [m.data["price"] for m in again.subscribe(name="risk").get_messages()] == [6.0]
    again.publish_rows([(7, 8.0)])
    assert start().stream("ticks").messages == 4


def test_the_list_brings_streams_back(start: Start, tmp_path: Path) -> None:
    """Those that are durable, and only they; names are known before they are back."""
    session = start()
    for name, durable in (("a", True), ("b", False), ("c", True)):
        session.stream(name, durable=durable).publish({"from": name})
    session = start()
    assert session.streaming.names() == ["a", "c"]
    assert [(row.name, row.messages) for row in session.list_streams()] == [("a", 1), ("c", 1)]
    assert session.streaming.existing("c").subscribe("earliest").get_messages()[0].data == {"from": "c"}
    with pytest.raises(UnknownStream, match="There are: a, c"):
        session.streaming.existing("b")


def test_what_a_killed_publisher_left_is_on_the_disk_once_somebody_opens_the_stream(start: Start) -> None:
    """The host lives, and the publisher dies before its group: opening the stream copies what is in memory."""
    session = start()
    session.stream("s", durable=True)

    def publish(say: Say) -> None:
        with Session(settings=Settings(store_dir=str(session.store.path))) as own:
            stream = own.stream("s")
            kept = stream._writer()._kept
            assert kept is not None
            kept.close()
            for number in range(20):
                stream.publish({"n": number})
            say("published")
            threading.Event().wait(60)

    with Forked(publish) as child:
        assert child.hear() == "published"
    session.stream("s")
    session = start()
    found = session.stream("s").subscribe("earliest").get_messages(100)
    assert [message.data["n"] for message in found] == list(range(20))


def test_a_dropped_stream_stays_dropped(start: Start) -> None:
    """Dropped in memory, or while only the disk has it: gone for good, and its name is free."""
    session = start()
    for name in ("a", "b"):
        session.stream(name, durable=True).publish(b"x")
    assert session.drop_stream("a") == 1
    session = start()
    assert session.streaming.names() == ["b"]
    assert session.drop_stream("b") == 1
    with pytest.raises(UnknownStream):
        session.drop_stream("b")
    session = start()
    assert session.list_streams() == []
    assert session.stream("a").stats()["durability"] is None


def test_a_stream_that_is_back_is_not_opened_as_another(start: Start) -> None:
    """Options count before and after; durable must be a truth value."""
    session = start()
    session.stream("s", durable=True).publish(b"x")
    session.stream("plain")
    session = start()
    with pytest.raises(InvalidArgument, match="durable=True, not False"):
        session.stream("s", durable=False)
    with pytest.raises(InvalidArgument, match="durable=1 is neither True nor False"):
        session.stream("t", durable=1)  # type: ignore[arg-type]
    session.stream("s", durable=True).close()


def test_what_is_encrypted_needs_the_key(start: Start, tmp_path: Path) -> None:
    """With a key nothing is plain on the disk; without it the stream is refused, in the list with a warning."""
    pytest.importorskip("cryptography")
    keys = tmp_path / "keys"
    keys.write_text(new_key())
    keys.chmod(0o600)
    session = start(key_file=str(keys))
    session.stream("s", durable=True).publish({"secret": "alpha"})
    home = _home(session, "s")
    session.close()
    assert all(b"alpha" not in path.read_bytes() for path in home.iterdir() if path.is_file())
    session = start()
    with pytest.raises(UnknownKey, match="Set JUPYTER_NQ_KEY"):
        session.stream("s")
    with pytest.warns(UserWarning, match=r"durable stream 's' stays on the disk: .* is encrypted"):
        assert session.list_streams() == []
    assert start(key_file=str(keys)).stream("s").messages == 1


def test_nothing_plain_is_written_where_the_key_is_gone(start: Start, tmp_path: Path) -> None:
    """A process without the key opens the stream that is in memory, and its flush is refused."""
    pytest.importorskip("cryptography")
    keys = tmp_path / "keys"
    keys.write_text(new_key())
    keys.chmod(0o600)
    session = start(key_file=str(keys))
    session.stream("s", durable=True).publish(b"x")
    home = _home(session, "s")
    session.close()
    files = sorted(path.name for path in home.iterdir())
    session = start(keep_memory=True)
    stream = session.stream("s")
    stream.publish({"secret": "alpha"})
    with pytest.raises((NotDurable, ConfigError), match="unencrypted"):
        stream.flush(10)
    assert sorted(path.name for path in home.iterdir()) == files


def test_a_stream_without_room_stays_on_the_disk(start: Start) -> None:
    """The quota is too small for what it may have in memory: refused, and it comes back with a larger one."""
    session = start()
    session.stream("s", durable=True, retention_bytes=32 * _MIB).publish(b"x")
    session = start(pool_bytes=16 * _MIB)
    with pytest.raises(StoreFull, match="'s' needs"):
        session.stream("s")
    assert start().stream("s").messages == 1


def test_a_working_set_has_the_options_and_the_epoch(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Restored after a restart the stream is the one of the disk, with its consumer; in a new store one is made so."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    session = start()
    options: dict[str, Any] = {"durable": True, "retention_rows": 100, "retention_seconds": 86_400.0}
    stream = session.stream("s", {"n": "int64"}, retention_bytes=_MIB, **options)
    stream.publish((1,))
    with stream.subscribe("earliest", name="engine") as engine:
        engine.get_messages()
        engine.ack()
    save(session, "before")
    stream.evolve(wider := pa.schema([("n", pa.int64()), ("side", pa.int64())]))
    save(session, "desk")
    stream.flush(10)
    session = start()
    assert save(session, "away").streams == 1
    session = start()
    for name in ("before", "desk", "away"):
        assert [one.outcome for one in restore(session, name).items] == ["same", "same"]
    assert session.stream("s").schema == wider
    session.drop_stream("s")
    assert [one.outcome for one in restore(session, "desk").items] == ["restored", "lost"]
    made = session.stream("s", wider, retention_bytes=_MIB, **options)
    assert (made.durable, made.schema, made.messages) == (True, wider, 0)


def test_a_publisher_of_its_own_encrypts(start: Start, tmp_path: Path) -> None:
    """As that of a bridge from Kafka: what it publishes is on the disk, and nothing of it plain."""
    pytest.importorskip("cryptography")
    keys = tmp_path / "keys"
    keys.write_text(new_key())
    keys.chmod(0o600)
    session = start(key_file=str(keys))
    stream = session.stream("s", durable=True)
    with session.streaming.own_publisher(session.streaming.control("s"), 7) as publisher:
        publisher.publish(b"a secret of the bridge")
        stream.flush(10)
    assert not any(b"secret" in path.read_bytes() for path in _home(session, "s").rglob("*") if path.is_file())
    session = start(key_file=str(keys))
    assert [one.data for one in session.stream("s").subscribe("earliest").get_messages()] == [b"a secret of the bridge"]
