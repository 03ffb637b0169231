"""A durable put killed at its system calls, while the coordinator lives: shared or not, and on the disk all the time.

Of the calls every so-manieth is taken, the last always. The threads of the writer that only read are not followed.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import ColdCopies, Store, thaw
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.testing import syscalls
from jupyter_nq.testing.leftovers import settle

pytestmark = pytest.mark.usefixtures("light_children")

_MOST_POINTS = 80


def _values(number: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.arange(1000) + number


def test_a_durable_put_killed_at_system_calls(nq_store_dir: Path) -> None:
    """What was acknowledged is never lost: the disk has the version before until it has the new one."""
    if not syscalls.available():
        pytest.skip("strace is not here, or may not attach")
    start, where = time.monotonic(), nq_store_dir
    settings = Settings(store_dir=str(where / "store"), spill_dir=str(where / "disk"), connect_seconds=20)
    with Session(settings=settings) as session:
        numbers = itertools.count()
        session.put("a", _values(next(numbers)), durable=True)

        def work(number: int) -> None:
            session.put("a", _values(number), durable=True)

        found = syscalls.points(lambda: work(next(numbers)), where)
        seen: set[tuple[bool, bool]] = set()
        chosen = [*found[: -1 : -(-len(found) // _MOST_POINTS)], found[-1]]
        for i, point in enumerate(chosen):
            before, after = next(numbers), next(numbers)
            work(before)
            assert settle(session.store) == []
            killed = syscalls.killed_at(lambda after=after: work(after), point)  # type: ignore[misc]
            assert killed, point
            assert settle(session.store) == [], point
            shown = _number(session.get("a", verify="always"))
            kept = _number(_on_disk(session.store, where / f"other{i}"))
            assert {shown, kept} <= {before, after}
            assert shown == after or kept == before
            seen.add((shown == after, kept == after))
        work(next(numbers))
        assert settle(session.store) == []
    print(f"\n{len(chosen)} of {len(found)} system calls in {time.monotonic() - start:.1f} s")
    assert seen == {(False, False), (True, False), (True, True)}


def _number(values: np.ndarray) -> int:  # type: ignore[type-arg]
    number = int(values[0])
    np.testing.assert_array_equal(values, _values(number))
    return number


def _on_disk(store: Store, where: Path) -> np.ndarray:  # type: ignore[type-arg]
    """Return what a restart of the machine would bring back: the newest durable version."""
    cold = ColdCopies((store.path / "cold").resolve())
    assert cold.damaged() == []
    newest = max((info for info in cold.scan() if info.durable), key=lambda info: info.version)
    other = Store(where)
    thaw(other, newest.id, cold)
    with other.open_id(newest.id) as handle:
        return np.array(handle.numpy())
