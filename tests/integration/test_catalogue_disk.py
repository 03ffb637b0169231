"""What must happen to durable data when the disk fails, or somebody dies on the way to it: cases 66 and 67.

The other cases of stores are in `test_catalogue_store`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import StoreFull
from jupyter_nq.testing import Child, wait_until
from jupyter_nq.testing.leftovers import settle

_ROWS = np.arange(200_000.0)
_PRELUDE = """
import errno
import numpy as np
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import NQError
session = Session(settings=Settings(store_dir=sys.argv[1], connect_seconds=20, spill_dir=sys.argv[2]))
rows = np.arange(200_000.0)
"""


def _after_a_restart(session: Session) -> Session:
    """Lose all memory, as the machine does at a restart, and open the store anew."""
    where = session.store.path
    session.close()
    shutil.rmtree(where)
    where.mkdir(mode=0o700)
    return Session(settings=session.settings)


@contextmanager
def _persisting(where: Path, disk: Path) -> Iterator[Session]:
    """Open a session that writes durable data below `disk`, and has a first version of `a` there."""
    settings = Settings(store_dir=str(where), connect_seconds=20, spill_dir=str(disk))
    with Session(settings=settings) as session:
        session.put("a", _ROWS, durable=True)
        yield session


def test_66_a_disk_that_is_full_keeps_the_old_version(nq_store_dir: Path, nq_tmpfs: Callable[[str], Path]) -> None:
    """A durable put that the disk refuses says so; a restart brings the version before, whole, and then it works."""
    random = np.random.default_rng(0).random(1_000_000)  # 8 MB that nothing compresses
    with _persisting(nq_store_dir, nq_tmpfs("4m")) as session:
        with pytest.raises(StoreFull, match=r"The cold copy does not fit: [\d,]+ bytes are free in"):
            session.put("a", random, durable=True)
        np.testing.assert_array_equal(session.get("a"), random)
        wait_until(lambda: len(session.store.scan()) == 1, message="the memory of old versions")
        with _after_a_restart(session) as again:
            np.testing.assert_array_equal(again.get("a", verify="always"), _ROWS)
            assert again.put("a", _ROWS + 1, durable=True).version == 2
            assert settle(again.store) == []
            with _after_a_restart(again) as last:
                np.testing.assert_array_equal(last.get("a", verify="always"), _ROWS + 1)


def test_66_an_append_that_the_disk_refuses_keeps_the_old_rows(
    nq_store_dir: Path, nq_tmpfs: Callable[[str], Path]
) -> None:
    """The copy before stays as it was: a restart brings the rows that it had."""
    with _persisting(nq_store_dir, nq_tmpfs("4m")) as session:
        with pytest.raises(StoreFull, match="does not fit"):
            session.append("a", np.random.default_rng(0).random(1_000_000))
        with _after_a_restart(session) as again:
            np.testing.assert_array_equal(again.get("a", verify="always"), _ROWS)


@pytest.mark.parametrize("failing", [1, 2], ids=["of the file", "of the directory"])
def test_67_a_failed_fsync_is_not_acknowledged(nq_store_dir: Path, tmp_path: Path, failing: int) -> None:
    """The put fails, and is not tried again on the same file; the durable version before is what a restart brings."""
    code = """
calls, fsync = [], os.fsync
def failing(fd):
    calls.append(fd)
    if len(calls) == int(sys.argv[3]):
        raise OSError(errno.EIO, "Input/output error")
    fsync(fd)
os.fsync = failing
try:
    session.put("a", rows + 1, durable=True)
except NQError as exc:
    say(type(exc).__name__, exc)
say(len(calls))
"""
    with _persisting(nq_store_dir, tmp_path) as session:
        with Child(_PRELUDE + code, str(nq_store_dir), str(tmp_path), str(failing)) as child:
            assert "StoreError" in (message := child.line())
            assert "Input/output error. The disk failed" in message
            assert child.line() == str(failing)
            assert child.wait() == 0
        with _after_a_restart(session) as again:
            np.testing.assert_array_equal(again.get("a", verify="always"), _ROWS)


def test_67_a_put_killed_before_the_disk_has_it_keeps_the_old_version(nq_store_dir: Path, tmp_path: Path) -> None:
    """It was never acknowledged; whatever the memory has, the disk has the durable version before."""
    code = """
os.fsync = lambda fd: die()
session.put("a", rows + 1, durable=True)
"""
    with _persisting(nq_store_dir, tmp_path) as session:
        with Child(_PRELUDE + code, str(nq_store_dir), str(tmp_path)) as child:
            assert child.wait() == -9
        wait_until(lambda: len(session.store.scan()) == 1, message="the memory of the version before")
        with _after_a_restart(session) as again:
            np.testing.assert_array_equal(again.get("a", verify="always"), _ROWS)
            assert settle(again.store) == []
