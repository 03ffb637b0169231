"""The store against a dictionary: any order of calls gives what plain Python would."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jupyter_nq.buffers import Handle, Store
from jupyter_nq.errors import CapacityFull

_NAMES = st.sampled_from(["NQ.30min", "signals", "x"])
_ROWS = st.integers(0, 3000)


class StoreModel(RuleBasedStateMachine):
    """Datasets as lists of versions; each held view must keep the values it had."""

    @initialize()
    def open_store(self) -> None:
        """Start with an empty store."""
        self.path = tempfile.mkdtemp(prefix="nqh-")
        self.store = Store(self.path)
        self.current: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.values: dict[str, np.ndarray[Any, Any]] = {}  # by object id: all committed rows
        self.held: list[tuple[Handle, Any, np.ndarray[Any, Any]]] = []

    @rule(name=_NAMES, rows=_ROWS, reserve=_ROWS, seed=st.integers(0, 99))
    def put(self, name: str, rows: int, reserve: int, seed: int) -> None:
        """Write and publish."""
        values = np.arange(rows) + seed * 10_000
        info = self.store.write(name, {"v": values}, reserve_rows=reserve)
        self._publish(name, info.id, values)

    @precondition(lambda self: self.current)
    @rule(data=st.data(), rows=st.integers(0, 500))
    def append(self, data: st.DataObject, rows: int) -> None:
        """Append in place, or grow when there is no room."""
        name = data.draw(st.sampled_from(sorted(self.current)))
        object_id = self.current[name]
        old, fresh = self.values[object_id], np.arange(rows) - 7
        room = self.store.info(object_id).capacity_rows - len(old)
        try:
            info = self.store.append(object_id, {"v": fresh})
        except CapacityFull:
            assert rows > room
            grown = self.store.grow(object_id, {"v": fresh})
            self._publish(name, grown.id, np.concatenate([old, fresh]))
            return
        assert rows <= room
        self.values[object_id] = np.concatenate([old, fresh])
        self.versions[name] = info.version

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        """Open by name and keep the view."""
        name = data.draw(st.sampled_from(sorted(self.current)))
        handle = self.store.open(name)
        assert handle.version == self.versions[name]
        self.held.append((handle, handle.numpy()["v"], self.values[self.current[name]]))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Let one view go."""
        self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """Forget a name."""
        name = data.draw(st.sampled_from(sorted(self.current)))
        self.store.unlink(name)
        del self.current[name], self.versions[name]

    @rule()
    def collect(self) -> None:
        """Remove what no name and no view needs; what is held stays."""
        needed = set(self.current.values())
        held = {handle.info.id for handle, _, _ in self.held}
        for object_id in set(self.values) - needed:
            assert self.store.collect(object_id) is (object_id not in held)
            if object_id not in held:
                del self.values[object_id]

    @rule()
    def sweep(self) -> None:
        """There are no orphans."""
        assert self.store.sweep() == []

    @invariant()
    def agrees(self) -> None:
        """Names, objects, rows and held views are those of the model."""
        if not hasattr(self, "store"):
            return
        assert self.store.names() == self.current
        assert {i.id: i.rows for i in self.store.scan()} == {k: len(v) for k, v in self.values.items()}
        for _, view, expected in self.held:
            np.testing.assert_array_equal(view, expected)

    def teardown(self) -> None:
        """Check every digest, then remove the store."""
        if hasattr(self, "store"):
            assert all(self.store.verify(object_id) for object_id in self.values)
            self.held.clear()
            shutil.rmtree(self.path)

    def _publish(self, name: str, object_id: str, values: np.ndarray[Any, Any]) -> None:
        version = self.versions.get(name, 0) + 1
        self.store.stamp(object_id, version)
        self.store.link(name, object_id)
        self.current[name], self.versions[name], self.values[object_id] = object_id, version, values


TestStoreModel = StoreModel.TestCase
TestStoreModel.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
