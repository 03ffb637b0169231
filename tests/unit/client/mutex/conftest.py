"""A clock of leases that tests set."""

from __future__ import annotations

import pytest

from jupyter_nq.client.mutex import mutex, record


class Clock:
    """The time of leases, some seconds ahead of the machine's."""

    def __init__(self) -> None:
        self._ahead_ns = 0
        self._real = record.now_ns

    def __call__(self) -> int:
        return self._real() + self._ahead_ns

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead_ns += int(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock of this process's leases."""
    clock = Clock()
    for module in (record, mutex):
        monkeypatch.setattr(module, "now_ns", clock)
    return clock
