"""One session over a private store, and bar files to load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.bars.sample import write_sample
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings

Open = Callable[..., Channel]


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


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a disk of its own for what leaves memory."""
    monkeypatch.setenv("JUPYTER_NQ_SPILL", str(tmp_path / "disk"))
    return tmp_path / "disk"


@pytest.fixture
def open_channel(nq_store_dir: Path) -> Iterator[Open]:
    """Give a function that opens a channel to the test's store; all are closed afterwards."""
    channels: list[Channel] = []

    def open_channel(**options: Any) -> Channel:
        seconds = options.pop("connect_seconds", 10.0)
        channels.append(Channel(nq_store_dir, Settings(connect_seconds=seconds), **options))
        return channels[-1]

    yield open_channel
    for channel in reversed(channels):
        channel.close()
