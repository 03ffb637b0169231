"""Fixtures of all tests come from the published plugin, but for the real file, which the repository does not have.

Processes that tests start import what is installed. Neither they nor the tests leave archives of parsed files in the
user's cache.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

_REAL_NAME = "NQ - 30 min - ETH.csv"

os.environ["JUPYTER_NQ_CACHE"] = tempfile.mkdtemp(prefix="nqc-")
os.environ["JUPYTER_NQ_SPILL"] = tempfile.mkdtemp(prefix="nqd-")
for _made in ("JUPYTER_NQ_CACHE", "JUPYTER_NQ_SPILL"):
    atexit.register(shutil.rmtree, os.environ[_made], ignore_errors=True)

# Nor what they said of their files among the user's own answers.
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="nqd-")
atexit.register(shutil.rmtree, os.environ["XDG_DATA_HOME"], ignore_errors=True)

# Otherwise `python -c` and `python -m` find the checkout in the current directory before the installed package.
os.environ["PYTHONSAFEPATH"] = "1"

# Whoever starts the tests in the background may have had them ignore interrupts, and so would all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["jupyter_nq.testing.plugin"]


@pytest.fixture(scope="session")
def real_file() -> Path:
    """Give the real file, or skip."""
    named = os.environ.get("JUPYTER_NQ_REAL_FILE")
    path = Path(named) if named else Path(__file__).parents[1].parent / "shared" / "data" / _REAL_NAME
    if not path.is_file():
        pytest.skip(f"the real file is not here ({path}); JUPYTER_NQ_REAL_FILE names it")
    return path
