"""What is left in a store is seen, freed when nobody needs it, and named when somebody does."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from jupyter_nq.buffers import Store, freeze
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.testing.leftovers import kept_open, leftovers, open_files, settle


def test_a_store_with_its_datasets_alone_has_no_leftovers(nq_store_dir: Path) -> None:
    """Objects with a name, their notes and the coordinator's files are what belongs there."""
    with Session(settings=Settings(store_dir=str(nq_store_dir))) as session:
        session.put("a", np.ones(10))
        session.store.annotate(session.store.resolve("a"), b"a note")
        assert leftovers(session.store) == []


def test_leftovers_are_named_with_their_bytes_and_freed_without_a_coordinator(nq_store_dir: Path) -> None:
    """An object without a name, a draft of nobody and a note without its object."""
    store = Store(nq_store_dir)
    info = store.write("a", np.ones(1 << 12))
    (store.path / "tmp" / "x.part").write_bytes(b"x")
    store.annotate(info.id, b"a note")
    assert leftovers(store) == [
        f"obj/{info.id}",
        "tmp/x.part",
        f"notes/{info.id}",
        f"{store.used_bytes():,} bytes that no dataset owns",
    ]
    assert settle(store) == []
    assert store.used_bytes() == 0


def test_a_coordinator_is_asked_to_look(nq_store_dir: Path) -> None:
    """What dead writers left goes soon, without anything else happening in the store."""
    with Session(settings=Settings(store_dir=str(nq_store_dir))) as session:
        (session.store.path / "tmp" / "x.part").write_bytes(b"x")
        assert settle(session.store) == []


def test_what_somebody_holds_stays_and_is_named(nq_store_dir: Path) -> None:
    """Its holder has the file open."""
    store = Store(nq_store_dir)
    info = store.write("a", np.ones(10))
    view = store.open_id(info.id).numpy()
    assert settle(store, seconds=0.01)[0] == f"obj/{info.id}"
    assert open_files(os.getpid(), store) == [str(store.path / "obj" / info.id)]
    assert kept_open(os.getpid(), store, seconds=0.01) == open_files(os.getpid(), store)
    del view
    assert settle(store) == []
    assert open_files(os.getpid(), store) == []


def test_the_newest_durable_copy_of_a_name_is_needed_and_others_are_not(nq_store_dir: Path, tmp_path: Path) -> None:
    """Of a dataset whose newest version is not durable the disk keeps the one before; what has no name is left over."""
    with Session(settings=Settings(store_dir=str(nq_store_dir), spill_dir=str(tmp_path))) as session:
        session.put("a", np.ones(10), durable=True)
        kept = session.store.resolve("a")
        session.publish("a", np.ones(5)).close()
        assert settle(session.store) == []
        assert session.spilling.copies().exists(kept)
        other = session.store.write("b", np.ones(3))
        freeze(session.store, other.id, session.spilling.copies(), durable=True)
        assert session.store.collect(other.id)
        assert leftovers(session.store) == [f"cold/{other.id}"]
        session.spilling.copies().remove(other.id)
        session.put("a", np.ones(4), durable=True)
        assert settle(session.store) == []
        assert not session.spilling.copies().exists(kept)
