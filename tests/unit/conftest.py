"""The real file, for the tests that compare with it; the repository has none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REAL_NAME = "NQ - 30 min - ETH.csv"


@pytest.fixture(scope="session")
def real_file() -> Path:
    """Give the real file, or skip."""
    named = os.environ.get("JUPYTER_NQ_REAL_FILE")
    path = Path(named) if named else Path(__file__).parents[2].parent / "shared" / "data" / _REAL_NAME
    if not path.is_file():
        pytest.skip(f"the real file is not here ({path}); JUPYTER_NQ_REAL_FILE names it")
    return path
