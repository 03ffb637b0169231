"""What the tests of this package, and of packages built on it, share: waiting and fixtures."""

from __future__ import annotations

from jupyter_nq.testing.waiting import wait_until

__all__ = ["wait_until"]
