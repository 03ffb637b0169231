"""One session over a private store, and bar files to load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_nq.bars.sample import write_sample
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory with generated bar files."""
    directory = tmp_path / "data"
    write_sample(directory, rows=2_000, seed=3)
    return directory


@pytest.fixture
def session(nq_store_dir: Path, data: Path) -> Iterator[Session]:
    """A session that hosts its own coordinator."""
    with Session(settings=Settings(store_dir=str(nq_store_dir), data_dir=str(data))) as opened:
        yield opened
