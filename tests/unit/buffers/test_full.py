"""A full store: `StoreFull` and nothing left behind, never a SIGBUS. On a tmpfs of 16 MB of our own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.errors import StoreFull
from tests.unit.buffers.child import Child
from tests.unit.buffers.conftest import publish

_SIZE = 16 << 20


@pytest.fixture
def small(nq_tmpfs: Callable[[str], Path]) -> Store:
    """Give a store on a tmpfs of 16 MB."""
    return Store(nq_tmpfs(str(_SIZE)))


def test_an_object_that_does_not_fit_is_refused(small: Store) -> None:
    """The error names both sizes and what to do; the store is as empty as before."""
    with pytest.raises(StoreFull, match=r"33,5\d\d,\d\d\d bytes do not fit: 16,7\d\d,\d\d\d are free in .*--shm-size"):
        small.write("a", np.ones(4 << 20))
    assert small.used_bytes() == 0
    assert os.statvfs(small.path).f_bfree > 4000


def test_filling_up_never_kills(small: Store) -> None:
    """Objects are written until none fits, in another process that a SIGBUS would kill; all stay sound."""
    code = """
from jupyter_nq.errors import StoreFull
written = []
for size in (1 << 18, 1 << 15, 1 << 12, 100, 1):
    try:
        while True:
            written.append(store.write("a", {"x": np.full(size, len(written)), "y": np.ones(size, "u1")}).id)
    except StoreFull:
        pass
assert all(store.verify(i) for i in written)
for i, object_id in enumerate(written):
    assert (store.open_id(object_id).numpy()["x"] == i).all()
say(len(written)); input()
"""
    with Child(small.path, code) as child:
        assert int(child.line()) > 10
        assert len(small.scan()) > 10
        assert small.damaged() == []
        assert os.statvfs(small.path).f_bfree < 4


def test_an_append_that_does_not_fit_leaves_the_object_alone(small: Store) -> None:
    """The reserve is only addresses: without memory the append is refused, and what it took goes back."""
    info = publish(small, small.write("a", {"x": np.ones(1 << 19), "y": np.ones(1 << 19)}, reserve_rows=1 << 22))
    free = os.statvfs(small.path).f_bfree
    with pytest.raises(StoreFull):
        small.append(info.id, {"x": np.ones(1 << 20), "y": np.ones(1 << 20)})
    assert os.statvfs(small.path).f_bfree == free
    assert small.info(info.id) == info
    assert small.verify(info.id)
    assert small.append(info.id, {"x": np.ones(10), "y": np.ones(10)}).version == 2


def test_there_is_room_again_after_a_collect(small: Store) -> None:
    """Twenty objects of 10 MB pass one after the other through 16 MB."""
    for i in range(20):
        info = small.write("a", np.full(10 << 17, i))
        assert small.collect(info.id)
    assert small.used_bytes() == 0


def test_a_held_view_keeps_its_bytes_until_it_dies(small: Store) -> None:
    """Nothing that somebody maps is taken, so the next object must wait for it."""
    info = small.write("a", np.ones(10 << 17))
    view = small.open_id(info.id).numpy()
    assert not small.collect(info.id)
    with pytest.raises(StoreFull):
        small.write("b", np.ones(10 << 17))
    del view
    assert small.collect(info.id)
    small.write("b", np.ones(10 << 17))


def test_the_pool_is_a_share_of_what_is_there(small: Store) -> None:
    """80 % of the file system, less when configured; what the store has used already counts as free."""
    limit = small.pool_limit()
    assert 0.75 * _SIZE < limit <= 0.8 * _SIZE
    assert small.pool_limit(1 << 20) == 1 << 20
    assert small.pool_limit(1 << 40) == limit
    small.write("a", np.ones(1 << 19))
    assert abs(small.pool_limit() - limit) <= 8 << 10
