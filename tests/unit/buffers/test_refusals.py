"""What the system refuses is said as such: nothing is called damaged, dropped or empty because of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import ObjectInfo, Store, catalogue
from jupyter_nq.buffers.objects import read_info
from jupyter_nq.buffers.refusals import refusal, refused
from jupyter_nq.errors import ChecksumError, StoreError, StoreFull, UnknownDataset
from tests.unit.buffers.child import Child
from tests.unit.buffers.conftest import publish

_USES = [
    "store.scan()",
    "store.damaged()",
    "store.names()",
    "store.used_bytes()",
    "store.info(store.resolve('a'))",
    "store.open('a')",
    "store.verify(store.resolve('a'))",
    "store.append(store.resolve('a'), np.zeros(1))",
    "store.write('b', np.zeros(1))",
    "store.collect(sys.argv[2])",
    "store.sweep()",
    "store.lock('k').__enter__()",
    "store.writing('k').__enter__()",
]

_AT_THE_LIMIT = """
import resource
from jupyter_nq import errors
{use}  # once before, so that everything is imported
lowest = os.open(os.devnull, os.O_RDONLY); os.close(lowest)
for spare in range(4):
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, 4096))
    try:
        {use}
    except errors.StoreError as exc:
        assert "Too many open files. This process has" in str(exc), exc
say("fine")
"""


@pytest.mark.parametrize("use", _USES)
def test_at_the_limit_of_open_files(store: Store, use: str) -> None:
    """With no, one, two or three descriptors left, a call works or is a `StoreError` that says what to do."""
    publish(store, store.write("a", np.ones(10), reserve_rows=100))
    loose = store.write("loose", np.ones(10))
    with Child(store.path, _AT_THE_LIMIT.format(use=use), loose.id) as child:
        assert child.line() == "fine"
    assert list(store.names()) == ["a"]
    assert store.damaged() == []


def test_an_object_that_cannot_be_opened_is_not_damaged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan does not go on without it: who starts on half a store would forget the other half."""
    info = publish(store, store.write("a", np.ones(10)))
    opened = os.open

    def refusing(path: str | Path, *args: int, **kwargs: int) -> int:
        if str(path).endswith(info.id):
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refusing)
    for use in (store.scan, store.damaged):
        with pytest.raises(StoreError, match=rf"obj/{info.id}: Permission denied. Check its owner"):
            use()
    assert store.exists(info.id)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)])
def test_what_is_no_file_is_damage(store: Store, make: Callable[[Path], None]) -> None:
    """A FIFO, a directory or a link among the objects is listed, waits for nobody and hides nothing else."""
    info = publish(store, store.write("a", np.ones(10)))
    make(store.path / "obj" / ("b" * 32))
    assert [found.id for found in store.scan()] == [info.id]
    (found,) = store.damaged()
    assert "it is not a file" in found.reason
    with pytest.raises(ChecksumError, match="it is not a file"):
        store.open_id("b" * 32)


def test_existing_is_more_than_sound(store: Store) -> None:
    """A damaged object exists, a dropped one does not, and what is no id never did."""
    info = store.write("a", np.ones(10))
    assert store.exists(info.id)
    os.truncate(store.path / "obj" / info.id, 10)
    assert store.exists(info.id)
    assert store.scan() == []
    assert store.collect(info.id)
    assert not store.exists(info.id)
    assert not store.exists("../names")


def test_an_object_whose_pages_go_while_it_is_read_was_dropped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A remover that comes between opening and reading leaves a page of zeros, which is no damage."""
    info = store.write("a", np.ones(10))

    def read_late(fd: int, path: Path) -> ObjectInfo:
        assert store.collect(info.id)
        return read_info(fd, path)

    monkeypatch.setattr(catalogue, "read_info", read_late)
    with pytest.raises(UnknownDataset, match="dropped"):
        store.info(info.id)


def test_a_sweep_takes_dead_links_and_leaves_what_is_not_the_stores(store: Store) -> None:
    """A link that a host made and did not rename goes; a FIFO and a directory neither go nor stop the sweep."""
    tmp = store.path / "tmp"
    (tmp / "bars.1.link").symlink_to("../obj/x")
    ours = tmp / f"bars.{os.getpid()}.link"
    ours.symlink_to("../obj/x")
    os.mkfifo(tmp / "fifo")
    (tmp / "directory").mkdir()
    (tmp / "dead.build").touch()
    assert sorted(path.name for path in store.sweep()) == ["bars.1.link", "dead.build"]
    store.link("bars", "0" * 32)
    assert sorted(os.listdir(tmp)) == ["directory", "fifo"]


def test_a_link_that_cannot_be_renamed_leaves_no_draft(store: Store) -> None:
    """The name is taken by a directory: the error is the store's, and tmp/ is empty."""
    (store.path / "names" / "bars").mkdir()
    with pytest.raises(StoreError, match="names/bars"):
        store.link("bars", "0" * 32)
    assert os.listdir(store.path / "tmp") == []
    assert store.names() == {}


def test_no_space_is_a_full_store() -> None:
    """The class tells the caller that dropping helps, and other errors pass unchanged."""
    with pytest.raises(StoreFull, match=r"No space left on device\. Drop datasets"), refused("/store"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(UnknownDataset), refused("/store"):
        raise UnknownDataset("no")
    assert "a file of the store: odd" in str(refusal(10_000, OSError("odd")))
