"""What the tests of this package, and of packages built on it, share: waiting, other processes and fixtures."""

from __future__ import annotations

from jupyter_nq.testing.child import Child
from jupyter_nq.testing.waiting import wait_until

__all__ = ["Child", "wait_until"]
