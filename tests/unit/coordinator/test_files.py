"""What the files of a store say: bytes, and whose files are unfinished."""

from __future__ import annotations

import fcntl
import os

import numpy as np

from jupyter_nq.buffers import Store
from jupyter_nq.coordinator.files import measure


def test_every_file_counts_and_unfinished_ones_have_an_owner(store: Store) -> None:
    """A published object, a sealed one, one that is being written, and one of which nothing is known."""
    published = store.write("bars", np.zeros(5000))
    store.stamp(published.id, 1)
    sealed = store.write("signals", np.zeros(5000))
    (store.path / "obj" / ("e" * 32)).write_bytes(b"x" * 5000)
    (store.path / "tmp" / "empty.build").touch()
    with (store.path / "tmp" / "new.part").open("wb") as part:
        part.write(b"x" * 9000)
        part.flush()
        fcntl.flock(part, fcntl.LOCK_EX)
        measured = measure(store, {})
    assert measured.bytes == store.used_bytes()
    assert {(file.pid, file.name) for file in measured.unfinished} == {(os.getpid(), "signals"), (os.getpid(), None)}
    assert sealed.nbytes in {file.bytes for file in measured.unfinished}
