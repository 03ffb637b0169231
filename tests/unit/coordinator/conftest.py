"""A store, a service that hosts it, and wires to it; all of them real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import ObjectInfo, Store
from jupyter_nq.coordinator import Wire, dial
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.listening import SOCKET_NAME
from jupyter_nq.coordinator.service import Service
from tests.unit.coordinator.desks import arrive

Dial = Callable[..., Wire]


@pytest.fixture
def store(nq_store_dir: Path) -> Store:
    """Give an empty store."""
    return Store(nq_store_dir)


@pytest.fixture
def service(store: Store) -> Iterator[Service]:
    """Give a running service of the store, hosted as a script hosts it."""
    service = Service(store, pool_bytes=1 << 20)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def connect(store: Store) -> Iterator[Dial]:
    """Give a function that connects to whoever hosts the store."""
    wires = []

    def connect(role: str = "client") -> Wire:
        wires.append(dial(store.path / SOCKET_NAME, role, 10.0))
        return wires[-1]

    yield connect
    for wire in wires:
        wire.close()


@pytest.fixture
def put(store: Store) -> Callable[..., ObjectInfo]:
    """Give a function that writes and publishes an array, as a session does."""

    def put(wire: Wire, name: str, rows: int = 10, reserve_rows: int = 0) -> ObjectInfo:
        plan = store.plan(np.arange(float(rows)), reserve_rows)
        ticket = wire.call("reserve", {"name": name, "bytes": plan.nbytes})["ticket"]
        info = store.write(name, plan)
        wire.call("publish", {"id": info.id, "ticket": ticket})
        return store.info(info.id)

    return put


@pytest.fixture
def desk() -> Desk:
    """Give a desk with two clients."""
    desk = Desk()
    arrive(desk, 1, 2)
    return desk
