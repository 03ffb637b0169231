"""Fixtures of all tests come from the published plugin."""

from __future__ import annotations

pytest_plugins = ["jupyter_nq.testing.plugin"]
