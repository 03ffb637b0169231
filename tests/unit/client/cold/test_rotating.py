"""Changing the master key: all copies of a session's disk, and what is said of those that stay."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import ColdCopies, new_key
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.client.cold.rotating import Rotated
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import ConfigError


@pytest.fixture(autouse=True)
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the disk and the key file of a session; there is no key yet."""
    monkeypatch.setenv("JUPYTER_NQ_SPILL", str(tmp_path / "disk"))
    monkeypatch.delenv("JUPYTER_NQ_KEY", raising=False)
    path = tmp_path / "keys"
    path.touch(mode=0o600)
    return path


def _session(store: Path, key_file: Path) -> Session:
    told = {"store_dir": str(store), "key_file": str(key_file), "spill_dir": os.environ["JUPYTER_NQ_SPILL"]}
    return Session(settings=Settings(**told))


def test_all_copies_get_the_new_key(nq_store_dir: Path, key_file: Path) -> None:
    """The summary counts them; afterwards the new key alone brings them back, and doing it again does nothing."""
    old, new = new_key(), new_key()
    key_file.write_text(old)
    with _session(nq_store_dir, key_file) as session:
        for i in range(3):
            session.put(f"d{i}", np.full(1000, i))
        assert len(session.spill()) == 3
        key_file.write_text(f"{new}\n{old}\n")
        told: list[float] = []
        done = session.rotate_keys(told.append)
        assert (done.key_id, done.sealed) == (new.partition(":")[0], ("d0 v1", "d1 v1", "d2 v1"))
        assert told == pytest.approx([1 / 3, 2 / 3, 1], abs=0.1)
        assert str(done).startswith(f"Master key {done.key_id}: 3 sealed (")
        assert str(done).endswith("0 refused. Nothing needs an older key.")
        key_file.write_text(new)
        assert [session.get(f"d{i}", as_="numpy", verify="always")[0] for i in range(3)] == [0, 1, 2]
        again = session.rotate_keys()
        assert (again.sealed, len(again.before) + len(again.plain)) == ((), len(_copies(session)))


def _copies(session: Session) -> list[str]:
    return [info.id for info in ColdCopies(os.path.realpath(session.store.path / COLD)).scan()]


def test_what_cannot_be_sealed_is_named(nq_store_dir: Path, key_file: Path) -> None:
    """Without the old key, damaged, or plain: each stays as it was and the others are done."""
    spill_dir = os.environ["JUPYTER_NQ_SPILL"]
    with Session(settings=Settings(store_dir=str(nq_store_dir), spill_dir=spill_dir)) as session:
        session.put("plain", np.arange(10))
        session.spill()
    lost, old, new = new_key(), new_key(), new_key()
    with _session(nq_store_dir, key_file) as session:
        for name, key in (("lost", lost), ("good", old), ("cut", old)):
            key_file.write_text(key)
            session.put(name, np.arange(10))
            session.spill(name)
        cut = max(Path(os.path.realpath(nq_store_dir / COLD)).glob("*.cold"), key=lambda path: path.stat().st_mtime_ns)
        os.truncate(cut, 50)
        key_file.write_text(f"{new}\n{old}\n")
        done = session.rotate_keys()
    assert (done.sealed, done.plain, done.before) == (("good v1",), ("plain v1",), ())
    assert [line.split(":")[0] for line in done.refused] == [cut.name, "lost v1"]
    assert f"The master key {lost.partition(':')[0]} is not among those given" in done.refused[1]
    assert "refused   lost v1: The master key" in str(done)
    assert str(done).endswith("1 not encrypted, 2 refused. The older keys are still needed.")


def test_without_a_key(nq_store_dir: Path) -> None:
    """The error says where keys go."""
    with (
        Session(settings=Settings(store_dir=str(nq_store_dir))) as session,
        pytest.raises(ConfigError, match=r"has no master key\. Set JUPYTER_NQ_KEY, or key_file"),
    ):
        session.rotate_keys()


def test_nothing_on_the_disk(nq_store_dir: Path, key_file: Path) -> None:
    """Is nothing to do."""
    key_file.write_text(key := new_key())
    with _session(nq_store_dir, key_file) as session:
        assert session.rotate_keys() == Rotated(key.partition(":")[0])
