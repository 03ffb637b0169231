"""Changing the master key of durable streams, while they are written and while they are away."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jupyter_nq.buffers import new_key
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import UnknownKey

pytestmark = pytest.mark.usefixtures("disk")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Give a key file without a key."""
    pytest.importorskip("cryptography")
    path = tmp_path / "keys"
    path.touch(mode=0o600)
    return path


def _session(store: Path, key_file: Path) -> Session:
    return Session(settings=Settings(store_dir=str(store), key_file=str(key_file)))


def test_streams_get_the_new_key_while_they_are_written(nq_store_dir: Path, key_file: Path) -> None:
    """Messages before and after the rotation come back with the new key alone; doing it again does nothing."""
    old, new = new_key(), new_key()
    key_file.write_text(old)
    with _session(nq_store_dir, key_file) as session:
        stream = session.stream("s", durable=True)
        stream.publish({"n": 0})
        stream.publish({"n": 1})
        with stream.subscribe("earliest", name="risk") as reader:
            reader.get_messages(1)
            reader.ack()
            stream.flush(10)
        key_file.write_text(f"{new}\n{old}\n")
        done = session.rotate_keys()
        assert (done.sealed, done.refused) == (("stream s",), ())
        assert session.rotate_keys().before == ("stream s",)
        stream.publish({"n": 2})
        stream.flush(10)
    key_file.write_text(new)
    shutil.rmtree(nq_store_dir)
    with _session(nq_store_dir, key_file) as session:
        again = session.stream("s")
        assert [m.data["n"] for m in again.subscribe("earliest").get_messages()] == [0, 1, 2]
        assert again.consumers()[0].positions == {0: 1}


def test_a_stream_whose_key_is_not_there_is_named(nq_store_dir: Path, key_file: Path) -> None:
    """It stays as it was, the summary says that the older key is needed; a plain one is told as plain."""
    with Session(settings=Settings(store_dir=str(nq_store_dir))) as session:
        session.stream("plain", durable=True).publish(b"x")
    old, new = new_key(), new_key()
    key_file.write_text(old)
    with _session(nq_store_dir, key_file) as session:
        session.stream("s", durable=True).publish(b"x")
        key_file.write_text(new)
        done = session.rotate_keys()
        assert done.plain == ("stream plain",)
        assert done.refused[0].startswith("stream s: The master key ")
        assert str(done).endswith("The older keys are still needed.")
    key_file.write_text(new)
    shutil.rmtree(nq_store_dir)
    with _session(nq_store_dir, key_file) as session, pytest.raises(UnknownKey):
        session.stream("s")
