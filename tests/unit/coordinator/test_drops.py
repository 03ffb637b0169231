"""Records of drops: the name goes and the record comes in one step."""

from __future__ import annotations

import os

import numpy as np

from jupyter_nq.buffers import Store
from jupyter_nq.coordinator.drops import Drops


def test_a_drop_is_recorded_and_forgotten(store: Store) -> None:
    """Names may have dots and digits; the newest of two counts, and takes older ones along; others are left alone."""
    drops = Drops(store.path)
    assert drops.read() == {}
    info = store.write("NQ.30", np.zeros(3))
    for version in (9, 10):
        store.link("NQ.30", info.id)
        drops.record("NQ.30", version)
    (store.path / "drops" / "x").touch()
    (store.path / "drops" / ".5").touch()
    assert store.names() == {}
    assert drops.read() == {"NQ.30": 10}
    drops.forget("NQ.30", 9)
    assert drops.read() == {"NQ.30": 10}
    store.link("NQ.30", info.id)
    drops.record("NQ.30", 9)
    drops.forget("NQ.30", 10)
    drops.forget("NQ.30", 10)
    assert drops.read() == {}
    assert sorted(os.listdir(store.path / "drops")) == [".5", "x"]
    assert "Drops" in repr(drops)


def test_a_name_that_is_not_there_leaves_no_record(store: Store) -> None:
    """Somebody removed the link by hand."""
    Drops(store.path).record("bars", 1)
    assert os.listdir(store.path / "drops") == []
