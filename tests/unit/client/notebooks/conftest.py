"""Coordinators that know everybody from the start, and targets in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_nq.coordinator import notebooks
from jupyter_nq.testing import Child
from tests.unit.client.child import session_child

Target = Callable[[str], Child]

_REGISTERS = """
from jupyter_nq.client.notebooks.registering import register
from jupyter_nq.client.notebooks.syncing import accept, decline, on_sync, sync, synced
from jupyter_nq.testing import wait_until
register(session, "risk", "risk")
"""


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a coordinator of this process refuse at once what it does not know."""
    monkeypatch.setattr(notebooks, "SETTLING_SECONDS", 0.0)


@pytest.fixture
def target(nq_store_dir: Path) -> Iterator[Target]:
    """Give a function that starts a notebook registered as risk; what it runs says "ready" when it is."""
    children: list[Child] = []

    def start(code: str) -> Child:
        child = session_child(nq_store_dir, _REGISTERS + code)
        children.append(child)
        assert child.line() == "ready"
        return child

    yield start
    for child in children:
        child.__exit__()
