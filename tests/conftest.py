"""Fixtures of all tests come from the published plugin; processes that tests start import what is installed."""

from __future__ import annotations

import os

# Otherwise `python -c` and `python -m` find the checkout in the current directory before the installed package.
os.environ["PYTHONSAFEPATH"] = "1"

pytest_plugins = ["jupyter_nq.testing.plugin"]
